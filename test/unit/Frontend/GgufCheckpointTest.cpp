//===- GgufCheckpointTest.cpp - Models in GGUF files ----------------------===//

#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Frontend/Checkpoint/Gguf.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::HasSubstr;

namespace {

class GgufCheckpointTest : public ::testing::Test {
protected:
  std::unique_ptr<Checkpoint> open(GgufBuilder &gguf) {
    return llvm::cantFail(
        Checkpoint::open(folder.write("model.gguf", gguf.build())));
  }

  std::string openError(GgufBuilder gguf) {
    return errorText(
        Checkpoint::open(folder.write("model.gguf", gguf.build())));
  }

  /// The model with one pair of metadata replaced.
  GgufBuilder without(const std::string &key) {
    GgufBuilder gguf = makeGguf(model);
    gguf.removeMetadata(key);
    return gguf;
  }

  TestModel model = makeTestModel();
  TemporaryFolder folder;
};

} // namespace

/// Every architecture that GGUF files name.
class GgufArchitecture : public GgufCheckpointTest,
                         public ::testing::WithParamInterface<Architecture> {
protected:
  GgufArchitecture() { model = makeTestModel(false, GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(Architectures, GgufArchitecture,
                         ::testing::Values(Architecture::Llama,
                                           Architecture::Qwen2,
                                           Architecture::Qwen3));

TEST_P(GgufArchitecture, Config) {
  GgufBuilder gguf = makeGguf(model);
  EXPECT_EQ(open(gguf)->config(), model.config);
}

TEST_P(GgufArchitecture, WeightsAreInHuggingFaceOrder) {
  // The builder interleaves Q and K where llama.cpp does; reading must bring
  // back what was put in.
  GgufBuilder gguf = makeGguf(model);
  auto checkpoint = open(gguf);
  ASSERT_EQ(checkpoint->tensors().size(), model.weights.size());
  for (const auto &[name, values] : model.weights)
    EXPECT_EQ(llvm::cantFail(checkpoint->readF32(name)), values) << name;
}

TEST_F(GgufCheckpointTest, RowsOneByOne) {
  GgufBuilder gguf = makeGguf(model);
  auto checkpoint = open(gguf);
  std::string name = "model.layers.1.self_attn.k_proj.weight";
  const CheckpointTensor *tensor = checkpoint->find(name);
  ASSERT_NE(tensor, nullptr);
  for (int64_t row = 0; row < tensor->rows(); ++row) {
    std::vector<float> values(tensor->columns());
    llvm::cantFail(checkpoint->readRows(*tensor, row, 1, values));
    auto begin = model.weights[name].begin() + row * tensor->columns();
    EXPECT_TRUE(std::equal(values.begin(), values.end(), begin)) << row;
  }
}

TEST_F(GgufCheckpointTest, TiedEmbeddings) {
  model = makeTestModel(/*tiedEmbeddings=*/true);
  GgufBuilder gguf = makeGguf(model);
  auto checkpoint = open(gguf);
  EXPECT_TRUE(checkpoint->config().tiedEmbeddings);
  EXPECT_EQ(checkpoint->find("lm_head.weight"), nullptr);
}

TEST_F(GgufCheckpointTest, QuantizedTensors) {
  // Q8_0 of a scale of 1 holds small integers exactly.
  GgufBuilder gguf = makeGguf(model);
  gguf.removeTensor("blk.0.attn_v.weight");
  std::string bytes;
  for (int block = 0; block < 32 * 64 / 32; ++block) {
    bytes += std::string("\x00\x3c", 2);
    for (int i = 0; i < 32; ++i)
      bytes += static_cast<char>(block + i - 60);
  }
  gguf.addTensor("blk.0.attn_v.weight", {32, 64}, 8, bytes);
  auto checkpoint = open(gguf);
  auto values = llvm::cantFail(
      checkpoint->readF32("model.layers.0.self_attn.v_proj.weight"));
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], static_cast<int8_t>(i / 32 + i % 32 - 60)) << i;
}

TEST_F(GgufCheckpointTest, TokenizerIsAVocabularyOnlyFile) {
  GgufBuilder gguf = makeGguf(model);
  gguf.addU32("tokenizer.ggml.unknown_token_id", 0);
  auto checkpoint = open(gguf);
  ASSERT_EQ(checkpoint->tokenizerFiles().size(), 1u);
  const TokenizerFile &file = checkpoint->tokenizerFiles()[0];
  EXPECT_EQ(file.name, "tokenizer.gguf");
  auto vocabulary = llvm::cantFail(GgufFile::create(
      llvm::MemoryBuffer::getMemBufferCopy(file.bytes), file.name));
  EXPECT_TRUE(vocabulary->tensors().empty());
  EXPECT_EQ(vocabulary->entries().size(), 6u);
  EXPECT_EQ(llvm::cantFail(vocabulary->getArraySize("tokenizer.ggml.tokens")),
            32u);
  EXPECT_EQ(llvm::cantFail(vocabulary->getString("general.architecture")),
            llvm::StringRef("llama"));
}

TEST_F(GgufCheckpointTest, Tokens) {
  GgufBuilder gguf = makeGguf(model);
  gguf.addU32("tokenizer.ggml.eot_token_id", 5);
  gguf.addBool("tokenizer.ggml.add_bos_token", false);
  auto checkpoint = open(gguf);
  EXPECT_EQ(checkpoint->config().eosIds, (std::vector<int64_t>{2, 5}));
  EXPECT_FALSE(checkpoint->config().addBos);

  GgufBuilder outside = without("tokenizer.ggml.eos_token_id");
  outside.addU32("tokenizer.ggml.eos_token_id", 32);
  EXPECT_THAT(openError(outside),
              HasSubstr("the EOS token 32 is not in the vocabulary of 32"));
  GgufBuilder none = without("tokenizer.ggml.eos_token_id");
  none.addU32("tokenizer.ggml.eos_token_id", UINT32_MAX);
  EXPECT_TRUE(open(none)->config().eosIds.empty());
  GgufBuilder fewer = without("tokenizer.ggml.tokens");
  fewer.addStrings("tokenizer.ggml.tokens", {"a", "b"});
  EXPECT_THAT(openError(fewer),
              HasSubstr("the tokenizer has 2 tokens, the embeddings 32"));
}

TEST_F(GgufCheckpointTest, UnknownTokenizer) {
  GgufBuilder gguf = without("tokenizer.ggml.model");
  EXPECT_THAT(openError(gguf), HasSubstr("there is no tokenizer"));
  gguf.addString("tokenizer.ggml.model", "t5");
  EXPECT_THAT(openError(gguf), HasSubstr("unknown tokenizer 't5'"));
}

TEST_F(GgufCheckpointTest, UnknownArchitecture) {
  GgufBuilder gguf = without("general.architecture");
  EXPECT_THAT(openError(gguf),
              HasSubstr("metadata 'general.architecture' is missing"));
  gguf.addString("general.architecture", "gemma2");
  EXPECT_THAT(openError(gguf),
              HasSubstr("unknown architecture 'gemma2'; GGUF files are read "
                        "for 'llama', 'qwen2' and 'qwen3'"));
}

TEST_F(GgufCheckpointTest, MissingMetadata) {
  for (std::string key :
       {"llama.embedding_length", "llama.block_count",
        "llama.feed_forward_length", "llama.attention.head_count",
        "llama.context_length", "llama.attention.layer_norm_rms_epsilon"})
    EXPECT_THAT(openError(without(key)),
                HasSubstr("metadata '" + key + "' is missing"));
}

TEST_F(GgufCheckpointTest, MetadataOfItsArchitecture) {
  model = makeTestModel(false, Architecture::Qwen3);
  EXPECT_THAT(openError(without("qwen3.block_count")),
              HasSubstr("metadata 'qwen3.block_count' is missing"));
  GgufBuilder gguf = makeGguf(model);
  gguf.removeTensor("blk.1.attn_k_norm.weight");
  EXPECT_THAT(openError(gguf),
              HasSubstr("tensor 'model.layers.1.self_attn.k_norm.weight' is "
                        "missing"));
}

TEST_F(GgufCheckpointTest, LyingMetadata) {
  const std::pair<std::string, uint32_t> lies[] = {
      {"llama.embedding_length", 0},
      {"llama.embedding_length", 128},
      {"llama.embedding_length", UINT32_MAX},
      {"llama.block_count", 0},
      {"llama.block_count", 1},
      {"llama.block_count", 3},
      {"llama.block_count", UINT32_MAX},
      {"llama.feed_forward_length", 95},
      {"llama.attention.head_count", 0},
      {"llama.attention.head_count", 3},
      {"llama.attention.head_count", 64},
      {"llama.attention.head_count_kv", 0},
      {"llama.attention.head_count_kv", 3},
      {"llama.attention.head_count_kv", 4},
      {"llama.attention.key_length", 8},
      {"llama.attention.value_length", 8},
      {"llama.rope.dimension_count", 8},
      {"llama.vocab_size", 31},
      {"llama.expert_count", 8},
      {"llama.context_length", 0},
  };
  for (const auto &[key, value] : lies) {
    GgufBuilder gguf = without(key);
    gguf.addU32(key, value);
    EXPECT_NE(openError(gguf), "") << key << " = " << value;
  }
}

TEST_F(GgufCheckpointTest, MissingTensorIsNamed) {
  GgufBuilder gguf = makeGguf(model);
  gguf.removeTensor("blk.1.ffn_up.weight");
  EXPECT_THAT(
      openError(gguf),
      HasSubstr("tensor 'model.layers.1.mlp.up_proj.weight' is missing"));
}

TEST_F(GgufCheckpointTest, ForeignTensorIsNamed) {
  GgufBuilder gguf = makeGguf(model);
  gguf.addTensor("blk.0.attn_q.bias", {64}, 0, std::string(256, '\0'));
  EXPECT_THAT(
      openError(gguf),
      HasSubstr("tensor 'blk.0.attn_q.bias' is no part of a llama model"));
}

TEST_F(GgufCheckpointTest, WrongShapeIsNamed) {
  GgufBuilder gguf = makeGguf(model);
  gguf.removeTensor("blk.0.attn_k.weight");
  gguf.addTensor("blk.0.attn_k.weight", {64, 32}, 0, std::string(8192, '\0'));
  EXPECT_THAT(openError(gguf),
              HasSubstr("tensor 'model.layers.0.self_attn.k_proj.weight' has "
                        "the shape [64, 32], but the model's sizes ask for "
                        "[32, 64]"));
}

TEST_F(GgufCheckpointTest, NonFiniteWeightIsNamed) {
  std::string name = "model.layers.0.mlp.down_proj.weight";
  for (auto [bad, text] :
       {std::pair(NAN, "NaN"), std::pair(INFINITY, "infinity")}) {
    model.weights[name][100] = bad;
    GgufBuilder gguf = makeGguf(model);
    EXPECT_EQ(errorText(open(gguf)->readF32(name)),
              "tensor '" + name + "' has the value " + text + " at index 100");
  }
}

TEST_F(GgufCheckpointTest, LinearRopeScaling) {
  GgufBuilder gguf = makeGguf(model);
  gguf.addString("llama.rope.scaling.type", "linear");
  gguf.addF32("llama.rope.scaling.factor", 4.0f);
  RopeScaling expected{.kind = RopeScaling::Kind::Linear, .factor = 4.0};
  EXPECT_EQ(open(gguf)->config().ropeScaling, expected);

  GgufBuilder old = makeGguf(model);
  old.addF32("llama.rope.scale_linear", 4.0f);
  EXPECT_EQ(open(old)->config().ropeScaling, expected);

  GgufBuilder yarn = makeGguf(model);
  yarn.addString("llama.rope.scaling.type", "yarn");
  EXPECT_THAT(openError(yarn),
              HasSubstr("RoPE scaling of type 'yarn' is not supported"));
}

TEST_F(GgufCheckpointTest, Llama3RopeFactors) {
  // The divisors as convert_hf_to_gguf.py computes them.
  RopeScaling expected{.kind = RopeScaling::Kind::Llama3,
                       .factor = 8.0,
                       .lowFreqFactor = 1.0,
                       .highFreqFactor = 4.0,
                       .originalMaxContext = 8192};
  ModelConfig scaled = model.config;
  scaled.ropeScaling = expected;
  std::vector<double> before = ropeFrequencies(model.config);
  std::vector<double> after = ropeFrequencies(scaled);
  std::vector<float> factors;
  for (size_t i = 0; i < before.size(); ++i)
    factors.push_back(static_cast<float>(before[i] / after[i]));
  ASSERT_EQ(factors.back(), 8.0f);

  GgufBuilder gguf = makeGguf(model);
  gguf.addTensor("rope_freqs.weight", {8}, 0, bytesOfFloats(factors));
  EXPECT_EQ(open(gguf)->config().ropeScaling, expected);

  factors[3] = 2.0f;
  GgufBuilder other = makeGguf(model);
  other.addTensor("rope_freqs.weight", {8}, 0, bytesOfFloats(factors));
  EXPECT_THAT(openError(other),
              HasSubstr("does not follow the rule of Llama 3 at index 3"));
}

TEST_F(GgufCheckpointTest, AnyHeaderByteChanged) {
  // Opening either fails or gives tensors that can be read.
  GgufBuilder gguf = makeGguf(model);
  const std::string whole = gguf.build();
  for (size_t i = 0; i < gguf.dataBegin; i += 3) {
    std::string changed = whole;
    changed[i] = static_cast<char>(~changed[i]);
    auto checkpoint = Checkpoint::open(folder.write("changed.gguf", changed));
    if (!checkpoint) {
      llvm::consumeError(checkpoint.takeError());
      continue;
    }
    for (const CheckpointTensor &tensor : (*checkpoint)->tensors())
      llvm::cantFail((*checkpoint)->readF32(tensor.name));
  }
}

TEST_F(GgufCheckpointTest, NoFile) {
  EXPECT_THAT(errorText(Checkpoint::open(folder / "absent.gguf")),
              HasSubstr("No such file"));
  EXPECT_THAT(errorText(Checkpoint::open(folder.write("empty.gguf", ""))),
              HasSubstr("truncated"));
}

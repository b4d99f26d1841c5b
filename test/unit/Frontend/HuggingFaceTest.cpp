//===- HuggingFaceTest.cpp - Hugging Face folders -------------------------===//

#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Frontend/Checkpoint/Half.h"

#include "llvm/Support/FormatVariadic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using llvm::json::Array;
using llvm::json::Object;
using llvm::json::Value;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

class HuggingFaceTest : public ::testing::Test {
protected:
  void SetUp() override { writeHuggingFace(model, folder, "model"); }

  std::unique_ptr<Checkpoint> open() {
    return llvm::cantFail(Checkpoint::open(folder / "model"));
  }
  std::string openError() {
    return errorText(Checkpoint::open(folder / "model"));
  }

  void writeJson(llvm::StringRef name, Value value) {
    folder.write(("model/" + name).str(),
                 llvm::formatv("{0}", std::move(value)).str());
  }
  /// config.json with `key` set to `value`.
  void set(llvm::StringRef key, Value value) {
    Object config = makeConfigJson(model);
    config[key] = std::move(value);
    writeJson("config.json", std::move(config));
  }
  std::string errorWith(llvm::StringRef key, Value value) {
    set(key, std::move(value));
    return openError();
  }
  void writeTensors(const std::vector<RawTensor> &tensors) {
    folder.write("model/model.safetensors", makeSafetensors(tensors));
  }

  TestModel model = makeTestModel();
  TemporaryFolder folder;
};

} // namespace

TEST_F(HuggingFaceTest, Whole) {
  auto checkpoint = open();
  EXPECT_EQ(checkpoint->config(), model.config);
  ASSERT_EQ(checkpoint->tensors().size(), model.weights.size());
  for (const auto &[name, values] : model.weights)
    EXPECT_EQ(llvm::cantFail(checkpoint->readF32(name)), values) << name;
  EXPECT_EQ(checkpoint->tensors().front().name, "model.embed_tokens.weight");
  EXPECT_EQ(checkpoint->tensors().back().name, "lm_head.weight");
  ASSERT_EQ(checkpoint->tokenizerFiles().size(), 1u);
  EXPECT_EQ(checkpoint->tokenizerFiles()[0].name, "tokenizer.json");
  EXPECT_EQ(checkpoint->tokenizerFiles()[0].bytes, makeTokenizerJson());
}

TEST_F(HuggingFaceTest, BiasesAndHeadNorms) {
  for (Architecture architecture : {Architecture::Qwen2, Architecture::Qwen3}) {
    model = makeTestModel(false, architecture);
    writeHuggingFace(model, folder, "model");
    auto checkpoint = open();
    EXPECT_EQ(checkpoint->config(), model.config);
    ASSERT_EQ(checkpoint->tensors().size(), model.weights.size());
    for (const auto &[name, values] : model.weights)
      EXPECT_EQ(llvm::cantFail(checkpoint->readF32(name)), values) << name;

    std::vector<RawTensor> tensors = rawTensors(model);
    std::string absent = architecture == Architecture::Qwen2
                             ? "model.layers.1.self_attn.v_proj.bias"
                             : "model.layers.1.self_attn.q_norm.weight";
    std::erase_if(tensors, [&](const RawTensor &tensor) {
      return tensor.name == absent;
    });
    writeTensors(tensors);
    EXPECT_THAT(openError(), HasSubstr("tensor '" + absent + "' is missing"));
  }
}

TEST_F(HuggingFaceTest, SixteenBitTensors) {
  std::vector<RawTensor> tensors = rawTensors(model);
  std::map<std::string, std::vector<float>> expected;
  bool half = false;
  for (RawTensor &tensor : tensors) {
    tensor.dtype = half ? "F16" : "BF16";
    tensor.bytes.clear();
    for (float value : model.weights[tensor.name]) {
      uint16_t bits =
          half ? floatToHalf(value) : std::bit_cast<uint32_t>(value) >> 16;
      tensor.bytes += static_cast<char>(bits & 255);
      tensor.bytes += static_cast<char>(bits >> 8);
      expected[tensor.name].push_back(
          half ? halfToFloat(bits)
               : std::bit_cast<float>(static_cast<uint32_t>(bits) << 16));
    }
    half = !half;
  }
  writeTensors(tensors);
  auto checkpoint = open();
  for (const auto &[name, values] : expected)
    EXPECT_EQ(llvm::cantFail(checkpoint->readF32(name)), values) << name;
}

TEST_F(HuggingFaceTest, Shards) {
  std::vector<RawTensor> tensors = rawTensors(model);
  Object map;
  std::vector<RawTensor> shards[2];
  for (size_t i = 0; i < tensors.size(); ++i) {
    map[tensors[i].name] = i % 2 ? "b.safetensors" : "a.safetensors";
    shards[i % 2].push_back(tensors[i]);
  }
  folder.write("sharded/config.json", readFile(folder / "model/config.json"));
  folder.write("sharded/tokenizer.json", makeTokenizerJson());
  folder.write("sharded/a.safetensors", makeSafetensors(shards[0]));
  folder.write("sharded/b.safetensors", makeSafetensors(shards[1]));
  auto writeIndex = [&](Object weightMap) {
    Value index = Object{{"weight_map", std::move(weightMap)}};
    folder.write("sharded/model.safetensors.index.json",
                 llvm::formatv("{0}", index).str());
  };
  auto error = [&] { return errorText(Checkpoint::open(folder / "sharded")); };

  writeIndex(map);
  auto checkpoint = llvm::cantFail(Checkpoint::open(folder / "sharded"));
  for (const auto &[name, values] : model.weights)
    EXPECT_EQ(llvm::cantFail(checkpoint->readF32(name)), values) << name;

  Object wrong = map;
  wrong["model.norm.weight"] =
      *map.getString("model.norm.weight") == "a.safetensors" ? "b.safetensors"
                                                             : "a.safetensors";
  writeIndex(std::move(wrong));
  EXPECT_THAT(error(), HasSubstr("tensor 'model.norm.weight' is not in '"));
  Object escaping = map;
  escaping["model.norm.weight"] = "../a.safetensors";
  writeIndex(std::move(escaping));
  EXPECT_THAT(error(), HasSubstr("is not in a file of this folder"));
  Object absent = map;
  absent["model.norm.weight"] = "c.safetensors";
  writeIndex(std::move(absent));
  EXPECT_THAT(error(), HasSubstr("No such file"));

  shards[1].push_back(shards[0].front());
  folder.write("sharded/b.safetensors", makeSafetensors(shards[1]));
  writeIndex(map);
  EXPECT_THAT(error(), HasSubstr("tensor '" + shards[0].front().name +
                                 "' appears twice"));
}

TEST_F(HuggingFaceTest, TiedEmbeddingsUnderEitherName) {
  model = makeTestModel(/*tiedEmbeddings=*/true);
  writeHuggingFace(model, folder, "model");
  std::string name = "model.embed_tokens.weight";
  std::vector<float> embedding = model.weights[name];
  EXPECT_EQ(llvm::cantFail(open()->readF32(name)), embedding);

  std::vector<RawTensor> tensors = rawTensors(model);
  for (RawTensor &tensor : tensors)
    if (tensor.name == name)
      tensor.name = "lm_head.weight";
  writeTensors(tensors);
  EXPECT_EQ(llvm::cantFail(open()->readF32(name)), embedding);

  tensors = rawTensors(model);
  tensors.push_back(
      {"lm_head.weight", "F32", {32, 64}, std::string(8192, 'x')});
  writeTensors(tensors);
  auto both = open();
  EXPECT_EQ(llvm::cantFail(both->readF32(name)), embedding);
  EXPECT_EQ(both->find("lm_head.weight"), nullptr);
}

TEST_F(HuggingFaceTest, Tensors) {
  std::vector<RawTensor> tensors = rawTensors(model);
  tensors.push_back({"model.layers.0.self_attn.rotary_emb.inv_freq",
                     "F32",
                     {8},
                     std::string(32, '\0')});
  writeTensors(tensors);
  EXPECT_EQ(openError(), "") << "a constant of old files is skipped";

  tensors = rawTensors(model);
  tensors.push_back({"model.layers.0.self_attn.q_proj.bias",
                     "F32",
                     {64},
                     std::string(256, '\0')});
  writeTensors(tensors);
  EXPECT_THAT(openError(), HasSubstr("tensor 'model.layers.0.self_attn.q_proj."
                                     "bias' is no part of such a model"));

  tensors = rawTensors(model);
  std::erase_if(tensors, [](const RawTensor &tensor) {
    return tensor.name == "model.layers.1.input_layernorm.weight";
  });
  writeTensors(tensors);
  EXPECT_THAT(
      openError(),
      HasSubstr("tensor 'model.layers.1.input_layernorm.weight' is missing"));

  tensors = rawTensors(model);
  tensors.front().dtype = "I32";
  writeTensors(tensors);
  EXPECT_THAT(openError(), HasSubstr("has the unsupported type I32"));
}

TEST_F(HuggingFaceTest, Architectures) {
  EXPECT_THAT(errorWith("architectures", Array{"GPT2LMHeadModel"}),
              HasSubstr("unknown architecture 'GPT2LMHeadModel'"));
  EXPECT_THAT(errorWith("architectures", nullptr),
              HasSubstr("does not name one architecture"));

  auto mistral = [&](Value window) {
    Object config = makeConfigJson(model);
    config["architectures"] = Array{"MistralForCausalLM"};
    config["sliding_window"] = std::move(window);
    writeJson("config.json", std::move(config));
    return openError();
  };
  EXPECT_EQ(mistral(nullptr), "");
  EXPECT_EQ(mistral(40), "");
  EXPECT_EQ(open()->config().architecture, Architecture::Mistral);
  EXPECT_THAT(mistral(39), HasSubstr("a sliding window of 39 tokens"));

  // Qwen's configs name a window even where it is not used.
  model = makeTestModel(false, Architecture::Qwen2);
  writeHuggingFace(model, folder, "model");
  set("sliding_window", 8);
  EXPECT_EQ(openError(), "");
  Object sliding = makeConfigJson(model);
  sliding["sliding_window"] = 8;
  sliding["use_sliding_window"] = true;
  writeJson("config.json", std::move(sliding));
  EXPECT_THAT(openError(), HasSubstr("a sliding window of 8 tokens"));
}

TEST_F(HuggingFaceTest, HeadSizeWhereTheConfigIsSilent) {
  auto headDim = [&](Architecture architecture) {
    model = makeTestModel(false, architecture);
    writeHuggingFace(model, folder, "model");
    Object config = makeConfigJson(model);
    config.erase("head_dim");
    writeJson("config.json", std::move(config));
    return openError();
  };
  EXPECT_EQ(headDim(Architecture::Llama), "");
  // Qwen3 has a default of its own, 128, that the hidden size does not matter
  // to: 4 heads are 512 rows.
  EXPECT_THAT(headDim(Architecture::Qwen3),
              HasSubstr("but the model's sizes ask for [512, 64]"));
}

TEST_F(HuggingFaceTest, RequiredKeys) {
  for (std::string key :
       {"hidden_size", "num_hidden_layers", "num_attention_heads",
        "intermediate_size", "vocab_size", "max_position_embeddings",
        "rms_norm_eps"}) {
    EXPECT_THAT(errorWith(key, nullptr),
                HasSubstr("'" + key + "' is missing in config.json"));
    EXPECT_THAT(errorWith(key, "text"), HasSubstr("'" + key + "' is not a"));
    EXPECT_NE(errorWith(key, -1), "") << key;
  }
}

TEST_F(HuggingFaceTest, HugeSizes) {
  for (std::string key :
       {"hidden_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "intermediate_size", "vocab_size"})
    for (int64_t size : {int64_t(0), int64_t(1) << 30, INT64_MAX})
      EXPECT_NE(errorWith(key, size), "") << key << " = " << size;
}

TEST_F(HuggingFaceTest, Unsupported) {
  EXPECT_THAT(errorWith("attention_bias", true),
              HasSubstr("'attention_bias' is set"));
  EXPECT_THAT(errorWith("mlp_bias", true), HasSubstr("'mlp_bias' is set"));
  EXPECT_THAT(errorWith("hidden_act", "gelu"),
              HasSubstr("activation function 'gelu' is not supported"));
  EXPECT_THAT(errorWith("partial_rotary_factor", 0.5),
              HasSubstr("'partial_rotary_factor' is not supported"));
  EXPECT_THAT(
      errorWith("quantization_config", Object{{"quant_method", "gptq"}}),
      HasSubstr("the checkpoint is quantized already ('gptq')"));
}

TEST_F(HuggingFaceTest, RopeScaling) {
  set("rope_scaling", Object{{"type", "linear"}, {"factor", 2.0}});
  EXPECT_EQ(open()->config().ropeScaling,
            (RopeScaling{.kind = RopeScaling::Kind::Linear, .factor = 2.0}));

  Object llama3{{"rope_type", "llama3"},
                {"factor", 8.0},
                {"low_freq_factor", 1.0},
                {"high_freq_factor", 4.0},
                {"original_max_position_embeddings", 8192}};
  RopeScaling expected{.kind = RopeScaling::Kind::Llama3,
                       .factor = 8.0,
                       .lowFreqFactor = 1.0,
                       .highFreqFactor = 4.0,
                       .originalMaxContext = 8192};
  set("rope_scaling", Object(llama3));
  EXPECT_EQ(open()->config().ropeScaling, expected);

  llama3["rope_theta"] = 500000.0;
  set("rope_parameters", std::move(llama3));
  EXPECT_EQ(open()->config().ropeScaling, expected);
  EXPECT_EQ(open()->config().ropeTheta, 500000.0);

  EXPECT_THAT(errorWith("rope_scaling", Object{{"type", "yarn"}}),
              HasSubstr("RoPE scaling of type 'yarn' is not supported"));
  EXPECT_THAT(errorWith("rope_scaling",
                        Object{{"rope_type", "llama3"}, {"factor", 8.0}}),
              HasSubstr("'original_max_position_embeddings' is missing"));
}

TEST_F(HuggingFaceTest, EosIds) {
  set("eos_token_id", Array{2, 3});
  EXPECT_THAT(open()->config().eosIds, ElementsAre(2, 3));
  writeJson("generation_config.json", Object{{"eos_token_id", Array{3, 7}}});
  EXPECT_THAT(open()->config().eosIds, ElementsAre(2, 3, 7));
  EXPECT_THAT(errorWith("eos_token_id", Array{"a"}),
              HasSubstr("'eos_token_id' is neither"));
}

TEST_F(HuggingFaceTest, AddBos) {
  EXPECT_TRUE(open()->config().addBos) << "by the post-processor";
  writeJson("tokenizer_config.json", Object{{"add_bos_token", false}});
  EXPECT_FALSE(open()->config().addBos);
  EXPECT_EQ(open()->tokenizerFiles().size(), 2u);
  folder.write("model/tokenizer.json",
               R"({"model": {"type": "BPE"}, "post_processor": null})");
  folder.write("model/tokenizer_config.json", "{}");
  EXPECT_FALSE(open()->config().addBos);
}

TEST_F(HuggingFaceTest, Tokenizers) {
  folder.write("model/tokenizer.json", R"({"model": {"type": "Unigram"}})");
  EXPECT_THAT(openError(), HasSubstr("unknown tokenizer 'Unigram'"));
  folder.write("model/tokenizer.json", "");
  EXPECT_THAT(openError(), HasSubstr("the file is empty"));

  folder.write("sentencepiece/config.json",
               readFile(folder / "model/config.json"));
  folder.write("sentencepiece/model.safetensors",
               makeSafetensors(rawTensors(model)));
  EXPECT_THAT(errorText(Checkpoint::open(folder / "sentencepiece")),
              HasSubstr("there is no tokenizer"));
  folder.write("sentencepiece/tokenizer.model", "bytes");
  auto checkpoint = llvm::cantFail(Checkpoint::open(folder / "sentencepiece"));
  EXPECT_EQ(checkpoint->tokenizerFiles()[0].name, "tokenizer.model");
  EXPECT_TRUE(checkpoint->config().addBos);
}

TEST_F(HuggingFaceTest, BrokenFiles) {
  folder.write("model/config.json", "{\"hidden_size\": ");
  EXPECT_THAT(openError(), HasSubstr("config.json"));
  EXPECT_THAT(errorText(Checkpoint::open(folder.path())),
              HasSubstr("config.json': No such file"));
}

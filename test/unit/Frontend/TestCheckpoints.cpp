//===- TestCheckpoints.cpp - Small models made by tests -------------------===//

#include "TestCheckpoints.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <csignal>
#include <random>

using namespace odyssey;
using namespace odyssey::testing;
using llvm::json::Array;
using llvm::json::Object;

TemporaryFolder::TemporaryFolder() {
  llvm::SmallString<128> path;
  if (llvm::sys::fs::createUniqueDirectory("odyssey-test", path))
    llvm::report_fatal_error("cannot create a temporary folder");
  folder = path.str().str();
}

TemporaryFolder::~TemporaryFolder() {
  llvm::sys::fs::remove_directories(folder);
}

std::string TemporaryFolder::operator/(llvm::StringRef name) const {
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, name);
  return path.str().str();
}

std::string TemporaryFolder::write(llvm::StringRef name,
                                   llvm::StringRef bytes) const {
  std::string path = *this / name;
  llvm::sys::fs::create_directories(llvm::sys::path::parent_path(path));
  std::error_code error;
  llvm::raw_fd_ostream(path, error) << bytes;
  return path;
}

std::vector<std::string> TemporaryFolder::list() const {
  std::vector<std::string> names;
  std::error_code error;
  for (llvm::sys::fs::directory_iterator it(folder, error), end; it != end;
       it.increment(error))
    names.push_back(llvm::sys::path::filename(it->path()).str());
  llvm::sort(names);
  return names;
}

std::string odyssey::testing::readFile(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().str() : "";
}

std::string
odyssey::testing::makeSafetensors(const std::vector<RawTensor> &tensors,
                                  bool misaligned) {
  Object header;
  std::string data;
  for (const RawTensor &tensor : tensors) {
    size_t begin = data.size();
    data += tensor.bytes;
    header[tensor.name] = Object{{"dtype", tensor.dtype},
                                 {"shape", Array(tensor.shape)},
                                 {"data_offsets", Array{begin, data.size()}}};
  }
  std::string text =
      llvm::formatv("{0}", llvm::json::Value(std::move(header))).str();
  text.resize((text.size() + 7) / 8 * 8 + (misaligned ? 1 : 0), ' ');
  return bytesOf64(text.size()) + text + data;
}

TestModel odyssey::testing::makeTestModel(bool tiedEmbeddings,
                                          Architecture architecture) {
  TestModel model;
  ModelConfig &config = model.config;
  config.architecture = architecture;
  config.hiddenSize = 64;
  config.numLayers = 2;
  config.numHeads = 4;
  config.numKvHeads = 2;
  config.headDim = architecture == Architecture::Qwen3 ? 24 : 16;
  config.ffnSize = 96;
  config.vocabSize = 32;
  config.maxContext = 40;
  config.tiedEmbeddings = tiedEmbeddings;
  config.bosId = 1;
  config.eosIds = {2};
  config.addBos = true;
  std::mt19937 random(20);
  auto add = [&](const std::string &name, std::vector<int64_t> shape,
                 float mean, float deviation) {
    // std::normal_distribution differs between libraries; this does not.
    auto uniform = [&] {
      return static_cast<float>(random() >> 8) / 0x1p24f * 2 - 1;
    };
    int64_t size = 1;
    for (int64_t n : shape)
      size *= n;
    std::vector<float> &values = model.weights[name];
    for (int64_t i = 0; i < size; ++i)
      values.push_back(mean + deviation * uniform());
    model.shapes[name] = std::move(shape);
  };
  add("model.embed_tokens.weight", {32, 64}, 0, 1);
  for (int layer = 0; layer < 2; ++layer) {
    std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(prefix + "input_layernorm.weight", {64}, 1, 0.5);
    int64_t queries = config.queryWidth(), keys = config.keyValueWidth();
    add(prefix + "self_attn.q_proj.weight", {queries, 64}, 0, 0.3);
    add(prefix + "self_attn.k_proj.weight", {keys, 64}, 0, 0.3);
    add(prefix + "self_attn.v_proj.weight", {keys, 64}, 0, 0.2);
    if (config.hasAttentionBias()) {
      add(prefix + "self_attn.q_proj.bias", {queries}, 0, 2);
      add(prefix + "self_attn.k_proj.bias", {keys}, 0, 2);
      add(prefix + "self_attn.v_proj.bias", {keys}, 0, 1);
    }
    if (config.hasHeadNorms()) {
      add(prefix + "self_attn.q_norm.weight", {config.headDim}, 1, 0.5);
      add(prefix + "self_attn.k_norm.weight", {config.headDim}, 1, 0.5);
    }
    add(prefix + "self_attn.o_proj.weight", {64, queries}, 0, 0.2);
    add(prefix + "post_attention_layernorm.weight", {64}, 1, 0.5);
    add(prefix + "mlp.gate_proj.weight", {96, 64}, 0, 0.2);
    add(prefix + "mlp.up_proj.weight", {96, 64}, 0, 0.2);
    add(prefix + "mlp.down_proj.weight", {64, 96}, 0, 0.2);
  }
  add("model.norm.weight", {64}, 1, 0.5);
  if (!tiedEmbeddings)
    add("lm_head.weight", {32, 64}, 0, 0.3);
  return model;
}

static const char *className(Architecture architecture) {
  switch (architecture) {
  case Architecture::Llama:
    return "LlamaForCausalLM";
  case Architecture::Mistral:
    return "MistralForCausalLM";
  case Architecture::Qwen2:
    return "Qwen2ForCausalLM";
  case Architecture::Qwen3:
    return "Qwen3ForCausalLM";
  }
  return "";
}

Object odyssey::testing::makeConfigJson(const TestModel &model) {
  const ModelConfig &config = model.config;
  return Object{{"architectures", Array{className(config.architecture)}},
                {"head_dim", config.headDim},
                {"hidden_size", config.hiddenSize},
                {"num_hidden_layers", config.numLayers},
                {"num_attention_heads", config.numHeads},
                {"num_key_value_heads", config.numKvHeads},
                {"intermediate_size", config.ffnSize},
                {"vocab_size", config.vocabSize},
                {"max_position_embeddings", config.maxContext},
                {"rms_norm_eps", 1e-5},
                {"rope_theta", config.ropeTheta},
                {"rope_scaling", nullptr},
                {"tie_word_embeddings", config.tiedEmbeddings},
                {"bos_token_id", 1},
                {"eos_token_id", 2},
                {"hidden_act", "silu"},
                {"attention_bias", false}};
}

std::string odyssey::testing::makeTokenizerJson() {
  return R"({"version": "1.0",
             "post_processor": {"type": "TemplateProcessing", "single": [
               {"SpecialToken": {"id": "<s>", "type_id": 0}},
               {"Sequence": {"id": "A", "type_id": 0}}]},
             "model": {"type": "BPE", "vocab": {}, "merges": []}})";
}

std::vector<RawTensor> odyssey::testing::rawTensors(const TestModel &model) {
  std::vector<RawTensor> tensors;
  for (const auto &[name, values] : model.weights)
    tensors.push_back(
        {name, "F32", model.shapes.at(name), bytesOfFloats(values)});
  return tensors;
}

std::string odyssey::testing::writeHuggingFace(const TestModel &model,
                                               const TemporaryFolder &folder,
                                               llvm::StringRef name) {
  std::string config =
      llvm::formatv("{0:2}", llvm::json::Value(makeConfigJson(model))).str();
  folder.write((name + "/config.json").str(), config);
  folder.write((name + "/tokenizer.json").str(), makeTokenizerJson());
  folder.write((name + "/model.safetensors").str(),
               makeSafetensors(rawTensors(model)));
  return folder / name;
}

FileSizeLimit::FileSizeLimit(uint64_t bytes)
    : handlerBefore(std::signal(SIGXFSZ, SIG_IGN)) {
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit limit = before;
  limit.rlim_cur = bytes;
  setrlimit(RLIMIT_FSIZE, &limit);
}

FileSizeLimit::~FileSizeLimit() {
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handlerBefore);
}

/// convert_hf_to_gguf.py: weights.reshape(heads, 2, headDim / 2, columns)
/// .swapaxes(1, 2), so row (h, j, half) of the result is row (h, half, j).
static std::vector<float> permute(const std::vector<float> &rows,
                                  int64_t headDim, int64_t columns) {
  std::vector<float> result;
  int64_t heads = rows.size() / columns / headDim;
  for (int64_t head = 0; head < heads; ++head)
    for (int64_t j = 0; j < headDim / 2; ++j)
      for (int64_t half = 0; half < 2; ++half) {
        auto row = rows.begin() +
                   (head * headDim + half * (headDim / 2) + j) * columns;
        result.insert(result.end(), row, row + columns);
      }
  return result;
}

static std::string ggufName(std::string name) {
  const std::pair<std::string, std::string> parts[] = {
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"lm_head", "output"},
      {"model.layers", "blk"},
      {"input_layernorm", "attn_norm"},
      {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},
      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"},
      {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},
      {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
      {"self_attn.q_norm", "attn_q_norm"},
      {"self_attn.k_norm", "attn_k_norm"},
  };
  for (const auto &[from, to] : parts)
    if (size_t position = name.find(from); position != std::string::npos)
      name.replace(position, from.size(), to);
  return name;
}

GgufBuilder odyssey::testing::makeGguf(const TestModel &model) {
  const ModelConfig &config = model.config;
  GgufBuilder gguf;
  bool interleaves = config.architecture == Architecture::Llama ||
                     config.architecture == Architecture::Mistral;
  std::string name = interleaves                 ? "llama"
                     : config.hasAttentionBias() ? "qwen2"
                                                 : "qwen3";
  gguf.addString("general.architecture", name);
  if (config.queryWidth() != config.hiddenSize) {
    gguf.addU32(name + ".attention.key_length", config.headDim);
    gguf.addU32(name + ".attention.value_length", config.headDim);
  }
  gguf.addU32(name + ".embedding_length", config.hiddenSize);
  gguf.addU32(name + ".block_count", config.numLayers);
  gguf.addU32(name + ".feed_forward_length", config.ffnSize);
  gguf.addU32(name + ".attention.head_count", config.numHeads);
  gguf.addU32(name + ".attention.head_count_kv", config.numKvHeads);
  gguf.addU32(name + ".context_length", config.maxContext);
  gguf.addF32(name + ".attention.layer_norm_rms_epsilon", config.rmsNormEps);
  gguf.addF32(name + ".rope.freq_base", static_cast<float>(config.ropeTheta));
  gguf.addString("tokenizer.ggml.model", "llama");
  std::vector<std::string> tokens;
  for (int64_t i = 0; i < config.vocabSize; ++i)
    tokens.push_back("token" + std::to_string(i));
  gguf.addStrings("tokenizer.ggml.tokens", tokens);
  gguf.addU32("tokenizer.ggml.bos_token_id", 1);
  gguf.addU32("tokenizer.ggml.eos_token_id", 2);
  for (const auto &[tensor, values] : model.weights) {
    const std::vector<int64_t> &shape = model.shapes.at(tensor);
    bool interleaved =
        interleaves && (tensor.find("q_proj") != std::string::npos ||
                        tensor.find("k_proj") != std::string::npos);
    gguf.addTensor(ggufName(tensor), {shape.begin(), shape.end()}, /*F32=*/0,
                   bytesOfFloats(interleaved ? permute(values, config.headDim,
                                                       shape.back())
                                             : values));
  }
  return gguf;
}

std::string odyssey::testing::errorText(llvm::Error error) {
  return llvm::toString(std::move(error));
}

//===- GgufCheckpoint.cpp - Models in GGUF files --------------------------===//
//
// Keys and tensor names as llama.cpp writes and reads them (llama-arch.cpp,
// convert_hf_to_gguf.py).
//
//===----------------------------------------------------------------------===//

#include "CheckpointFormats.h"
#include "odyssey/Frontend/Checkpoint/Gguf.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"

#include "llvm/ADT/StringSwitch.h"

#include <cmath>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace {

class GgufCheckpoint : public Checkpoint {
public:
  explicit GgufCheckpoint(std::unique_ptr<GgufFile> file)
      : file(std::move(file)) {}

  Error read();

  void releasePages() const override { file->releasePages(); }

private:
  Error readArchitecture();
  Error readConfig();
  Error readRopeScaling();
  Error readLlama3Factors();
  Error readTokens();
  Error readTensors();

  /// The value of ARCHITECTURE.KEY. `fallback` stands where the key is absent;
  /// without one the key is required.
  Expected<int64_t> integer(StringRef key,
                            std::optional<int64_t> fallback = std::nullopt);
  Expected<double> number(StringRef key,
                          std::optional<double> fallback = std::nullopt);
  const GgufTensor *findTensor(StringRef name) const;
  std::string keyOf(StringRef key) const {
    return architecture + "." + key.str();
  }

  std::unique_ptr<GgufFile> file;
  /// As the file calls it: "llama".
  std::string architecture;
};

} // namespace

/// The frequency divisors of Llama 3.1 and later, in place of the parameters.
static const StringRef ropeFactorsName = "rope_freqs.weight";

template <typename T>
static Expected<T> valueOr(Expected<std::optional<T>> value, const Twine &key,
                           std::optional<T> fallback) {
  if (!value)
    return value.takeError();
  if (*value)
    return **value;
  if (fallback)
    return *fallback;
  return createStringError("metadata '" + key + "' is missing");
}

Expected<int64_t> GgufCheckpoint::integer(StringRef key,
                                          std::optional<int64_t> fallback) {
  return valueOr<int64_t>(file->getInteger(keyOf(key)), keyOf(key), fallback);
}

Expected<double> GgufCheckpoint::number(StringRef key,
                                        std::optional<double> fallback) {
  return valueOr<double>(file->getFloat(keyOf(key)), keyOf(key), fallback);
}

const GgufTensor *GgufCheckpoint::findTensor(StringRef name) const {
  for (const GgufTensor &tensor : file->tensors())
    if (tensor.name == name)
      return &tensor;
  return nullptr;
}

/// "blk.3.attn_q.weight" to "model.layers.3.self_attn.q_proj.weight"; empty for
/// names that such a model does not have.
static std::string huggingFaceName(StringRef name, const ModelConfig &config) {
  std::string global =
      llvm::StringSwitch<std::string>(name)
          .Case("token_embd.weight", "model.embed_tokens.weight")
          .Case("output_norm.weight", "model.norm.weight")
          .Case("output.weight", "lm_head.weight")
          .Default("");
  if (!global.empty())
    return global;
  if (!name.consume_front("blk."))
    return "";
  auto [layer, part] = name.split('.');
  StringRef inLayer =
      llvm::StringSwitch<StringRef>(part)
          .Case("attn_norm.weight", "input_layernorm.weight")
          .Case("attn_q.weight", "self_attn.q_proj.weight")
          .Case("attn_k.weight", "self_attn.k_proj.weight")
          .Case("attn_v.weight", "self_attn.v_proj.weight")
          .Case("attn_output.weight", "self_attn.o_proj.weight")
          .Case("ffn_norm.weight", "post_attention_layernorm.weight")
          .Case("ffn_gate.weight", "mlp.gate_proj.weight")
          .Case("ffn_up.weight", "mlp.up_proj.weight")
          .Case("ffn_down.weight", "mlp.down_proj.weight")
          .Default("");
  if (inLayer.empty() && config.hasAttentionBias())
    inLayer = llvm::StringSwitch<StringRef>(part)
                  .Case("attn_q.bias", "self_attn.q_proj.bias")
                  .Case("attn_k.bias", "self_attn.k_proj.bias")
                  .Case("attn_v.bias", "self_attn.v_proj.bias")
                  .Default("");
  if (inLayer.empty() && config.hasHeadNorms())
    inLayer = llvm::StringSwitch<StringRef>(part)
                  .Case("attn_q_norm.weight", "self_attn.q_norm.weight")
                  .Case("attn_k_norm.weight", "self_attn.k_norm.weight")
                  .Default("");
  if (inLayer.empty())
    return "";
  return ("model.layers." + layer + "." + inLayer).str();
}

Error GgufCheckpoint::readArchitecture() {
  Expected<std::optional<StringRef>> name =
      file->getString("general.architecture");
  if (!name)
    return name.takeError();
  if (!*name)
    return createStringError("metadata 'general.architecture' is missing");
  // Mistral's models are of the architecture "llama" here.
  static constexpr std::pair<StringRef, Architecture> known[] = {
      {"llama", Architecture::Llama},
      {"qwen2", Architecture::Qwen2},
      {"qwen3", Architecture::Qwen3},
  };
  for (auto [spelling, value] : known) {
    if (spelling != **name)
      continue;
    architecture = spelling.str();
    modelConfig.architecture = value;
    return Error::success();
  }
  return createStringError("unknown architecture '" + **name +
                           "'; GGUF files are read for 'llama', 'qwen2' and "
                           "'qwen3'");
}

Error GgufCheckpoint::readConfig() {
  if (Error error = readArchitecture())
    return error;
  const GgufTensor *embedding = findTensor("token_embd.weight");
  if (!embedding || embedding->shape.size() != 2)
    return createStringError("there is no matrix 'token_embd.weight'");

  ModelConfig &config = modelConfig;
  config.vocabSize = embedding->shape[0];
  config.tiedEmbeddings = !findTensor("output.weight");
  struct Field {
    int64_t &target;
    StringRef key;
  };
  for (const Field &field : {
           Field{config.hiddenSize, "embedding_length"},
           Field{config.numLayers, "block_count"},
           Field{config.ffnSize, "feed_forward_length"},
           Field{config.numHeads, "attention.head_count"},
           Field{config.maxContext, "context_length"},
       }) {
    Expected<int64_t> value = integer(field.key);
    if (!value)
      return value.takeError();
    field.target = *value;
  }
  Expected<int64_t> kvHeads =
      integer("attention.head_count_kv", config.numHeads);
  if (!kvHeads)
    return kvHeads.takeError();
  config.numKvHeads = *kvHeads;

  int64_t headDim =
      config.numHeads > 0 ? config.hiddenSize / config.numHeads : 0;
  Expected<int64_t> keyLength = integer("attention.key_length", headDim);
  if (!keyLength)
    return keyLength.takeError();
  config.headDim = *keyLength;
  // What a model may say again or differently, and what it must say.
  const std::pair<StringRef, int64_t> equalities[] = {
      {"attention.value_length", config.headDim},
      {"rope.dimension_count", config.headDim},
      {"vocab_size", config.vocabSize},
      {"expert_count", 0},
  };
  for (auto [key, expected] : equalities) {
    Expected<int64_t> value = integer(key, expected);
    if (!value)
      return value.takeError();
    if (*value != expected)
      return createStringError("metadata '" + keyOf(key) + "' is " +
                               Twine(*value) + "; only " + Twine(expected) +
                               " is supported in this model");
  }

  Expected<double> epsilon = number("attention.layer_norm_rms_epsilon");
  if (!epsilon)
    return epsilon.takeError();
  config.rmsNormEps = static_cast<float>(*epsilon);
  Expected<double> theta = number("rope.freq_base", config.ropeTheta);
  if (!theta)
    return theta.takeError();
  config.ropeTheta = *theta;
  return readRopeScaling();
}

Error GgufCheckpoint::readRopeScaling() {
  RopeScaling &scaling = modelConfig.ropeScaling;
  Expected<std::optional<StringRef>> type =
      file->getString(keyOf("rope.scaling.type"));
  if (!type)
    return type.takeError();
  // Files from before 2023-10 have only the factor.
  Expected<double> oldFactor = number("rope.scale_linear", 1.0);
  if (!oldFactor)
    return oldFactor.takeError();
  Expected<double> factor = number("rope.scaling.factor", *oldFactor);
  if (!factor)
    return factor.takeError();
  StringRef kind = type->value_or(*factor == 1.0 ? "none" : "linear");
  if (kind == "linear") {
    scaling.kind = RopeScaling::Kind::Linear;
    scaling.factor = *factor;
  } else if (kind != "none") {
    return createStringError("RoPE scaling of type '" + kind +
                             "' is not supported");
  }
  return findTensor(ropeFactorsName) ? readLlama3Factors() : Error::success();
}

/// GGUF keeps headDim/2 divisors instead of Llama 3's four parameters. All
/// models of that line have the same ones but for the factor, which is the
/// largest divisor; whether they explain the tensor is then checked.
Error GgufCheckpoint::readLlama3Factors() {
  const GgufTensor &tensor = *findTensor(ropeFactorsName);
  int64_t count = modelConfig.headDim / 2;
  if (tensor.type != StorageType::F32 ||
      tensor.shape != std::vector<int64_t>{count})
    return createStringError("tensor '" + ropeFactorsName + "' is not " +
                             Twine(count) + " values of type F32");
  std::vector<float> factors(count);
  dequantize(tensor.type, tensor.bytes.data(), count, factors.data());

  ModelConfig plain = modelConfig;
  plain.ropeScaling = RopeScaling();
  RopeScaling &scaling = modelConfig.ropeScaling;
  scaling.kind = RopeScaling::Kind::Llama3;
  scaling.factor = *llvm::max_element(factors);
  scaling.lowFreqFactor = 1.0;
  scaling.highFreqFactor = 4.0;
  scaling.originalMaxContext = 8192;
  std::vector<double> before = ropeFrequencies(plain);
  std::vector<double> after = ropeFrequencies(modelConfig);
  for (int64_t i = 0; i < count; ++i)
    // A NaN among the factors must fail too.
    if (!(std::abs(before[i] / after[i] - factors[i]) <= 1e-3 * factors[i]))
      return createStringError("tensor '" + ropeFactorsName +
                               "' does not follow the rule of Llama 3 at "
                               "index " +
                               Twine(i));
  return Error::success();
}

Error GgufCheckpoint::readTokens() {
  Expected<TokenizerInfo> info = readTokenizerGguf(*file);
  if (!info)
    return info.takeError();
  tokenizer = std::move(info->files);
  modelConfig.addBos = info->addBos;

  Expected<std::optional<uint64_t>> tokens =
      file->getArraySize("tokenizer.ggml.tokens");
  if (!tokens)
    return tokens.takeError();
  if (tokens->value_or(0) != static_cast<uint64_t>(modelConfig.vocabSize))
    return createStringError("the tokenizer has " + Twine(tokens->value_or(0)) +
                             " tokens, the embeddings " +
                             Twine(modelConfig.vocabSize));
  // Files write "none" as all ones.
  constexpr int64_t none = UINT32_MAX;
  auto read = [&](StringRef key) -> Expected<std::optional<int64_t>> {
    Expected<std::optional<int64_t>> id =
        file->getInteger(("tokenizer.ggml." + key).str());
    if (id && *id == none)
      return std::nullopt;
    return id;
  };
  Expected<std::optional<int64_t>> bos = read("bos_token_id");
  if (!bos)
    return bos.takeError();
  modelConfig.bosId = *bos;
  for (StringRef key : {"eos_token_id", "eot_token_id"}) {
    Expected<std::optional<int64_t>> eos = read(key);
    if (!eos)
      return eos.takeError();
    if (*eos && !llvm::is_contained(modelConfig.eosIds, **eos))
      modelConfig.eosIds.push_back(**eos);
  }
  return Error::success();
}

Error GgufCheckpoint::readTensors() {
  std::vector<CheckpointTensor> available;
  for (const GgufTensor &stored : file->tensors()) {
    if (stored.name == ropeFactorsName)
      continue;
    CheckpointTensor tensor;
    tensor.name = huggingFaceName(stored.name, modelConfig);
    if (tensor.name.empty())
      return createStringError("tensor '" + stored.name + "' is no part of a " +
                               architecture + " model");
    tensor.shape = stored.shape;
    tensor.type = stored.type;
    tensor.data = stored.bytes.data();
    if (modelConfig.architecture == Architecture::Llama &&
        (stored.name.ends_with("attn_q.weight") ||
         stored.name.ends_with("attn_k.weight")))
      tensor.interleavedHeadDim = modelConfig.headDim;
    available.push_back(std::move(tensor));
  }
  return adoptTensors(std::move(available));
}

Error GgufCheckpoint::read() {
  if (Error error = readConfig())
    return error;
  if (Error error = readTokens())
    return error;
  if (Error error = checkConfig(modelConfig))
    return error;
  return readTensors();
}

Expected<std::unique_ptr<Checkpoint>>
odyssey::openGgufCheckpoint(StringRef path) {
  Expected<std::unique_ptr<GgufFile>> file = GgufFile::open(path);
  if (!file)
    return file.takeError();
  auto checkpoint = std::make_unique<GgufCheckpoint>(std::move(*file));
  if (Error error = checkpoint->read())
    return error;
  return checkpoint;
}

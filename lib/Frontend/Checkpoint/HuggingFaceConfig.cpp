//===- HuggingFaceConfig.cpp - config.json --------------------------------===//

#include "HuggingFaceConfig.h"

#include "llvm/ADT/STLExtras.h"

#include <charconv>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;
using llvm::json::Array;
using llvm::json::Object;
using llvm::json::Value;

namespace {

struct ArchitectureRow {
  Architecture architecture;
  StringRef className;
  StringRef modelType;
};

} // namespace

static constexpr ArchitectureRow architectures[] = {
    {Architecture::Llama, "LlamaForCausalLM", "llama"},
    {Architecture::Mistral, "MistralForCausalLM", "mistral"},
    {Architecture::Qwen2, "Qwen2ForCausalLM", "qwen2"},
    {Architecture::Qwen3, "Qwen3ForCausalLM", "qwen3"},
};

/// Null where the key is absent or null, which Hugging Face treats alike.
static const Value *findValue(const Object &object, StringRef key) {
  const Value *value = object.get(key);
  return value && value->kind() != Value::Null ? value : nullptr;
}

static Expected<int64_t>
getInteger(const Object &object, StringRef key,
           std::optional<int64_t> fallback = std::nullopt) {
  const Value *value = findValue(object, key);
  if (!value && fallback)
    return *fallback;
  if (!value)
    return createStringError("'" + key + "' is missing in config.json");
  if (std::optional<int64_t> integer = value->getAsInteger())
    return *integer;
  return createStringError("'" + key + "' is not an integer in config.json");
}

static Expected<double>
getNumber(const Object &object, StringRef key,
          std::optional<double> fallback = std::nullopt) {
  const Value *value = findValue(object, key);
  if (!value && fallback)
    return *fallback;
  if (!value)
    return createStringError("'" + key + "' is missing in config.json");
  if (std::optional<double> number = value->getAsNumber())
    return *number;
  return createStringError("'" + key + "' is not a number in config.json");
}

static Expected<bool> getBool(const Object &object, StringRef key,
                              bool fallback) {
  const Value *value = findValue(object, key);
  if (!value)
    return fallback;
  if (std::optional<bool> boolean = value->getAsBoolean())
    return *boolean;
  return createStringError("'" + key + "' is not a boolean in config.json");
}

static Expected<Architecture> parseArchitecture(const Object &object) {
  const Array *classes = object.getArray("architectures");
  std::optional<StringRef> name;
  if (classes && classes->size() == 1)
    name = (*classes)[0].getAsString();
  if (!name)
    return createStringError("'architectures' in config.json does not name "
                             "one architecture");
  for (const ArchitectureRow &row : architectures)
    if (row.className == *name)
      return row.architecture;
  return createStringError("unknown architecture '" + *name + "'");
}

/// `object` is the value of "rope_scaling", or of "rope_parameters" of newer
/// files.
static Expected<RopeScaling> parseRopeScaling(const Object &object) {
  RopeScaling scaling;
  std::optional<StringRef> type = object.getString("rope_type");
  if (!type)
    type = object.getString("type");
  if (!type)
    return createStringError("the RoPE scaling in config.json has no "
                             "'rope_type'");
  if (*type == "default")
    return scaling;
  if (*type != "linear" && *type != "llama3")
    return createStringError("RoPE scaling of type '" + *type +
                             "' is not supported");
  scaling.kind =
      *type == "linear" ? RopeScaling::Kind::Linear : RopeScaling::Kind::Llama3;
  std::vector<std::pair<double *, StringRef>> numbers = {
      {&scaling.factor, "factor"}};
  if (scaling.kind == RopeScaling::Kind::Llama3) {
    numbers.push_back({&scaling.lowFreqFactor, "low_freq_factor"});
    numbers.push_back({&scaling.highFreqFactor, "high_freq_factor"});
    Expected<int64_t> context =
        getInteger(object, "original_max_position_embeddings");
    if (!context)
      return context.takeError();
    scaling.originalMaxContext = *context;
  }
  for (auto [target, key] : numbers) {
    Expected<double> value = getNumber(object, key);
    if (!value)
      return value.takeError();
    *target = *value;
  }
  return scaling;
}

/// Fails where a token sees less than the whole context.
static Error checkSlidingWindow(const Object &object,
                                const ModelConfig &config) {
  bool slides = false;
  switch (config.architecture) {
  case Architecture::Llama:
    break;
  case Architecture::Mistral:
    slides = true;
    break;
  case Architecture::Qwen2:
  case Architecture::Qwen3: {
    // Their files name a window even where it is not used.
    Expected<bool> used = getBool(object, "use_sliding_window", false);
    if (!used)
      return used.takeError();
    slides = *used;
    break;
  }
  }
  if (!slides)
    return Error::success();
  Expected<int64_t> window =
      getInteger(object, "sliding_window", config.maxContext);
  if (!window)
    return window.takeError();
  if (*window < config.maxContext)
    return createStringError("a sliding window of " + Twine(*window) +
                             " tokens is not supported: it is less than the "
                             "context of " +
                             Twine(config.maxContext));
  return Error::success();
}

/// Features that would change the result and are not supported.
static Error checkUnsupported(const Object &object, const ModelConfig &config) {
  for (StringRef key : {"attention_bias", "mlp_bias"}) {
    // Qwen2 has its biases without a word, and knows neither key.
    if (config.architecture == Architecture::Qwen2)
      break;
    Expected<bool> bias = getBool(object, key, false);
    if (!bias)
      return bias.takeError();
    if (*bias)
      return createStringError("'" + key +
                               "' is set in config.json; linear "
                               "layers with a bias are not "
                               "supported");
  }
  if (const Value *activation = findValue(object, "hidden_act")) {
    StringRef name = activation->getAsString().value_or("");
    if (name != "silu" && name != "swish")
      return createStringError("the activation function '" + name +
                               "' is not supported");
  }
  Expected<double> rotary = getNumber(object, "partial_rotary_factor", 1.0);
  if (!rotary)
    return rotary.takeError();
  if (*rotary != 1.0)
    return createStringError("'partial_rotary_factor' is not supported");
  return checkSlidingWindow(object, config);
}

Expected<std::vector<int64_t>> odyssey::parseEosIds(const Object &object) {
  std::vector<int64_t> ids;
  const Value *value = findValue(object, "eos_token_id");
  if (!value)
    return ids;
  auto add = [&](const Value &id) {
    std::optional<int64_t> integer = id.getAsInteger();
    if (integer)
      ids.push_back(*integer);
    return integer.has_value();
  };
  const Array *list = value->getAsArray();
  if (list ? llvm::all_of(*list, add) : add(*value))
    return ids;
  return createStringError("'eos_token_id' is neither a token nor a list of "
                           "tokens");
}

Expected<ModelConfig> odyssey::parseHuggingFaceConfig(const Object &object) {
  ModelConfig config;
  Expected<Architecture> architecture = parseArchitecture(object);
  if (!architecture)
    return architecture.takeError();
  config.architecture = *architecture;

  const std::pair<int64_t *, StringRef> required[] = {
      {&config.hiddenSize, "hidden_size"},
      {&config.numLayers, "num_hidden_layers"},
      {&config.numHeads, "num_attention_heads"},
      {&config.ffnSize, "intermediate_size"},
      {&config.vocabSize, "vocab_size"},
      {&config.maxContext, "max_position_embeddings"},
  };
  for (auto [target, key] : required) {
    Expected<int64_t> value = getInteger(object, key);
    if (!value)
      return value.takeError();
    *target = *value;
  }
  Expected<int64_t> kvHeads =
      getInteger(object, "num_key_value_heads", config.numHeads);
  if (!kvHeads)
    return kvHeads.takeError();
  config.numKvHeads = *kvHeads;
  // Qwen3's own default; of the others heads share the hidden size.
  int64_t usualHeadDim =
      config.numHeads > 0 ? config.hiddenSize / config.numHeads : 0;
  if (config.architecture == Architecture::Qwen3)
    usualHeadDim = 128;
  Expected<int64_t> headDim = getInteger(object, "head_dim", usualHeadDim);
  if (!headDim)
    return headDim.takeError();
  config.headDim = *headDim;
  Expected<double> epsilon = getNumber(object, "rms_norm_eps");
  if (!epsilon)
    return epsilon.takeError();
  config.rmsNormEps = static_cast<float>(*epsilon);
  Expected<bool> tied = getBool(object, "tie_word_embeddings", false);
  if (!tied)
    return tied.takeError();
  config.tiedEmbeddings = *tied;

  // transformers 5 gathers what 4 kept in rope_theta and rope_scaling.
  const Object *parameters = object.getObject("rope_parameters");
  Expected<double> theta =
      getNumber(parameters ? *parameters : object, "rope_theta", 10000.0);
  if (!theta)
    return theta.takeError();
  config.ropeTheta = *theta;
  if (!parameters)
    parameters = object.getObject("rope_scaling");
  if (parameters) {
    Expected<RopeScaling> scaling = parseRopeScaling(*parameters);
    if (!scaling)
      return scaling.takeError();
    config.ropeScaling = *scaling;
  }

  if (findValue(object, "bos_token_id")) {
    Expected<int64_t> bos = getInteger(object, "bos_token_id");
    if (!bos)
      return bos.takeError();
    config.bosId = *bos;
  }
  Expected<std::vector<int64_t>> eos = parseEosIds(object);
  if (!eos)
    return eos.takeError();
  config.eosIds = std::move(*eos);
  if (Error error = checkUnsupported(object, config))
    return error;
  return config;
}

/// The double whose shortest spelling is that of `value`: 1e-05, and not the
/// 9.999999747378752e-06 that a plain conversion prints.
static double shortestDouble(float value) {
  char text[32];
  char *end = std::to_chars(text, std::end(text), value).ptr;
  double result = value;
  std::from_chars(text, end, result);
  return result;
}

Object odyssey::makeHuggingFaceConfig(const ModelConfig &config) {
  const ArchitectureRow &row =
      *llvm::find_if(architectures, [&](const ArchitectureRow &candidate) {
        return candidate.architecture == config.architecture;
      });
  Object object{
      {"architectures", Array{row.className}},
      {"model_type", row.modelType},
      {"hidden_size", config.hiddenSize},
      {"num_hidden_layers", config.numLayers},
      {"num_attention_heads", config.numHeads},
      {"num_key_value_heads", config.numKvHeads},
      {"head_dim", config.headDim},
      {"intermediate_size", config.ffnSize},
      {"vocab_size", config.vocabSize},
      {"max_position_embeddings", config.maxContext},
      {"rms_norm_eps", shortestDouble(config.rmsNormEps)},
      {"rope_theta", config.ropeTheta},
      {"rope_scaling", nullptr},
      {"tie_word_embeddings", config.tiedEmbeddings},
      {"bos_token_id", nullptr},
      {"eos_token_id", nullptr},
      {"hidden_act", "silu"},
      {"torch_dtype", "float16"},
  };
  switch (config.architecture) {
  case Architecture::Llama:
    object["attention_bias"] = false;
    object["mlp_bias"] = false;
    break;
  case Architecture::Mistral:
    object["sliding_window"] = nullptr;
    break;
  case Architecture::Qwen2:
    object["use_sliding_window"] = false;
    break;
  case Architecture::Qwen3:
    object["attention_bias"] = false;
    object["use_sliding_window"] = false;
    break;
  }
  if (config.bosId)
    object["bos_token_id"] = *config.bosId;
  if (config.eosIds.size() == 1)
    object["eos_token_id"] = config.eosIds.front();
  else if (!config.eosIds.empty())
    object["eos_token_id"] = Array(config.eosIds);
  const RopeScaling &scaling = config.ropeScaling;
  switch (scaling.kind) {
  case RopeScaling::Kind::None:
    break;
  case RopeScaling::Kind::Linear:
    object["rope_scaling"] =
        Object{{"rope_type", "linear"}, {"factor", scaling.factor}};
    break;
  case RopeScaling::Kind::Llama3:
    object["rope_scaling"] = Object{
        {"rope_type", "llama3"},
        {"factor", scaling.factor},
        {"low_freq_factor", scaling.lowFreqFactor},
        {"high_freq_factor", scaling.highFreqFactor},
        {"original_max_position_embeddings", scaling.originalMaxContext}};
    break;
  }
  return object;
}

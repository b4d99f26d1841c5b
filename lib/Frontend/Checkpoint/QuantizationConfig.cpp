//===- QuantizationConfig.cpp - How a folder's weights are quantized ------===//

#include "QuantizationConfig.h"

#include "llvm/Support/FormatVariadic.h"

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;
using llvm::json::Array;
using llvm::json::Object;
using llvm::json::Value;

/// "'KEY' of PLACE is VALUE, only SUPPORTED is supported".
static Error unsupported(StringRef key, StringRef place, const Value *value,
                         const Twine &supported) {
  return createStringError(
      llvm::formatv("'{0}' of {1} is {2}, only {3} is supported", key, place,
                    value ? *value : Value(nullptr), supported.str())
          .str());
}

static const StringRef wholeConfig = "the quantization_config";

/// Null, false, or without any content.
static bool isNothing(const Value *value) {
  if (!value || value->kind() == Value::Null)
    return true;
  if (const Object *object = value->getAsObject())
    return object->empty();
  if (const Array *array = value->getAsArray())
    return array->empty();
  return value->getAsBoolean() == false;
}

/// Fails on the first of `keys` that says something: each would change what
/// the weights mean.
static Error requireNothing(const Object &object,
                            std::initializer_list<StringRef> keys) {
  for (StringRef key : keys)
    if (const Value *value = object.get(key); !isNothing(value))
      return unsupported(key, wholeConfig, value, "null");
  return Error::success();
}

/// A group size: 0 for all input channels, which files write as -1 or null.
static Expected<int64_t> parseGroupSize(const Object &object, StringRef place) {
  const Value *value = object.get("group_size");
  if (!value || value->kind() == Value::Null)
    return 0;
  std::optional<int64_t> size = value->getAsInteger();
  if (size == -1)
    return 0;
  if (size && *size > 0)
    return *size;
  return unsupported("group_size", place, value, "-1 or a positive number");
}

//===----------------------------------------------------------------------===//
// GPTQ
//===----------------------------------------------------------------------===//

static Expected<WeightScheme> parseGptq(const Object &object) {
  WeightScheme scheme{.format = WeightFormat::Gptq};
  const Value *bits = object.get("bits");
  if (!bits || bits->getAsInteger() != 4)
    return unsupported("bits", wholeConfig, bits, "4");
  // AutoGPTQ's default, where it does not say.
  const Value *symmetric = object.get("sym");
  if (symmetric && symmetric->getAsBoolean() != true)
    return unsupported("sym", wholeConfig, symmetric,
                       "true (weights without a zero point)");
  if (Error error = requireNothing(object, {"lm_head", "dynamic"}))
    return error;
  StringRef format = object.getString("checkpoint_format").value_or("gptq");
  if (format == "gptq")
    scheme.storedZeroPoint = 7;
  else if (format != "gptq_v2")
    return unsupported("checkpoint_format", wholeConfig,
                       object.get("checkpoint_format"),
                       "\"gptq\" or \"gptq_v2\"");
  Expected<int64_t> groupSize = parseGroupSize(object, wholeConfig);
  if (!groupSize)
    return groupSize.takeError();
  scheme.groupSize = *groupSize;
  return scheme;
}

//===----------------------------------------------------------------------===//
// compressed-tensors
//===----------------------------------------------------------------------===//

// The spelling is that of vllm-project/compressed-tensors:
// QuantizationConfig, QuantizationScheme and QuantizationArgs.

static Object weightScheme(int64_t bits) {
  return Object{{"num_bits", bits},
                {"type", "int"},
                {"symmetric", true},
                {"strategy", "channel"},
                {"dynamic", false}};
}

static Object activationScheme() {
  return Object{{"num_bits", 8},
                {"type", "int"},
                {"symmetric", true},
                {"strategy", "token"},
                {"dynamic", true}};
}

Object odyssey::makeQuantizationConfig(layout::WeightFormat format) {
  Object weights = weightScheme(format.bits);
  if (format.groupSize != 0) {
    weights["strategy"] = "group";
    weights["group_size"] = format.groupSize;
  }
  Object group{{"targets", Array{"Linear"}},
               {"weights", std::move(weights)},
               {"input_activations", activationScheme()},
               {"output_activations", nullptr}};
  return Object{{"quant_method", "compressed-tensors"},
                {"format", "int-quantized"},
                {"quantization_status", "compressed"},
                {"config_groups", Object{{"group_0", std::move(group)}}},
                {"ignore", Array{"lm_head"}},
                {"kv_cache_scheme", nullptr}};
}

/// Fails on the first key of `expected` that `actual` has otherwise. What
/// `actual` has beyond these (observers and the like) says how it was made.
static Error checkScheme(const Object &actual, StringRef place,
                         const Object &expected) {
  for (const auto &[key, value] : expected) {
    const Value *found = actual.get(key);
    if (!found || *found != value)
      return unsupported(key, place, found, llvm::formatv("{0}", value).str());
  }
  return Error::success();
}

static Error checkActivations(const Object &group) {
  if (const Value *output = group.get("output_activations"); !isNothing(output))
    return createStringError("the quantization_config has "
                             "'output_activations', which are not supported");
  const Value *input = group.get("input_activations");
  // Weights only: the activations are Odyssey's to quantize.
  if (isNothing(input))
    return Error::success();
  const Object *scheme = input->getAsObject();
  if (!scheme)
    return createStringError("'input_activations' in the quantization_config "
                             "is no object");
  return checkScheme(*scheme, "'input_activations' in the quantization_config",
                     activationScheme());
}

static Expected<WeightScheme> parseCompressedTensors(const Object &object) {
  WeightScheme scheme{};
  StringRef format = object.getString("format").value_or("");
  if (format == "int-quantized")
    scheme.format = WeightFormat::IntQuantized;
  else if (format == "pack-quantized")
    scheme.format = WeightFormat::PackQuantized;
  else
    return unsupported("format", wholeConfig, object.get("format"),
                       "\"int-quantized\" or \"pack-quantized\"");
  if (Error error = requireNothing(
          object, {"kv_cache_scheme", "sparsity_config", "transform_config"}))
    return error;
  const Object *groups = object.getObject("config_groups");
  if (!groups || groups->size() != 1)
    return createStringError("the quantization_config does not have exactly "
                             "one of config_groups");
  const Object *group = groups->begin()->second.getAsObject();
  if (!group)
    return createStringError("the quantization_config's group is no object");
  const Object *weights = group->getObject("weights");
  if (!weights)
    return createStringError("the quantization_config has no 'weights'");

  const StringRef place = "'weights' in the quantization_config";
  StringRef strategy = weights->getString("strategy").value_or("");
  if (scheme.format == WeightFormat::IntQuantized && strategy == "channel") {
    scheme.bits = weights->getInteger("num_bits").value_or(0);
    if (!layout::isWeightWidth(scheme.bits))
      return unsupported("num_bits", place, weights->get("num_bits"), "4 or 8");
  }
  Object expected = weightScheme(scheme.bits);
  if (strategy == "group") {
    expected["strategy"] = "group";
    Expected<int64_t> groupSize = parseGroupSize(*weights, place);
    if (!groupSize)
      return groupSize.takeError();
    scheme.groupSize = *groupSize;
  } else if (strategy != "channel") {
    return unsupported("strategy", place, weights->get("strategy"),
                       "\"channel\" or \"group\"");
  }
  if (Error error = checkScheme(*weights, place, expected))
    return error;
  if (Error error = checkActivations(*group))
    return error;
  return scheme;
}

Expected<WeightScheme> odyssey::parseQuantizationConfig(const Object &object) {
  StringRef method = object.getString("quant_method").value_or("");
  if (method == "gptq")
    return parseGptq(object);
  if (method == "compressed-tensors")
    return parseCompressedTensors(object);
  return unsupported("quant_method", wholeConfig, object.get("quant_method"),
                     "\"compressed-tensors\" or \"gptq\"");
}

//===- QuantizedCheckpoint.cpp - Integer weights on disk ------------------===//

#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"

#include "HuggingFaceConfig.h"
#include "HuggingFaceFolder.h"
#include "LinearFormats.h"
#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"
#include "odyssey/Layout/PackedMultipliers.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"

#include <cmath>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

static constexpr StringRef weightSuffix = ".weight";
static constexpr StringRef scaleSuffix = "_scale";
static constexpr StringRef channelScaleSuffix = "_channel_scale";
static constexpr StringRef multiplierSuffix = "_multiplier";
static constexpr StringRef biasSuffix = ".bias";
static constexpr StringRef embeddingName = "model.embed_tokens.weight";
static constexpr StringRef lmHeadName = "lm_head.weight";

/// The tensors of model.safetensors.
static std::vector<SafetensorsSpec> quantizedLayout(const ModelConfig &config,
                                                    int64_t groupSize) {
  std::vector<SafetensorsSpec> layout;
  llvm::cantFail(forEachModelTensor(config, [&](const ModelTensor &tensor) {
    if (tensor.kind == ModelTensor::Kind::Linear) {
      layout.push_back({tensor.name, StorageType::I8, tensor.shape});
      layout.push_back(
          {tensor.name + scaleSuffix.str(),
           StorageType::F32,
           {tensor.shape[0],
            groupSize == 0 ? 1
                           : layout::groupCount(tensor.shape[1], groupSize)}});
    } else {
      layout.push_back({tensor.name, StorageType::F16, tensor.shape});
    }
    return Error::success();
  }));
  return layout;
}

//===----------------------------------------------------------------------===//
// Reading tensors
//===----------------------------------------------------------------------===//

/// Reads single tensors, checks them and brings them into the one format.
class QuantizedCheckpoint::Reader {
public:
  Reader(const ModelConfig &config, WeightScheme scheme,
         ShardedSafetensors files);

  /// Reads every tensor, drops the values again, and fails on tensors that no
  /// such model has. Finds the groups, and before anything else is called.
  Error check();

  /// Without groups where none differ.
  layout::WeightFormat format() const { return {scheme.bits, inputsPerGroup}; }

  Expected<ChannelWeights> readLinear(StringRef name) const;
  Expected<SharedValues<uint16_t>> readHalf(StringRef name) const;
  Expected<LoadedTensor> load(StringRef name) const;
  /// All of them; `check` has found no error.
  Model readModel() const;

private:
  Error checkForeign(const SafetensorsTensor &tensor) const;
  Expected<GroupedWeights> readGroups(StringRef linear) const;
  const SafetensorsTensor *findHalf(StringRef name) const;
  HalfTensor viewHalf(Model &model, std::string name) const;
  QuantizedLinear viewLinear(Model &model, std::string name) const;
  Layer viewLayer(Model &model, int64_t index) const;

  ModelConfig config;
  WeightScheme scheme;
  ShardedSafetensors files;
  int64_t inputsPerGroup = 0;
  /// By name, linears without ".weight".
  llvm::StringMap<std::vector<int64_t>> linears, halves;
  /// What files may have of the linears.
  llvm::StringSet<> linearTensors;
};

QuantizedCheckpoint::Reader::Reader(const ModelConfig &config,
                                    WeightScheme scheme,
                                    ShardedSafetensors files)
    : config(config), scheme(scheme), files(std::move(files)) {
  llvm::cantFail(forEachModelTensor(config, [&](const ModelTensor &tensor) {
    StringRef name = tensor.name;
    if (tensor.kind == ModelTensor::Kind::Linear) {
      name.consume_back(weightSuffix);
      linears[name] = tensor.shape;
      for (const std::string &part : linearTensorNames(scheme.format, name))
        linearTensors.insert(part);
    } else {
      halves[name] = tensor.shape;
    }
    return Error::success();
  }));
}

Expected<GroupedWeights>
QuantizedCheckpoint::Reader::readGroups(StringRef name) const {
  const std::vector<int64_t> &shape = linears.find(name)->second;
  return odyssey::readLinear(files, scheme, name, shape[0], shape[1]);
}

Expected<ChannelWeights>
QuantizedCheckpoint::Reader::readLinear(StringRef name) const {
  Expected<GroupedWeights> weights = readGroups(name);
  if (!weights)
    return weights.takeError();
  if (inputsPerGroup == 0)
    return toChannelWeights(std::move(*weights));
  return toGroupMultipliers(std::move(*weights));
}

/// Of two tied tensors a file may have either.
const SafetensorsTensor *
QuantizedCheckpoint::Reader::findHalf(StringRef name) const {
  const SafetensorsTensor *tensor = files.find(name);
  if (!tensor && config.tiedEmbeddings && name == embeddingName)
    return files.find(lmHeadName);
  return tensor;
}

Expected<SharedValues<uint16_t>>
QuantizedCheckpoint::Reader::readHalf(StringRef name) const {
  const SafetensorsTensor *tensor = findHalf(name);
  if (!tensor)
    return createStringError("tensor '" + name + "' is missing");
  const std::vector<int64_t> &shape = halves.find(name)->second;
  bool isHalf = tensor->type == StorageType::F16;
  if (!isHalf && tensor->type != StorageType::F32 &&
      tensor->type != StorageType::BF16)
    return checkTensor(*tensor, StorageType::F16, shape);
  if (Error error = checkTensor(*tensor, tensor->type, shape))
    return error;

  SharedValues<uint16_t> values;
  if (isHalf) {
    values = valuesOf<uint16_t>(*tensor);
  } else {
    std::vector<float> floats(tensor->bytes.size() /
                              storageBlock(tensor->type).bytes);
    dequantize(tensor->type, tensor->bytes.data(), floats.size(),
               floats.data());
    std::vector<uint16_t> rounded(floats.size());
    for (size_t i = 0; i < floats.size(); ++i) {
      rounded[i] = floatToHalf(floats[i]);
      if ((rounded[i] & 0x7fff) == 0x7c00 && std::isfinite(floats[i]))
        return createStringError("tensor '" + tensor->name +
                                 "' has a value too large for fp16 at index " +
                                 Twine(i));
    }
    values = SharedValues<uint16_t>(std::move(rounded));
  }
  auto notFinite = [](uint16_t bits) { return (bits & 0x7c00) == 0x7c00; };
  if (std::ranges::count_if(values.values, notFinite) == 0)
    return values;
  auto bad = std::ranges::find_if(values.values, notFinite);
  return createStringError("tensor '" + tensor->name +
                           "' has a value that is not finite at index " +
                           Twine(bad - values.values.begin()));
}

template <typename T>
static LoadedTensor loaded(StorageType type, std::vector<int64_t> shape,
                           SharedValues<T> values) {
  auto *bytes = reinterpret_cast<const uint8_t *>(values.values.data());
  return {type,
          std::move(shape),
          {bytes, values.values.size_bytes()},
          std::move(values.owner)};
}

Expected<LoadedTensor> QuantizedCheckpoint::Reader::load(StringRef name) const {
  if (auto half = halves.find(name); half != halves.end()) {
    Expected<SharedValues<uint16_t>> values = readHalf(name);
    if (!values)
      return values.takeError();
    return loaded(StorageType::F16, half->second, std::move(*values));
  }
  StringRef linear = name;
  bool isMultiplier =
      inputsPerGroup != 0 && linear.consume_back(multiplierSuffix);
  bool isScale = !isMultiplier &&
                 linear.consume_back(inputsPerGroup == 0 ? scaleSuffix
                                                         : channelScaleSuffix);
  auto it =
      linear.consume_back(weightSuffix) ? linears.find(linear) : linears.end();
  if (it == linears.end())
    return createStringError("the model has no tensor '" + name + "'");
  Expected<ChannelWeights> weights = readLinear(linear);
  if (!weights)
    return weights.takeError();
  if (isScale)
    return loaded(StorageType::F32, {it->second[0], 1},
                  std::move(weights->scales));
  if (isMultiplier)
    return loaded(
        StorageType::I8,
        {it->second[0], layout::groupCount(it->second[1], inputsPerGroup)},
        std::move(weights->multipliers));
  return loaded(StorageType::I8, it->second, std::move(weights->integers));
}

/// A tensor that is none of the model's may be there only if it means nothing.
Error QuantizedCheckpoint::Reader::checkForeign(
    const SafetensorsTensor &tensor) const {
  StringRef name = tensor.name;
  if (isRotaryConstant(name) || (config.tiedEmbeddings && name == lmHeadName))
    return Error::success();
  StringRef linear = name;
  // AutoGPTQ gives every linear a bias.
  if (scheme.format == WeightFormat::Gptq && linear.consume_back(biasSuffix) &&
      linears.contains(linear)) {
    if (llvm::all_of(tensor.bytes, [](uint8_t byte) { return byte == 0; }))
      return Error::success();
    return createStringError("tensor '" + name +
                             "' has a bias that is not 0, which this model "
                             "does not have");
  }
  return createStringError("tensor '" + name + "' is no part of such a model");
}

Error QuantizedCheckpoint::Reader::check() {
  auto checkOne = [&](const ModelTensor &tensor) -> Error {
    StringRef name = tensor.name;
    if (tensor.kind != ModelTensor::Kind::Linear)
      return readHalf(name).takeError();
    name.consume_back(weightSuffix);
    Expected<GroupedWeights> weights = readGroups(name);
    if (!weights)
      return weights.takeError();
    if (!hasOneScalePerChannel(*weights))
      inputsPerGroup = scheme.groupSize;
    return toGroupMultipliers(std::move(*weights)).takeError();
  };
  if (Error error = forEachModelTensor(config, checkOne))
    return error;
  for (const auto &file : files.shards())
    for (const SafetensorsTensor &tensor : file->tensors())
      if (!halves.contains(tensor.name) && !linearTensors.contains(tensor.name))
        if (Error error = checkForeign(tensor))
          return error;
  return Error::success();
}

HalfTensor QuantizedCheckpoint::Reader::viewHalf(Model &model,
                                                 std::string name) const {
  auto it = halves.find(name);
  if (it == halves.end())
    return {};
  SharedValues<uint16_t> values = llvm::cantFail(readHalf(name));
  model.owners.push_back(std::move(values.owner));
  return {std::move(name), it->second, values.values};
}

QuantizedLinear
QuantizedCheckpoint::Reader::viewLinear(Model &model, std::string name) const {
  ChannelWeights weights = llvm::cantFail(readLinear(name));
  model.owners.push_back(std::move(weights.integers.owner));
  model.owners.push_back(std::move(weights.scales.owner));
  model.owners.push_back(std::move(weights.multipliers.owner));
  std::span<const uint16_t> bias =
      viewHalf(model, name + biasSuffix.str()).values;
  const std::vector<int64_t> &shape = linears.find(name)->second;
  return {
      std::move(name),       shape[0], shape[1], weights.integers.values,
      weights.scales.values, bias,     format(), weights.multipliers.values};
}

QuantizedCheckpoint::Layer
QuantizedCheckpoint::Reader::viewLayer(Model &model, int64_t index) const {
  std::string prefix = "model.layers." + std::to_string(index) + ".";
  auto half = [&](const char *name) { return viewHalf(model, prefix + name); };
  auto linear = [&](const char *name) {
    return viewLinear(model, prefix + name);
  };
  return {.inputNorm = half("input_layernorm.weight"),
          .q = linear("self_attn.q_proj"),
          .k = linear("self_attn.k_proj"),
          .v = linear("self_attn.v_proj"),
          .o = linear("self_attn.o_proj"),
          .postAttentionNorm = half("post_attention_layernorm.weight"),
          .gate = linear("mlp.gate_proj"),
          .up = linear("mlp.up_proj"),
          .down = linear("mlp.down_proj"),
          .qNorm = half("self_attn.q_norm.weight"),
          .kNorm = half("self_attn.k_norm.weight")};
}

QuantizedCheckpoint::Model QuantizedCheckpoint::Reader::readModel() const {
  Model model;
  model.embedding = viewHalf(model, embeddingName.str());
  for (int64_t index = 0; index < config.numLayers; ++index)
    model.layers.push_back(viewLayer(model, index));
  model.finalNorm = viewHalf(model, "model.norm.weight");
  model.lmHead = viewHalf(model, lmHeadName.str());
  return model;
}

//===----------------------------------------------------------------------===//
// The checkpoint
//===----------------------------------------------------------------------===//

layout::WeightFormat QuantizedCheckpoint::format() const {
  return reader->format();
}

QuantizedCheckpoint::QuantizedCheckpoint() = default;
QuantizedCheckpoint::~QuantizedCheckpoint() = default;

Expected<LoadedTensor> QuantizedCheckpoint::load(StringRef name) const {
  return reader->load(name);
}

const QuantizedCheckpoint::Model &QuantizedCheckpoint::model() const {
  std::call_once(modelMade, [&] { wholeModel = reader->readModel(); });
  return wholeModel;
}

Expected<bool> QuantizedCheckpoint::isQuantized(StringRef path) {
  if (!llvm::sys::fs::is_directory(path))
    return false;
  Expected<std::optional<llvm::json::Object>> quantization =
      readQuantizationConfig(path);
  if (!quantization)
    return quantization.takeError();
  return quantization->has_value();
}

Expected<std::unique_ptr<QuantizedCheckpoint>>
QuantizedCheckpoint::open(StringRef folder) {
  std::string path = pathInFolder(folder, "config.json");
  Expected<std::optional<llvm::json::Object>> quantization =
      readQuantizationConfig(folder);
  if (!quantization)
    return quantization.takeError();
  if (!*quantization)
    return llvm::createFileError(
        path, createStringError("the checkpoint is not quantized: there is no "
                                "'quantization_config'"));
  Expected<WeightScheme> scheme = parseQuantizationConfig(**quantization);
  if (!scheme)
    return llvm::createFileError(path, scheme.takeError());
  Expected<HuggingFaceFolder> contents = readHuggingFaceFolder(folder);
  if (!contents)
    return contents.takeError();
  if (Error error = checkReductionSizes(contents->config))
    return llvm::createFileError(path, std::move(error));
  Expected<ShardedSafetensors> files = ShardedSafetensors::open(folder);
  if (!files)
    return files.takeError();

  std::unique_ptr<QuantizedCheckpoint> checkpoint(new QuantizedCheckpoint);
  checkpoint->modelConfig = std::move(contents->config);
  checkpoint->tokenizer = std::move(contents->tokenizer);
  auto reader = std::make_unique<Reader>(checkpoint->modelConfig, *scheme,
                                         std::move(*files));
  if (Error error = reader->check())
    return llvm::createFileError(folder, std::move(error));
  checkpoint->reader = std::move(reader);
  return checkpoint;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

Expected<std::unique_ptr<QuantizedCheckpointWriter>>
QuantizedCheckpointWriter::create(StringRef folder, const ModelConfig &config,
                                  layout::WeightFormat format,
                                  llvm::ArrayRef<TokenizerFile> tokenizer,
                                  bool replace) {
  std::unique_ptr<QuantizedCheckpointWriter> writer(
      new QuantizedCheckpointWriter);
  Expected<std::unique_ptr<OutputFolder>> output =
      OutputFolder::create(folder, replace);
  if (!output)
    return output.takeError();
  writer->folder = std::move(*output);
  llvm::json::Object object = makeHuggingFaceConfig(config);
  object["quantization_config"] = makeQuantizationConfig(format);
  std::string text =
      llvm::formatv("{0:2}\n", llvm::json::Value(std::move(object))).str();
  if (Error error = writer->folder->writeFile("config.json", text))
    return error;
  for (const TokenizerFile &file : tokenizer)
    if (Error error = writer->folder->writeFile(file.name, file.bytes))
      return error;
  Expected<std::unique_ptr<SafetensorsWriter>> weights =
      SafetensorsWriter::create(writer->folder->pathOf("model.safetensors"),
                                quantizedLayout(config, format.groupSize));
  if (!weights)
    return weights.takeError();
  writer->weights = std::move(*weights);
  return writer;
}

Error QuantizedCheckpointWriter::writeChannels(
    StringRef name, int64_t first, llvm::ArrayRef<int8_t> weight,
    llvm::ArrayRef<float> scale, llvm::ArrayRef<uint8_t> multiplier) {
  std::string weightName = (name + weightSuffix).str();
  std::string scaleName = weightName + scaleSuffix.str();
  size_t k = weight.size() / scale.size();
  assert(k * scale.size() == weight.size() && "whole channels only");
  if (Error error = weights->write(weightName, first * k, weight))
    return error;
  if (multiplier.empty())
    return weights->write(scaleName, first * sizeof(float), scale);
  size_t groups = multiplier.size() / scale.size();
  std::vector<float> products(multiplier.size());
  for (size_t i = 0; i < products.size(); ++i)
    products[i] = scale[i / groups] * static_cast<float>(multiplier[i]);
  return weights->write(scaleName, first * groups * sizeof(float),
                        llvm::ArrayRef<float>(products));
}

Error QuantizedCheckpointWriter::writeHalf(StringRef name, int64_t first,
                                           llvm::ArrayRef<uint16_t> values) {
  return weights->write(name, first * sizeof(uint16_t), values);
}

Error QuantizedCheckpointWriter::finish() {
  if (Error error = weights->finish())
    return error;
  return folder->commit();
}

//===- QuantizedCheckpoint.cpp - W4A8 weights on disk ---------------------===//

#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"

#include "HuggingFaceConfig.h"
#include "Json.h"
#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cmath>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

static std::string join(StringRef folder, StringRef name) {
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, name);
  return path.str().str();
}

static constexpr StringRef weightSuffix = ".weight";
static constexpr StringRef scaleSuffix = "_scale";

/// The tensors of model.safetensors.
static std::vector<SafetensorsSpec> quantizedLayout(const ModelConfig &config) {
  std::vector<SafetensorsSpec> layout;
  llvm::cantFail(forEachModelTensor(config, [&](const ModelTensor &tensor) {
    if (tensor.kind == ModelTensor::Kind::Linear) {
      layout.push_back({tensor.name, StorageType::I8, tensor.shape});
      layout.push_back({tensor.name + scaleSuffix.str(),
                        StorageType::F32,
                        {tensor.shape[0], 1}});
    } else {
      layout.push_back({tensor.name, StorageType::F16, tensor.shape});
    }
    return Error::success();
  }));
  return layout;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

Error QuantizedCheckpoint::readConfig(StringRef folder) {
  std::string path = join(folder, "config.json");
  Expected<llvm::json::Object> object = readJsonObject(path);
  if (!object)
    return object.takeError();
  const llvm::json::Object *quantization =
      object->getObject("quantization_config");
  if (!quantization)
    return llvm::createFileError(
        path, createStringError("the checkpoint is not quantized: there is no "
                                "'quantization_config'"));
  if (Error error = checkW4A8QuantizationConfig(*quantization))
    return llvm::createFileError(path, std::move(error));
  Expected<ModelConfig> config = parseHuggingFaceConfig(*object);
  if (!config)
    return llvm::createFileError(path, config.takeError());
  modelConfig = std::move(*config);

  Expected<TokenizerInfo> info = readTokenizerFolder(folder);
  if (!info)
    return llvm::createFileError(folder, info.takeError());
  tokenizer = std::move(info->files);
  modelConfig.addBos = info->addBos && modelConfig.bosId;
  if (Error error = checkConfig(modelConfig))
    return llvm::createFileError(path, std::move(error));
  if (Error error = checkReductionSizes(modelConfig))
    return llvm::createFileError(path, std::move(error));
  return Error::success();
}

/// The values of tensor `name`, which must have this type and shape.
template <typename T>
Expected<std::span<const T>>
QuantizedCheckpoint::readValues(StringRef name, StorageType type,
                                llvm::ArrayRef<int64_t> shape) {
  const SafetensorsTensor *tensor = file->find(name);
  if (!tensor)
    return createStringError("tensor '" + name + "' is missing");
  if (tensor->type != type || llvm::ArrayRef(tensor->shape) != shape) {
    auto text = [](StorageType type, llvm::ArrayRef<int64_t> shape) {
      return llvm::formatv("{0} [{1:$[, ]}]", storageTypeName(type),
                           llvm::make_range(shape.begin(), shape.end()))
          .str();
    };
    return createStringError("tensor '" + name + "' is " +
                             text(tensor->type, tensor->shape) + ", expected " +
                             text(type, shape));
  }
  ++tensorsRead;
  const void *data = tensor->bytes.data();
  if (reinterpret_cast<uintptr_t>(data) % alignof(T) != 0) {
    realigned.push_back(std::make_unique<std::byte[]>(tensor->bytes.size()));
    std::memcpy(realigned.back().get(), data, tensor->bytes.size());
    data = realigned.back().get();
  }
  return std::span(static_cast<const T *>(data),
                   tensor->bytes.size() / sizeof(T));
}

Expected<QuantizedLinear>
QuantizedCheckpoint::readLinear(std::string name, int64_t n, int64_t k) {
  std::string weightName = name + weightSuffix.str();
  std::string scaleName = weightName + scaleSuffix.str();
  Expected<std::span<const int8_t>> weight =
      readValues<int8_t>(weightName, StorageType::I8, {n, k});
  if (!weight)
    return weight.takeError();
  Expected<std::span<const float>> scale =
      readValues<float>(scaleName, StorageType::F32, {n, 1});
  if (!scale)
    return scale.takeError();

  auto outside = [](int8_t value) { return value < -8 || value > 7; };
  // A count vectorizes, a search does not; the search runs only on failure.
  if (std::ranges::count_if(*weight, outside) != 0) {
    auto bad = std::ranges::find_if(*weight, outside);
    return createStringError("tensor '" + weightName + "' has the value " +
                             Twine(static_cast<int>(*bad)) + " at index " +
                             Twine(bad - weight->begin()) +
                             ", which is no 4-bit integer in -8..7");
  }
  // Negated, so that NaN fails.
  auto invalid = [](float s) { return !(s >= 0) || std::isinf(s); };
  auto bad = std::ranges::find_if(*scale, invalid);
  if (bad != scale->end())
    return createStringError("tensor '" + scaleName +
                             "' has a scale that is not a finite, "
                             "non-negative number at index " +
                             Twine(bad - scale->begin()));
  return QuantizedLinear{std::move(name), n, k, *weight, *scale};
}

Expected<HalfTensor> QuantizedCheckpoint::readHalf(std::string name,
                                                   std::vector<int64_t> shape) {
  Expected<std::span<const uint16_t>> values =
      readValues<uint16_t>(name, StorageType::F16, shape);
  if (!values)
    return values.takeError();
  auto notFinite = [](uint16_t bits) { return (bits & 0x7c00) == 0x7c00; };
  if (std::ranges::count_if(*values, notFinite) != 0) {
    auto bad = std::ranges::find_if(*values, notFinite);
    return createStringError("tensor '" + name +
                             "' has a value that is not finite at index " +
                             Twine(bad - values->begin()));
  }
  return HalfTensor{std::move(name), std::move(shape), *values};
}

/// Moves `source` into `target` unless it is an error, which it returns.
template <typename T> static Error assign(T &target, Expected<T> source) {
  if (!source)
    return source.takeError();
  target = std::move(*source);
  return Error::success();
}

Expected<QuantizedCheckpoint::Layer>
QuantizedCheckpoint::readLayer(int64_t index) {
  const ModelConfig &config = modelConfig;
  int64_t hidden = config.hiddenSize, ffn = config.ffnSize;
  int64_t queries = config.queryWidth(), keys = config.keyValueWidth();
  std::string prefix = "model.layers." + std::to_string(index) + ".";
  Layer layer;
  struct Half {
    HalfTensor &target;
    const char *name;
  };
  for (auto [target, name] :
       {Half{layer.inputNorm, "input_layernorm.weight"},
        Half{layer.postAttentionNorm, "post_attention_layernorm.weight"}})
    if (Error error = assign(target, readHalf(prefix + name, {hidden})))
      return error;
  struct Linear {
    QuantizedLinear &target;
    const char *name;
    int64_t n, k;
  };
  for (auto [target, name, n, k] :
       {Linear{layer.q, "self_attn.q_proj", queries, hidden},
        Linear{layer.k, "self_attn.k_proj", keys, hidden},
        Linear{layer.v, "self_attn.v_proj", keys, hidden},
        Linear{layer.o, "self_attn.o_proj", hidden, queries},
        Linear{layer.gate, "mlp.gate_proj", ffn, hidden},
        Linear{layer.up, "mlp.up_proj", ffn, hidden},
        Linear{layer.down, "mlp.down_proj", hidden, ffn}})
    if (Error error = assign(target, readLinear(prefix + name, n, k)))
      return error;
  return layer;
}

Error QuantizedCheckpoint::readWeights() {
  const ModelConfig &config = modelConfig;
  std::vector<int64_t> vocabShape = {config.vocabSize, config.hiddenSize};
  if (Error error = assign(embeddingTensor,
                           readHalf("model.embed_tokens.weight", vocabShape)))
    return error;
  for (int64_t i = 0; i < config.numLayers; ++i) {
    Expected<Layer> layer = readLayer(i);
    if (!layer)
      return layer.takeError();
    allLayers.push_back(std::move(*layer));
  }
  if (Error error = assign(finalNormTensor,
                           readHalf("model.norm.weight", {config.hiddenSize})))
    return error;
  if (!config.tiedEmbeddings)
    if (Error error =
            assign(lmHeadTensor, readHalf("lm_head.weight", vocabShape)))
      return error;
  if (tensorsRead == file->tensors().size())
    return Error::success();

  llvm::StringSet<> known;
  for (const SafetensorsSpec &spec : quantizedLayout(config))
    known.insert(spec.name);
  for (const SafetensorsTensor &tensor : file->tensors())
    if (!known.contains(tensor.name))
      return createStringError("tensor '" + tensor.name +
                               "' is no part of such a model");
  llvm_unreachable("there are more tensors than the model has");
}

Expected<std::unique_ptr<QuantizedCheckpoint>>
QuantizedCheckpoint::open(StringRef folder) {
  std::unique_ptr<QuantizedCheckpoint> checkpoint(new QuantizedCheckpoint);
  if (Error error = checkpoint->readConfig(folder))
    return error;
  std::string path = join(folder, "model.safetensors");
  if (Error error = assign(checkpoint->file, SafetensorsReader::open(path)))
    return error;
  if (Error error = checkpoint->readWeights())
    return llvm::createFileError(path, std::move(error));
  return checkpoint;
}

//===----------------------------------------------------------------------===//
// Writing
//===----------------------------------------------------------------------===//

Expected<std::unique_ptr<QuantizedCheckpointWriter>>
QuantizedCheckpointWriter::create(StringRef folder, const ModelConfig &config,
                                  llvm::ArrayRef<TokenizerFile> tokenizer,
                                  bool replace) {
  std::unique_ptr<QuantizedCheckpointWriter> writer(
      new QuantizedCheckpointWriter);
  if (Error error =
          assign(writer->folder, OutputFolder::create(folder, replace)))
    return error;
  llvm::json::Object object = makeHuggingFaceConfig(config);
  object["quantization_config"] = makeW4A8QuantizationConfig();
  std::string text =
      llvm::formatv("{0:2}\n", llvm::json::Value(std::move(object))).str();
  if (Error error = writer->folder->writeFile("config.json", text))
    return error;
  for (const TokenizerFile &file : tokenizer)
    if (Error error = writer->folder->writeFile(file.name, file.bytes))
      return error;
  if (Error error = assign(
          writer->weights,
          SafetensorsWriter::create(writer->folder->pathOf("model.safetensors"),
                                    quantizedLayout(config))))
    return error;
  return writer;
}

Error QuantizedCheckpointWriter::writeChannels(StringRef name, int64_t first,
                                               llvm::ArrayRef<int8_t> weight,
                                               llvm::ArrayRef<float> scale) {
  std::string weightName = (name + weightSuffix).str();
  size_t k = weight.size() / scale.size();
  assert(k * scale.size() == weight.size() && "whole channels only");
  if (Error error = weights->write(weightName, first * k, weight))
    return error;
  return weights->write(weightName + scaleSuffix.str(), first * sizeof(float),
                        scale);
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

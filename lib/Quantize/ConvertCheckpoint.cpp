//===- ConvertCheckpoint.cpp - Other programs' W4A8 weights ---------------===//

#include "odyssey/Quantize/ConvertCheckpoint.h"

#include "odyssey/Frontend/Checkpoint/ModelTensors.h"

#include <optional>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

/// The bytes of a tensor as values; the checkpoint has them aligned.
template <typename T>
static llvm::ArrayRef<T> valuesOf(const LoadedTensor &tensor) {
  return {reinterpret_cast<const T *>(tensor.bytes.data()),
          tensor.bytes.size() / sizeof(T)};
}

static Error copyLinear(const QuantizedCheckpoint &from, StringRef name,
                        QuantizedCheckpointWriter &to) {
  Expected<LoadedTensor> weight = from.load(name);
  if (!weight)
    return weight.takeError();
  bool grouped = from.groupSize() != 0;
  Expected<LoadedTensor> scale =
      from.load((name + (grouped ? "_channel_scale" : "_scale")).str());
  if (!scale)
    return scale.takeError();
  std::optional<LoadedTensor> multiplier;
  if (grouped) {
    Expected<LoadedTensor> loaded = from.load((name + "_multiplier").str());
    if (!loaded)
      return loaded.takeError();
    multiplier = std::move(*loaded);
  }
  name.consume_back(".weight");
  return to.writeChannels(
      name, 0, valuesOf<int8_t>(*weight), valuesOf<float>(*scale),
      multiplier ? valuesOf<uint8_t>(*multiplier) : llvm::ArrayRef<uint8_t>());
}

static Error copyHalf(const QuantizedCheckpoint &from, StringRef name,
                      QuantizedCheckpointWriter &to) {
  Expected<LoadedTensor> tensor = from.load(name);
  if (!tensor)
    return tensor.takeError();
  return to.writeHalf(name, 0, valuesOf<uint16_t>(*tensor));
}

Expected<QuantizeSummary>
odyssey::convertCheckpoint(const QuantizedCheckpoint &checkpoint,
                           StringRef folder, const QuantizeOptions &options) {
  const ModelConfig &config = checkpoint.config();
  std::span<const TokenizerFile> tokenizer = checkpoint.tokenizerFiles();
  Expected<std::unique_ptr<QuantizedCheckpointWriter>> writer =
      QuantizedCheckpointWriter::create(folder, config, checkpoint.format(),
                                        {tokenizer.data(), tokenizer.size()},
                                        options.replace);
  if (!writer)
    return writer.takeError();

  auto weightsOf = [](const ModelTensor &tensor) {
    return tensor.shape[0] * (tensor.shape.size() == 2 ? tensor.shape[1] : 1);
  };
  int64_t total = 0, done = 0;
  llvm::cantFail(forEachModelTensor(config, [&](const ModelTensor &tensor) {
    total += weightsOf(tensor);
    return Error::success();
  }));
  QuantizeSummary summary{.weightBits = checkpoint.format().bits};
  auto copy = [&](const ModelTensor &tensor) -> Error {
    if (options.progress &&
        !options.progress(tensor.name, static_cast<double>(done) /
                                           static_cast<double>(total)))
      return createStringError("interrupted");
    done += weightsOf(tensor);
    if (tensor.kind != ModelTensor::Kind::Linear) {
      summary.halfWeights += weightsOf(tensor);
      return copyHalf(checkpoint, tensor.name, **writer);
    }
    ++summary.quantizedTensors;
    summary.quantizedWeights += weightsOf(tensor);
    return copyLinear(checkpoint, tensor.name, **writer);
  };
  if (Error error = forEachModelTensor(config, copy))
    return error;
  if (Error error = (*writer)->finish())
    return error;
  return summary;
}

//===- RoundedCheckpoint.cpp - A checkpoint, rounded while read -----------===//

#include "odyssey/Quantize/RoundedCheckpoint.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"
#include "odyssey/Quantize/Clipping.h"
#include "odyssey/Quantize/RoundToNearest.h"

using namespace odyssey;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

/// Rows that are read at once: memory of fp32 values stays small beside the
/// integers.
static constexpr int64_t kValuesAtOnce = 1 << 22;

/// Calls `use` with rows [first, first + count) of `tensor` as fp32, block by
/// block.
static Error
forEachBlock(const Checkpoint &source, const CheckpointTensor &tensor,
             llvm::function_ref<Error(int64_t first, int64_t count,
                                      std::span<const float> values)>
                 use) {
  int64_t most = std::max<int64_t>(1, kValuesAtOnce / tensor.columns());
  std::vector<float> values;
  for (int64_t first = 0; first < tensor.rows(); first += most) {
    int64_t count = std::min(most, tensor.rows() - first);
    values.resize(count * tensor.columns());
    if (Error error = source.readRows(tensor, first, count, values))
      return error;
    if (Error error = use(first, count, values))
      return error;
  }
  return Error::success();
}

template <typename T>
static LoadedTensor loaded(StorageType type, std::vector<int64_t> shape,
                           std::vector<T> values) {
  auto kept = std::make_shared<const std::vector<T>>(std::move(values));
  auto *bytes = reinterpret_cast<const uint8_t *>(kept->data());
  return {type, std::move(shape), {bytes, kept->size() * sizeof(T)}, kept};
}

RoundedCheckpoint::RoundedCheckpoint(std::unique_ptr<Checkpoint> opened,
                                     int64_t bits)
    : source(std::move(opened)), bits(bits) {
  llvm::cantFail(
      forEachModelTensor(source->config(), [&](const ModelTensor &tensor) {
        if (tensor.kind == ModelTensor::Kind::Linear)
          linears.insert(tensor.name);
        return Error::success();
      }));
}

Expected<std::unique_ptr<RoundedCheckpoint>>
RoundedCheckpoint::open(StringRef path, int64_t bits) {
  Expected<std::unique_ptr<Checkpoint>> source = Checkpoint::open(path);
  if (!source)
    return source.takeError();
  if (Error error = checkReductionSizes((*source)->config()))
    return llvm::createFileError(path, std::move(error));
  return std::unique_ptr<RoundedCheckpoint>(
      new RoundedCheckpoint(std::move(*source), bits));
}

Expected<LoadedTensor>
RoundedCheckpoint::loadHalf(const CheckpointTensor &tensor) const {
  std::vector<uint16_t> halves;
  halves.reserve(tensor.size());
  auto use = [&](int64_t, int64_t, std::span<const float> values) -> Error {
    for (float value : values) {
      uint16_t half = floatToHalf(value);
      if ((half & 0x7fff) == 0x7c00)
        return llvm::createStringError(
            "tensor '" + tensor.name +
            "' has a value too large for fp16 at index " +
            llvm::Twine(halves.size()));
      halves.push_back(half);
    }
    return Error::success();
  };
  if (Error error = forEachBlock(*source, tensor, use))
    return error;
  return loaded(StorageType::F16, tensor.shape, std::move(halves));
}

Expected<LoadedTensor>
RoundedCheckpoint::loadIntegers(const CheckpointTensor &tensor,
                                bool scales) const {
  std::vector<int8_t> integers(scales ? 0 : tensor.size());
  std::vector<float> allScales;
  int64_t k = tensor.columns();
  auto use = [&](int64_t first, int64_t count, std::span<const float> values) {
    std::vector<float> ofRows = channelScales(values, count, bits);
    if (!scales)
      for (int64_t row = 0; row < count; ++row)
        quantizeChannel(values.subspan(row * k, k), ofRows[row],
                        std::span(integers).subspan((first + row) * k, k),
                        bits);
    llvm::append_range(allScales, ofRows);
    return Error::success();
  };
  if (Error error = forEachBlock(*source, tensor, use))
    return error;
  if (scales)
    return loaded(StorageType::F32, {tensor.rows(), 1}, std::move(allScales));
  return loaded(StorageType::I8, tensor.shape, std::move(integers));
}

Expected<LoadedTensor> RoundedCheckpoint::load(StringRef name) const {
  StringRef base = name;
  bool scales = base.consume_back("_scale");
  bool isLinear = linears.contains(base);
  const CheckpointTensor *tensor = source->find(base);
  if (!tensor || (scales && !isLinear))
    return llvm::createStringError("the model has no tensor '" + name + "'");
  return isLinear ? loadIntegers(*tensor, scales) : loadHalf(*tensor);
}

//===- DequantizedCheckpoint.cpp - Quantized weights as numbers -----------===//

#include "HuggingFaceFolder.h"
#include "LinearFormats.h"
#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"

#include <mutex>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

namespace {

class DequantizedCheckpoint : public Checkpoint {
public:
  Error read(StringRef folder);

  Error readRows(const CheckpointTensor &tensor, int64_t first, int64_t count,
                 llvm::MutableArrayRef<float> out) const override;

private:
  Error readTensors();

  /// The linear that NAME.weight is of. The last one stays, for the readers of
  /// its other rows.
  Expected<std::shared_ptr<const GroupedWeights>>
  decode(const CheckpointTensor &tensor) const;

  WeightScheme scheme;
  ShardedSafetensors weights;
  mutable std::mutex decoding;
  mutable const CheckpointTensor *decodedTensor = nullptr;
  mutable std::shared_ptr<const GroupedWeights> decoded;
};

} // namespace

Expected<std::shared_ptr<const GroupedWeights>>
DequantizedCheckpoint::decode(const CheckpointTensor &tensor) const {
  std::lock_guard lock(decoding);
  if (decodedTensor == &tensor)
    return decoded;
  StringRef name = tensor.name;
  name.consume_back(".weight");
  Expected<GroupedWeights> linear =
      readLinear(weights, scheme, name, tensor.rows(), tensor.columns());
  if (!linear)
    return linear.takeError();
  decodedTensor = &tensor;
  decoded = std::make_shared<const GroupedWeights>(std::move(*linear));
  return decoded;
}

Error DequantizedCheckpoint::readRows(const CheckpointTensor &tensor,
                                      int64_t first, int64_t count,
                                      llvm::MutableArrayRef<float> out) const {
  if (tensor.data)
    return Checkpoint::readRows(tensor, first, count, out);
  Expected<std::shared_ptr<const GroupedWeights>> linear = decode(tensor);
  if (!linear)
    return linear.takeError();
  const GroupedWeights &weights = **linear;
  for (int64_t row = first; row < first + count; ++row)
    for (int64_t i = 0; i < weights.k; ++i)
      out[(row - first) * weights.k + i] =
          static_cast<float>(weights.integers.values[row * weights.k + i]) *
          weights.scales.values[row * weights.groups + weights.groupOf(i)];
  return Error::success();
}

/// Files hold the parts of linears in place of NAME.weight. Whether these are
/// whole shows when they are decoded.
Error DequantizedCheckpoint::readTensors() {
  std::vector<CheckpointTensor> available;
  auto add = [&](const ModelTensor &model) -> Error {
    CheckpointTensor tensor;
    tensor.name = model.name;
    tensor.shape = model.shape;
    tensor.type = StorageType::F32;
    if (model.kind != ModelTensor::Kind::Linear) {
      const SafetensorsTensor *stored = weights.find(model.name);
      if (!stored && modelConfig.tiedEmbeddings &&
          model.kind == ModelTensor::Kind::Embedding)
        stored = weights.find("lm_head.weight");
      if (!stored)
        return Error::success(); // `adoptTensors` says that it is missing.
      tensor.shape = stored->shape;
      tensor.type = stored->type;
      tensor.data = stored->bytes.data();
    }
    available.push_back(std::move(tensor));
    return Error::success();
  };
  if (Error error = forEachModelTensor(modelConfig, add))
    return error;
  return adoptTensors(std::move(available));
}

Error DequantizedCheckpoint::read(StringRef folder) {
  Expected<std::optional<llvm::json::Object>> quantization =
      readQuantizationConfig(folder);
  if (!quantization)
    return quantization.takeError();
  if (!*quantization)
    return createStringError("the checkpoint is not quantized: there is no "
                             "'quantization_config'");
  Expected<WeightScheme> parsed = parseQuantizationConfig(**quantization);
  if (!parsed)
    return parsed.takeError();
  scheme = *parsed;
  Expected<HuggingFaceFolder> contents = readHuggingFaceFolder(folder);
  if (!contents)
    return contents.takeError();
  modelConfig = std::move(contents->config);
  tokenizer = std::move(contents->tokenizer);
  Expected<ShardedSafetensors> opened = ShardedSafetensors::open(folder);
  if (!opened)
    return opened.takeError();
  weights = std::move(*opened);
  return readTensors();
}

Expected<std::unique_ptr<Checkpoint>>
Checkpoint::openDequantized(StringRef folder) {
  auto checkpoint = std::make_unique<DequantizedCheckpoint>();
  if (Error error = checkpoint->read(folder))
    return llvm::handleErrors(
        std::move(error),
        [&](std::unique_ptr<llvm::StringError> error) -> Error {
          return llvm::createFileError(folder, Error(std::move(error)));
        });
  return checkpoint;
}

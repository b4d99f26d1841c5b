//===- Checkpoint.cpp - A trained model on disk ---------------------------===//

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"

#include "CheckpointFormats.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"

#include <cmath>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

Checkpoint::~Checkpoint() = default;

Expected<std::unique_ptr<Checkpoint>> Checkpoint::open(StringRef path) {
  llvm::sys::fs::file_status status;
  if (std::error_code error = llvm::sys::fs::status(path, status))
    return llvm::createFileError(path, error);
  Expected<std::unique_ptr<Checkpoint>> checkpoint =
      llvm::sys::fs::is_directory(status) ? openHuggingFaceCheckpoint(path)
                                          : openGgufCheckpoint(path);
  if (checkpoint)
    return checkpoint;
  // Errors of the container name their file already; those of the model do
  // not.
  return llvm::handleErrors(
      checkpoint.takeError(),
      [&](std::unique_ptr<llvm::StringError> error) -> Error {
        return llvm::createFileError(path, Error(std::move(error)));
      });
}

const CheckpointTensor *Checkpoint::find(StringRef name) const {
  auto it = indexOfName.find(name);
  return it == indexOfName.end() ? nullptr : &modelTensors[it->second];
}

static std::string shapeText(llvm::ArrayRef<int64_t> shape) {
  std::string text;
  for (int64_t size : shape)
    text += (text.empty() ? "[" : ", ") + std::to_string(size);
  return text + "]";
}

Error Checkpoint::adoptTensors(std::vector<CheckpointTensor> available) {
  llvm::StringMap<CheckpointTensor *> byName;
  for (CheckpointTensor &tensor : available)
    if (!byName.try_emplace(tensor.name, &tensor).second)
      return createStringError("tensor '" + tensor.name + "' appears twice");

  auto adopt = [&](const ModelTensor &wanted) -> Error {
    auto it = byName.find(wanted.name);
    if (it == byName.end())
      return createStringError("tensor '" + wanted.name + "' is missing");
    CheckpointTensor &tensor = *it->second;
    if (tensor.shape != wanted.shape)
      return createStringError("tensor '" + tensor.name + "' has the shape " +
                               shapeText(tensor.shape) +
                               ", but the model's sizes ask for " +
                               shapeText(wanted.shape));
    if (!isDequantizable(tensor.type))
      return createStringError("tensor '" + tensor.name +
                               "' has the unsupported type " +
                               storageTypeName(tensor.type));
    indexOfName[tensor.name] = modelTensors.size();
    modelTensors.push_back(std::move(tensor));
    byName.erase(it);
    return Error::success();
  };
  if (Error error = forEachModelTensor(modelConfig, adopt))
    return error;
  if (byName.empty())
    return Error::success();
  // The first in the file's order, since that of a map is nobody's.
  for (const CheckpointTensor &tensor : available)
    if (byName.count(tensor.name) && byName[tensor.name] == &tensor)
      return createStringError("tensor '" + tensor.name +
                               "' is no part of such a model");
  llvm_unreachable("what is left over is in the list");
}

/// The row of the file that holds row `row`. GGUF keeps the two halves of a
/// head interleaved: element 2j is that of row j, 2j + 1 that of row
/// j + headDim / 2 (llama.cpp's conversion calls it `permute`).
static int64_t storedRow(const CheckpointTensor &tensor, int64_t row) {
  int64_t headDim = tensor.interleavedHeadDim;
  if (headDim == 0)
    return row;
  int64_t inHead = row % headDim;
  int64_t half = inHead / (headDim / 2), pair = inHead % (headDim / 2);
  return row - inHead + 2 * pair + half;
}

Error Checkpoint::readRows(const CheckpointTensor &tensor, int64_t first,
                           int64_t count,
                           llvm::MutableArrayRef<float> out) const {
  int64_t columns = tensor.columns();
  assert(first >= 0 && count >= 0 && first + count <= tensor.rows());
  assert(out.size() >= static_cast<size_t>(count * columns));
  StorageBlock block = storageBlock(tensor.type);
  int64_t rowBytes = columns / block.elements * block.bytes;
  for (int64_t row = first; row < first + count; ++row) {
    llvm::MutableArrayRef<float> values =
        out.slice((row - first) * columns, columns);
    dequantize(tensor.type, tensor.data + storedRow(tensor, row) * rowBytes,
               columns, values.data());
    auto bad = llvm::find_if(values,
                             [](float value) { return !std::isfinite(value); });
    if (bad != values.end())
      return createStringError("tensor '" + tensor.name + "' has the value " +
                               (std::isnan(*bad) ? "NaN" : "infinity") +
                               " at index " +
                               Twine(row * columns + (bad - values.begin())));
  }
  return Error::success();
}

Expected<std::vector<float>> Checkpoint::readF32(StringRef name) const {
  const CheckpointTensor *tensor = find(name);
  if (!tensor)
    return createStringError("no tensor '" + name + "'");
  std::vector<float> values(tensor->size());
  if (Error error = readRows(*tensor, 0, tensor->rows(), values))
    return error;
  return values;
}

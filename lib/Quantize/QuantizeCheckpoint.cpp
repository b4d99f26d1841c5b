//===- QuantizeCheckpoint.cpp - From a checkpoint to integers -------------===//

#include "odyssey/Quantize/QuantizeCheckpoint.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Quantize/Clipping.h"
#include "odyssey/Quantize/GroupRounding.h"
#include "odyssey/Quantize/RoundToNearest.h"

#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/Threading.h"

#include <cmath>
#include <mutex>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace {

/// Weights that one task converts: large enough to hide a task's cost, small
/// enough to stay in a core's cache.
constexpr int64_t weightsPerTask = 1 << 17;

/// Walks over a checkpoint tensor by tensor. The rows of a tensor are
/// converted in parallel; writing is one at a time.
class Quantizer {
public:
  Quantizer(const Checkpoint &checkpoint, QuantizedCheckpointWriter &writer,
            const QuantizeOptions &options)
      : checkpoint(checkpoint), writer(writer), options(options),
        pool(options.threads ? llvm::hardware_concurrency(options.threads)
                             : llvm::hardware_concurrency()) {}

  Expected<QuantizeSummary> run();

private:
  using RowTask = Error (Quantizer::*)(const CheckpointTensor &, int64_t first,
                                       int64_t count);

  bool calibrates() const { return options.recipe != Recipe::RoundToNearest; }

  /// All tensors, or all that are not for `quantizeLinears`.
  Error convertTensors();
  /// The linears, by a recipe with calibration.
  Error quantizeLinears();

  /// Tells how far the work is, and asks whether to go on.
  Error reportProgress(StringRef tensor, double done);

  Error convert(const CheckpointTensor &tensor, RowTask task);
  Error quantizeRows(const CheckpointTensor &tensor, int64_t first,
                     int64_t count);
  Error roundRowsToHalf(const CheckpointTensor &tensor, int64_t first,
                        int64_t count);

  const Checkpoint &checkpoint;
  QuantizedCheckpointWriter &writer;
  const QuantizeOptions &options;
  llvm::DefaultThreadPool pool;
  std::mutex writing;
  QuantizeSummary summary;
};

} // namespace

Error Quantizer::quantizeRows(const CheckpointTensor &tensor, int64_t first,
                              int64_t count) {
  int64_t k = tensor.columns();
  std::vector<float> values(count * k);
  if (Error error = checkpoint.readRows(tensor, first, count, values))
    return error;
  std::vector<int8_t> quantized(count * k);
  GroupScales scales;
  if (options.groupSize == 0)
    scales.scale = channelScales(values, count, options.weightBits);
  else
    scales = chooseGroupScales(values, count, options.groupSize, /*threads=*/1);
  int64_t groups = static_cast<int64_t>(scales.multiplier.size()) / count;
  for (int64_t row = 0; row < count; ++row) {
    std::span channel = std::span(values).subspan(row * k, k);
    std::span integers = std::span(quantized).subspan(row * k, k);
    if (options.groupSize == 0)
      quantizeChannel(channel, scales.scale[row], integers, options.weightBits);
    else
      quantizeGroups(channel, scales.scale[row],
                     std::span(scales.multiplier).subspan(row * groups, groups),
                     options.groupSize, integers);
  }
  StringRef name = tensor.name;
  name.consume_back(".weight");
  std::lock_guard lock(writing);
  return writer.writeChannels(name, first, quantized, scales.scale,
                              scales.multiplier);
}

Error Quantizer::roundRowsToHalf(const CheckpointTensor &tensor, int64_t first,
                                 int64_t count) {
  int64_t columns = tensor.columns();
  std::vector<float> values(count * columns);
  if (Error error = checkpoint.readRows(tensor, first, count, values))
    return error;
  std::vector<uint16_t> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    halves[i] = floatToHalf(values[i]);
  for (size_t i = 0; i < values.size(); ++i)
    if ((halves[i] & 0x7fff) == 0x7c00)
      return createStringError("tensor '" + tensor.name +
                               "' has a value too large for fp16 at index " +
                               Twine(first * columns + i));
  std::lock_guard lock(writing);
  return writer.writeHalf(tensor.name, first * columns, halves);
}

/// Runs `task` over all rows of `tensor`. Of several errors the one of the
/// lowest rows is returned, so that it does not depend on the threads.
Error Quantizer::convert(const CheckpointTensor &tensor, RowTask task) {
  int64_t rowsPerTask = std::max<int64_t>(1, weightsPerTask / tensor.columns());
  int64_t tasks = llvm::divideCeil(tensor.rows(), rowsPerTask);
  std::mutex failing;
  int64_t failedTask = tasks;
  Error firstError = Error::success();
  for (int64_t i = 0; i < tasks; ++i) {
    pool.async([&, i] {
      int64_t first = i * rowsPerTask;
      int64_t count = std::min(rowsPerTask, tensor.rows() - first);
      Error error = (this->*task)(tensor, first, count);
      if (!error)
        return;
      std::lock_guard lock(failing);
      if (i < failedTask) {
        failedTask = i;
        std::swap(firstError, error);
      }
      llvm::consumeError(std::move(error));
    });
  }
  pool.wait();
  return firstError;
}

Error Quantizer::reportProgress(StringRef tensor, double done) {
  if (options.progress && !options.progress(tensor, done))
    return createStringError("interrupted");
  return Error::success();
}

Error Quantizer::convertTensors() {
  int64_t total = 0, done = 0;
  for (const CheckpointTensor &tensor : checkpoint.tensors())
    total += tensor.size();
  return forEachModelTensor(
      checkpoint.config(), [&](const ModelTensor &model) -> Error {
        const CheckpointTensor &tensor = *checkpoint.find(model.name);
        bool isLinear = model.kind == ModelTensor::Kind::Linear;
        if (isLinear) {
          ++summary.quantizedTensors;
          summary.quantizedWeights += tensor.size();
        } else {
          summary.halfWeights += tensor.size();
        }
        // Next to calibration this takes no time worth showing.
        double share = calibrates() ? 0 : static_cast<double>(done) / total;
        if (Error error = reportProgress(model.name, share))
          return error;
        checkpoint.releasePages();
        done += tensor.size();
        if (!isLinear)
          return convert(tensor, &Quantizer::roundRowsToHalf);
        if (calibrates())
          return Error::success();
        return convert(tensor, &Quantizer::quantizeRows);
      });
}

Error Quantizer::quantizeLinears() {
  LayerwiseOptions layerwise;
  layerwise.clip = options.recipe != Recipe::Compensate;
  layerwise.compensate = options.recipe != Recipe::Clip;
  layerwise.clipping.groupSize = options.groupSize;
  layerwise.gptq = options.gptq;
  layerwise.threads = options.threads;
  layerwise.progress = options.progress;
  return quantizeLayerwise(
      checkpoint, options.calibration, layerwise,
      [&](const LinearReport &report, const QuantizedWeights &weights) {
        if (options.report)
          options.report(report);
        return writer.writeChannels(report.name, 0, weights.integers,
                                    weights.scales, weights.multipliers);
      });
}

Expected<QuantizeSummary> Quantizer::run() {
  summary.weightBits = options.weightBits;
  if (Error error = convertTensors())
    return error;
  if (calibrates())
    if (Error error = quantizeLinears())
      return error;
  if (Error error = reportProgress("", 1))
    return error;
  return summary;
}

Expected<QuantizeSummary>
odyssey::quantizeCheckpoint(const Checkpoint &checkpoint, StringRef folder,
                            const QuantizeOptions &options) {
  if (Error error = checkReductionSizes(checkpoint.config()))
    return error;
  Expected<std::unique_ptr<QuantizedCheckpointWriter>> writer =
      QuantizedCheckpointWriter::create(
          folder, checkpoint.config(), {options.weightBits, options.groupSize},
          checkpoint.tokenizerFiles(), options.replace);
  if (!writer)
    return writer.takeError();
  Expected<QuantizeSummary> summary =
      Quantizer(checkpoint, **writer, options).run();
  if (!summary)
    return summary.takeError();
  if (Error error = (*writer)->finish())
    return error;
  return summary;
}

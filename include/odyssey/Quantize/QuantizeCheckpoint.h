//===- QuantizeCheckpoint.h - From a checkpoint to integers -----*- C++ -*-===//

#ifndef ODYSSEY_QUANTIZE_QUANTIZECHECKPOINT_H
#define ODYSSEY_QUANTIZE_QUANTIZECHECKPOINT_H

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Quantize/LayerwiseQuantizer.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <functional>
#include <vector>

namespace odyssey {

/// How weights become integers and scales.
enum class Recipe {
  RoundToNearest, // scales of max|w| / 7 (127 of 8 bits); the only one without
                  // calibration
  Clip,           // learned scales, rounded to nearest
  Compensate,     // scales of max|w| / 7, rounded by GPTQ
  ClipAndCompensate,
};

struct QuantizeOptions {
  Recipe recipe = Recipe::RoundToNearest;
  /// For all other recipes; not empty then.
  CalibrationSamples calibration;
  GptqOptions gptq;
  /// Input channels that share a multiplier within their output channel's
  /// scale: 32, 64 or 128, or 0 for one scale per output channel.
  int64_t groupSize = 0;
  /// Bits of a weight: 4, or 8, which is for rounding to nearest without
  /// groups.
  int64_t weightBits = 4;
  /// 0 means as many as the machine has cores.
  unsigned threads = 0;
  /// Replace a quantized checkpoint of that name.
  bool replace = false;
  /// Called from time to time, from one thread, with the tensor at work and
  /// the share of the work that is done, from 0 to 1. Returning false stops
  /// the work: `quantizeCheckpoint` then fails and leaves nothing behind.
  std::function<bool(llvm::StringRef tensor, double done)> progress;
  /// Called for every linear that a recipe with calibration has quantized, in
  /// the order of the model.
  std::function<void(const LinearReport &)> report;
};

/// What was done, in weights, for the summary.
struct QuantizeSummary {
  int64_t quantizedTensors = 0;
  int64_t quantizedWeights = 0;
  /// Bits of each of these.
  int64_t weightBits = 4;
  /// Those kept as fp16.
  int64_t halfWeights = 0;
};

/// Quantizes the weights of all linear layers, one scale per output channel and
/// the groups of `options` within it, and writes the quantized checkpoint
/// `folder`. Memory is bounded by a block of rows per thread for rounding to
/// nearest, else as `quantizeLayerwise` says. Fails on weights that are not
/// finite or, for those kept as fp16, too large for it.
llvm::Expected<QuantizeSummary>
quantizeCheckpoint(const Checkpoint &checkpoint, llvm::StringRef folder,
                   const QuantizeOptions &options);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_QUANTIZECHECKPOINT_H

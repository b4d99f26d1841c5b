//===- QuantizeCheckpoint.h - From a checkpoint to W4A8 ---------*- C++ -*-===//

#ifndef ODYSSEY_QUANTIZE_QUANTIZECHECKPOINT_H
#define ODYSSEY_QUANTIZE_QUANTIZECHECKPOINT_H

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <functional>

namespace odyssey {

struct QuantizeOptions {
  /// 0 means as many as the machine has cores.
  unsigned threads = 0;
  /// Replace a quantized checkpoint of that name.
  bool replace = false;
  /// Called from time to time, from one thread, with the tensor at work and
  /// how many weights are done of how many. Returning false stops the work:
  /// `quantizeCheckpoint` then fails and leaves nothing behind.
  std::function<bool(llvm::StringRef tensor, int64_t done, int64_t total)>
      progress;
};

/// What was done, in weights, for the summary.
struct QuantizeSummary {
  int64_t quantizedTensors = 0;
  int64_t quantizedWeights = 0;
  /// Those kept as fp16.
  int64_t halfWeights = 0;
};

/// Rounds the weights of all linear layers to nearest, one scale per output
/// channel, and writes the quantized checkpoint `folder`. Memory is bounded by
/// a block of rows per thread, whatever the size of the model. Fails on weights
/// that are not finite or, for those kept as fp16, too large for it.
llvm::Expected<QuantizeSummary>
quantizeCheckpoint(const Checkpoint &checkpoint, llvm::StringRef folder,
                   const QuantizeOptions &options);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_QUANTIZECHECKPOINT_H

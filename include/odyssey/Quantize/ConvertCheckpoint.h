//===- ConvertCheckpoint.h - Other programs' W4A8 weights -------*- C++ -*-===//

#ifndef ODYSSEY_QUANTIZE_CONVERTCHECKPOINT_H
#define ODYSSEY_QUANTIZE_CONVERTCHECKPOINT_H

#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Quantize/QuantizeCheckpoint.h"

namespace odyssey {

/// Writes `checkpoint`, whatever format it came in, as the quantized checkpoint
/// `folder`: the integers and scales of the linear layers stay as they are,
/// and so do all other values that are fp16. Of `options` it takes `replace`
/// and `progress`. Memory is bounded by one tensor.
llvm::Expected<QuantizeSummary>
convertCheckpoint(const QuantizedCheckpoint &checkpoint, llvm::StringRef folder,
                  const QuantizeOptions &options);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_CONVERTCHECKPOINT_H

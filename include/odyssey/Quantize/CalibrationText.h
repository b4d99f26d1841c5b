//===- CalibrationText.h - Text for calibration -----------------*- C++ -*-===//

#ifndef ODYSSEY_QUANTIZE_CALIBRATIONTEXT_H
#define ODYSSEY_QUANTIZE_CALIBRATIONTEXT_H

#include "odyssey/Quantize/LayerwiseQuantizer.h"

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <cstdint>
#include <optional>
#include <span>

namespace odyssey {

struct SampleOptions {
  int64_t samples = 64;
  /// Tokens of a sample, `bos` included; at most the model's context.
  int64_t sequenceLength = 512;
  /// Begins every sample, where the model expects it at the start of a text.
  std::optional<int32_t> bos;
};

/// Fewer tokens than this say nothing about a model's inputs.
inline constexpr int64_t minCalibrationTokens = 128;

/// Cuts samples out of a text, evenly spread from its beginning to its end and
/// without overlap. A text too short for them gives fewer. Fails on a text of
/// less than `minCalibrationTokens` tokens.
llvm::Expected<CalibrationSamples> cutSamples(std::span<const int32_t> tokens,
                                              const SampleOptions &options);

/// Some pages of prose, dialogue, tables and programs, for want of a text that
/// is like what the model will read.
llvm::StringRef builtinCalibrationText();

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_CALIBRATIONTEXT_H

//===- CalibrationText.cpp - Text for calibration -------------------------===//

#include "odyssey/Quantize/CalibrationText.h"

#include <algorithm>

using namespace odyssey;

llvm::Expected<CalibrationSamples>
odyssey::cutSamples(std::span<const int32_t> tokens,
                    const SampleOptions &options) {
  int64_t total = static_cast<int64_t>(tokens.size());
  if (total < minCalibrationTokens)
    return llvm::createStringError("the calibration text has " +
                                   llvm::Twine(total) + " tokens, at least " +
                                   llvm::Twine(minCalibrationTokens) +
                                   " are needed");
  int64_t prefix = options.bos ? 1 : 0;
  int64_t length = std::min(options.sequenceLength - prefix, total);
  int64_t count = std::min(options.samples, total / length);
  CalibrationSamples samples;
  for (int64_t i = 0; i < count; ++i) {
    // In the middle of the text's i-th part of `count`.
    int64_t spare = total - count * length;
    int64_t begin = i * length + (2 * i + 1) * spare / (2 * count);
    std::vector<int32_t> &sample = samples.emplace_back();
    if (options.bos)
      sample.push_back(*options.bos);
    std::span<const int32_t> part = tokens.subspan(begin, length);
    sample.insert(sample.end(), part.begin(), part.end());
  }
  return samples;
}

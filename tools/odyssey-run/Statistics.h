//===- Statistics.h - odyssey-run --stats -----------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEY_RUN_STATISTICS_H
#define ODYSSEY_TOOLS_ODYSSEY_RUN_STATISTICS_H

#include "odyssey/runtime/Generator.h"

namespace odyssey::run {

/// Times of one run. Moments count from the start of the process, in seconds.
struct Statistics {
  double started = 0, bundleOpened = 0, deviceOpened = 0, loaded = 0;
  runtime::Executor::LoadTimes loadTimes;
  /// Of the first prompt alone.
  double firstPrefillSeconds = 0;
  /// Of all prompts together.
  int64_t promptTokens = 0, decodeSteps = 0;
  double prefillSeconds = 0, decodeSeconds = 0;

  void add(const runtime::GenerateResult &result);
};

/// Prints them to standard error.
void printStatistics(const Statistics &statistics,
                     const runtime::KernelProfile &profile,
                     const runtime::Device &device);

} // namespace odyssey::run

#endif // ODYSSEY_TOOLS_ODYSSEY_RUN_STATISTICS_H

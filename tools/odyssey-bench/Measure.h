//===- Measure.h - Timing of many launches ----------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_MEASURE_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_MEASURE_H

#include "odyssey/runtime/Device.h"

#include <cstddef>
#include <functional>
#include <vector>

namespace odyssey::bench {

/// Seconds of one launch. Each sample is the mean over the launches of one
/// replay of a graph.
struct Timing {
  double median = 0;
  /// The 10th and the 90th percentile of the samples.
  double low = 0, high = 0;
  /// Launches in the graph, and measured replays of it.
  int launches = 0, replays = 0;
};

struct MeasureOptions {
  /// How many launches make one round through the rotating buffers.
  int rotation = 1;
  /// How long to measure. A graph of about a hundredth of it, but at least one
  /// round, is replayed until the time is over.
  double seconds = 0.1;
  int minReplays = 5;
};

/// Measures `launch(i)`, which enqueues the i-th launch of a graph, for i = 0,
/// 1, ... It has run once outside of a graph when this returns.
runtime::Result<Timing>
measure(runtime::Device &device,
        const std::function<runtime::Status(int)> &launch,
        const MeasureOptions &options);

/// Of samples (not empty) that need not be sorted, by linear interpolation.
double percentile(std::vector<double> samples, double fraction);

/// How many copies of `bytes` bytes must be used in turn so that hardly any of
/// them is still in a cache of `cacheBytes` when it comes again.
int rotatingCopies(size_t bytes, size_t cacheBytes);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_MEASURE_H

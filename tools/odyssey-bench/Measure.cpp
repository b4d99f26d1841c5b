//===- Measure.cpp - Timing of many launches ------------------------------===//

#include "Measure.h"

#include <algorithm>
#include <cmath>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;

namespace {
/// A graph this long hides what starting it costs.
constexpr int kGraphsPerMeasurement = 50;
constexpr int kMaxLaunches = 2000;
constexpr int kMaxReplays = 1000;
/// The replacement of a GPU's cache is not strictly by age, so that a share of
/// about cache / buffers is still found in it.
constexpr size_t kCacheSizes = 8;
} // namespace

/// A graph of `launches` launches.
static Result<GraphHandle>
record(Device &device, const std::function<Status(int)> &launch, int launches) {
  ODYSSEY_RETURN_IF_ERROR(device.beginRecording());
  Status status;
  for (int i = 0; i < launches && status.ok(); ++i)
    status = launch(i);
  // Recording ends in any case, so that the device can be used further.
  Result<GraphHandle> graph = device.endRecording();
  if (!status.ok() && graph.ok())
    (void)device.destroyGraph(*graph);
  if (!status.ok())
    return status;
  return graph;
}

/// Seconds of each of `replays` replays of a new graph.
static Result<std::vector<double>>
timeGraph(Device &device, const std::function<Status(int)> &launch,
          int launches, int replays) {
  ODYSSEY_ASSIGN_OR_RETURN(GraphHandle graph, record(device, launch, launches));
  Result<std::vector<double>> seconds = device.timeReplays(graph, replays);
  Status destroyed = device.destroyGraph(graph);
  if (seconds.ok() && !destroyed.ok())
    return destroyed;
  return seconds;
}

double bench::percentile(std::vector<double> samples, double fraction) {
  std::sort(samples.begin(), samples.end());
  double position = fraction * static_cast<double>(samples.size() - 1);
  size_t below = static_cast<size_t>(position);
  size_t above = std::min(below + 1, samples.size() - 1);
  double part = position - static_cast<double>(below);
  return samples[below] + part * (samples[above] - samples[below]);
}

int bench::rotatingCopies(size_t bytes, size_t cacheBytes) {
  size_t copies = (kCacheSizes * cacheBytes + bytes - 1) / bytes;
  return static_cast<int>(std::clamp<size_t>(copies, 2, kMaxLaunches));
}

Result<Timing> bench::measure(Device &device,
                              const std::function<Status(int)> &launch,
                              const MeasureOptions &options) {
  // Loads what is loaded lazily, and shows faults where they are made.
  ODYSSEY_RETURN_IF_ERROR(launch(0));
  ODYSSEY_RETURN_IF_ERROR(device.synchronize());
  ODYSSEY_ASSIGN_OR_RETURN(
      std::vector<double> first,
      timeGraph(device, launch, options.rotation, /*replays=*/1));
  double round = std::max(first[0], 1e-9);
  double graphSeconds = options.seconds / kGraphsPerMeasurement;
  // Whole rounds, so that every buffer is used equally often.
  int rounds = static_cast<int>(std::clamp(
      std::round(graphSeconds / round), 1.0,
      std::max(1.0, std::floor(double(kMaxLaunches) / options.rotation))));
  Timing timing;
  timing.launches = rounds * options.rotation;
  timing.replays = static_cast<int>(
      std::clamp(options.seconds / (round * rounds),
                 static_cast<double>(options.minReplays), double(kMaxReplays)));
  ODYSSEY_ASSIGN_OR_RETURN(
      std::vector<double> samples,
      timeGraph(device, launch, timing.launches, timing.replays));
  for (double &sample : samples)
    sample /= timing.launches;
  timing.median = percentile(samples, 0.5);
  timing.low = percentile(samples, 0.1);
  timing.high = percentile(samples, 0.9);
  return timing;
}

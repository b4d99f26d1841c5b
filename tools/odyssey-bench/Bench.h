//===- Bench.h - What odyssey-bench measures --------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_BENCH_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_BENCH_H

#include "odyssey/runtime/Status.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace odyssey::bench {

struct EmulatorOptions {
  /// 0: all cores.
  unsigned threads = 1;
  double seconds = 0.5;
  bool json = false;
};
/// Prints the rates of the PTX emulator.
runtime::Status benchEmulator(const EmulatorOptions &options);

struct ModelOptions {
  std::string bundle, device = "auto";
  int64_t promptTokens = 1024, decodeTokens = 128;
  /// Sequences that are generated at once.
  std::vector<int64_t> batches = {1};
  /// Measured runs of each, after one that is not.
  int runs = 3;
  /// Make the weights up, on the device.
  bool synthetic = false;
  bool json = false;
  /// Also write the results to this file, as JSON, and charts to that one, as
  /// SVG; empty for none.
  std::string output, plot;
};
/// Measures prefill and decode of a decoder. InvalidArgument for a prompt or a
/// batch that the bundle was not compiled for.
runtime::Status benchModel(const ModelOptions &options);

struct GemmOptions {
  std::vector<std::string> bundles;
  std::string device = "auto";
  /// Token counts to measure.
  std::vector<int64_t> tokens;
  /// Only products of this N or K.
  std::optional<int64_t> n, k;
  /// How long to measure each kernel.
  double seconds = 0.1;
  int minReplays = 5;
  bool baselines = true;
  /// Compare results with the reference, and measure nothing.
  bool checkOnly = false;
  /// The library of the baselines or its folder; empty to search for it.
  std::string cublas;
  bool json = false;
  /// As for models.
  std::string output, plot;
};
/// Measures every W4A8 product of the bundles, each first compared with the
/// reference, and the vendor's products of the same shapes beside them.
/// DataLoss when a result is wrong; what was measured is written all the same.
runtime::Status benchGemm(const GemmOptions &options);

/// Prints the facts of a device as JSON, or writes them to `output`.
runtime::Status describeDevice(const std::string &device,
                               const std::string &output);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_BENCH_H

//===- Bench.h - What odyssey-bench measures --------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_BENCH_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_BENCH_H

#include "odyssey/runtime/Status.h"

#include <cstdint>
#include <string>

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
  int64_t promptTokens = 128, decodeTokens = 32;
  /// Measurements of each, of which the median counts.
  int runs = 3;
  bool json = false;
};
/// Prints prefill and decode rates of a decoder.
runtime::Status benchModel(const ModelOptions &options);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_BENCH_H

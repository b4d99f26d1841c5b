//===- Benchmark.h - How fast the emulator is -------------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_BENCHMARK_H
#define ODYSSEY_RUNTIME_EMULATOR_BENCHMARK_H

#include "odyssey/runtime/Emulator.h"

namespace odyssey::runtime {

/// Rates of all threads together, per second.
struct EmulatorBenchmark {
  unsigned threads = 1;
  /// Warp instructions of a kernel of 32-bit integer arithmetic.
  double integerInstructions = 0;
  /// Warp instructions of a kernel of f32 arithmetic.
  double floatInstructions = 0;
  /// Bytes read from and written to shared memory, 16 bytes a thread.
  double sharedBytes = 0;
  /// Bytes that cp.async moves from global to shared memory.
  double asyncCopyBytes = 0;
  /// Multiply-adds of mma.m16n8k32 on s8.
  double int8MultiplyAdds = 0;
  /// Multiply-adds of mma.m16n8k16 on f16 with f32 accumulators.
  double halfMultiplyAdds = 0;
};

/// Measures each rate for about `seconds`.
Result<EmulatorBenchmark>
runEmulatorBenchmark(double seconds = 0.5, const EmulatorOptions &options = {});

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_EMULATOR_BENCHMARK_H

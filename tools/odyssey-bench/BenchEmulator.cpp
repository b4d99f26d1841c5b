//===- BenchEmulator.cpp - Rates of the PTX emulator ----------------------===//

#include "Bench.h"
#include "Benchmark.h"

#include <nlohmann/json.hpp>

#include <cstdio>

using namespace odyssey;
using namespace odyssey::runtime;

Status bench::benchEmulator(const EmulatorOptions &options) {
  runtime::EmulatorOptions emulator;
  emulator.threads = options.threads;
  ODYSSEY_ASSIGN_OR_RETURN(EmulatorBenchmark rates,
                           runEmulatorBenchmark(options.seconds, emulator));
  if (options.json) {
    nlohmann::ordered_json json = {
        {"threads", rates.threads},
        {"integer_warp_instructions_per_second", rates.integerInstructions},
        {"float_warp_instructions_per_second", rates.floatInstructions},
        {"shared_bytes_per_second", rates.sharedBytes},
        {"async_copy_bytes_per_second", rates.asyncCopyBytes},
        {"int8_multiply_adds_per_second", rates.int8MultiplyAdds},
        {"f16_multiply_adds_per_second", rates.halfMultiplyAdds}};
    std::printf("%s\n", json.dump(2).c_str());
    return Status::success();
  }
  auto print = [](const char *what, double rate, double unit,
                  const char *unitName) {
    std::printf("%-28s %8.1f %s\n", what, rate / unit, unitName);
  };
  std::printf("%-28s %8u\n", "threads", rates.threads);
  print("integer kernel", rates.integerInstructions, 1e6,
        "M warp instructions/s");
  print("f32 kernel", rates.floatInstructions, 1e6, "M warp instructions/s");
  print("shared memory, 16 bytes", rates.sharedBytes, 1e9, "GB/s");
  print("cp.async", rates.asyncCopyBytes, 1e9, "GB/s");
  print("mma.m16n8k32 s8", rates.int8MultiplyAdds, 1e9, "G multiply-adds/s");
  print("mma.m16n8k16 f16", rates.halfMultiplyAdds, 1e9, "G multiply-adds/s");
  return Status::success();
}

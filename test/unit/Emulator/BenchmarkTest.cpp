//===- BenchmarkTest.cpp - The benchmark runs -----------------------------===//

#include "emulator/Benchmark.h"

#include "gtest/gtest.h"

using namespace odyssey::runtime;

namespace {

TEST(Benchmark, EveryRateIsMeasured) {
  EmulatorOptions options;
  options.threads = 1;
  Result<EmulatorBenchmark> result = runEmulatorBenchmark(0.001, options);
  ASSERT_TRUE(result.ok()) << result.status().message();
  EXPECT_EQ(result->threads, 1u);
  for (double rate : {result->integerInstructions, result->floatInstructions,
                      result->sharedBytes, result->asyncCopyBytes,
                      result->int8MultiplyAdds, result->halfMultiplyAdds})
    EXPECT_GT(rate, 0);
}

} // namespace

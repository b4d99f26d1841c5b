//===- MeasureTest.cpp - Statistics and rotation of odyssey-bench ---------===//

#include "Measure.h"
#include "Roofline.h"
#include "SampleCheck.h"

#include "odyssey/runtime/Emulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey::bench;
using namespace odyssey::runtime;
using ::testing::ElementsAre;

namespace {

TEST(MeasureTest, PercentilesInterpolate) {
  EXPECT_DOUBLE_EQ(percentile({3}, 0.9), 3);
  EXPECT_DOUBLE_EQ(percentile({5, 1, 3}, 0.5), 3);
  EXPECT_DOUBLE_EQ(percentile({4, 2}, 0.5), 3);
  EXPECT_DOUBLE_EQ(percentile({0, 10, 20, 30, 40}, 0.1), 4);
  EXPECT_DOUBLE_EQ(percentile({0, 10, 20, 30, 40}, 1), 40);
}

TEST(MeasureTest, RotatingBuffersAreManyTimesTheCache) {
  EXPECT_EQ(rotatingCopies(8 << 20, 50 << 20), 50);
  // A matrix larger than all that still alternates with another one.
  EXPECT_EQ(rotatingCopies(size_t(1) << 30, 50 << 20), 2);
  EXPECT_EQ(rotatingCopies(100, 0), 2);
  EXPECT_EQ(rotatingCopies(1, 50 << 20), 2000);
}

TEST(MeasureTest, GraphsAreWholeRoundsAndFailuresAreReported) {
  auto device = std::move(createEmulator()).value();
  std::vector<int> calls;
  MeasureOptions options;
  options.rotation = 3;
  options.seconds = 1e-9;
  options.minReplays = 4;
  auto timing = measure(
      *device,
      [&](int i) {
        calls.push_back(i);
        return Status::success();
      },
      options);
  ASSERT_TRUE(timing.ok()) << timing.status().message();
  EXPECT_EQ(timing->launches % 3, 0);
  EXPECT_EQ(timing->replays, 4);
  EXPECT_LE(timing->low, timing->median);
  EXPECT_LE(timing->median, timing->high);
  // Once alone, then the round of the first graph.
  calls.resize(4);
  EXPECT_THAT(calls, ElementsAre(0, 0, 1, 2));

  auto failed = measure(
      *device, [](int) { return unsupported("no such kernel"); }, options);
  EXPECT_EQ(failed.status().message(), "no such kernel");
  // The device has not been left in the middle of a recording.
  EXPECT_TRUE(device->synchronize().ok());
}

TEST(RooflineTest, CountsPaddingNeitherAsBytesNorAsOperations) {
  ProductPlan product;
  product.n = 200;
  product.k = 172;
  product.weightBits = 4;
  product.panelChannels = 64;
  product.rowBytes = 192;
  ProductWork work = productWork(product, 3);
  EXPECT_EQ(work.bytes, 200 * 172 / 2 + 200 * 4 + 3 * (172 + 4) + 3 * 200 * 2);
  EXPECT_EQ(work.operations, 2.0 * 3 * 200 * 172);
  EXPECT_EQ(packedBytes(product), 256u * 192 / 2);
}

TEST(RooflineTest, TheFloorIsTheSlowerOfMemoryAndTensorCores) {
  DeviceProperties device;
  device.computeCapability = 80;
  device.multiprocessors = 108;
  device.clockHertz = 1.41e9;
  device.memoryBytesPerSecond = 2e12;
  Peaks peaks = peaksOf(device);
  // NVIDIA: 624 TOPS.
  EXPECT_NEAR(peaks.operationsPerSecond, 624e12, 1e12);
  EXPECT_DOUBLE_EQ(floorSeconds({2e6, 1}, peaks), 1e-6);
  EXPECT_NEAR(floorSeconds({2e6, 624e9}, peaks), 1e-3, 1e-5);
  EXPECT_EQ(floorSeconds({2e6, 1}, Peaks()), 0);
}

TEST(SampleCheckTest, SamplesTakeBothEndsAndAllOfASmallRange) {
  EXPECT_THAT(sampleIndices(1, 8), ElementsAre(0));
  EXPECT_THAT(sampleIndices(3, 8), ElementsAre(0, 1, 2));
  auto samples = sampleIndices(4096, 64);
  EXPECT_EQ(samples.size(), 64u);
  EXPECT_EQ(samples.front(), 0);
  EXPECT_EQ(samples.back(), 4095);
}

} // namespace

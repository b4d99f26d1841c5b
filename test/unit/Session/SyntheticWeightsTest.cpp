//===- SyntheticWeightsTest.cpp - Weights for measurements ----------------===//

#include "SyntheticWeights.h"

#include "FakeDevice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;

namespace {

template <typename T>
std::vector<T> download(Device &device, const DeviceBuffer &buffer,
                        size_t count) {
  std::vector<T> values(count);
  EXPECT_TRUE(
      device.copyToHost(values.data(), buffer.address(), count * sizeof(T))
          .ok());
  return values;
}

TEST(SyntheticWeightsTest, AreRandomAndOfUsefulSize) {
  FakeDevice device;
  const std::vector<TensorType> types = {
      {"packed", ElementType::U8, {1000}},
      {"scale", ElementType::F32, {1000}},
      {"norm", ElementType::F16, {1000}},
  };
  auto made = makeSyntheticWeights(device, types);
  ASSERT_TRUE(made.ok()) << made.status().message();
  auto bytes = download<uint8_t>(device, (*made)[0], 1000);
  EXPECT_GT(std::set<uint8_t>(bytes.begin(), bytes.end()).size(), 200u);
  std::set<float> scales;
  for (float scale : download<float>(device, (*made)[1], 1000)) {
    EXPECT_GE(scale, 0x1p-9f);
    EXPECT_LT(scale, 0x1p-8f);
    scales.insert(scale);
  }
  EXPECT_GT(scales.size(), 900u);
  auto ofBytes = makeSyntheticWeights(device, types, /*weightBits=*/8);
  ASSERT_TRUE(ofBytes.ok());
  for (float scale : download<float>(device, (*ofBytes)[1], 1000)) {
    EXPECT_GE(scale, 0x1p-13f);
    EXPECT_LT(scale, 0x1p-12f);
  }
  bool positive = false, negative = false;
  for (uint16_t half : download<uint16_t>(device, (*made)[2], 1000)) {
    // An exponent of -2.
    EXPECT_EQ(half & 0x7c00, 0x3400);
    (half & 0x8000 ? negative : positive) = true;
  }
  EXPECT_TRUE(positive && negative);

  auto again = makeSyntheticWeights(device, types);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(download<uint8_t>(device, (*again)[0], 1000), bytes);
}

TEST(SyntheticWeightsTest, FillWeightsLargerThanABlock) {
  FakeDevice device;
  constexpr int64_t kBytes = (9 << 20) + 3;
  auto made =
      makeSyntheticWeights(device, {{"packed", ElementType::U8, {kBytes}}});
  ASSERT_TRUE(made.ok()) << made.status().message();
  auto bytes = download<uint8_t>(device, (*made)[0], kBytes);
  std::set<uint8_t> tail(bytes.end() - 2000, bytes.end());
  EXPECT_GT(tail.size(), 200u);
}

TEST(SyntheticWeightsTest, TooMuchIsNamed) {
  FakeDevice device;
  device.failAt = "allocate";
  auto made = makeSyntheticWeights(device, {{"w", ElementType::U8, {16}}});
  EXPECT_FALSE(made.ok());
  EXPECT_EQ(device.liveBuffers(), 0u);
}

} // namespace

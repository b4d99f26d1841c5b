//===- DequantizeTest.cpp -------------------------------------------------===//
//
// Each test packs known integers into blocks the way ggml's quantizers do
// (quantize_row_*_ref in ggml-quants.c), and expects the format's formula.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/StorageType.h"

#include <bit>
#include <gtest/gtest.h>
#include <random>

using namespace odyssey;

namespace {

using Bytes = std::vector<uint8_t>;

class DequantizeTest : public ::testing::Test {
protected:
  /// `count` integers below `bound`.
  std::vector<int> integers(int count, int bound) {
    std::vector<int> values(count);
    for (int &value : values)
      value = static_cast<int>(random() % bound);
    return values;
  }

  static void appendHalf(Bytes &bytes, uint16_t half) {
    bytes.push_back(half & 255);
    bytes.push_back(half >> 8);
  }

  /// Values 0 to 15 of 32, the second half of them in the high nibbles.
  static void appendNibbles(Bytes &bytes, const std::vector<int> &q) {
    for (int i = 0; i < 16; ++i)
      bytes.push_back((q[i] & 15) | (q[i + 16] & 15) << 4);
  }

  static void appendFifthBits(Bytes &bytes, const std::vector<int> &q) {
    uint32_t bits = 0;
    for (int i = 0; i < 32; ++i)
      bits |= static_cast<uint32_t>(q[i] >> 4) << i;
    for (int i = 0; i < 4; ++i)
      bytes.push_back(bits >> (8 * i));
  }

  /// From an odd address, since files promise no alignment.
  static std::vector<float> run(StorageType type, const Bytes &bytes,
                                int64_t count) {
    Bytes shifted = {0};
    shifted.insert(shifted.end(), bytes.begin(), bytes.end());
    std::vector<float> values(count);
    dequantize(type, shifted.data() + 1, count, values.data());
    return values;
  }

  static constexpr uint16_t dBits = 0x2d53, mBits = 0xb1a7;
  const double d = halfToFloat(dBits), m = halfToFloat(mBits);
  std::mt19937 random{3};
};

} // namespace

TEST_F(DequantizeTest, F32) {
  Bytes bytes = {0x00, 0x00, 0x80, 0x3f, 0xdb, 0x0f, 0x49, 0xc0};
  EXPECT_EQ(run(StorageType::F32, bytes, 2),
            (std::vector<float>{1.0f, -3.14159274f}));
}

TEST_F(DequantizeTest, F16) {
  Bytes bytes = {0x00, 0x3c, 0x01, 0x80, 0xff, 0x7b};
  EXPECT_EQ(run(StorageType::F16, bytes, 3),
            (std::vector<float>{1.0f, -0x1p-24f, 65504.0f}));
}

TEST_F(DequantizeTest, BF16) {
  Bytes bytes = {0x80, 0x3f, 0x49, 0xc0};
  EXPECT_EQ(run(StorageType::BF16, bytes, 2),
            (std::vector<float>{1.0f, -3.140625f}));
}

TEST_F(DequantizeTest, Q4_0) {
  std::vector<int> q = integers(64, 16);
  Bytes bytes;
  for (int block = 0; block < 2; ++block) {
    appendHalf(bytes, dBits);
    appendNibbles(bytes, {q.begin() + 32 * block, q.end()});
  }
  std::vector<float> values = run(StorageType::Q4_0, bytes, 64);
  for (int i = 0; i < 64; ++i)
    EXPECT_EQ(values[i], static_cast<float>(d * (q[i] - 8))) << i;
}

TEST_F(DequantizeTest, Q4_1) {
  std::vector<int> q = integers(32, 16);
  Bytes bytes;
  appendHalf(bytes, dBits);
  appendHalf(bytes, mBits);
  appendNibbles(bytes, q);
  std::vector<float> values = run(StorageType::Q4_1, bytes, 32);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], static_cast<float>(d * q[i] + m)) << i;
}

TEST_F(DequantizeTest, Q5_0) {
  std::vector<int> q = integers(32, 32);
  Bytes bytes;
  appendHalf(bytes, dBits);
  appendFifthBits(bytes, q);
  appendNibbles(bytes, q);
  std::vector<float> values = run(StorageType::Q5_0, bytes, 32);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], static_cast<float>(d * (q[i] - 16))) << i;
}

TEST_F(DequantizeTest, Q5_1) {
  std::vector<int> q = integers(32, 32);
  Bytes bytes;
  appendHalf(bytes, dBits);
  appendHalf(bytes, mBits);
  appendFifthBits(bytes, q);
  appendNibbles(bytes, q);
  std::vector<float> values = run(StorageType::Q5_1, bytes, 32);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], static_cast<float>(d * q[i] + m)) << i;
}

TEST_F(DequantizeTest, Q8_0) {
  std::vector<int> q = integers(32, 256);
  Bytes bytes;
  appendHalf(bytes, dBits);
  for (int value : q)
    bytes.push_back(static_cast<uint8_t>(value - 128));
  std::vector<float> values = run(StorageType::Q8_0, bytes, 32);
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], static_cast<float>(d * (q[i] - 128))) << i;
}

TEST_F(DequantizeTest, Q4_K) {
  std::vector<int> q = integers(256, 16);
  std::vector<int> scales = integers(8, 64), mins = integers(8, 64);
  uint8_t packed[12] = {};
  for (int j = 0; j < 8; ++j) {
    if (j < 4) {
      packed[j] = scales[j];
      packed[j + 4] = mins[j];
    } else {
      packed[j + 4] = (scales[j] & 15) | (mins[j] & 15) << 4;
      packed[j - 4] |= scales[j] >> 4 << 6;
      packed[j] |= mins[j] >> 4 << 6;
    }
  }
  Bytes bytes;
  appendHalf(bytes, dBits);
  appendHalf(bytes, mBits);
  bytes.insert(bytes.end(), packed, packed + 12);
  for (int j = 0; j < 256; j += 64)
    for (int i = 0; i < 32; ++i)
      bytes.push_back(q[j + i] | q[j + i + 32] << 4);
  std::vector<float> values = run(StorageType::Q4_K, bytes, 256);
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(values[i],
              static_cast<float>(d * scales[i / 32] * q[i] - m * mins[i / 32]))
        << i;
}

TEST_F(DequantizeTest, Q6_K) {
  std::vector<int> q = integers(256, 64), scales = integers(16, 256);
  Bytes low, high;
  for (int j = 0; j < 256; j += 128) {
    const int *l = q.data() + j;
    for (int i = 0; i < 32; ++i)
      low.push_back((l[i] & 15) | (l[i + 64] & 15) << 4);
    for (int i = 0; i < 32; ++i)
      low.push_back((l[i + 32] & 15) | (l[i + 96] & 15) << 4);
    for (int i = 0; i < 32; ++i)
      high.push_back(l[i] >> 4 | l[i + 32] >> 4 << 2 | l[i + 64] >> 4 << 4 |
                     l[i + 96] >> 4 << 6);
  }
  Bytes bytes = low;
  bytes.insert(bytes.end(), high.begin(), high.end());
  for (int scale : scales)
    bytes.push_back(static_cast<uint8_t>(scale - 128));
  appendHalf(bytes, dBits);
  std::vector<float> values = run(StorageType::Q6_K, bytes, 256);
  for (int i = 0; i < 256; ++i)
    EXPECT_EQ(values[i],
              static_cast<float>(d * (scales[i / 16] - 128) * (q[i] - 32)))
        << i;
}

TEST(StorageType, BlockSizes) {
  auto bytesOf = [](StorageType type) { return storageBlock(type).bytes; };
  EXPECT_EQ(bytesOf(StorageType::Q4_0), 18);
  EXPECT_EQ(bytesOf(StorageType::Q4_1), 20);
  EXPECT_EQ(bytesOf(StorageType::Q5_0), 22);
  EXPECT_EQ(bytesOf(StorageType::Q5_1), 24);
  EXPECT_EQ(bytesOf(StorageType::Q8_0), 34);
  EXPECT_EQ(bytesOf(StorageType::Q4_K), 144);
  EXPECT_EQ(bytesOf(StorageType::Q6_K), 210);
}

TEST(StorageType, Names) {
  EXPECT_EQ(parseGgmlType(12), StorageType::Q4_K);
  EXPECT_EQ(parseGgmlType(13), std::nullopt);
  EXPECT_EQ(ggmlTypeName(13), "Q5_K");
  EXPECT_EQ(ggmlTypeName(16), "IQ2_XXS");
  EXPECT_EQ(ggmlTypeName(4), "type 4");
  EXPECT_EQ(parseSafetensorsType("BF16"), StorageType::BF16);
  EXPECT_EQ(parseSafetensorsType("Q4_0"), std::nullopt);
  EXPECT_EQ(storageTypeName(StorageType::Q6_K), "Q6_K");
}

//===- Dequantize.cpp - Stored numbers to fp32 ----------------------------===//
//
// The block formats are those of ggml (ggml-common.h). In each, `d` and `m`
// are fp16; offsets below are in bytes from the start of a block.
//
//   Q4_0  d 0, nibbles 2                     (q - 8) * d
//   Q4_1  d 0, m 2, nibbles 4                q * d + m
//   Q5_0  d 0, fifth bits 2, nibbles 6       (q - 16) * d
//   Q5_1  d 0, m 2, fifth bits 4, nibbles 8  q * d + m
//   Q8_0  d 0, signed bytes 2                q * d
//
// Blocks of 32 keep value i in the low nibble of byte i and value i + 16 in
// the high one; bit i of the fifth bits belongs to value i.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/StorageType.h"

#include "llvm/Support/Endian.h"
#include "llvm/Support/ErrorHandling.h"

#include <bit>

using namespace odyssey;
using llvm::support::endian::read16le;
using llvm::support::endian::read32le;

static float readHalf(const uint8_t *bytes) {
  return halfToFloat(read16le(bytes));
}

static void dequantizeQ4_0(const uint8_t *block, float *out) {
  float d = readHalf(block);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>((block[2 + i] & 15) - 8) * d;
    out[i + 16] = static_cast<float>((block[2 + i] >> 4) - 8) * d;
  }
}

static void dequantizeQ4_1(const uint8_t *block, float *out) {
  float d = readHalf(block), m = readHalf(block + 2);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(block[4 + i] & 15) * d + m;
    out[i + 16] = static_cast<float>(block[4 + i] >> 4) * d + m;
  }
}

/// The 5-bit value `i` of a block whose parts start at `high` and `nibbles`.
static int fiveBits(uint32_t high, const uint8_t *nibbles, int i) {
  int low = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
  return low | static_cast<int>((high >> i) & 1) << 4;
}

static void dequantizeQ5_0(const uint8_t *block, float *out) {
  float d = readHalf(block);
  uint32_t high = read32le(block + 2);
  for (int i = 0; i < 32; ++i)
    out[i] = static_cast<float>(fiveBits(high, block + 6, i) - 16) * d;
}

static void dequantizeQ5_1(const uint8_t *block, float *out) {
  float d = readHalf(block), m = readHalf(block + 2);
  uint32_t high = read32le(block + 4);
  for (int i = 0; i < 32; ++i)
    out[i] = static_cast<float>(fiveBits(high, block + 8, i)) * d + m;
}

static void dequantizeQ8_0(const uint8_t *block, float *out) {
  float d = readHalf(block);
  for (int i = 0; i < 32; ++i)
    out[i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * d;
}

/// 256 values in 8 sub-blocks of 32, value = q * (d * scale) - dmin * min:
/// d 0, dmin 2, twelve bytes of 6-bit scales and mins 4, nibbles 16. Sub-blocks
/// 2i and 2i + 1 are the low and the high nibbles of the same 32 bytes.
static void dequantizeQ4_K(const uint8_t *block, float *out) {
  float d = readHalf(block), dmin = readHalf(block + 2);
  const uint8_t *packed = block + 4;
  const uint8_t *nibbles = block + 16;
  for (int sub = 0; sub < 8; ++sub) {
    // Sub-blocks 0 to 3 have their scales in the low 6 bits of bytes 0 to 3,
    // their mins in bytes 4 to 7. The others have 4 bits each in bytes 8 to
    // 11, and the upper 2 bits in the tops of the bytes before.
    int scale, min;
    if (sub < 4) {
      scale = packed[sub] & 63;
      min = packed[sub + 4] & 63;
    } else {
      scale = (packed[sub + 4] & 15) | (packed[sub - 4] >> 6) << 4;
      min = (packed[sub + 4] >> 4) | (packed[sub] >> 6) << 4;
    }
    float step = d * static_cast<float>(scale);
    float offset = dmin * static_cast<float>(min);
    const uint8_t *bytes = nibbles + sub / 2 * 32;
    int shift = sub % 2 * 4;
    for (int i = 0; i < 32; ++i)
      out[sub * 32 + i] =
          static_cast<float>((bytes[i] >> shift) & 15) * step - offset;
  }
}

/// 256 values, value = (q - 32) * scale * d: nibbles 0, upper two bits 128, 16
/// signed scales for 16 values each 192, d 208. Each half of 128 values has 64
/// bytes of nibbles and 32 bytes of upper bits; its quarter j takes the low
/// (j < 2) or high nibbles of bytes 32 * (j % 2) and on, and bits 2j, 2j + 1.
static void dequantizeQ6_K(const uint8_t *block, float *out) {
  float d = readHalf(block + 208);
  const auto *scales = reinterpret_cast<const int8_t *>(block + 192);
  for (int half = 0; half < 2; ++half) {
    const uint8_t *nibbles = block + half * 64;
    const uint8_t *upper = block + 128 + half * 32;
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int i = 0; i < 32; ++i) {
        int low = (nibbles[quarter % 2 * 32 + i] >> (quarter / 2 * 4)) & 15;
        int high = (upper[i] >> (2 * quarter)) & 3;
        int index = half * 128 + quarter * 32 + i;
        out[index] = d * static_cast<float>(scales[index / 16]) *
                     static_cast<float>((low | high << 4) - 32);
      }
    }
  }
}

void odyssey::dequantize(StorageType type, const uint8_t *bytes, int64_t count,
                         float *out) {
  auto eachBlock = [&](void (*convert)(const uint8_t *, float *)) {
    StorageBlock block = storageBlock(type);
    assert(count % block.elements == 0 && "whole blocks only");
    for (int64_t i = 0; i < count; i += block.elements, bytes += block.bytes)
      convert(bytes, out + i);
  };
  switch (type) {
  case StorageType::F32:
    for (int64_t i = 0; i < count; ++i)
      out[i] = std::bit_cast<float>(read32le(bytes + 4 * i));
    return;
  case StorageType::F16:
    for (int64_t i = 0; i < count; ++i)
      out[i] = readHalf(bytes + 2 * i);
    return;
  case StorageType::BF16:
    for (int64_t i = 0; i < count; ++i)
      out[i] = std::bit_cast<float>(
          static_cast<uint32_t>(read16le(bytes + 2 * i)) << 16);
    return;
  case StorageType::Q4_0:
    return eachBlock(dequantizeQ4_0);
  case StorageType::Q4_1:
    return eachBlock(dequantizeQ4_1);
  case StorageType::Q5_0:
    return eachBlock(dequantizeQ5_0);
  case StorageType::Q5_1:
    return eachBlock(dequantizeQ5_1);
  case StorageType::Q8_0:
    return eachBlock(dequantizeQ8_0);
  case StorageType::Q4_K:
    return eachBlock(dequantizeQ4_K);
  case StorageType::Q6_K:
    return eachBlock(dequantizeQ6_K);
  default:
    llvm_unreachable("not a dequantizable type");
  }
}

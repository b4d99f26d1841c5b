//===- SampleCheck.cpp - Results against the reference --------------------===//

#include "SampleCheck.h"

#include "Roofline.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Layout/InterleavedRows.h"
#include "odyssey/Layout/PackedWeights.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;

namespace {
constexpr int64_t kSampledRows = 8, kSampledChannels = 64;
} // namespace

std::vector<int64_t> bench::sampleIndices(int64_t size, int64_t count) {
  count = std::min(size, count);
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < count; ++i) {
    // One in each of `count` parts, at places that share no pattern with tiles.
    int64_t begin = i * size / count, end = (i + 1) * size / count;
    indices.push_back(begin + i * 7919 % (end - begin));
  }
  indices.back() = size - 1;
  return indices;
}

/// The fp16 number at `index` of an array of bytes.
static float halfAt(const std::vector<uint8_t> &bytes, int64_t index) {
  size_t at = 2 * static_cast<size_t>(index);
  return halfToFloat(static_cast<uint16_t>(bytes[at] | bytes[at + 1] << 8));
}

/// A value of 8 bits of the activations.
static int32_t activation(const HostOperands &operands, int64_t row,
                          int64_t k) {
  return static_cast<int8_t>(
      (*operands.x)[static_cast<size_t>(row * operands.k + k)]);
}

/// The exponential of N20 in docs/numerics.md.
static float exponential(float x) {
  if (x < -87)
    return 0;
  float c = std::min(x, 88.0f), n = std::nearbyint(c * 1.44269504f);
  float f = std::fma(n, -0.693359375f, c);
  f = std::fma(n, 2.12194440e-4f, f);
  float p = 1.9875691500e-4f;
  for (float coefficient :
       {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f,
        5.0000001201e-1f})
    p = std::fma(p, f, coefficient);
  return std::ldexp(std::fma(p, f * f, f) + 1, static_cast<int>(n));
}

/// Compares `expected(row, channel)` with sampled results, rows of `columns`
/// elements of `elementBytes` bytes, by `isRight(expected, bits)`.
template <typename Expected, typename IsRight>
static Result<int64_t>
checkSamples(Device &device, const HostOperands &operands, DeviceAddress result,
             int64_t columns, size_t elementBytes, const Expected &expected,
             const IsRight &isRight) {
  size_t rowBytes = static_cast<size_t>(columns) * elementBytes;
  std::vector<uint8_t> row(rowBytes);
  std::vector<int64_t> channels = sampleIndices(columns, kSampledChannels);
  int64_t compared = 0;
  for (int64_t m : sampleIndices(operands.m, kSampledRows)) {
    ODYSSEY_RETURN_IF_ERROR(device.copyToHost(
        row.data(), result + static_cast<size_t>(m) * rowBytes, rowBytes));
    for (int64_t n : channels) {
      uint32_t bits = 0;
      memcpy(&bits, row.data() + static_cast<size_t>(n) * elementBytes,
             elementBytes);
      auto want = expected(m, n);
      std::string difference = isRight(want, bits);
      if (!difference.empty())
        return dataLoss("wrong result for token " + std::to_string(m) +
                        ", channel " + std::to_string(n) + ": " + difference);
      ++compared;
    }
  }
  return compared;
}

Result<int64_t> bench::checkProduct(Device &device,
                                    const HostOperands &operands,
                                    const ProductPlan &product,
                                    DeviceAddress result) {
  layout::PackedWeights packed{operands.n, operands.k, product.panelChannels,
                               /*offset=*/0, product.weightBits};
  layout::WeightFormat format{product.weightBits, product.groupSize};
  layout::PackedMultipliers groups = packedMultipliers(product);
  // Rows of the weights as the kernel multiplies them: of 4 bits 16 times as
  // large, or with groups times their multipliers (N30); of 8 bits as they are.
  std::map<int64_t, std::vector<int8_t>> rows;
  auto weightsOf = [&](int64_t n) -> const std::vector<int8_t> & {
    auto [row, isNew] = rows.try_emplace(n);
    for (int64_t k = 0; isNew && k < operands.k; ++k) {
      layout::NibblePosition at = packed.position(n, k);
      uint8_t byte = operands.weights->byte(operands.weightsOffset +
                                            static_cast<size_t>(at.byte));
      if (format.bits == 8) {
        row->second.push_back(static_cast<int8_t>(byte));
        continue;
      }
      if (format.groupSize == 0) {
        row->second.push_back(
            static_cast<int8_t>(at.high ? byte & 0xf0 : byte << 4 & 0xf0));
        continue;
      }
      layout::NibblePosition group = groups.position(n, k / product.groupSize);
      uint8_t pair = (*operands.multipliers)[static_cast<size_t>(group.byte)];
      int multiplier = group.high ? pair >> 4 : pair & 0xf;
      int nibble = at.high ? byte >> 4 : byte & 0xf;
      row->second.push_back(static_cast<int8_t>((nibble - 8) * multiplier));
    }
    return row->second;
  };
  auto productOf = [&](int64_t m, int64_t n) {
    const std::vector<int8_t> &weights = weightsOf(n);
    int32_t sum = 0;
    for (int64_t k = 0; k < operands.k; ++k)
      sum += activation(operands, m, k) * weights[static_cast<size_t>(k)];
    float value = static_cast<float>(sum) *
                  ((*operands.weightScales)[static_cast<size_t>(n)] /
                   static_cast<float>(format.factor()));
    value *= (*operands.xScales)[static_cast<size_t>(m)];
    if (operands.bias)
      value += halfAt(*operands.bias, n);
    if (operands.residual)
      value =
          roundToHalf(value) + halfAt(*operands.residual, m * operands.n + n);
    return value;
  };
  auto expected = [&](int64_t m, int64_t n) {
    if (!product.siluMul)
      return floatToHalf(productOf(m, n));
    int64_t gate = layout::interleavedRow(n, operands.n);
    int64_t up = layout::interleavedRow(product.outputs() + n, operands.n);
    float g = roundToHalf(productOf(m, gate));
    return floatToHalf(g / (1 + exponential(0 - g)) *
                       roundToHalf(productOf(m, up)));
  };
  return checkSamples(
      device, operands, result, product.outputs(), sizeof(uint16_t), expected,
      [](uint16_t want, uint32_t bits) -> std::string {
        if (want == bits)
          return "";
        char text[64];
        snprintf(text, sizeof(text), "expected fp16 0x%04x, got 0x%04x", want,
                 static_cast<unsigned>(bits));
        return text;
      });
}

Result<int64_t> bench::checkInt8(Device &device, const HostOperands &operands,
                                 DeviceAddress result) {
  auto expected = [&](int64_t m, int64_t n) {
    int32_t sum = 0;
    size_t row = operands.weightsOffset + static_cast<size_t>(n * operands.k);
    for (int64_t k = 0; k < operands.k; ++k)
      sum += activation(operands, m, k) *
             static_cast<int8_t>(
                 operands.weights->byte(row + static_cast<size_t>(k)));
    return sum;
  };
  return checkSamples(device, operands, result, operands.n, sizeof(int32_t),
                      expected, [](int32_t want, uint32_t bits) -> std::string {
                        if (want == static_cast<int32_t>(bits))
                          return "";
                        return "expected " + std::to_string(want) + ", got " +
                               std::to_string(static_cast<int32_t>(bits));
                      });
}

Result<int64_t> bench::checkHalf(Device &device, const HostOperands &operands,
                                 DeviceAddress result) {
  struct Bounds {
    double value, magnitude;
  };
  auto expected = [&](int64_t m, int64_t n) {
    Bounds sum{0, 0};
    size_t row =
        operands.weightsOffset + 2 * static_cast<size_t>(n * operands.k);
    const std::vector<uint8_t> &x = *operands.xHalf;
    for (int64_t k = 0; k < operands.k; ++k) {
      double product =
          static_cast<double>(halfAt(x, m * operands.k + k)) *
          halfToFloat(operands.weights->half(row + 2 * static_cast<size_t>(k)));
      sum.value += product;
      sum.magnitude += std::fabs(product);
    }
    return sum;
  };
  return checkSamples(device, operands, result, operands.n, sizeof(uint16_t),
                      expected,
                      [](const Bounds &want, uint32_t bits) -> std::string {
                        double got = halfToFloat(static_cast<uint16_t>(bits));
                        // Half a unit of the result, and fp32's rounding of the
                        // partial sums (2^-14 of their magnitudes is generous).
                        double tolerance = std::fabs(want.value) * 0x1p-10 +
                                           want.magnitude * 0x1p-14;
                        if (std::fabs(got - want.value) <= tolerance)
                          return "";
                        return "expected " + std::to_string(want.value) +
                               ", got " + std::to_string(got);
                      });
}

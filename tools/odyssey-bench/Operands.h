//===- Operands.h - What benchmarked products read and write ----*- C++ -*-===//
//
// Operands in device memory, made from random bytes that the host can compute
// again, so that it can check results without reading the operands back:
//
//   weights   an arena many times as large as the cache; copies of a matrix lie
//             in it one after the other and are used in turn
//   others    activations, scales, bias, residual and the result; as after the
//   kernel
//             in front in a model they may be in the cache
//
// Any byte is a pair of 4-bit weights, and any is one of 8 bits, packed or not,
// so that one arena serves the products of all; another one holds fp16 values.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_OPERANDS_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_OPERANDS_H

#include "odyssey/runtime/Device.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace odyssey::bench {

struct OperandAddresses {
  runtime::DeviceAddress x = 0, xScales = 0, weights = 0, weightScales = 0,
                         bias = 0, residual = 0, multipliers = 0, norm = 0,
                         result = 0, maxima = 0;
  /// Of a product that makes its activations itself.
  runtime::DeviceAddress xHalf = 0, xNorm = 0, xStatistics = 0;
};

/// A device buffer filled by repeating a block of host memory.
class PatternBuffer {
public:
  explicit PatternBuffer(runtime::Device &device) : device(device) {}
  ~PatternBuffer();
  PatternBuffer(const PatternBuffer &) = delete;
  PatternBuffer &operator=(const PatternBuffer &) = delete;

  /// Makes the buffer at least `bytes` long. The pattern's length is no
  /// multiple of 256, so that buffers at different offsets differ.
  runtime::Status reserve(size_t bytes, const std::vector<uint8_t> &block,
                          const std::string &label);

  runtime::Device &owner() const { return device; }
  runtime::DeviceAddress address() const { return where; }
  size_t bytes() const { return size; }
  uint8_t byte(size_t offset) const { return pattern[offset % pattern.size()]; }
  /// Two bytes at an even offset.
  uint16_t half(size_t offset) const {
    return static_cast<uint16_t>(byte(offset) | byte(offset + 1) << 8);
  }

private:
  runtime::Device &device;
  runtime::DeviceAddress where = 0;
  size_t size = 0;
  std::vector<uint8_t> pattern;
};

/// Random bytes, or random fp16 values from -1 to 1 as bytes.
std::vector<uint8_t> randomBytes(size_t count, uint64_t seed);
std::vector<uint8_t> randomHalves(size_t count, uint64_t seed);
/// Random floats from `low` to `high`.
std::vector<float> randomFloats(size_t count, float low, float high,
                                uint64_t seed);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_OPERANDS_H

//===- Operands.cpp - What benchmarked products read and write ------------===//

#include "Operands.h"

#include "odyssey/Frontend/Checkpoint/Half.h"

#include <algorithm>
#include <random>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;

PatternBuffer::~PatternBuffer() {
  if (where)
    (void)device.free(where);
}

Status PatternBuffer::reserve(size_t bytes, const std::vector<uint8_t> &block,
                              const std::string &label) {
  if (bytes <= size)
    return Status::success();
  if (where)
    ODYSSEY_RETURN_IF_ERROR(device.free(where));
  where = 0;
  size = 0;
  ODYSSEY_ASSIGN_OR_RETURN(where, device.allocate(bytes, label));
  size = bytes;
  pattern = block;
  for (size_t offset = 0; offset < bytes; offset += pattern.size())
    ODYSSEY_RETURN_IF_ERROR(
        device.copyToDevice(where + offset, pattern.data(),
                            std::min(pattern.size(), bytes - offset)));
  return Status::success();
}

std::vector<uint8_t> bench::randomBytes(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> result(count);
  for (size_t i = 0; i < count; i += sizeof(uint64_t)) {
    uint64_t bits = random();
    for (size_t j = i; j < std::min(i + sizeof(bits), count); ++j, bits >>= 8)
      result[j] = static_cast<uint8_t>(bits);
  }
  return result;
}

std::vector<uint8_t> bench::randomHalves(size_t count, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<uint8_t> result;
  result.reserve(2 * count);
  for (size_t i = 0; i < count; ++i) {
    float value = static_cast<float>(static_cast<int>(random() % 2049) - 1024);
    uint16_t half = floatToHalf(value / 1024);
    result.push_back(static_cast<uint8_t>(half));
    result.push_back(static_cast<uint8_t>(half >> 8));
  }
  return result;
}

std::vector<float> bench::randomFloats(size_t count, float low, float high,
                                       uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<float> result(count);
  for (float &value : result)
    value = low + (high - low) * static_cast<float>(random() % 65536) / 65536;
  return result;
}

//===- SyntheticWeights.cpp - Weights for measurements --------------------===//

#include "SyntheticWeights.h"

#include <algorithm>
#include <cstring>
#include <random>

namespace odyssey::runtime {

namespace {

/// What is made on the host, and repeated on the device.
constexpr size_t kBlockBytes = size_t(4) << 20;

/// `count` bytes of random elements of `type`.
std::vector<uint8_t> randomBlock(ElementType type, size_t count,
                                 int64_t weightBits) {
  std::mt19937_64 random(static_cast<uint64_t>(type) + 1);
  std::vector<uint8_t> block(count);
  for (size_t i = 0; i + sizeof(uint64_t) <= count; i += sizeof(uint64_t)) {
    uint64_t bits = random();
    switch (type) {
    case ElementType::I8:
    case ElementType::U8:
      break;
    case ElementType::I32:
      bits = 0;
      break;
    case ElementType::F16:
      // Four numbers from 0.25 to 0.5, of either sign: sign, exponent 01101,
      // random mantissa.
      bits = (bits & 0x83ff83ff83ff83ff) | 0x3400340034003400;
      break;
    case ElementType::BF16:
      bits = (bits & 0x807f807f807f807f) | 0x3e803e803e803e80;
      break;
    case ElementType::F32:
      // Two numbers from 2^-9 to 2^-8, as scales of weights are: products of a
      // few thousand 4-bit weights keep about the size of their input. From
      // 2^-13 to 2^-12 for 8 bits.
      bits = (bits & 0x007fffff007fffff) |
             (weightBits == 8 ? 0x3900000039000000 : 0x3b0000003b000000);
      break;
    }
    memcpy(block.data() + i, &bits, sizeof(bits));
  }
  return block;
}

} // namespace

Result<std::vector<DeviceBuffer>>
makeSyntheticWeights(Device &device, const std::vector<TensorType> &weights,
                     int64_t weightBits) {
  std::vector<DeviceBuffer> buffers;
  std::vector<std::vector<uint8_t>> blocks(
      static_cast<size_t>(ElementType::F32) + 1);
  for (const TensorType &weight : weights) {
    std::vector<uint8_t> &block = blocks[static_cast<size_t>(weight.type)];
    if (block.empty())
      block = randomBlock(weight.type, kBlockBytes, weightBits);
    size_t bytes = weight.bytes(0);
    ODYSSEY_ASSIGN_OR_RETURN(
        DeviceBuffer buffer,
        DeviceBuffer::allocate(device, bytes,
                               "synthetic weight " + weight.name));
    for (size_t offset = 0; offset < bytes; offset += block.size())
      ODYSSEY_RETURN_IF_ERROR(
          device.copyToDevice(buffer.address() + offset, block.data(),
                              std::min(block.size(), bytes - offset)));
    buffers.push_back(std::move(buffer));
  }
  return buffers;
}

} // namespace odyssey::runtime

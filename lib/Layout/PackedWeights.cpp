//===- PackedWeights.cpp - Where each packed weight lives -----------------===//

#include "odyssey/Layout/PackedWeights.h"

#include <cassert>

namespace odyssey::layout {

NibblePosition PackedWeights::position(int64_t channel, int64_t k) const {
  int64_t panel = channel / panelChannels;
  int64_t inPanel = channel % panelChannels;
  // The quad order: channel 4g + 2i + p of 32 is row g + 8p of block i.
  int64_t inQuad = inPanel % kQuadChannels;
  int64_t g = inQuad / 4, i = inQuad / 2 % 2, p = inQuad % 2;
  int64_t block = inPanel / kQuadChannels * 2 + i;

  int64_t step = k / kBlockK, inStep = k % kBlockK;
  int64_t s = inStep / 32, h = inStep / 16 % 2;
  int64_t t = inStep % 16 / 4, j = inStep % 4;
  int64_t lane = 4 * g + t;
  int64_t byte = panel * panelBytes() + step * stepBytes() +
                 block * blockBytes() + lane * kLaneBytes + j;
  if (bits == 8)
    return {byte + s * kPieceBytes + (2 * h + p) * 4, false};
  return {byte + (2 * s + h) * 4, p == 0};
}

std::vector<uint8_t> packWeights(const PackedWeights &layout,
                                 std::span<const int8_t> weights) {
  assert(static_cast<int64_t>(weights.size()) == layout.n * layout.k);
  // Adding 8 modulo 16 is flipping the sign bit: padding and weights start from
  // the offset in both halves.
  auto bias = static_cast<uint8_t>(layout.offset);
  std::vector<uint8_t> packed(layout.bytes(), bias << 4 | bias);
  // Where the k of a step are, relative to the first, is the same in every step
  // and for every channel.
  int64_t inStep[kBlockK];
  for (int64_t k = 0; k < kBlockK; ++k)
    inStep[k] = layout.position(0, k).byte - layout.position(0, 0).byte;
  for (int64_t channel = 0; channel < layout.n; ++channel) {
    const int8_t *row = weights.data() + channel * layout.k;
    NibblePosition first = layout.position(channel, 0);
    int shift = first.high ? 4 : 0, mask = layout.bits == 8 ? 0xFF : 0xF;
    for (int64_t k = 0; k < layout.k; ++k) {
      int64_t byte =
          first.byte + k / kBlockK * layout.stepBytes() + inStep[k % kBlockK];
      packed[byte] ^= static_cast<uint8_t>((row[k] & mask) << shift);
    }
  }
  return packed;
}

std::vector<int8_t> unpackWeights(const PackedWeights &layout,
                                  std::span<const uint8_t> packed) {
  assert(static_cast<int64_t>(packed.size()) == layout.bytes());
  auto bias = static_cast<uint8_t>(layout.offset);
  std::vector<int8_t> weights(layout.n * layout.k);
  for (int64_t channel = 0; channel < layout.n; ++channel)
    for (int64_t k = 0; k < layout.k; ++k) {
      NibblePosition at = layout.position(channel, k);
      int8_t &weight = weights[channel * layout.k + k];
      if (layout.bits == 8) {
        weight = static_cast<int8_t>(packed[at.byte]);
        continue;
      }
      uint8_t nibble = at.high ? packed[at.byte] >> 4 : packed[at.byte] & 0xF;
      weight =
          static_cast<int8_t>(static_cast<int8_t>((nibble ^ bias) << 4) >> 4);
    }
  return weights;
}

} // namespace odyssey::layout

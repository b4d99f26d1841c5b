//===- PackedWeights.h - Where each packed weight lives ---------*- C++ -*-===//
//
// The packed layout of weights as pure arithmetic: no MLIR, no GPU. Everything
// that writes packed weights (the bundle writer) or reads them (the kernels'
// lowering, the tests) takes its positions from here.
//
// Worked example, channels = 64, N = 172, K = 100. N is padded to 192 = 3
// panels, K to 128 = 2 steps of 64. A panel is 2 steps x 4 blocks x 512 bytes =
// 4096 bytes. Weight (n = 70, k = 97): panel 1, channel 6 in it; step 1, k 33
// in it. Channel 6 of 32 is 4g + 2i + p with g = 1, i = 1, p = 0: block 1, row
// g + 8p =
// 1. k 33 = 32 s + 16 h + 4 t + j with s = 1, h = 0, t = 0, j = 1: word 2s + h
// = 2, byte 1, of lane 4g + t = 4; p = 0 is the high nibble. So it is the high
// nibble of byte 4096 + (4 + 1) * 512 + 4 * 16 + 2 * 4 + 1.
//
// Of 8 bits, blocks, steps and panels take twice the bytes, and a block is two
// pieces of 512 bytes, one for each k32 step: a lane's 16 bytes of a piece are
// the four registers of its A fragment, word 2h + p. (The 32 bytes of a lane
// are not together, so that a warp's 16-byte loads read 512 bytes in a row,
// without bank conflicts.) The same weight is byte 8192 + (4 + 1) * 1024 + s *
// 512 + 4 * 16 + (2h + p) * 4 + 1.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LAYOUT_PACKEDWEIGHTS_H
#define ODYSSEY_LAYOUT_PACKEDWEIGHTS_H

#include "odyssey/Layout/WeightFormat.h"

#include <cstdint>
#include <span>
#include <vector>

namespace odyssey::layout {

/// Input channels of a block, and what K is padded to.
inline constexpr int64_t kBlockK = 64;
/// Output channels of a block: the rows of one mma A fragment.
inline constexpr int64_t kBlockChannels = 16;
/// Bytes that a lane reads at once, and those of a whole warp: a piece of a
/// block.
inline constexpr int64_t kLaneBytes = 16;
inline constexpr int64_t kPieceBytes = 32 * kLaneBytes;
/// Channels whose order is permuted together (two blocks).
inline constexpr int64_t kQuadChannels = 32;

constexpr int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// A nibble of the packed bytes.
struct NibblePosition {
  int64_t byte;
  bool high;
};

/// The layout `#fastgemm.packed<channels = panelChannels, offset = offset>` of
/// an [N, K] tensor of integers of `bits` bits.
struct PackedWeights {
  int64_t n, k;
  /// Channels of a panel, a multiple of 32.
  int64_t panelChannels;
  /// What is added to a weight to make its nibble: 0 (two's complement), or 8
  /// for weights with group multipliers.
  int64_t offset = 0;
  /// 4 or 8.
  int64_t bits = 4;

  int64_t paddedN() const { return roundUp(n, panelChannels); }
  int64_t paddedK() const { return roundUp(k, kBlockK); }
  int64_t bytes() const { return paddedN() * paddedK() * bits / 8; }
  /// Bytes of a block: 16 x 64 weights.
  int64_t blockBytes() const { return kBlockChannels * kBlockK * bits / 8; }
  /// Pieces of a block: one of 4 bits, two of 8.
  int64_t pieces() const { return blockBytes() / kPieceBytes; }
  /// Bytes from one step of 64 k to the next inside a panel.
  int64_t stepBytes() const { return panelChannels * kBlockK * bits / 8; }
  /// Bytes from one panel to the next.
  int64_t panelBytes() const { return paddedK() / kBlockK * stepBytes(); }

  /// Where weight (channel, k) is; both inside the padded shape. A weight of 8
  /// bits takes the whole byte, and `high` is false.
  NibblePosition position(int64_t channel, int64_t k) const;
};

/// Packs `weights`, N x K row-major with values -8 to 7, of 8 bits any; the
/// padding holds weights of 0.
std::vector<uint8_t> packWeights(const PackedWeights &layout,
                                 std::span<const int8_t> weights);

/// The inverse of packWeights, without the padding.
std::vector<int8_t> unpackWeights(const PackedWeights &layout,
                                  std::span<const uint8_t> packed);

} // namespace odyssey::layout

#endif // ODYSSEY_LAYOUT_PACKEDWEIGHTS_H

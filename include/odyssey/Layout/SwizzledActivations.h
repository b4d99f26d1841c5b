//===- SwizzledActivations.h - 8-bit activations for wgmma ------*- C++ -*-===//
//
// The layout `#fastgemm.swizzled` as pure arithmetic: tiles of some tokens x
// 128 input channels, in which a token is a row of 128 bytes whose 16-byte
// pieces are exchanged by the row (PTX ISA, "Asynchronous warpgroup-level
// matrix shared memory layout", 128-byte swizzle).
//
// Worked example, tiles of 16 tokens, K = 200, hence two tiles along K. Element
// (token 19, k 150): the second group of tokens, whose first tile begins at
// 2 * 16 * 128 = 4096, and the second tile of it, 2048 further; row 3, piece 1
// of it (k 22 in the tile), which stands at 1 ^ 3 = 2; byte 6 of that. So 4096
// + 2048 + 3 * 128 + 2 * 16 + 6.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LAYOUT_SWIZZLEDACTIVATIONS_H
#define ODYSSEY_LAYOUT_SWIZZLEDACTIVATIONS_H

#include <cstdint>

namespace odyssey::layout {

struct SwizzledActivations {
  /// Input channels of a tile, and bytes of a row of it.
  static constexpr int64_t kTileK = 128;

  /// Input channels, and tokens of a tile (a multiple of 8).
  int64_t k, tileTokens;

  int64_t tilesAlongK() const { return (k + kTileK - 1) / kTileK; }
  /// Bytes of `m` tokens; the last tile is whole, and what is behind token m or
  /// channel k in it is zero.
  int64_t bytes(int64_t m) const {
    int64_t groups = (m + tileTokens - 1) / tileTokens;
    return groups * tilesAlongK() * tileTokens * kTileK;
  }
  /// Where element (token, channel) is.
  int64_t position(int64_t token, int64_t channel) const {
    int64_t tile = token / tileTokens * tilesAlongK() + channel / kTileK;
    int64_t row = token % tileTokens, piece = channel % kTileK / 16;
    return tile * tileTokens * kTileK + row * kTileK + (piece ^ row % 8) * 16 +
           channel % 16;
  }
};

} // namespace odyssey::layout

#endif // ODYSSEY_LAYOUT_SWIZZLEDACTIVATIONS_H

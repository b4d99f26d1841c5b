//===- PackedMultipliers.h - Where each group multiplier lives --*- C++ -*-===//
//
// The packed layout of the group multipliers of grouped weights, to be read
// next to PackedWeights.h. A multiplier has 4 bits. A row is one group of the
// channels of a panel, two channels to the byte, so that the four adjacent
// channels whose weights a lane of a warp holds (4g to 4g + 3 of 32) are two
// bytes, channel 4g + j in bits 4j to 4j + 3.
//
// Worked example, channels = 64, groups of 32, N = 172, G = 3. N is padded to
// 192 = 3 panels, G to 4, as K is padded to steps of 64. A panel is 4 rows x 32
// bytes = 128 bytes. Multiplier (n = 71, group 2): panel 1, channel 7 in it:
// the high half of byte 1 * 128 + 2 * 32 + 3.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LAYOUT_PACKEDMULTIPLIERS_H
#define ODYSSEY_LAYOUT_PACKEDMULTIPLIERS_H

#include "odyssey/Layout/PackedWeights.h"

namespace odyssey::layout {

/// The largest multiplier: with q in -8..7 its product is in -120..105, a
/// signed byte, and (q + 8) times it is at most 225, an unsigned one.
inline constexpr int64_t kMaxMultiplier = 15;

/// Input channels that may share a multiplier.
constexpr bool isGroupSize(int64_t size) {
  return size == 32 || size == 64 || size == 128;
}

/// Groups of K input channels; the last one may be short.
constexpr int64_t groupCount(int64_t k, int64_t groupSize) {
  return (k + groupSize - 1) / groupSize;
}

/// The layout `#fastgemm.multipliers<channels = panelChannels, group =
/// groupSize>` of an [N, groups] tensor.
struct PackedMultipliers {
  int64_t n, groups, groupSize;
  /// Channels of a panel, a multiple of 32.
  int64_t panelChannels;

  int64_t paddedN() const { return roundUp(n, panelChannels); }
  /// Whole steps of 64 input channels, as the weights have.
  int64_t paddedGroups() const {
    return groupSize < kBlockK ? roundUp(groups, kBlockK / groupSize) : groups;
  }
  /// Bytes from one group to the next inside a panel.
  int64_t rowBytes() const { return panelChannels / 2; }
  /// Bytes from one panel to the next.
  int64_t panelBytes() const { return paddedGroups() * rowBytes(); }
  int64_t bytes() const { return paddedN() / panelChannels * panelBytes(); }

  /// Where the multiplier (channel, group) is; both inside the padded shape.
  NibblePosition position(int64_t channel, int64_t group) const;
};

/// Packs `multipliers`, N x groups row-major with values 0 to 15; the padding
/// is zero.
std::vector<uint8_t> packMultipliers(const PackedMultipliers &layout,
                                     std::span<const uint8_t> multipliers);

} // namespace odyssey::layout

#endif // ODYSSEY_LAYOUT_PACKEDMULTIPLIERS_H

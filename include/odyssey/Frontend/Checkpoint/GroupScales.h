//===- GroupScales.h - Scales of groups as multiples of one -----*- C++ -*-===//
//
// Weights with groups have two levels of scales: one per output channel, and
// within it an integer from 0 to 15 per group (docs/numerics.md, N29). On disk
// stand their products, one scale per group, as other programs expect it. So
// that nothing is lost, the channel's scale has at most 20 significant bits:
// its multiples up to 15 are then exact in fp32.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_GROUPSCALES_H
#define ODYSSEY_FRONTEND_CHECKPOINT_GROUPSCALES_H

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace odyssey {

/// Scales of n output channels, and n * groups multipliers.
struct GroupScales {
  std::vector<float> scale;
  std::vector<uint8_t> multiplier;
};

/// `scale` rounded to 20 significant bits, which all its multiples up to 15
/// have in fp32. 0 where it or a multiple would be no normal number.
float groupableScale(float scale);

/// The largest number of which every one of `scales` (finite, not negative) is
/// a multiple from 0 to 15, or nothing where there is none. Where all are zero
/// it is 0. Writes the multipliers, as many as there are scales.
std::optional<float> factorizeScales(std::span<const float> scales,
                                     std::span<uint8_t> multipliers);

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_GROUPSCALES_H

//===- GroupRounding.h - Scales of groups by the weights alone --*- C++ -*-===//
//
// With groups, weights are S m_g q with one S per output channel and an integer
// m_g from 1 to 15 per group of its input channels (docs/numerics.md, N29). For
// rounding to nearest, and as the start of everything learned, both levels are
// chosen for the least squared error of the weights.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_QUANTIZE_GROUPROUNDING_H
#define ODYSSEY_QUANTIZE_GROUPROUNDING_H

#include "odyssey/Frontend/Checkpoint/GroupScales.h"

#include <cstdint>
#include <span>

namespace odyssey {

/// Scales of the weights [n, k] in groups of `groupSize` input channels: S is
/// tried so that the largest group gets each multiplier from 8 to 15 (its own
/// scale being max|w| / 7), m_g is one of the two integers around the group's
/// own scale over S. Scales are those of `groupableScale`; a channel that has
/// none gets S = 0, its multipliers are 1. The result does not depend on
/// `threads`, of which 0 means one per core.
GroupScales chooseGroupScales(std::span<const float> weight, int64_t n,
                              int64_t groupSize, unsigned threads);

/// The integers of one output channel: quantizeChannel of every group with the
/// scale S m_g. There are as many multipliers as groups.
void quantizeGroups(std::span<const float> channel, float scale,
                    std::span<const uint8_t> multipliers, int64_t groupSize,
                    std::span<int8_t> quantized);

/// m_g q for the integers q of one output channel, in place.
void multiplyGroups(std::span<int8_t> quantized,
                    std::span<const uint8_t> multipliers, int64_t groupSize);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_GROUPROUNDING_H

//===- PackedMultipliers.cpp - Where each group multiplier lives ----------===//

#include "odyssey/Layout/PackedMultipliers.h"

#include <cassert>

namespace odyssey::layout {

NibblePosition PackedMultipliers::position(int64_t channel,
                                           int64_t group) const {
  int64_t panel = channel / panelChannels;
  int64_t inPanel = channel % panelChannels;
  return {panel * panelBytes() + group * rowBytes() + inPanel / 2,
          inPanel % 2 != 0};
}

std::vector<uint8_t> packMultipliers(const PackedMultipliers &layout,
                                     std::span<const uint8_t> multipliers) {
  assert(static_cast<int64_t>(multipliers.size()) == layout.n * layout.groups);
  std::vector<uint8_t> packed(layout.bytes(), 0);
  for (int64_t channel = 0; channel < layout.n; ++channel)
    for (int64_t group = 0; group < layout.groups; ++group) {
      NibblePosition at = layout.position(channel, group);
      uint8_t multiplier = multipliers[channel * layout.groups + group];
      assert(multiplier <= kMaxMultiplier);
      packed[at.byte] |=
          static_cast<uint8_t>(at.high ? multiplier << 4 : multiplier);
    }
  return packed;
}

} // namespace odyssey::layout

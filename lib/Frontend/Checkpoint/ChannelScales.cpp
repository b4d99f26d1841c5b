//===- ChannelScales.cpp - From groups to output channels -----------------===//
//
// Products know one scale per output channel. What a checkpoint says with
// groups of input channels has to come through here.
//
//===----------------------------------------------------------------------===//

#include "LinearFormats.h"

#include "llvm/Support/FormatVariadic.h"

using namespace odyssey;
using llvm::Expected;

Expected<ChannelWeights> odyssey::toChannelWeights(GroupedWeights weights) {
  if (weights.groups == 1)
    return ChannelWeights{std::move(weights.integers),
                          std::move(weights.scales)};
  std::span<const float> scales = weights.scales.values;
  std::vector<float> ofChannels(weights.n);
  for (int64_t channel = 0; channel < weights.n; ++channel) {
    std::span<const float> row =
        scales.subspan(channel * weights.groups, weights.groups);
    for (int64_t group = 1; group < weights.groups; ++group)
      if (row[group] != row[0])
        return llvm::createStringError(
            llvm::formatv("tensor '{0}' has {1} groups of input channels with "
                          "scales of their own (output channel {2}: {3} in "
                          "group 0, {4} in group {5}); products take one scale "
                          "per output channel: odyssey-quantize --requantize "
                          "rounds the weights anew",
                          weights.scaleName, weights.groups, channel, row[0],
                          row[group], group)
                .str());
    ofChannels[channel] = row[0];
  }
  return ChannelWeights{std::move(weights.integers),
                        SharedValues<float>(std::move(ofChannels))};
}

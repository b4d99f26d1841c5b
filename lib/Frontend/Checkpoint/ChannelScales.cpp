//===- ChannelScales.cpp - Scales as products take them -------------------===//
//
// Products know one scale per output channel, and integers within it for groups
// of input channels. What a checkpoint says with groups has to come through
// here.
//
//===----------------------------------------------------------------------===//

#include "LinearFormats.h"

#include "odyssey/Frontend/Checkpoint/GroupScales.h"
#include "odyssey/Layout/PackedMultipliers.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>

using namespace odyssey;
using llvm::Expected;

static std::span<const float> scalesOf(const GroupedWeights &weights,
                                       int64_t channel) {
  return weights.scales.values.subspan(channel * weights.groups,
                                       weights.groups);
}

/// The first channel whose groups have different scales, or n.
static int64_t firstChannelWithGroups(const GroupedWeights &weights) {
  for (int64_t channel = 0; channel < weights.n; ++channel) {
    std::span<const float> row = scalesOf(weights, channel);
    if (std::ranges::any_of(row, [&](float s) { return s != row[0]; }))
      return channel;
  }
  return weights.n;
}

bool odyssey::hasOneScalePerChannel(const GroupedWeights &weights) {
  return firstChannelWithGroups(weights) == weights.n;
}

ChannelWeights odyssey::toChannelWeights(GroupedWeights weights) {
  if (weights.groups == 1)
    return {std::move(weights.integers), std::move(weights.scales), {}};
  std::vector<float> ofChannels(weights.n);
  for (int64_t channel = 0; channel < weights.n; ++channel)
    ofChannels[channel] = scalesOf(weights, channel)[0];
  return {std::move(weights.integers),
          SharedValues<float>(std::move(ofChannels)),
          {}};
}

/// What is wrong with the scales of a channel.
static llvm::Error refuse(const GroupedWeights &weights, int64_t channel) {
  std::span<const float> row = scalesOf(weights, channel);
  auto other = std::ranges::find_if(row, [&](float s) { return s != row[0]; });
  // Scales may differ in their last bit.
  auto exact = [](float scale) { return llvm::format("%.9g", scale); };
  return llvm::createStringError(
      llvm::formatv("tensor '{0}' has {1} groups of input channels with scales "
                    "of their own (output channel {2}: {3} in group 0, {4} in "
                    "group {5}); products take runs of 32, 64 or 128 input "
                    "channels whose scales are multiples, 0 to {6}, of one "
                    "number: odyssey-quantize --requantize rounds the weights "
                    "anew",
                    weights.scaleName, weights.groups, channel, exact(row[0]),
                    exact(*other), other - row.begin(), layout::kMaxMultiplier)
          .str());
}

Expected<ChannelWeights> odyssey::toGroupMultipliers(GroupedWeights weights) {
  if (!weights.groupOfChannel.empty() ||
      (weights.groups > 1 && !layout::isGroupSize(weights.groupSize)))
    if (int64_t channel = firstChannelWithGroups(weights); channel < weights.n)
      return refuse(weights, channel);
  GroupScales made;
  made.scale.resize(weights.n);
  made.multiplier.resize(weights.n * weights.groups);
  for (int64_t channel = 0; channel < weights.n; ++channel) {
    std::optional<float> scale =
        factorizeScales(scalesOf(weights, channel),
                        std::span(made.multiplier)
                            .subspan(channel * weights.groups, weights.groups));
    if (!scale)
      return refuse(weights, channel);
    made.scale[channel] = *scale;
  }
  return ChannelWeights{std::move(weights.integers),
                        SharedValues<float>(std::move(made.scale)),
                        SharedValues<uint8_t>(std::move(made.multiplier))};
}

//===- Clipping.h - Learned weight clipping ---------------------*- C++ -*-===//
//
// One large weight makes the steps of its whole output channel coarse. Giving
// it up, a channel gets the scale S = g * max|w| / 7 with a factor g <= 1, so
// that the weights beyond 7 S (and below -8 S) are clipped.
//
// g is learned, as in "A Speed Odyssey for Deployable Quantization of LLMs"
// (arXiv:2311.09550, section 3.2) and OmniQuant (arXiv:2308.13137): it
// minimizes the error of the layer's output over the calibration text,
//
//   L(g) = e H e^T,  e = w - S q(w / S),  H = X^T X,
//
// by gradient descent with straight-through rounding, from the best point of a
// grid on.
//
// With groups, weights are S m_g q with an integer m_g from 1 to 15 per group,
// and each m_g clips its own group. Group after group, the m_g with the least L
// is taken, all others being what they are; then S is learned as above, with w
// clipped beyond 7 S m_g. Both are repeated.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_QUANTIZE_CLIPPING_H
#define ODYSSEY_QUANTIZE_CLIPPING_H

#include "odyssey/Quantize/InputStatistics.h"

#include <cstdint>
#include <span>
#include <vector>

namespace odyssey {

/// Of n output channels.
struct Clipping {
  /// S, and the g that it was made with. 0 and 1 for a channel of zeros. With
  /// groups g is relative to the S of `chooseGroupScales`.
  std::vector<float> scale, factor;
  /// With groups n * groups, else empty.
  std::vector<uint8_t> multiplier;
  /// The losses of g = 1, of the best grid point (with groups: of the first
  /// search for m_g), and of what is learned.
  std::vector<double> lossAtStart, lossOfGrid, loss;
  /// w H w: the loss of a channel that is left out altogether.
  std::vector<double> lossOfZeros;
};

struct ClippingOptions {
  /// The grid is 1, 1 - gridStep, ... down to smallestFactor.
  float gridStep = 0.02f;
  float smallestFactor = 0.3f;
  /// Steps of gradient descent.
  int descentSteps = 30;
  /// Input channels of a group: 32, 64 or 128, or 0 for none.
  int64_t groupSize = 0;
  /// How often, with groups, m_g are searched and S is learned.
  int groupRounds = 3;
};

/// Learns the clipping of the weights [n, statistics.channels()]. No channel's
/// loss ends above its start. The result does not depend on `threads`, of
/// which 0 means one per core.
Clipping learnClipping(std::span<const float> weight, int64_t n,
                       const InputStatistics &statistics, unsigned threads,
                       const ClippingOptions &options = {});

/// The scales of g = 1: those of rounding to nearest.
std::vector<float> channelScales(std::span<const float> weight, int64_t n,
                                 int64_t bits = 4);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_CLIPPING_H

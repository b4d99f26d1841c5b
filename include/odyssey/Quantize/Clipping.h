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
  /// S, and the g that it was made with. 0 and 1 for a channel of zeros.
  std::vector<float> scale, factor;
  /// The losses of g = 1, of the best grid point, and of the learned g.
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
};

/// Learns the clipping of the weights [n, statistics.channels()]. No channel's
/// loss ends above its start. The result does not depend on `threads`, of
/// which 0 means one per core.
Clipping learnClipping(std::span<const float> weight, int64_t n,
                       const InputStatistics &statistics, unsigned threads,
                       const ClippingOptions &options = {});

/// The scales of g = 1: those of rounding to nearest.
std::vector<float> channelScales(std::span<const float> weight, int64_t n);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_CLIPPING_H

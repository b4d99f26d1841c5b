//===- InputStatistics.h - What calibration keeps of inputs -----*- C++ -*-===//

#ifndef ODYSSEY_QUANTIZE_INPUTSTATISTICS_H
#define ODYSSEY_QUANTIZE_INPUTSTATISTICS_H

#include "odyssey/Reference/Matrix.h"

#include <cstdint>
#include <span>
#include <vector>

namespace odyssey {

/// The second moments of a linear layer's inputs over the calibration text.
/// With X [tokens, channels] and the tokens' importances on the diagonal of D
/// the error of weights W' is
///
///   |D^1/2 X (W - W')^T|^2 = sum over rows e of W - W' of e H e^T,
///   H = X^T D X,
///
/// so H is all that clipping and GPTQ need to know of the text.
class InputStatistics {
public:
  explicit InputStatistics(int64_t channels);

  /// Adds the inputs `x` [tokens, channels], whose importances are 1 where
  /// none are given. The sums over one call are in fp32, and so are those of
  /// the calls; the result does not depend on `threads`, of which 0 means one
  /// per core.
  void add(const reference::Matrix &x, std::span<const float> importance,
           unsigned threads);

  int64_t channels() const { return size; }
  int64_t tokens() const { return count; }

  /// H, row-major [channels, channels]: both triangles, symmetric bit for bit.
  std::span<const float> hessian() const { return moments; }
  /// Row `channel` of H.
  std::span<const float> row(int64_t channel) const {
    return hessian().subspan(channel * size, size);
  }

  /// max|x| of every channel, whatever the importance: outliers show here.
  std::span<const float> maxima() const { return largest; }

private:
  /// moments += x^T x.
  void addProducts(const reference::Matrix &x, unsigned threads);

  int64_t size;
  int64_t count = 0;
  std::vector<float> moments;
  std::vector<float> largest;
};

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_INPUTSTATISTICS_H

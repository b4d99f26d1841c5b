//===- Clipping.cpp - Learned weight clipping -----------------------------===//

#include "odyssey/Quantize/Clipping.h"

#include "HessianProduct.h"
#include "VectorClones.h"
#include "odyssey/Quantize/RoundToNearest.h"
#include "odyssey/Reference/ParallelFor.h"

#include <cmath>
#include <limits>
#include <numbers>

using namespace odyssey;

/// Output channels that one product with H serves: enough to pay for H's way
/// from memory.
static constexpr int64_t channelsPerBatch = 32;

/// sums += factor * row.
ODYSSEY_VECTOR_CLONES static void addScaled(double *sums, const float *row,
                                            double factor, int64_t size) {
  for (int64_t i = 0; i < size; ++i)
    sums[i] += factor * static_cast<double>(row[i]);
}

namespace {

/// One output channel on its way through scales. With v = H q the loss is
///
///   L = w H w - 2 S (q . H w) + S^2 (q . v)
///
/// A small change of S changes few of the q, so v follows at the cost of a row
/// of H for each of them.
class ChannelSearch {
public:
  /// `hw` = H w, `hq` = H q of the integers at the scale `channelScale`;
  /// `lossOfZeros` = w H w.
  ChannelSearch(std::span<const float> weight,
                const InputStatistics &statistics, std::span<const double> hw,
                std::span<const double> hq, std::span<const int8_t> quantized,
                double lossOfZeros)
      : weight(weight), statistics(statistics), hw(hw),
        hq(hq.begin(), hq.end()), quantized(quantized.begin(), quantized.end()),
        next(quantized.size()), start(channelScale(weight)),
        lossOfZeros(lossOfZeros) {}

  /// Moves to the scale g * max|w| / 7 and returns its loss.
  double moveTo(float factor);

  /// dL/dS where the search stands. Rounding counts as the identity inside the
  /// range, so that d(S q)/dS = q - w / S there, and = q where w is clipped.
  double slope() const;

  float scaleOf(float factor) const { return factor * start; }

private:
  std::span<const float> weight;
  const InputStatistics &statistics;
  std::span<const double> hw;
  std::vector<double> hq;
  std::vector<int8_t> quantized, next;
  float start;
  float scale = 0;
  double lossOfZeros;
};

} // namespace

double ChannelSearch::moveTo(float factor) {
  scale = scaleOf(factor);
  quantizeChannel(weight, scale, next);
  for (size_t i = 0; i < next.size(); ++i)
    if (int change = next[i] - quantized[i])
      addScaled(hq.data(), statistics.row(i).data(), change,
                statistics.channels());
  quantized.swap(next);
  double linear = 0, quadratic = 0;
  for (size_t i = 0; i < quantized.size(); ++i) {
    linear += quantized[i] * hw[i];
    quadratic += quantized[i] * hq[i];
  }
  double s = scale;
  return lossOfZeros - 2 * s * linear + s * s * quadratic;
}

double ChannelSearch::slope() const {
  double s = scale, slope = 0;
  for (size_t i = 0; i < quantized.size(); ++i) {
    double quotient = static_cast<double>(weight[i]) / s;
    bool clipped = quotient < -8 || quotient > 7;
    double change = quantized[i] - (clipped ? 0 : quotient);
    slope -= 2 * (hw[i] - s * hq[i]) * change;
  }
  return slope;
}

/// The learned factor of one channel, with the losses on the way.
static void learnChannel(ChannelSearch search, const ClippingOptions &options,
                         float &bestFactor, double &lossAtStart,
                         double &lossOfGrid, double &bestLoss) {
  bestFactor = 1;
  bestLoss = lossAtStart = search.moveTo(1);
  auto attempt = [&](float factor) {
    double loss = search.moveTo(factor);
    if (loss < bestLoss) {
      bestLoss = loss;
      bestFactor = factor;
    }
  };
  for (int i = 1;; ++i) {
    float factor = 1 - i * options.gridStep;
    if (factor < options.smallestFactor)
      break;
    attempt(factor);
  }
  lossOfGrid = bestLoss;

  // Adam (arXiv:1412.6980), which makes the steps' length independent of the
  // loss's unit; it shrinks from a grid step to a twentieth of that.
  constexpr double decay1 = 0.8, decay2 = 0.95, tiny = 1e-30;
  double mean = 0, variance = 0;
  float factor = bestFactor;
  search.moveTo(factor);
  for (int step = 1; step <= options.descentSteps; ++step) {
    double gradient = search.slope();
    mean = decay1 * mean + (1 - decay1) * gradient;
    variance = decay2 * variance + (1 - decay2) * gradient * gradient;
    double direction =
        mean / (1 - std::pow(decay1, step)) /
        (std::sqrt(variance / (1 - std::pow(decay2, step))) + tiny);
    double progress = static_cast<double>(step) / options.descentSteps;
    double length = options.gridStep * std::pow(0.05, progress);
    factor = std::clamp(factor - static_cast<float>(length * direction),
                        options.smallestFactor, 1.0f);
    attempt(factor);
  }
}

Clipping odyssey::learnClipping(std::span<const float> weight, int64_t n,
                                const InputStatistics &statistics,
                                unsigned threads,
                                const ClippingOptions &options) {
  int64_t k = statistics.channels();
  Clipping result;
  result.scale = channelScales(weight, n);
  result.factor.assign(n, 1.0f);
  result.lossOfZeros.resize(n);
  result.lossAtStart.resize(n);
  result.lossOfGrid.resize(n);
  result.loss.resize(n);

  int64_t batches = (n + channelsPerBatch - 1) / channelsPerBatch;
  auto learnBatch = [&](int64_t batch) {
    int64_t first = batch * channelsPerBatch;
    int64_t count = std::min(channelsPerBatch, n - first);
    std::vector<int8_t> quantized(count * k);
    // The weights, then their integers.
    DoubleRows rows(2 * count, k);
    for (int64_t i = 0; i < count; ++i) {
      std::span channel = weight.subspan((first + i) * k, k);
      std::span integers = std::span(quantized).subspan(i * k, k);
      quantizeChannel(channel, result.scale[first + i], integers);
      for (int64_t j = 0; j < k; ++j) {
        rows(i, j) = channel[j];
        rows(count + i, j) = integers[j];
      }
    }
    DoubleRows products = multiplyByHessian(rows, statistics);
    auto product = [&](int64_t row) {
      return std::span<const double>(products.row(row).data(), k);
    };
    for (int64_t i = 0; i < count; ++i) {
      int64_t channel = first + i;
      double lossOfZeros = rows.row(i).dot(products.row(i));
      result.lossOfZeros[channel] = lossOfZeros;
      if (result.scale[channel] == 0) {
        result.lossAtStart[channel] = result.lossOfGrid[channel] =
            result.loss[channel] = lossOfZeros;
        continue;
      }
      ChannelSearch search(weight.subspan(channel * k, k), statistics,
                           product(i), product(count + i),
                           std::span(quantized).subspan(i * k, k), lossOfZeros);
      learnChannel(std::move(search), options, result.factor[channel],
                   result.lossAtStart[channel], result.lossOfGrid[channel],
                   result.loss[channel]);
      result.scale[channel] *= result.factor[channel];
    }
  };
  reference::parallelFor(batches, channelsPerBatch * k * k, threads,
                         [&](int64_t begin, int64_t end) {
                           for (int64_t batch = begin; batch < end; ++batch)
                             learnBatch(batch);
                         });
  return result;
}

std::vector<float> odyssey::channelScales(std::span<const float> weight,
                                          int64_t n) {
  int64_t k = static_cast<int64_t>(weight.size()) / n;
  std::vector<float> scales(n);
  for (int64_t i = 0; i < n; ++i)
    scales[i] = channelScale(weight.subspan(i * k, k));
  return scales;
}

std::vector<double> odyssey::outputErrors(std::span<const float> weight,
                                          std::span<const int8_t> quantized,
                                          std::span<const float> scale,
                                          const InputStatistics &statistics,
                                          unsigned threads) {
  int64_t k = statistics.channels();
  int64_t n = static_cast<int64_t>(scale.size());
  std::vector<double> errors(n);
  int64_t batches = (n + channelsPerBatch - 1) / channelsPerBatch;
  reference::parallelFor(
      batches, channelsPerBatch * k * k, threads,
      [&](int64_t begin, int64_t end) {
        for (int64_t batch = begin; batch < end; ++batch) {
          int64_t first = batch * channelsPerBatch;
          int64_t count = std::min(channelsPerBatch, n - first);
          DoubleRows rows(count, k);
          for (int64_t i = 0; i < count; ++i)
            for (int64_t j = 0; j < k; ++j) {
              int64_t index = (first + i) * k + j;
              rows(i, j) = static_cast<double>(weight[index]) -
                           static_cast<double>(scale[first + i]) *
                               static_cast<double>(quantized[index]);
            }
          DoubleRows products = multiplyByHessian(rows, statistics);
          for (int64_t i = 0; i < count; ++i)
            errors[first + i] = rows.row(i).dot(products.row(i));
        }
      });
  return errors;
}

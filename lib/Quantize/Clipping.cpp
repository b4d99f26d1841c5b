//===- Clipping.cpp - Learned weight clipping -----------------------------===//

#include "odyssey/Quantize/Clipping.h"

#include "HessianProduct.h"
#include "odyssey/Quantize/RoundToNearest.h"
#include "odyssey/Reference/ParallelFor.h"
#include "odyssey/Reference/VectorClones.h"

#include <cmath>
#include <limits>
#include <numeric>

using namespace odyssey;

/// Output channels that one product with H serves: enough to pay for H's way
/// from memory.
static constexpr int64_t channelsPerBatch = 32;

/// A change of an integer, as the row of H that belongs to it.
struct Change {
  const float *row;
  double amount;
};

/// sums += amount * row of all changes, in their order, four at a time.
ODYSSEY_VECTOR_CLONES static void
addChanges(const Change *changes, int64_t count, double *sums, int64_t size) {
  const Change *end = changes + count;
  for (; end - changes >= 4; changes += 4) {
    auto [row0, amount0] = changes[0];
    auto [row1, amount1] = changes[1];
    auto [row2, amount2] = changes[2];
    auto [row3, amount3] = changes[3];
    for (int64_t i = 0; i < size; ++i) {
      double sum = sums[i] + amount0 * static_cast<double>(row0[i]);
      sum += amount1 * static_cast<double>(row1[i]);
      sum += amount2 * static_cast<double>(row2[i]);
      sums[i] = sum + amount3 * static_cast<double>(row3[i]);
    }
  }
  for (; changes != end; ++changes)
    for (int64_t i = 0; i < size; ++i)
      sums[i] += changes->amount * static_cast<double>(changes->row[i]);
}

/// Sums are kept apart by index modulo `lanes`, which gives vector units work
/// and the sum an order that does not depend on them.
static constexpr int64_t lanes = 16;

static double total(const double (&sums)[lanes]) {
  return std::accumulate(std::begin(sums), std::end(sums), 0.0);
}

/// linear = q . hw, quadratic = q . hq.
ODYSSEY_VECTOR_CLONES static void
multiplyIntegers(const int8_t *q, const double *hw, const double *hq,
                 int64_t size, double (&linear)[lanes],
                 double (&quadratic)[lanes]) {
  auto add = [&](int64_t i, int64_t lane) {
    linear[lane] += q[i] * hw[i];
    quadratic[lane] += q[i] * hq[i];
  };
  int64_t whole = size / lanes * lanes;
  for (int64_t i = 0; i < whole; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane)
      add(i + lane, lane);
  for (int64_t i = whole; i < size; ++i)
    add(i, i - whole);
}

/// Adds up dL/dS of ChannelSearch::slope.
ODYSSEY_VECTOR_CLONES static void addSlopes(const float *weight,
                                            const int8_t *q, const double *hw,
                                            const double *hq, double scale,
                                            int64_t size,
                                            double (&slope)[lanes]) {
  auto add = [&](int64_t i, int64_t lane) {
    double quotient = static_cast<double>(weight[i]) / scale;
    double change = quotient < -8 || quotient > 7 ? 0 : quotient;
    slope[lane] -= 2 * (hw[i] - scale * hq[i]) * (q[i] - change);
  };
  int64_t whole = size / lanes * lanes;
  for (int64_t i = 0; i < whole; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane)
      add(i + lane, lane);
  for (int64_t i = whole; i < size; ++i)
    add(i, i - whole);
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
  std::vector<Change> changes;
  float start;
  float scale = 0;
  double lossOfZeros;
};

} // namespace

double ChannelSearch::moveTo(float factor) {
  scale = scaleOf(factor);
  quantizeChannel(weight, scale, next);
  changes.clear();
  for (size_t i = 0; i < next.size(); ++i)
    if (int change = next[i] - quantized[i])
      changes.push_back(
          {statistics.row(i).data(), static_cast<double>(change)});
  addChanges(changes.data(), static_cast<int64_t>(changes.size()), hq.data(),
             statistics.channels());
  quantized.swap(next);
  double linear[lanes] = {}, quadratic[lanes] = {};
  multiplyIntegers(quantized.data(), hw.data(), hq.data(),
                   statistics.channels(), linear, quadratic);
  double s = scale;
  return lossOfZeros - 2 * s * total(linear) + s * s * total(quadratic);
}

double ChannelSearch::slope() const {
  double slope[lanes] = {};
  addSlopes(weight.data(), quantized.data(), hw.data(), hq.data(), scale,
            statistics.channels(), slope);
  return total(slope);
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
    return loss;
  };
  for (int i = 1;; ++i) {
    float factor = 1 - i * options.gridStep;
    if (factor < options.smallestFactor)
      break;
    double loss = attempt(factor);
    // Beyond the valley.
    if (factor < bestFactor - 0.2f && loss > 1.5 * bestLoss)
      break;
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

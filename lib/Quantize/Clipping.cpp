//===- Clipping.cpp - Learned weight clipping -----------------------------===//

#include "odyssey/Quantize/Clipping.h"

#include "HessianProduct.h"
#include "odyssey/Layout/PackedMultipliers.h"
#include "odyssey/Quantize/GroupRounding.h"
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

/// Adds up dL/dS of ChannelSearch::slope. `reach` is the multiplier of every
/// input channel's group, or 1.
ODYSSEY_VECTOR_CLONES static void addSlopes(const float *weight,
                                            const float *reach, const int8_t *q,
                                            const double *hw, const double *hq,
                                            double scale, int64_t size,
                                            double (&slope)[lanes]) {
  auto add = [&](int64_t i, int64_t lane) {
    double quotient = static_cast<double>(weight[i]) / scale;
    double m = reach[i];
    double change = quotient < -8 * m || quotient > 7 * m ? 0 : quotient;
    slope[lane] -= 2 * (hw[i] - scale * hq[i]) * (q[i] - change);
  };
  int64_t whole = size / lanes * lanes;
  for (int64_t i = 0; i < whole; i += lanes)
    for (int64_t lane = 0; lane < lanes; ++lane)
      add(i + lane, lane);
  for (int64_t i = whole; i < size; ++i)
    add(i, i - whole);
}

/// d H d for the `size` rows and columns of H from `rows` on.
ODYSSEY_VECTOR_CLONES static double quadraticForm(const float *rows,
                                                  int64_t stride,
                                                  const double *d,
                                                  int64_t size) {
  double sums[lanes] = {};
  int64_t whole = size / lanes * lanes;
  for (int64_t i = 0; i < size; ++i) {
    if (d[i] == 0)
      continue;
    const float *row = rows + i * stride;
    double products[lanes] = {};
    for (int64_t j = 0; j < whole; j += lanes)
      for (int64_t lane = 0; lane < lanes; ++lane)
        products[lane] += static_cast<double>(row[j + lane]) * d[j + lane];
    for (int64_t j = whole; j < size; ++j)
      products[j - whole] += static_cast<double>(row[j]) * d[j];
    for (int64_t lane = 0; lane < lanes; ++lane)
      sums[lane] += d[i] * products[lane];
  }
  return total(sums);
}

namespace {

/// One output channel on its way through scales. With v = H q the loss is
///
///   L = w H w - 2 S (q . H w) + S^2 (q . v)
///
/// A small change of S changes few of the q, so v follows at the cost of a row
/// of H for each of them. With groups all that is said of q holds for m_g q.
class ChannelSearch {
public:
  /// `hw` = H w, `hq` = H q of the integers at the scale `start`; `lossOfZeros`
  /// = w H w. With groups, `multipliers` are read and improved.
  ChannelSearch(std::span<const float> weight,
                const InputStatistics &statistics, std::span<const double> hw,
                std::span<const double> hq, std::span<const int8_t> quantized,
                float start, double lossOfZeros, int64_t groupSize,
                std::span<uint8_t> multipliers)
      : weight(weight), statistics(statistics), hw(hw),
        hq(hq.begin(), hq.end()), quantized(quantized.begin(), quantized.end()),
        next(quantized.size()), reach(quantized.size(), 1.0f),
        multipliers(multipliers), groupSize(groupSize), start(start),
        lossOfZeros(lossOfZeros) {
    for (size_t g = 0; g < multipliers.size(); ++g)
      setMultiplier(static_cast<int64_t>(g), multipliers[g]);
  }

  /// Moves to the scale g * start and returns its loss.
  double moveTo(float factor);

  /// Takes for one group after the other the multiplier of the least loss at
  /// the scale where the search stands. Returns the loss.
  double improveMultipliers();

  /// dL/dS where the search stands. Rounding counts as the identity inside the
  /// range, so that d(S q)/dS = q - w / S there, and = q where w is clipped.
  double slope() const;

  float scaleOf(float factor) const {
    return groupSize == 0 ? factor * start : groupableScale(factor * start);
  }

private:
  double loss() const;
  int64_t groupWidth(int64_t begin) const {
    return std::min(groupSize, statistics.channels() - begin);
  }
  void setMultiplier(int64_t group, uint8_t multiplier);
  /// The change of the loss by `difference` in the integers from `begin` on.
  double lossOfChange(int64_t begin, std::span<const double> difference) const;

  std::span<const float> weight;
  const InputStatistics &statistics;
  std::span<const double> hw;
  std::vector<double> hq;
  std::vector<int8_t> quantized, next;
  /// Of every input channel: its group's multiplier, or 1.
  std::vector<float> reach;
  std::span<uint8_t> multipliers;
  int64_t groupSize;
  std::vector<Change> changes;
  float start;
  float scale = 0;
  double lossOfZeros;
};

} // namespace

double ChannelSearch::moveTo(float factor) {
  scale = scaleOf(factor);
  if (groupSize == 0) {
    quantizeChannel(weight, scale, next);
  } else {
    quantizeGroups(weight, scale, multipliers, groupSize, next);
    multiplyGroups(next, multipliers, groupSize);
  }
  changes.clear();
  for (size_t i = 0; i < next.size(); ++i)
    if (int change = next[i] - quantized[i])
      changes.push_back(
          {statistics.row(i).data(), static_cast<double>(change)});
  addChanges(changes.data(), static_cast<int64_t>(changes.size()), hq.data(),
             statistics.channels());
  quantized.swap(next);
  return loss();
}

double ChannelSearch::loss() const {
  double linear[lanes] = {}, quadratic[lanes] = {};
  multiplyIntegers(quantized.data(), hw.data(), hq.data(),
                   statistics.channels(), linear, quadratic);
  double s = scale;
  return lossOfZeros - 2 * s * total(linear) + s * s * total(quadratic);
}

double ChannelSearch::slope() const {
  double slope[lanes] = {};
  addSlopes(weight.data(), reach.data(), quantized.data(), hw.data(), hq.data(),
            scale, statistics.channels(), slope);
  return total(slope);
}

void ChannelSearch::setMultiplier(int64_t group, uint8_t multiplier) {
  multipliers[group] = multiplier;
  int64_t begin = group * groupSize;
  std::fill_n(reach.begin() + begin, groupWidth(begin),
              static_cast<float>(multiplier));
}

double ChannelSearch::lossOfChange(int64_t begin,
                                   std::span<const double> difference) const {
  double s = scale, linear = 0;
  for (size_t i = 0; i < difference.size(); ++i)
    linear += difference[i] * (hw[begin + i] - s * hq[begin + i]);
  double quadratic =
      quadraticForm(statistics.row(begin).data() + begin, statistics.channels(),
                    difference.data(), static_cast<int64_t>(difference.size()));
  return s * s * quadratic - 2 * s * linear;
}

double ChannelSearch::improveMultipliers() {
  // Clipping by more than half never pays.
  constexpr float leastShare = 0.5f;
  std::vector<double> difference, bestDifference;
  for (size_t group = 0; group < multipliers.size(); ++group) {
    int64_t begin = static_cast<int64_t>(group) * groupSize;
    int64_t width = groupWidth(begin);
    std::span<const float> weights = weight.subspan(begin, width);
    std::span<int8_t> candidate = std::span(next).subspan(begin, width);
    float wanted = channelScale(weights) / scale;
    int highest = std::clamp(static_cast<int>(std::ceil(wanted)), 1,
                             static_cast<int>(layout::kMaxMultiplier));
    int lowest = std::clamp(static_cast<int>(leastShare * wanted), 1, highest);
    double least = 0;
    uint8_t best = multipliers[group];
    difference.resize(width);
    for (int m = lowest; m <= highest; ++m) {
      if (m == multipliers[group])
        continue;
      quantizeChannel(weights, scale * static_cast<float>(m), candidate);
      for (int64_t i = 0; i < width; ++i)
        difference[i] = m * candidate[i] - quantized[begin + i];
      double change = lossOfChange(begin, difference);
      if (change >= least)
        continue;
      least = change;
      best = static_cast<uint8_t>(m);
      bestDifference = difference;
    }
    if (best == multipliers[group])
      continue;
    setMultiplier(static_cast<int64_t>(group), best);
    changes.clear();
    for (int64_t i = 0; i < width; ++i) {
      if (bestDifference[i] == 0)
        continue;
      changes.push_back({statistics.row(begin + i).data(), bestDifference[i]});
      quantized[begin + i] =
          static_cast<int8_t>(quantized[begin + i] + bestDifference[i]);
    }
    addChanges(changes.data(), static_cast<int64_t>(changes.size()), hq.data(),
               statistics.channels());
  }
  return loss();
}

namespace {

/// What has been found for one channel.
struct Learned {
  float factor = 1;
  double lossAtStart = 0, lossOfGrid = 0, loss = 0;

  /// Moves `search` to `next`, which becomes `factor` if it is better. Returns
  /// the loss there.
  double attempt(ChannelSearch &search, float next) {
    double lossThere = search.moveTo(next);
    if (lossThere < loss) {
      loss = lossThere;
      factor = next;
    }
    return lossThere;
  }
};

} // namespace

/// Gradient descent from the best factor so far.
static void descend(ChannelSearch &search, const ClippingOptions &options,
                    float largestFactor, Learned &best) {
  // Adam (arXiv:1412.6980), which makes the steps' length independent of the
  // loss's unit; it shrinks from a grid step to a twentieth of that.
  constexpr double decay1 = 0.8, decay2 = 0.95, tiny = 1e-30;
  double mean = 0, variance = 0;
  float factor = best.factor;
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
                        options.smallestFactor, largestFactor);
    best.attempt(search, factor);
  }
}

static Learned learnChannel(ChannelSearch &search,
                            const ClippingOptions &options) {
  Learned best;
  best.loss = best.lossAtStart = search.moveTo(1);
  for (int i = 1;; ++i) {
    float factor = 1 - i * options.gridStep;
    if (factor < options.smallestFactor)
      break;
    double loss = best.attempt(search, factor);
    // Beyond the valley.
    if (factor < best.factor - 0.2f && loss > 1.5 * best.loss)
      break;
  }
  best.lossOfGrid = best.loss;
  descend(search, options, /*largestFactor=*/1, best);
  return best;
}

/// The same with groups, whose multipliers are in `search`.
static Learned learnGroupedChannel(ChannelSearch &search,
                                   const ClippingOptions &options) {
  // Where all groups are clipped, S may be larger and every m_g smaller.
  constexpr float largestFactor = 1.3f;
  Learned best;
  best.loss = best.lossAtStart = best.lossOfGrid = search.moveTo(1);
  for (int round = 0; round < options.groupRounds; ++round) {
    best.loss = search.improveMultipliers();
    if (round == 0)
      best.lossOfGrid = best.loss;
    descend(search, options, largestFactor, best);
    search.moveTo(best.factor);
  }
  return best;
}

Clipping odyssey::learnClipping(std::span<const float> weight, int64_t n,
                                const InputStatistics &statistics,
                                unsigned threads,
                                const ClippingOptions &options) {
  int64_t k = statistics.channels();
  Clipping result;
  int64_t groups = 0;
  if (options.groupSize == 0) {
    result.scale = channelScales(weight, n);
  } else {
    GroupScales start =
        chooseGroupScales(weight, n, options.groupSize, threads);
    result.scale = std::move(start.scale);
    result.multiplier = std::move(start.multiplier);
    groups = layout::groupCount(k, options.groupSize);
  }
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
      std::span multipliers =
          std::span(result.multiplier).subspan((first + i) * groups, groups);
      if (groups == 0) {
        quantizeChannel(channel, result.scale[first + i], integers);
      } else {
        quantizeGroups(channel, result.scale[first + i], multipliers,
                       options.groupSize, integers);
        multiplyGroups(integers, multipliers, options.groupSize);
      }
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
      ChannelSearch search(
          weight.subspan(channel * k, k), statistics, product(i),
          product(count + i), std::span(quantized).subspan(i * k, k),
          result.scale[channel], lossOfZeros, options.groupSize,
          std::span(result.multiplier).subspan(channel * groups, groups));
      Learned learned = groups == 0 ? learnChannel(search, options)
                                    : learnGroupedChannel(search, options);
      result.factor[channel] = learned.factor;
      result.lossAtStart[channel] = learned.lossAtStart;
      result.lossOfGrid[channel] = learned.lossOfGrid;
      result.loss[channel] = learned.loss;
      result.scale[channel] = search.scaleOf(learned.factor);
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
                                          int64_t n, int64_t bits) {
  int64_t k = static_cast<int64_t>(weight.size()) / n;
  std::vector<float> scales(n);
  for (int64_t i = 0; i < n; ++i)
    scales[i] = channelScale(weight.subspan(i * k, k), bits);
  return scales;
}

//===- Gptq.cpp - Rounding with error compensation ------------------------===//

#include "odyssey/Quantize/Gptq.h"

#include "HessianProduct.h"
#include "odyssey/Frontend/Checkpoint/GroupScales.h"
#include "odyssey/Reference/DenseProduct.h"
#include "odyssey/Reference/ParallelFor.h"
#include "odyssey/Reference/VectorClones.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>

using namespace odyssey;
using llvm::createStringError;
using llvm::Expected;
using reference::MatrixView;

struct GptqSolver::Factor {
  /// The input channel that is rounded i-th.
  std::vector<int64_t> order;
  /// Row k holds R_jk / R_kk for j < k, in the order of rounding; the rest of
  /// the row is of no meaning.
  DoubleRows feedback;
  /// R_kk^2.
  std::vector<double> weight;
  /// As a share of the diagonal's mean, and what was added to it.
  double damping = 0, added = 0;
  int64_t blockSize = 0;
};

GptqSolver::GptqSolver(std::unique_ptr<Factor> factor)
    : factor(std::move(factor)) {}
GptqSolver::GptqSolver(GptqSolver &&) = default;
GptqSolver &GptqSolver::operator=(GptqSolver &&) = default;
GptqSolver::~GptqSolver() = default;

double GptqSolver::damping() const { return factor->damping; }

//===----------------------------------------------------------------------===//
// Factorization
//===----------------------------------------------------------------------===//

/// Columns of one step of the factorization.
static constexpr int64_t panelSize = 96;

/// Replaces the lower triangle of `matrix` by L, matrix = L L^T. False where
/// it is not positive definite. Eigen's own LLT runs on one core only.
static bool factorizeCholesky(DoubleRows &matrix, unsigned threads) {
  int64_t size = matrix.rows();
  auto view = MatrixView<const double>::rowMajor(matrix.data(), size, size);
  auto target = MatrixView<double>::rowMajor(matrix.data(), size, size);
  for (int64_t first = 0; first < size; first += panelSize) {
    int64_t count = std::min(panelSize, size - first);
    int64_t next = first + count, rest = size - next;
    auto corner = matrix.block(first, first, count, count);
    Eigen::LLT<Eigen::Ref<DoubleRows>> llt(corner);
    if (llt.info() != Eigen::Success)
      return false;
    int64_t panels = (rest + panelSize - 1) / panelSize;
    auto forEachPanel = [&](auto body) {
      reference::parallelFor(panels, panelSize * panelSize * rest / 2, threads,
                             [&](int64_t begin, int64_t end) {
                               for (int64_t i = begin; i < end; ++i) {
                                 // Panels grow towards the end; a long one
                                 // follows a short one.
                                 int64_t panel =
                                     i % 2 ? panels - 1 - i / 2 : i / 2;
                                 int64_t row = next + panel * panelSize;
                                 body(row, std::min(panelSize, size - row));
                               }
                             });
    };
    forEachPanel([&](int64_t row, int64_t height) {
      auto panel = matrix.block(row, first, height, count);
      corner.template triangularView<Eigen::Lower>()
          .transpose()
          .template solveInPlace<Eigen::OnTheRight>(panel);
    });
    forEachPanel([&](int64_t row, int64_t height) {
      DoubleRows negative = -matrix.block(row, first, height, count);
      int64_t width = row + height - next;
      reference::multiplyAdd(
          MatrixView<const double>::rowMajor(negative.data(), height, count),
          view.block(next, first, width, count).transposed(),
          target.block(row, next, height, width));
    });
  }
  return true;
}

static std::vector<int64_t> roundingOrder(const InputStatistics &statistics,
                                          bool activationOrder) {
  std::vector<int64_t> order(statistics.channels());
  std::iota(order.begin(), order.end(), 0);
  if (activationOrder)
    std::ranges::sort(order, [&](int64_t a, int64_t b) {
      float left = statistics.row(a)[a], right = statistics.row(b)[b];
      return left != right ? left > right : a < b;
    });
  return order;
}

Expected<GptqSolver> GptqSolver::create(const InputStatistics &statistics,
                                        const GptqOptions &options,
                                        unsigned threads) {
  for (float value : statistics.hessian())
    if (!std::isfinite(value))
      return createStringError("the sums over the calibration text are not "
                               "finite");
  int64_t k = statistics.channels();
  auto factor = std::make_unique<Factor>();
  factor->order = roundingOrder(statistics, options.activationOrder);
  factor->blockSize = options.blockSize;
  double mean = 0;
  for (int64_t i = 0; i < k; ++i)
    mean += statistics.row(i)[i] / static_cast<double>(k);
  // An input of zeros leaves every weight alone: as good as the identity.
  double unit = mean > 0 ? mean : 1.0;

  // With the channels in reverse, L L^T of H gives R = L with its rows and
  // columns in reverse again.
  std::vector<int64_t> reversed(factor->order.rbegin(), factor->order.rend());
  DoubleRows &lower = factor->feedback;
  lower.resize(k, k);
  constexpr double largestDamping = 1e6;
  for (double damping = options.damping;;
       damping = 10 * std::max(damping, 1e-6)) {
    if (damping > largestDamping)
      return createStringError("the sums over the calibration text cannot be "
                               "factorized");
    for (int64_t i = 0; i < k; ++i) {
      std::span<const float> row = statistics.row(reversed[i]);
      for (int64_t j = 0; j <= i; ++j)
        lower(i, j) = row[reversed[j]];
      lower(i, i) += damping * unit;
    }
    factor->damping = damping;
    factor->added = damping * unit;
    if (factorizeCholesky(lower, threads))
      break;
  }
  for (int64_t i = k - 1; i >= 0; --i)
    factor->weight.push_back(lower(i, i) * lower(i, i));
  // R_jk / R_kk is L(k - 1 - j, k - 1 - k') / L(k', k'): mirrored at the other
  // diagonal, every row has its j in order.
  for (int64_t row = k - 1; row >= 0; --row)
    for (int64_t column = 0; column <= row; ++column)
      lower(row, column) /= lower(column, column);
  for (int64_t row = 0; row < k; ++row)
    for (int64_t column = 0; column <= row && row + column < k - 1; ++column)
      std::swap(lower(row, column), lower(k - 1 - column, k - 1 - row));
  return GptqSolver(std::move(factor));
}

//===----------------------------------------------------------------------===//
// Rounding
//===----------------------------------------------------------------------===//

/// Output channels that are rounded together: the innermost loops run over
/// them, side by side in vector registers.
static constexpr int64_t channelsPerBatch = 64;

/// For the channels of a batch: target[c] = weight[c] + pending[c] + sum of
/// coefficients[j] * errors[j][c] for j < count, rounded to integer[c], of
/// which error[c] = weight[c] - integer[c] * scale[c] remains. Adds to loss[c]
/// the square of target[c] - integer[c] * scale[c] times `lossWeight`, and
/// takes off what damping has in it.
ODYSSEY_VECTOR_CLONES static void roundInputChannel(
    const double *weight, const double *pending, const double *coefficients,
    const double *errors, int64_t count, const double *scale, double lossWeight,
    double damping, double *error, int8_t *integer, double *loss) {
  constexpr double roundToInteger = 0x1.8p52;
  double target[channelsPerBatch];
  for (int64_t c = 0; c < channelsPerBatch; ++c)
    target[c] = weight[c] + pending[c];
  for (int64_t j = 0; j < count; ++j)
    for (int64_t c = 0; c < channelsPerBatch; ++c)
      target[c] += coefficients[j] * errors[j * channelsPerBatch + c];
  for (int64_t c = 0; c < channelsPerBatch; ++c) {
    double quotient = scale[c] == 0 ? 0 : target[c] / scale[c];
    quotient = quotient < -8 ? -8 : quotient > 7 ? 7 : quotient;
    double rounded = (quotient + roundToInteger) - roundToInteger;
    error[c] = weight[c] - rounded * scale[c];
    double miss = target[c] - rounded * scale[c];
    loss[c] += lossWeight * miss * miss - damping * error[c] * error[c];
    integer[c] = static_cast<int8_t>(rounded);
  }
}

/// Some output channels, rounded at once.
class GptqSolver::Batch {
public:
  /// `weight` has `count` rows, `multipliers` as many where there are groups.
  Batch(const Factor &factor, std::span<const float> weight, int64_t count,
        std::span<const uint8_t> multipliers, int64_t groupSize);

  /// Rounds with these scales.
  void round(std::span<const float> scale);

  /// Channel `c` of the last `round`: its loss, and its integers, to be copied
  /// in the order of the weights.
  double loss(int64_t c) const { return losses[c]; }
  void copyIntegers(int64_t c, std::span<int8_t> to) const;

private:
  const Factor &factor;
  const int64_t k;
  /// A row for each input channel in the order of rounding. Channels beyond
  /// the given ones are zeros.
  DoubleRows weights, errors, pending;
  /// A row for each group of input channels, all being one where there are
  /// none: its multipliers, and these times the channels' scales.
  DoubleRows multipliers, scales;
  int64_t groupSize;
  std::vector<int8_t> integers;
  double losses[channelsPerBatch];
};

GptqSolver::Batch::Batch(const Factor &factor, std::span<const float> weight,
                         int64_t count,
                         std::span<const uint8_t> groupMultipliers,
                         int64_t groupSize)
    : factor(factor), k(static_cast<int64_t>(factor.order.size())),
      weights(DoubleRows::Zero(k, channelsPerBatch)),
      errors(k, channelsPerBatch),
      multipliers(DoubleRows::Ones(1, channelsPerBatch)),
      groupSize(groupSize == 0 ? k : groupSize),
      integers(k * channelsPerBatch) {
  for (int64_t c = 0; c < count; ++c)
    for (int64_t i = 0; i < k; ++i)
      weights(i, c) = weight[c * k + factor.order[i]];
  if (groupMultipliers.empty())
    return;
  int64_t groups = static_cast<int64_t>(groupMultipliers.size()) / count;
  multipliers.setOnes(groups, channelsPerBatch);
  for (int64_t c = 0; c < count; ++c)
    for (int64_t group = 0; group < groups; ++group)
      multipliers(group, c) = groupMultipliers[c * groups + group];
}

void GptqSolver::Batch::round(std::span<const float> scale) {
  Eigen::Array<double, 1, channelsPerBatch> ofChannels =
      Eigen::Array<double, 1, channelsPerBatch>::Zero();
  std::ranges::copy(scale, ofChannels.data());
  scales = multipliers.array().rowwise() * ofChannels;
  std::ranges::fill(losses, 0.0);
  auto feedback =
      MatrixView<const double>::rowMajor(factor.feedback.data(), k, k);
  auto known =
      MatrixView<const double>::rowMajor(errors.data(), k, channelsPerBatch);
  for (int64_t block = 0; block < k; block += factor.blockSize) {
    int64_t size = std::min(factor.blockSize, k - block);
    pending.setZero(size, channelsPerBatch);
    reference::multiplyAdd(
        feedback.block(block, 0, size, block),
        known.block(0, 0, block, channelsPerBatch),
        MatrixView<double>::rowMajor(pending.data(), size, channelsPerBatch));
    for (int64_t i = block; i < block + size; ++i)
      roundInputChannel(weights.row(i).data(), pending.row(i - block).data(),
                        factor.feedback.row(i).data() + block,
                        errors.row(block).data(), i - block,
                        scales.row(factor.order[i] / groupSize).data(),
                        factor.weight[i], factor.added, errors.row(i).data(),
                        integers.data() + i * channelsPerBatch, losses);
  }
}

void GptqSolver::Batch::copyIntegers(int64_t c, std::span<int8_t> to) const {
  for (int64_t i = 0; i < k; ++i)
    to[factor.order[i]] = integers[i * channelsPerBatch + c];
}

CompensatedWeights GptqSolver::quantize(std::span<const float> weight,
                                        std::span<const float> scale,
                                        std::span<const float> factors,
                                        unsigned threads,
                                        std::span<const uint8_t> multipliers,
                                        int64_t groupSize) const {
  assert(!factors.empty());
  int64_t n = static_cast<int64_t>(scale.size());
  int64_t k = static_cast<int64_t>(factor->order.size());
  CompensatedWeights result;
  result.integers.resize(n * k);
  result.scales.assign(scale.begin(), scale.end());
  result.multipliers.assign(multipliers.begin(), multipliers.end());
  int64_t groups = static_cast<int64_t>(multipliers.size()) / n;
  result.losses.assign(n, std::numeric_limits<double>::infinity());

  auto quantizeBatch = [&](int64_t first) {
    int64_t count = std::min(channelsPerBatch, n - first);
    Batch batch(*factor, weight.subspan(first * k, count * k), count,
                multipliers.subspan(first * groups, count * groups), groupSize);
    std::vector<float> scales(count);
    for (float change : factors) {
      for (int64_t c = 0; c < count; ++c)
        scales[c] = groupSize == 0 ? change * scale[first + c]
                                   : groupableScale(change * scale[first + c]);
      batch.round(scales);
      for (int64_t c = 0; c < count; ++c) {
        if (batch.loss(c) >= result.losses[first + c])
          continue;
        result.losses[first + c] = batch.loss(c);
        result.scales[first + c] = scales[c];
        batch.copyIntegers(
            c, std::span(result.integers).subspan((first + c) * k, k));
      }
    }
  };
  int64_t batches = (n + channelsPerBatch - 1) / channelsPerBatch;
  reference::parallelFor(batches, channelsPerBatch * k * k / 2, threads,
                         [&](int64_t begin, int64_t end) {
                           for (int64_t batch = begin; batch < end; ++batch)
                             quantizeBatch(batch * channelsPerBatch);
                         });
  return result;
}

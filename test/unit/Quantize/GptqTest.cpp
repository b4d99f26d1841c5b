//===- GptqTest.cpp -------------------------------------------------------===//
//
// The solver against GPTQ as its paper writes it: the inverse of H in doubles,
// its Cholesky factor, and one input channel after the other.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Quantize/Gptq.h"

#include "QuantizeTestData.h"
#include "odyssey/Quantize/Clipping.h"
#include "odyssey/Quantize/RoundToNearest.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include <numeric>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::HasSubstr;

namespace {

using Square = std::vector<std::vector<double>>;

/// By Gauss and Jordan, with pivots on the diagonal.
Square invert(Square matrix) {
  size_t size = matrix.size();
  Square inverse(size, std::vector<double>(size));
  for (size_t i = 0; i < size; ++i)
    inverse[i][i] = 1;
  for (size_t pivot = 0; pivot < size; ++pivot) {
    double factor = 1 / matrix[pivot][pivot];
    for (size_t j = 0; j < size; ++j) {
      matrix[pivot][j] *= factor;
      inverse[pivot][j] *= factor;
    }
    for (size_t row = 0; row < size; ++row) {
      double share = row == pivot ? 0 : matrix[row][pivot];
      for (size_t j = 0; j < size; ++j) {
        matrix[row][j] -= share * matrix[pivot][j];
        inverse[row][j] -= share * inverse[pivot][j];
      }
    }
  }
  return inverse;
}

/// U upper triangular with matrix = U^T U.
Square upperCholesky(const Square &matrix) {
  size_t size = matrix.size();
  Square upper(size, std::vector<double>(size));
  for (size_t i = 0; i < size; ++i)
    for (size_t j = i; j < size; ++j) {
      double sum = matrix[i][j];
      for (size_t k = 0; k < i; ++k)
        sum -= upper[k][i] * upper[k][j];
      upper[i][j] = i == j ? std::sqrt(sum) : sum / upper[i][i];
    }
  return upper;
}

/// The algorithm of the paper without blocks: when w_i is rounded, its error
/// over U_ii moves every weight to come by U_ij.
std::vector<int8_t> roundOneByOne(const std::vector<float> &weight,
                                  const std::vector<float> &scale,
                                  const InputStatistics &statistics,
                                  double damping,
                                  const std::vector<int64_t> &order) {
  size_t k = order.size();
  double mean = 0;
  for (size_t i = 0; i < k; ++i)
    mean += statistics.row(i)[i] / static_cast<double>(k);
  Square hessian(k, std::vector<double>(k));
  for (size_t i = 0; i < k; ++i)
    for (size_t j = 0; j < k; ++j)
      hessian[i][j] =
          statistics.row(order[i])[order[j]] + (i == j ? damping * mean : 0);
  Square upper = upperCholesky(invert(hessian));
  std::vector<int8_t> result(weight.size());
  for (size_t n = 0; n < scale.size(); ++n) {
    std::vector<double> w(k);
    for (size_t i = 0; i < k; ++i)
      w[i] = weight[n * k + order[i]];
    double s = scale[n];
    for (size_t i = 0; i < k; ++i) {
      double q = std::clamp(std::nearbyint(w[i] / s), -8.0, 7.0);
      result[n * k + order[i]] = static_cast<int8_t>(q);
      double error = (w[i] - s * q) / upper[i][i];
      for (size_t j = i; j < k; ++j)
        w[j] -= error * upper[i][j];
    }
  }
  return result;
}

std::vector<int8_t> roundToNearest(const std::vector<float> &weight,
                                   const std::vector<float> &scale) {
  size_t k = weight.size() / scale.size();
  std::vector<int8_t> result(weight.size());
  for (size_t n = 0; n < scale.size(); ++n)
    quantizeChannel(std::span(weight).subspan(n * k, k), scale[n],
                    std::span(result).subspan(n * k, k));
  return result;
}

class GptqTest : public ::testing::Test {
protected:
  double errorOf(std::vector<int8_t> integers) {
    double sum = 0;
    for (int64_t c = 0; c < n; ++c)
      sum += outputError(std::span(weight).subspan(c * k, k),
                         std::span(integers).subspan(c * k, k), scale[c],
                         statistics);
    return sum;
  }

  std::vector<int8_t> solve(const GptqOptions &options, unsigned threads = 1) {
    GptqSolver solver =
        llvm::cantFail(GptqSolver::create(statistics, options, threads));
    return solver.quantize(weight, scale, {{1.0f}}, threads).integers;
  }

  static constexpr int64_t n = 70, k = 200;
  std::vector<float> weight = randomWeights(n, k);
  std::vector<float> scale = channelScales(weight, n);
  InputStatistics statistics = correlatedStatistics(k, /*tokens=*/600);
};

} // namespace

TEST_F(GptqTest, AsGoodAsOneByOne) {
  std::vector<int64_t> order(k);
  std::iota(order.begin(), order.end(), 0);
  double expected =
      errorOf(roundOneByOne(weight, scale, statistics, 0.01, order));
  EXPECT_LT(expected, 0.7 * errorOf(roundToNearest(weight, scale)));
  for (int64_t blockSize : {1, 7, 128, 1000}) {
    GptqOptions options;
    options.activationOrder = false;
    options.blockSize = blockSize;
    EXPECT_LE(errorOf(solve(options)), expected * (1 + 1e-4)) << blockSize;
  }
}

TEST_F(GptqTest, ActivationOrder) {
  std::vector<int64_t> order(k);
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(order, [&](int64_t a, int64_t b) {
    return statistics.row(a)[a] > statistics.row(b)[b];
  });
  GptqOptions options;
  options.activationOrder = true;
  EXPECT_EQ(solve(options),
            roundOneByOne(weight, scale, statistics, 0.01, order));
}

TEST_F(GptqTest, ActivationOrderDoesNotDependOnTheLayout) {
  // With the input channels shuffled, the integers are the same, shuffled.
  std::vector<int64_t> place = shuffledIndices(k);
  reference::Matrix inputs = correlatedInputs(k, 600), shuffledInputs = inputs;
  std::vector<float> shuffledWeight(weight.size());
  for (int64_t i = 0; i < k; ++i) {
    for (int64_t t = 0; t < inputs.rows; ++t)
      shuffledInputs.row(t)[i] = inputs.row(t)[place[i]];
    for (int64_t c = 0; c < n; ++c)
      shuffledWeight[c * k + i] = weight[c * k + place[i]];
  }
  InputStatistics shuffledStatistics(k);
  shuffledStatistics.add(shuffledInputs, {}, 1);
  GptqOptions options;
  options.activationOrder = true;
  std::vector<int8_t> integers = solve(options);
  GptqSolver solver =
      llvm::cantFail(GptqSolver::create(shuffledStatistics, options, 1));
  std::vector<int8_t> shuffled =
      solver.quantize(shuffledWeight, scale, {{1.0f}}, 1).integers;
  for (int64_t c = 0; c < n; ++c)
    for (int64_t i = 0; i < k; ++i)
      ASSERT_EQ(shuffled[c * k + i], integers[c * k + place[i]])
          << c << " " << i;
}

TEST_F(GptqTest, LossesAreWhatTheyAreCalled) {
  for (double damping : {0.01, 1.0}) {
    GptqSolver solver =
        llvm::cantFail(GptqSolver::create(statistics, {.damping = damping}, 1));
    CompensatedWeights result = solver.quantize(weight, scale, {{1.0f}}, 1);
    EXPECT_EQ(result.scales, scale);
    double losses =
        std::accumulate(result.losses.begin(), result.losses.end(), 0.0);
    EXPECT_NEAR(losses, errorOf(result.integers), 1e-6 * losses);
  }
}

TEST_F(GptqTest, KeepsTheBestScale) {
  GptqSolver solver = llvm::cantFail(GptqSolver::create(statistics, {}, 1));
  CompensatedWeights both = solver.quantize(weight, scale, {{1.0f, 0.75f}}, 1);
  std::vector<float> smaller = scale;
  for (float &s : smaller)
    s *= 0.75f;
  CompensatedWeights one = solver.quantize(weight, scale, {{1.0f}}, 1);
  CompensatedWeights other = solver.quantize(weight, smaller, {{1.0f}}, 1);
  for (int64_t c = 0; c < n; ++c) {
    const CompensatedWeights &best =
        other.losses[c] < one.losses[c] ? other : one;
    EXPECT_EQ(both.losses[c], best.losses[c]);
    EXPECT_EQ(both.scales[c], best.scales[c]);
    EXPECT_TRUE(std::ranges::equal(std::span(both.integers).subspan(c * k, k),
                                   std::span(best.integers).subspan(c * k, k)));
  }
  EXPECT_NE(both.scales, scale);
  EXPECT_NE(both.scales, smaller);
}

TEST_F(GptqTest, ThreadsDoNotMatter) { EXPECT_EQ(solve({}, 1), solve({}, 3)); }

TEST_F(GptqTest, WithoutCorrelationRoundsToNearest) {
  statistics = InputStatistics(k);
  reference::Matrix identity(k, k);
  for (int64_t i = 0; i < k; ++i)
    identity.row(i)[i] = 1.0f + static_cast<float>(i);
  statistics.add(identity, {}, 1);
  EXPECT_EQ(solve({}), roundToNearest(weight, scale));
}

TEST_F(GptqTest, InputsOfZerosRoundToNearest) {
  statistics = InputStatistics(k);
  statistics.add(reference::Matrix(10, k), {}, 1);
  EXPECT_EQ(solve({}), roundToNearest(weight, scale));
}

TEST_F(GptqTest, DeadInputChannelsRoundToNearest) {
  reference::Matrix inputs = correlatedInputs(k, 600);
  for (int64_t t = 0; t < inputs.rows; ++t)
    inputs.row(t)[5] = inputs.row(t)[k - 1] = 0;
  statistics = InputStatistics(k);
  statistics.add(inputs, {}, 1);
  std::vector<int8_t> integers = solve({}),
                      plain = roundToNearest(weight, scale);
  for (int64_t c = 0; c < n; ++c)
    for (int64_t i : {int64_t(5), k - 1})
      EXPECT_EQ(integers[c * k + i], plain[c * k + i]);
}

TEST_F(GptqTest, ZeroOutputChannel) {
  std::fill_n(weight.begin() + 3 * k, k, 0.0f);
  scale = channelScales(weight, n);
  ASSERT_EQ(scale[3], 0);
  std::vector<int8_t> integers = solve({});
  for (int64_t i = 0; i < k; ++i)
    EXPECT_EQ(integers[3 * k + i], 0);
}

TEST_F(GptqTest, SingularHessian) {
  // Fewer tokens than channels, all channels alike, and no damping to begin
  // with.
  statistics = InputStatistics(k);
  reference::Matrix inputs(3, k);
  std::ranges::fill(inputs.values, 1.0f);
  statistics.add(inputs, {}, 1);
  GptqOptions options;
  options.damping = 0;
  GptqSolver solver =
      llvm::cantFail(GptqSolver::create(statistics, options, 1));
  EXPECT_GT(solver.damping(), 0);
  EXPECT_LT(solver.damping(), 0.01);
  EXPECT_LE(errorOf(solver.quantize(weight, scale, {{1.0f}}, 1).integers),
            errorOf(roundToNearest(weight, scale)));
}

TEST_F(GptqTest, NotFinite) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), 1e30f}) {
    InputStatistics broken(k);
    reference::Matrix inputs(1, k);
    inputs.row(0)[7] = bad;
    broken.add(inputs, {}, 1);
    EXPECT_THAT(llvm::toString(GptqSolver::create(broken, {}, 1).takeError()),
                HasSubstr("not finite"));
  }
}

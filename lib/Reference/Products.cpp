//===- Products.cpp - Matrix products of the reference --------------------===//

#include "odyssey/Reference/Products.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/ModelConfig.h"
#include "odyssey/Reference/DenseProduct.h"
#include "odyssey/Reference/ParallelFor.h"
#include "odyssey/Reference/VectorClones.h"

#include <Eigen/Core>

#include <algorithm>
#include <cassert>
#include <cmath>

using namespace odyssey;
using namespace odyssey::reference;

/// Output channels whose results lie together while they are computed.
static constexpr int64_t channelsPerBlock = 16;

/// sums[m, c] = sum of rows[m, i] * weights[c, i] for `count` rows of size k
/// and the channels of a block. In 16 bits, pairs of which the vector units
/// multiply and add at once, and four channels in one pass over the rows.
ODYSSEY_VECTOR_CLONES static void dotRows(const int16_t *rows, int64_t count,
                                          const int16_t *weights, int64_t k,
                                          int32_t *sums) {
  for (int64_t c = 0; c < channelsPerBlock; c += 4) {
    const int16_t *weights0 = weights + c * k, *weights1 = weights0 + k,
                  *weights2 = weights1 + k, *weights3 = weights2 + k;
    for (int64_t m = 0; m < count; ++m) {
      const int16_t *row = rows + m * k;
      int32_t sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
      for (int64_t i = 0; i < k; ++i) {
        int32_t value = row[i];
        sum0 += value * weights0[i];
        sum1 += value * weights1[i];
        sum2 += value * weights2[i];
        sum3 += value * weights3[i];
      }
      int32_t *out = sums + m * channelsPerBlock + c;
      out[0] = sum0;
      out[1] = sum1;
      out[2] = sum2;
      out[3] = sum3;
    }
  }
}

/// out[c] = fp32(factor * sums[c]) * scale[c] * tokenScale (+ bias[c], unless
/// that is null), rounded to fp16.
ODYSSEY_VECTOR_CLONES static void scaleSums(const int32_t *sums, int32_t factor,
                                            const float *scale,
                                            float tokenScale, const float *bias,
                                            int64_t count, float *out) {
  for (int64_t c = 0; c < count; ++c) {
    float value = static_cast<float>(factor * sums[c]) * scale[c];
    value *= tokenScale;
    out[c] = roundToHalf(bias ? value + bias[c] : value);
  }
}

float reference::quantizeToken(std::span<const float> x,
                               std::span<int8_t> quantized) {
  assert(x.size() == quantized.size());
  float largest = 0;
  for (float value : x)
    largest = std::max(largest, std::fabs(value));
  if (largest == 0) {
    std::ranges::fill(quantized, 0);
    return 0;
  }
  float reciprocal = 127.0f / largest;
  for (size_t i = 0; i < x.size(); ++i) {
    // nearbyint rounds half to even in the default rounding mode.
    float rounded = std::nearbyint(x[i] * reciprocal);
    quantized[i] = static_cast<int8_t>(std::clamp(rounded, -127.0f, 127.0f));
  }
  return largest / 127.0f;
}

Matrix reference::multiply(const Matrix &x, std::span<const float> weight,
                           int64_t n, unsigned threads) {
  Matrix y(x.rows, n);
  using RowMajor =
      Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  auto left =
      MatrixView<const float>::rowMajor(x.values.data(), x.rows, x.columns);
  auto right = MatrixView<const float>::rowMajor(weight.data(), n, x.columns);
  auto result = MatrixView<float>::rowMajor(y.values.data(), x.rows, n);
  parallelFor(n, x.rows * x.columns, threads, [&](int64_t begin, int64_t end) {
    int64_t count = end - begin;
    if (x.rows == 1) {
      // Bound by memory: a copy of the weights in blocks would not pay.
      Eigen::Map<const RowMajor> rows(weight.data() + begin * x.columns, count,
                                      x.columns);
      Eigen::Map<const Eigen::VectorXf> token(x.values.data(), x.columns);
      Eigen::Map<Eigen::VectorXf>(y.values.data() + begin, count).noalias() =
          rows * token;
      return;
    }
    multiplyAdd(left, right.block(begin, 0, count, x.columns).transposed(),
                result.block(0, begin, x.rows, count));
  });
  return y;
}

/// Columns that share a unit (docs/numerics.md, N14).
static constexpr int64_t columnsOfGroup = 32;

/// A row rounded, in each group, to multiples of 2^(E - 9), where 2^E is the
/// least power of two above all magnitudes (from 2^-14 on); groups that have
/// one of 2^14 and more stay as they are.
static void roundToGroups(const float *row, int64_t k, float *out) {
  constexpr float toInteger = 0x1.8p23f;
  for (int64_t first = 0; first < k; first += columnsOfGroup) {
    int64_t end = std::min(k, first + columnsOfGroup);
    float largest = 0x1p-15f;
    for (int64_t i = first; i < end; ++i)
      largest = std::max(largest, std::fabs(row[i]));
    if (largest >= 0x1p14f) {
      std::copy(row + first, row + end, out + first);
      continue;
    }
    int exponent = std::ilogb(largest) + 1 - 9;
    float unit = std::ldexp(1.0f, exponent);
    float inverse = std::ldexp(1.0f, -exponent);
    for (int64_t i = first; i < end; ++i)
      out[i] = ((row[i] * inverse + toInteger) - toInteger) * unit;
  }
}

Matrix reference::multiplyInGroups(const Matrix &x,
                                   std::span<const float> weight, int64_t n,
                                   unsigned threads) {
  using RowMajor =
      Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  int64_t k = x.columns;
  RowMajor rows(x.rows, k);
  for (int64_t m = 0; m < x.rows; ++m)
    roundToGroups(x.row(m).data(), k, rows.row(m).data());
  Matrix y(x.rows, n);
  // Channels whose rounded weights lie together.
  constexpr int64_t together = 64;
  auto multiplyBlock = [&](int64_t first) {
    int64_t count = std::min(together, n - first);
    RowMajor weights(count, k), sums = RowMajor::Zero(x.rows, count), group;
    for (int64_t c = 0; c < count; ++c)
      roundToGroups(weight.data() + (first + c) * k, k, weights.row(c).data());
    for (int64_t at = 0; at < k; at += columnsOfGroup) {
      int64_t columns = std::min(columnsOfGroup, k - at);
      // Exact, in any order.
      group.noalias() = rows.middleCols(at, columns) *
                        weights.middleCols(at, columns).transpose();
      sums += group;
    }
    for (int64_t m = 0; m < x.rows; ++m)
      std::copy_n(sums.row(m).data(), count, y.row(m).data() + first);
  };
  parallelFor((n + together - 1) / together, together * x.rows * k, threads,
              [&](int64_t begin, int64_t end) {
                for (int64_t block = begin; block < end; ++block)
                  multiplyBlock(block * together);
              });
  return y;
}

/// The integers of a channel as the product has them, but for the factor 16:
/// weights, times their group's multiplier where there are groups.
static void expandChannel(const W4A8Linear &linear, int64_t channel,
                          int16_t *out) {
  std::span<const int8_t> weight =
      linear.weight.subspan(channel * linear.k, linear.k);
  if (linear.format.groupSize == 0) {
    std::ranges::copy(weight, out);
    return;
  }
  int64_t groups =
      (linear.k + linear.format.groupSize - 1) / linear.format.groupSize;
  for (int64_t group = 0; group < groups; ++group) {
    int16_t multiplier = linear.multiplier[channel * groups + group];
    int64_t end = std::min(linear.k, (group + 1) * linear.format.groupSize);
    for (int64_t i = group * linear.format.groupSize; i < end; ++i)
      out[i] = static_cast<int16_t>(multiplier * weight[i]);
  }
}

Matrix reference::multiplyW4A8(const Matrix &x, const W4A8Linear &linear,
                               unsigned threads,
                               std::span<const float> factors) {
  assert(x.columns == linear.k && linear.k <= linear.format.maxK());
  std::vector<int16_t> quantized;
  quantized.reserve(x.values.size());
  std::vector<int8_t> token(x.columns);
  std::vector<float> tokenScales(x.rows);
  for (int64_t m = 0; m < x.rows; ++m) {
    tokenScales[m] = quantizeToken(x.row(m), token);
    if (!factors.empty())
      tokenScales[m] *= factors[m];
    quantized.insert(quantized.end(), token.begin(), token.end());
  }

  auto factor = static_cast<int32_t>(linear.format.factor());
  Matrix y(x.rows, linear.n);
  auto multiplyBlock = [&](int64_t first) {
    int64_t count = std::min(channelsPerBlock, linear.n - first);
    // Channels that are not there are zeros.
    std::vector<int16_t> weights(channelsPerBlock * linear.k);
    float scale[channelsPerBlock];
    for (int64_t c = 0; c < count; ++c) {
      expandChannel(linear, first + c, weights.data() + c * linear.k);
      scale[c] = linear.scale[first + c] / static_cast<float>(factor);
    }
    const float *bias =
        linear.bias.empty() ? nullptr : linear.bias.data() + first;
    std::vector<int32_t> sums(x.rows * channelsPerBlock);
    dotRows(quantized.data(), x.rows, weights.data(), linear.k, sums.data());
    for (int64_t m = 0; m < x.rows; ++m)
      scaleSums(sums.data() + m * channelsPerBlock, factor, scale,
                tokenScales[m], bias, count, y.row(m).data() + first);
  };
  int64_t blocks = (linear.n + channelsPerBlock - 1) / channelsPerBlock;
  parallelFor(blocks, channelsPerBlock * x.rows * x.columns, threads,
              [&](int64_t begin, int64_t end) {
                for (int64_t block = begin; block < end; ++block)
                  multiplyBlock(block * channelsPerBlock);
              });
  return y;
}

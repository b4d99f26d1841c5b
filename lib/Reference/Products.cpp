//===- Products.cpp - Matrix products of the reference --------------------===//

#include "odyssey/Reference/Products.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/ModelConfig.h"
#include "odyssey/Reference/ParallelFor.h"

#include <Eigen/Core>

#include <algorithm>
#include <cassert>
#include <cmath>

using namespace odyssey;
using namespace odyssey::reference;

// The same code for the vector units of several generations; the one that fits
// is chosen when the program is loaded. Integers only, so all give the same.
#if defined(__x86_64__) && defined(__linux__)
#define ODYSSEY_FOR_EACH_CPU                                                   \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ODYSSEY_FOR_EACH_CPU
#endif

/// sums[m] = sum of rows[m, k] * weight[k] for `count` rows.
ODYSSEY_FOR_EACH_CPU static void dotRows(const int8_t *rows, int64_t count,
                                         const int8_t *weight, int64_t k,
                                         int32_t *sums) {
  for (int64_t m = 0; m < count; ++m) {
    const int8_t *row = rows + m * k;
    int32_t sum = 0;
    for (int64_t i = 0; i < k; ++i)
      sum += static_cast<int32_t>(row[i]) * static_cast<int32_t>(weight[i]);
    sums[m] = sum;
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
  using RowMajor =
      Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  Matrix y(x.rows, n);
  Eigen::Map<const RowMajor> left(x.values.data(), x.rows, x.columns);
  Eigen::Map<const RowMajor> right(weight.data(), n, x.columns);
  Eigen::Map<RowMajor> result(y.values.data(), x.rows, n);
  parallelFor(n, x.rows * x.columns, threads, [&](int64_t begin, int64_t end) {
    result.middleCols(begin, end - begin).noalias() =
        left * right.middleRows(begin, end - begin).transpose();
  });
  return y;
}

Matrix reference::multiplyW4A8(const Matrix &x, const W4A8Linear &linear,
                               unsigned threads) {
  assert(x.columns == linear.k && linear.k <= maxReductionSize);
  std::vector<int8_t> quantized(x.values.size());
  std::vector<float> tokenScales(x.rows);
  for (int64_t m = 0; m < x.rows; ++m)
    tokenScales[m] = quantizeToken(
        x.row(m), std::span(quantized).subspan(m * x.columns, x.columns));

  Matrix y(x.rows, linear.n);
  parallelFor(
      linear.n, x.rows * x.columns, threads, [&](int64_t begin, int64_t end) {
        std::vector<int32_t> sums(x.rows);
        for (int64_t n = begin; n < end; ++n) {
          dotRows(quantized.data(), x.rows, linear.weight.data() + n * linear.k,
                  linear.k, sums.data());
          float channelScale = linear.scale[n] / 16.0f;
          for (int64_t m = 0; m < x.rows; ++m) {
            int32_t accumulator = 16 * sums[m];
            float value = static_cast<float>(accumulator) * channelScale;
            y.values[m * linear.n + n] = roundToHalf(value * tokenScales[m]);
          }
        }
      });
  return y;
}

//===- LayerSteps.cpp - What a layer does between its linears -------------===//

#include "odyssey/Reference/LayerSteps.h"

#include "HeadSums.h"
#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Reference/ParallelFor.h"
#include "odyssey/Reference/VectorClones.h"

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>

using namespace odyssey;
using namespace odyssey::reference;

LayerSteps::LayerSteps(const ModelConfig &config, Arithmetic arithmetic)
    : config(config), arithmetic(arithmetic),
      frequencies(ropeFrequencies(config)) {}

void LayerSteps::round(Matrix &values) const {
  if (arithmetic == Arithmetic::W4A8)
    for (float &value : values.values)
      value = roundToHalf(value);
}

/// What the 32 lanes of a warp have, added as a butterfly does.
static float addLanes(std::array<float, 32> lanes) {
  for (size_t half = lanes.size() / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i)
      lanes[i] += lanes[i + half];
  return lanes[0];
}

/// The sum of squares of a row in the order of kernels (docs/numerics.md, N15).
static float sumOfSquares(std::span<const float> row) {
  std::array<float, 32> lanes = {};
  for (size_t first = 0; first < row.size(); first += 32) {
    std::array<float, 32> tree = {};
    for (size_t i = 0; i < std::min<size_t>(32, row.size() - first); ++i)
      tree[i] = row[first + i] * row[first + i];
    for (size_t size = 16; size > 0; size /= 2)
      for (size_t i = 0; i < size; ++i)
        tree[i] = tree[2 * i] + tree[2 * i + 1];
    lanes[first / 32 % 32] += tree[0];
  }
  return addLanes(lanes);
}

float reference::sumOfSquaresOfHead(std::span<const float> head) {
  std::array<float, 32> lanes = {};
  size_t half = head.size() / 2;
  for (size_t i = 0; i < half; ++i)
    for (float x : {head[i], head[i + half]})
      lanes[i % 32] += x * x;
  return addLanes(lanes);
}

float LayerSteps::normFactor(float squares, size_t count) const {
  float mean = squares / static_cast<float>(count);
  return 1.0f / std::sqrt(mean + config.rmsNormEps);
}

/// (x * r) * weight.
static void normalizeRow(std::span<const float> in, float r,
                         std::span<const float> weight, std::span<float> out) {
  for (size_t i = 0; i < in.size(); ++i)
    out[i] = (in[i] * r) * weight[i];
}

Matrix LayerSteps::normalize(const Matrix &x,
                             std::span<const float> weight) const {
  Matrix y(x.rows, x.columns);
  for (int64_t row = 0; row < x.rows; ++row)
    normalizeRow(x.row(row), normFactor(sumOfSquares(x.row(row)), x.columns),
                 weight, y.row(row));
  round(y);
  return y;
}

NormalizedRows
LayerSteps::normalizeToQuantize(const Matrix &x,
                                std::span<const float> weight) const {
  NormalizedRows y = {Matrix(x.rows, x.columns), {}};
  for (int64_t row = 0; row < x.rows; ++row) {
    y.factors.push_back(normFactor(sumOfSquares(x.row(row)), x.columns));
    std::ranges::transform(x.row(row), weight, y.products.row(row).begin(),
                           std::multiplies<>());
  }
  return y;
}

Matrix NormalizedRows::values() const {
  Matrix result = products;
  for (int64_t row = 0; row < result.rows; ++row)
    for (float &value : result.row(row))
      value *= factors[row];
  return result;
}

void LayerSteps::normalizeHeads(Matrix &heads,
                                std::span<const float> weight) const {
  std::span<float> values = heads.values;
  for (size_t first = 0; first < values.size(); first += weight.size()) {
    std::span<float> head = values.subspan(first, weight.size());
    normalizeRow(head, normFactor(sumOfSquaresOfHead(head), head.size()),
                 weight, head);
  }
  round(heads);
}

/// exp(x) as kernels compute it (docs/numerics.md, N20).
static inline float exponential(float x) {
  constexpr float roundToInteger = 0x1.8p23f;
  float clamped = std::min(std::max(x, -87.0f), 88.0f);
  float n = (clamped * 1.44269504f + roundToInteger) - roundToInteger;
  float f = __builtin_fmaf(n, -0.693359375f, clamped);
  f = __builtin_fmaf(n, 2.12194440e-4f, f);
  float p = 1.9875691500e-4f;
  p = __builtin_fmaf(p, f, 1.3981999507e-3f);
  p = __builtin_fmaf(p, f, 8.3334519073e-3f);
  p = __builtin_fmaf(p, f, 4.1665795894e-2f);
  p = __builtin_fmaf(p, f, 1.6666665459e-1f);
  p = __builtin_fmaf(p, f, 5.0000001201e-1f);
  p = __builtin_fmaf(p, f * f, f) + 1.0f;
  int32_t exponent = (static_cast<int32_t>(n) + 127) << 23;
  float power = std::bit_cast<float>(exponent);
  return x < -87.0f ? 0.0f : p * power;
}

/// y = (gate / (1 + exp(-gate))) * up (N17).
ODYSSEY_VECTOR_CLONES static void siluMul(const float *gate, const float *up,
                                          size_t count, float *y) {
  for (size_t i = 0; i < count; ++i)
    y[i] = (gate[i] / (1.0f + exponential(0.0f - gate[i]))) * up[i];
}

Matrix LayerSteps::activate(const Matrix &gate, const Matrix &up) const {
  Matrix y(gate.rows, gate.columns);
  siluMul(gate.values.data(), up.values.data(), y.values.size(),
          y.values.data());
  round(y);
  return y;
}

void LayerSteps::addResidual(Matrix &x, const Matrix &y) const {
  for (size_t i = 0; i < x.values.size(); ++i)
    x.values[i] += y.values[i];
  round(x);
}

//===----------------------------------------------------------------------===//
// RoPE
//===----------------------------------------------------------------------===//

void LayerSteps::reserve(int64_t positions) {
  int64_t known = cosines.size() / frequencies.size();
  for (int64_t position = known; position < positions; ++position) {
    for (double frequency : frequencies) {
      double angle = static_cast<double>(position) * frequency;
      cosines.push_back(static_cast<float>(std::cos(angle)));
      sines.push_back(static_cast<float>(std::sin(angle)));
    }
  }
}

void LayerSteps::rotateToken(std::span<float> heads, int64_t position) const {
  size_t half = frequencies.size();
  const float *cosine = cosines.data() + position * half;
  const float *sine = sines.data() + position * half;
  for (size_t head = 0; head < heads.size(); head += 2 * half) {
    float *low = heads.data() + head;
    float *high = low + half;
    for (size_t i = 0; i < half; ++i) {
      float lo = low[i], hi = high[i];
      low[i] = lo * cosine[i] - hi * sine[i];
      high[i] = hi * cosine[i] + lo * sine[i];
    }
  }
}

void LayerSteps::rotate(Matrix &heads, int64_t position) const {
  for (int64_t token = 0; token < heads.rows; ++token)
    rotateToken(heads.row(token), position + token);
  round(heads);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {

/// One head's columns of the first `positions` rows of a cache, in double.
class CachedHead {
public:
  CachedHead(std::span<const float> cache, int64_t width, int64_t firstColumn,
             int64_t positions, int64_t headDim)
      : values(Eigen::Map<const RowMajor<float>, 0, Eigen::OuterStride<>>(
                   cache.data() + firstColumn, positions, headDim,
                   Eigen::OuterStride<>(width))
                   .cast<double>()) {}

  /// The rows of the first `positions`.
  auto upTo(int64_t positions) const { return values.topRows(positions); }

private:
  template <typename T>
  using RowMajor =
      Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  RowMajor<double> values;
};

/// The exponentials of softmax for one query over the first `positions` keys,
/// the largest of which is 1. Returns their sum.
float attentionWeights(std::span<const float> query, const CachedHead &keys,
                       int64_t positions, Eigen::VectorXf &weights) {
  Eigen::Map<const Eigen::VectorXf> token(query.data(),
                                          static_cast<int64_t>(query.size()));
  weights = (keys.upTo(positions) * token.cast<double>()).cast<float>();
  weights *= 1.0f / std::sqrt(static_cast<float>(query.size()));
  float largest = weights.maxCoeff();
  float sum = 0;
  for (float &weight : weights) {
    weight = exponential(weight - largest);
    sum += weight;
  }
  return sum;
}

} // namespace

Matrix LayerSteps::attend(const Matrix &queries, const KeyValueCache &cache,
                          int64_t position, unsigned threads) const {
  if (arithmetic == Arithmetic::W4A8)
    return attendInIntegers(queries, cache, position, threads);
  int64_t headDim = config.headDim, end = position + queries.rows;
  Matrix out(queries.rows, queries.columns);
  auto attendHead = [&](int64_t head, Eigen::VectorXf &weights) {
    int64_t offset = head * headDim;
    auto cached = [&](std::span<const float> values) {
      return CachedHead(values, config.keyValueWidth(), cacheColumn(head), end,
                        headDim);
    };
    CachedHead keys = cached(cache.keys), values = cached(cache.values);
    for (int64_t token = 0; token < queries.rows; ++token) {
      int64_t positions = position + token + 1;
      float sum = attentionWeights(queries.row(token).subspan(offset, headDim),
                                   keys, positions, weights);
      Eigen::Map<Eigen::VectorXf> result(out.row(token).data() + offset,
                                         headDim);
      result = (values.upTo(positions).transpose() * weights.cast<double>())
                   .cast<float>();
      result /= sum;
    }
  };
  parallelFor(config.numHeads,
              queries.rows * (position + queries.rows) * headDim, threads,
              [&](int64_t begin, int64_t end) {
                Eigen::VectorXf weights;
                for (int64_t head = begin; head < end; ++head)
                  attendHead(head, weights);
              });
  return out;
}

std::vector<float> LayerSteps::attentionReceived(const Matrix &queries,
                                                 const Matrix &keys) const {
  int64_t headDim = config.headDim;
  std::vector<float> received(keys.rows);
  Eigen::VectorXf weights;
  for (int64_t head = 0; head < config.numHeads; ++head) {
    CachedHead cached(keys.values, config.keyValueWidth(), cacheColumn(head),
                      keys.rows, headDim);
    for (int64_t token = 0; token < queries.rows; ++token) {
      float sum =
          attentionWeights(queries.row(token).subspan(head * headDim, headDim),
                           cached, token + 1, weights);
      for (int64_t other = 0; other <= token; ++other) {
        float probability = weights[other] / sum;
        received[other] += probability * probability;
      }
    }
  }
  return received;
}

//===- LayerSteps.cpp - What a layer does between its linears -------------===//

#include "odyssey/Reference/LayerSteps.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Reference/ParallelFor.h"

#include <Eigen/Core>

#include <algorithm>
#include <cmath>

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

void LayerSteps::normalizeRow(std::span<const float> in,
                              std::span<const float> weight,
                              std::span<float> out) const {
  double squares = 0;
  for (float value : in)
    squares += static_cast<double>(value) * static_cast<double>(value);
  float mean = static_cast<float>(squares / static_cast<double>(in.size()));
  float r = 1.0f / std::sqrt(mean + config.rmsNormEps);
  for (size_t i = 0; i < in.size(); ++i)
    out[i] = (in[i] * r) * weight[i];
}

Matrix LayerSteps::normalize(const Matrix &x,
                             std::span<const float> weight) const {
  Matrix y(x.rows, x.columns);
  for (int64_t row = 0; row < x.rows; ++row)
    normalizeRow(x.row(row), weight, y.row(row));
  round(y);
  return y;
}

void LayerSteps::normalizeHeads(Matrix &heads,
                                std::span<const float> weight) const {
  std::span<float> values = heads.values;
  for (size_t first = 0; first < values.size(); first += weight.size()) {
    std::span<float> head = values.subspan(first, weight.size());
    normalizeRow(head, weight, head);
  }
  round(heads);
}

Matrix LayerSteps::activate(const Matrix &gate, const Matrix &up) const {
  Matrix y(gate.rows, gate.columns);
  for (size_t i = 0; i < y.values.size(); ++i) {
    float g = gate.values[i];
    y.values[i] = (g / (1.0f + std::exp(-g))) * up.values[i];
  }
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

void LayerSteps::throughInt8(Matrix &heads) const {
  auto headDim = static_cast<size_t>(config.headDim);
  for (size_t start = 0; start < heads.values.size(); start += headDim) {
    std::span<float> head = std::span(heads.values).subspan(start, headDim);
    float largest = 0;
    for (float value : head)
      largest = std::max(largest, std::fabs(value));
    float factor = largest == 0 ? 0 : 127.0f / largest;
    float scale = largest / 127.0f;
    for (float &value : head) {
      float q = std::clamp(std::nearbyint(value * factor), -127.0f, 127.0f);
      value = roundToHalf(q * scale);
    }
  }
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

namespace {

using RowMajor =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// One head's columns of a cache: [positions, headDim].
using CachedHead = Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>;

/// The exponentials of softmax for one query over `keys`, the largest of which
/// is 1. Returns their sum.
float attentionWeights(Eigen::Map<const Eigen::VectorXf> query,
                       const CachedHead &keys, Eigen::VectorXf &weights) {
  weights.noalias() = keys * query;
  weights *= 1.0f / std::sqrt(static_cast<float>(query.size()));
  float largest = weights.maxCoeff();
  float sum = 0;
  for (float &weight : weights) {
    weight = std::exp(weight - largest);
    sum += weight;
  }
  return sum;
}

} // namespace

Matrix LayerSteps::attend(const Matrix &queries, const KeyValueCache &cache,
                          int64_t position, unsigned threads) const {
  int64_t headDim = config.headDim;
  Eigen::OuterStride<> stride(config.keyValueWidth());
  Matrix out(queries.rows, queries.columns);
  auto attendHead = [&](int64_t head, Eigen::VectorXf &weights) {
    int64_t offset = head * headDim, cacheOffset = cacheColumn(head);
    for (int64_t token = 0; token < queries.rows; ++token) {
      int64_t positions = position + token + 1;
      CachedHead keys(cache.keys.data() + cacheOffset, positions, headDim,
                      stride);
      CachedHead values(cache.values.data() + cacheOffset, positions, headDim,
                        stride);
      float sum = attentionWeights(
          {queries.row(token).data() + offset, headDim}, keys, weights);
      // The compiled model multiplies and adds them in fp16.
      if (arithmetic == Arithmetic::W4A8) {
        std::ranges::transform(weights, weights.begin(), roundToHalf);
        sum = weights.sum();
      }
      Eigen::Map<Eigen::VectorXf> result(out.row(token).data() + offset,
                                         headDim);
      result.noalias() = values.transpose() * weights;
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
  round(out);
  return out;
}

std::vector<float> LayerSteps::attentionReceived(const Matrix &queries,
                                                 const Matrix &keys) const {
  int64_t headDim = config.headDim;
  Eigen::OuterStride<> stride(config.keyValueWidth());
  std::vector<float> received(keys.rows);
  Eigen::VectorXf weights;
  for (int64_t head = 0; head < config.numHeads; ++head)
    for (int64_t token = 0; token < queries.rows; ++token) {
      float sum = attentionWeights(
          {queries.row(token).data() + head * headDim, headDim},
          {keys.values.data() + cacheColumn(head), token + 1, headDim, stride},
          weights);
      for (int64_t other = 0; other <= token; ++other) {
        float probability = weights[other] / sum;
        received[other] += probability * probability;
      }
    }
  return received;
}

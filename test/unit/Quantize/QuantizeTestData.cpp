//===- QuantizeTestData.cpp - Random layers -------------------------------===//

#include "QuantizeTestData.h"

#include <numeric>
#include <random>

using namespace odyssey;
using namespace odyssey::testing;

/// Sums of uniform numbers. std::normal_distribution and std::shuffle differ
/// between libraries; this does not.
static float nearlyNormal(std::mt19937 &random) {
  float sum = 0;
  for (int i = 0; i < 12; ++i)
    sum += static_cast<float>(random() >> 8) / 0x1p24f;
  return sum - 6;
}

std::vector<float> odyssey::testing::randomWeights(int64_t n, int64_t k) {
  std::mt19937 random(11);
  std::vector<float> weights(n * k);
  for (float &weight : weights) {
    weight = 0.05f * nearlyNormal(random);
    if (random() % 100 == 0)
      weight *= 3;
  }
  return weights;
}

reference::Matrix odyssey::testing::correlatedInputs(int64_t k,
                                                     int64_t tokens) {
  std::mt19937 random(12);
  constexpr int64_t causes = 24;
  std::vector<float> mixing(k * causes);
  for (float &value : mixing)
    value = nearlyNormal(random);
  reference::Matrix inputs(tokens, k);
  for (int64_t t = 0; t < tokens; ++t) {
    float cause[causes];
    for (float &value : cause)
      value = nearlyNormal(random);
    for (int64_t i = 0; i < k; ++i) {
      float sum = nearlyNormal(random);
      for (int64_t j = 0; j < causes; ++j)
        sum += mixing[i * causes + j] * cause[j];
      inputs.row(t)[i] = sum * (i % 17 == 0 ? 10.0f : 0.5f);
    }
  }
  return inputs;
}

InputStatistics odyssey::testing::correlatedStatistics(int64_t k,
                                                       int64_t tokens) {
  InputStatistics statistics(k);
  statistics.add(correlatedInputs(k, tokens), {}, 1);
  return statistics;
}

double odyssey::testing::outputError(std::span<const float> weight,
                                     std::span<const int8_t> integers,
                                     float scale,
                                     const InputStatistics &statistics) {
  std::vector<double> error;
  for (size_t i = 0; i < weight.size(); ++i)
    error.push_back(static_cast<double>(weight[i]) -
                    static_cast<double>(scale) * integers[i]);
  double loss = 0;
  for (size_t i = 0; i < weight.size(); ++i)
    for (size_t j = 0; j < weight.size(); ++j)
      loss += error[i] * statistics.row(i)[j] * error[j];
  return loss;
}

std::vector<int64_t> odyssey::testing::shuffledIndices(int64_t count) {
  std::mt19937 random(13);
  std::vector<int64_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  for (int64_t i = count - 1; i > 0; --i)
    std::swap(indices[i], indices[random() % (i + 1)]);
  return indices;
}

//===- IntegerAttention.cpp - Attention as the compiled model has it ------===//
//
// The rules N20 to N22 of docs/numerics.md. Products are of integers, times a
// power of two, and sums of them so small that fp32 holds all of them exactly:
// their order does not matter, and Eigen may choose it. All other operations
// stand in the order of the rules.
//
//===----------------------------------------------------------------------===//

#include "HeadSums.h"
#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Reference/LayerSteps.h"
#include "odyssey/Reference/ParallelFor.h"
#include "odyssey/Reference/VectorClones.h"

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

using namespace odyssey;
using namespace odyssey::reference;

namespace {

constexpr int64_t kPage = 64, kChunk = 256;
constexpr float kVectorNorm = 4064, kLargestValue = 1016, kLargestInt8 = 127;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
using RowMajor =
    Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// 2^x for x up to 0 (N20).
inline float exp2OfNegative(float x) {
  constexpr float toInteger = 0x1.8p23f;
  float clamped = std::max(x, -125.0f);
  float shifted = clamped + toInteger;
  float f = clamped - (shifted - toInteger);
  float p = 1.535336188319500e-4f;
  p = __builtin_fmaf(p, f, 1.339887440266574e-3f);
  p = __builtin_fmaf(p, f, 9.618437357674640e-3f);
  p = __builtin_fmaf(p, f, 5.550332471162809e-2f);
  p = __builtin_fmaf(p, f, 2.402264791363012e-1f);
  p = __builtin_fmaf(p, f, 6.931472028550421e-1f);
  p = __builtin_fmaf(p, f, 1.0f);
  uint32_t power =
      std::bit_cast<uint32_t>(p) + (std::bit_cast<uint32_t>(shifted) << 23);
  return x < -125.0f ? 0.0f : std::bit_cast<float>(power);
}

float finite(float maximum) { return maximum == kMinusInfinity ? 0 : maximum; }

/// The integers of a key or value whose size (norm, or greatest magnitude)
/// becomes `range`; returns their scale.
float toIntegers(std::span<const float> head, float size, float range,
                 float *integers) {
  float factor = size == 0 ? 0 : range / size;
  for (size_t i = 0; i < head.size(); ++i)
    integers[i] = roundToHalf(std::nearbyint(head[i] * factor));
  return size / range;
}

float largestOf(std::span<const float> head) {
  float largest = 0;
  for (float value : head)
    largest = std::max(largest, std::fabs(value));
  return largest;
}

/// A query rounded to its unit.
void roundQuery(std::span<const float> query, float *rounded) {
  float length = std::sqrt(sumOfSquaresOfHead(query)) / kVectorNorm;
  uint32_t bits = std::bit_cast<uint32_t>(std::max(length, 0x1p-100f));
  float unit = std::bit_cast<float>((bits + 0x7FFFFF) & 0x7F800000);
  float inverse = 1 / unit;
  for (size_t i = 0; i < query.size(); ++i)
    rounded[i] = roundToHalf(std::nearbyint(query[i] * inverse) * unit);
}

/// The sum over a page in the order of N22: 16 positions of a lane in a chain,
/// block by block, then the four lanes.
float sumOfPage(const std::array<float, kPage> &values) {
  std::array<float, 4> lanes = {};
  for (int64_t t = 0; t < 4; ++t)
    for (int64_t block = 0; block < kPage; block += 16) {
      const float *own = values.data() + block + 2 * t;
      float sum = ((own[0] + own[1]) + own[8]) + own[9];
      lanes[t] = block == 0 ? sum : lanes[t] + sum;
    }
  return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
}

/// What a row has seen of a chunk, or of all chunks so far.
struct RowSums {
  float maximum = kMinusInfinity, sum = 0;
  Eigen::VectorXf values;
};

/// One head's keys or values in a cache, and their scales.
struct CachedIntegers {
  CachedIntegers(std::span<const float> cache, std::span<const float> scales,
                 int64_t kvHead, int64_t kvHeads, int64_t positions,
                 int64_t headDim)
      : rows(Eigen::Map<const RowMajor, 0, Eigen::OuterStride<>>(
            cache.data() + kvHead * headDim, positions, headDim,
            Eigen::OuterStride<>(kvHeads * headDim))) {
    for (int64_t i = 0; i < positions; ++i)
      this->scales.push_back(scales[i * kvHeads + kvHead]);
  }

  RowMajor rows;
  std::vector<float> scales;
};

/// Exponentials, and products with the values' scales, of a page's scores.
ODYSSEY_VECTOR_CLONES void exponentiate(const float *scores,
                                        const float *scales, int64_t count,
                                        float reference, float *exponentials,
                                        float *products) {
  for (int64_t i = 0; i < count; ++i) {
    exponentials[i] = exp2OfNegative(scores[i] - reference);
    products[i] = exponentials[i] * scales[i];
  }
}

/// Adds the first `count` positions of a page, with these scores.
void addPage(RowSums &row, const float *scores, const CachedIntegers &values,
             int64_t first, int64_t count) {
  float maximum = *std::max_element(scores, scores + count);
  std::array<float, kPage> exponentials = {}, products = {};
  exponentiate(scores, values.scales.data() + first, count, maximum,
               exponentials.data(), products.data());
  float sum = sumOfPage(exponentials);
  float size = std::max(sumOfPage(products), 0x1p-100f);
  // Exact: a power of two.
  float factor = std::ldexp(1.0f, 13 - std::ilogb(size));
  Eigen::Matrix<float, 1, kPage> weights =
      Eigen::Matrix<float, 1, kPage>::Zero();
  for (int64_t i = 0; i < count; ++i)
    weights[i] = roundToHalf(std::nearbyint(products[i] * factor));
  Eigen::VectorXf page =
      (weights.head(count) * values.rows.middleRows(first, count)).transpose();

  float greatest = std::max(row.maximum, maximum);
  float reference = finite(greatest);
  float before = exp2OfNegative(row.maximum - reference);
  float now = exp2OfNegative(maximum - reference);
  row.sum = __builtin_fmaf(sum, now, row.sum * before);
  row.maximum = greatest;
  now *= 1 / factor;
  for (int64_t i = 0; i < page.size(); ++i)
    row.values[i] = __builtin_fmaf(page[i], now, row.values[i] * before);
}

/// Adds a chunk to those before it.
void merge(RowSums &total, const RowSums &chunk) {
  float maximum = std::max(total.maximum, chunk.maximum);
  float before = exp2OfNegative(total.maximum - maximum);
  float now = exp2OfNegative(chunk.maximum - maximum);
  total.maximum = maximum;
  total.sum = total.sum * before + chunk.sum * now;
  for (int64_t i = 0; i < total.values.size(); ++i)
    total.values[i] = total.values[i] * before + chunk.values[i] * now;
}

} // namespace

void LayerSteps::append(KeyValueCache &cache, const Matrix &keys,
                        const Matrix &values, bool int8) const {
  size_t start = cache.keys.size();
  cache.keys.insert(cache.keys.end(), keys.values.begin(), keys.values.end());
  cache.values.insert(cache.values.end(), values.values.begin(),
                      values.values.end());
  if (arithmetic != Arithmetic::W4A8)
    return;
  auto headDim = static_cast<size_t>(config.headDim);
  for (size_t at = 0; at < keys.values.size(); at += headDim) {
    auto key = std::span(keys.values).subspan(at, headDim);
    auto value = std::span(values.values).subspan(at, headDim);
    float keySize = int8 ? largestOf(key) : std::sqrt(sumOfSquaresOfHead(key));
    cache.keyScales.push_back(toIntegers(key, keySize,
                                         int8 ? kLargestInt8 : kVectorNorm,
                                         cache.keys.data() + start + at));
    cache.valueScales.push_back(toIntegers(value, largestOf(value),
                                           int8 ? kLargestInt8 : kLargestValue,
                                           cache.values.data() + start + at));
  }
}

Matrix LayerSteps::attendInIntegers(const Matrix &queries,
                                    const KeyValueCache &cache,
                                    int64_t position, unsigned threads) const {
  constexpr double log2e = 1.4426950408889634;
  int64_t headDim = config.headDim, end = position + queries.rows;
  float scale = 1.0f / std::sqrt(static_cast<float>(headDim));
  auto scoreFactor = static_cast<float>(static_cast<double>(scale) * log2e);
  Matrix out(queries.rows, queries.columns);
  auto attendHead = [&](int64_t head) {
    int64_t kvHead = cacheColumn(head) / headDim;
    CachedIntegers keys(cache.keys, cache.keyScales, kvHead, config.numKvHeads,
                        end, headDim);
    CachedIntegers values(cache.values, cache.valueScales, kvHead,
                          config.numKvHeads, end, headDim);
    std::vector<float> keyFactors(keys.scales);
    for (float &factor : keyFactors)
      factor *= scoreFactor;
    Eigen::VectorXf query(headDim), scores;
    for (int64_t token = 0; token < queries.rows; ++token) {
      roundQuery(queries.row(token).subspan(head * headDim, headDim),
                 query.data());
      int64_t positions = position + token + 1;
      scores = keys.rows.topRows(positions) * query;
      for (int64_t i = 0; i < positions; ++i)
        scores[i] *= keyFactors[i];
      RowSums total;
      total.values = Eigen::VectorXf::Zero(headDim);
      for (int64_t chunk = 0; chunk < positions; chunk += kChunk) {
        RowSums part;
        part.values = Eigen::VectorXf::Zero(headDim);
        int64_t chunkEnd = std::min(positions, chunk + kChunk);
        for (int64_t page = chunk; page < chunkEnd; page += kPage)
          addPage(part, scores.data() + page, values, page,
                  std::min(kPage, chunkEnd - page));
        merge(total, part);
      }
      float *result = out.row(token).data() + head * headDim;
      float inverse = 1 / total.sum;
      for (int64_t i = 0; i < headDim; ++i)
        result[i] = roundToHalf(total.values[i] * inverse);
    }
  };
  parallelFor(config.numHeads, queries.rows * end * headDim, threads,
              [&](int64_t first, int64_t last) {
                for (int64_t head = first; head < last; ++head)
                  attendHead(head);
              });
  return out;
}

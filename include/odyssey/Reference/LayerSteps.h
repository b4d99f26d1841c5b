//===- LayerSteps.h - What a layer does between its linears -----*- C++ -*-===//
//
// The steps of a decoder layer that are no matrix products. ReferenceModel
// strings them together; calibration does so too, with linears that become
// quantized on the way.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_REFERENCE_LAYERSTEPS_H
#define ODYSSEY_REFERENCE_LAYERSTEPS_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"
#include "odyssey/Reference/Matrix.h"

namespace odyssey::reference {

/// How values are kept between the steps.
enum class Arithmetic {
  Fp32, // as they are computed
  W4A8, // rounded to fp16, as the compiled model keeps them
};

/// Keys and values of one layer, a row of keyValueWidth values per position. In
/// W4A8 they are integers, with a scale for each position and head
/// (docs/numerics.md, N21).
struct KeyValueCache {
  std::vector<float> keys, values;
  std::vector<float> keyScales = {}, valueScales = {};
};

/// A row is `products` times the factor of that row.
struct NormalizedRows {
  Matrix products;
  std::vector<float> factors;

  /// The rows themselves.
  Matrix values() const;
};

/// The const functions may be called from several threads at once.
class LayerSteps {
public:
  LayerSteps(const ModelConfig &config, Arithmetic arithmetic);

  /// Prepares RoPE's tables for positions below `positions`.
  void reserve(int64_t positions);

  /// Rounds to fp16 where values are kept so.
  void round(Matrix &values) const;

  /// RMSNorm: (x * r) * weight with r = 1 / sqrt(mean(x^2) + eps).
  Matrix normalize(const Matrix &x, std::span<const float> weight) const;

  /// The same as the compiled model quantizes it for linears
  /// (docs/numerics.md, N18): x * weight, not rounded, and the r of each row.
  NormalizedRows normalizeToQuantize(const Matrix &x,
                                     std::span<const float> weight) const;

  /// RMSNorm of every head of every token on its own; `weight` serves them all.
  void normalizeHeads(Matrix &heads, std::span<const float> weight) const;

  /// RoPE on the heads of tokens that stand at `position` and after.
  void rotate(Matrix &heads, int64_t position) const;

  /// Appends the keys, rotated, and values of tokens; in W4A8 with `int8` as
  /// integers of 8 bits.
  void append(KeyValueCache &cache, const Matrix &keys, const Matrix &values,
              bool int8 = false) const;

  /// Causal attention of the tokens `queries`, the first of which stands at
  /// `position`, over a cache that holds them already. Query heads share the
  /// key-value heads in groups. In W4A8 every bit is that of the compiled model
  /// (docs/numerics.md, N22). `threads` as in ReferenceModel.
  Matrix attend(const Matrix &queries, const KeyValueCache &cache,
                int64_t position, unsigned threads) const;

  /// How much the tokens of a sequence are looked at: for each the sum, over
  /// the queries of all tokens and heads, of the square of the probability
  /// with which they attend to it.
  std::vector<float> attentionReceived(const Matrix &queries,
                                       const Matrix &keys) const;

  /// SiLU(gate) * up.
  Matrix activate(const Matrix &gate, const Matrix &up) const;

  /// x += y.
  void addResidual(Matrix &x, const Matrix &y) const;

private:
  Matrix attendInIntegers(const Matrix &queries, const KeyValueCache &cache,
                          int64_t position, unsigned threads) const;

  /// The r of RMSNorm from the sum of `count` squares.
  float normFactor(float squares, size_t count) const;

  /// Where the keys and values of a query head begin in a cache's rows.
  int64_t cacheColumn(int64_t head) const {
    return head / (config.numHeads / config.numKvHeads) * config.headDim;
  }

  /// Turns every head of one token: element i together with element
  /// i + headDim / 2.
  void rotateToken(std::span<float> heads, int64_t position) const;

  ModelConfig config;
  Arithmetic arithmetic;
  /// Radians per token of the headDim / 2 pairs of a head.
  std::vector<double> frequencies;
  /// Of every position's angles, computed in double.
  std::vector<float> cosines, sines;
};

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_LAYERSTEPS_H

//===- Products.h - Matrix products of the reference ------------*- C++ -*-===//
//
// The W4A8 product has one right answer, bit for bit (docs/numerics.md), and so
// has that of weights of 8 bits, its twin for comparisons. This is their
// definition in plain C++; kernels are compared with it for equality.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_REFERENCE_PRODUCTS_H
#define ODYSSEY_REFERENCE_PRODUCTS_H

#include "odyssey/Layout/WeightFormat.h"
#include "odyssey/Reference/Matrix.h"

#include <cstdint>
#include <span>

namespace odyssey::reference {

/// Weights of y = W x: n output channels of k input channels, row-major.
struct Fp32Linear {
  int64_t n = 0, k = 0;
  std::vector<float> weight;
  /// n values, or none.
  std::vector<float> bias = {};
};

/// The same with weights scale[n] * weight[n, k], where weight is in -8..7, of
/// 8 bits in -127..127, or with groups scale[n] * multiplier[n, k / groupSize]
/// * weight[n, k], where multiplier is in 0..15. Points to memory that somebody
/// else owns. k is at most maxReductionSize.
struct W4A8Linear {
  int64_t n = 0, k = 0;
  std::span<const int8_t> weight;
  std::span<const float> scale;
  /// n fp16 values, or none. The one thing that a linear keeps itself.
  std::vector<float> bias = {};
  /// The last group may be short.
  layout::WeightFormat format = {};
  std::span<const uint8_t> multiplier = {};
};

/// Quantizes one token's activations, symmetrically: with a = max|x|,
/// quantized[i] = clamp(round_half_even(x[i] * (127 / a)), -127, 127). Returns
/// the scale a / 127; zeros give the scale 0. Values must be finite.
float quantizeToken(std::span<const float> x, std::span<int8_t> quantized);

/// y = x W^T in fp32, in an order of additions of no promise. `threads` as in
/// ReferenceModel.
Matrix multiply(const Matrix &x, std::span<const float> weight, int64_t n,
                unsigned threads);

/// y = x W^T as `odyssey.linear` has it (docs/numerics.md, N14), for x and W of
/// fp16 values: both rounded to units of groups of 32 columns, so that a
/// group's sum is exact, and groups added in ascending order.
Matrix multiplyInGroups(const Matrix &x, std::span<const float> weight,
                        int64_t n, unsigned threads);

/// y = x W^T with x quantized per token, int32 accumulation, and
/// fp32(acc) * (scale[n] / 16) * tokenScale (+ bias[n]), left to right, rounded
/// to fp16, where acc is the sum of quantized x * (16 * weight). With groups
/// it is the sum of quantized x * (multiplier * weight), and of 8 bits that of
/// quantized x * weight; the scale stays whole then. With `factors`, one for
/// each row of x, the activations are x times these: factors of token scales.
Matrix multiplyW4A8(const Matrix &x, const W4A8Linear &linear, unsigned threads,
                    std::span<const float> factors = {});

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_PRODUCTS_H

//===- Gptq.h - Rounding with error compensation ----------------*- C++ -*-===//
//
// GPTQ (arXiv:2210.17323) rounds the weights of an output channel one input
// channel after the other, and moves the weights still to come so that they
// make up for the error as well as they can.
//
// With input channels in the order in which they are rounded and H = R R^T, R
// upper triangular, the error of a channel is
//
//   e H e^T = sum over k of R_kk^2 (e_k + sum over j < k of e_j R_jk / R_kk)^2
//
// and e_j for j < k is known when w_k is rounded. So the target of w_k is
//
//   t_k = w_k + sum over j < k of e_j R_jk / R_kk,  e_j = w_j - S q_j,
//
// and every square is made as small as it can be. R is the inverse of the
// Cholesky factor U of H^-1 = U^T U that GPTQ is usually written with, and the
// results are the same (QuIP, arXiv:2307.13304, theorem 6); but there is no
// inverse to compute, and none to lose digits in.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_QUANTIZE_GPTQ_H
#define ODYSSEY_QUANTIZE_GPTQ_H

#include "odyssey/Quantize/InputStatistics.h"

#include "llvm/Support/Error.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace odyssey {

struct GptqOptions {
  /// Rounds input channels in the order of falling H_kk instead of their own:
  /// those that matter most first, while much is left to make up for them.
  bool activationOrder = true;
  /// What is added to the diagonal of H, as a share of its mean. Where the
  /// factorization fails it is tried again with ten times as much.
  double damping = 0.01;
  /// Input channels whose errors are kept back and then applied to all that
  /// follow in one matrix product. No influence on the result but rounding.
  int64_t blockSize = 128;
};

/// The weights of n output channels of k input channels in 4 bits.
struct QuantizedWeights {
  /// n * k integers in -8..7, row-major.
  std::vector<int8_t> integers;
  /// n.
  std::vector<float> scales;
  /// With groups, the integers in 1..15 within the channels' scales, n times
  /// the number of groups; else empty.
  std::vector<uint8_t> multipliers;
};

struct CompensatedWeights : QuantizedWeights {
  /// e H e^T of every channel, H without damping.
  std::vector<double> losses;
};

/// H factorized, for all linear layers with the same input.
class GptqSolver {
public:
  /// Fails where `statistics` has values that are not finite.
  static llvm::Expected<GptqSolver> create(const InputStatistics &statistics,
                                           const GptqOptions &options,
                                           unsigned threads);
  GptqSolver(GptqSolver &&);
  GptqSolver &operator=(GptqSolver &&);
  ~GptqSolver();

  /// The damping that it took.
  double damping() const;

  /// Rounds weights [n, k] to integers of the given n scales: once for each of
  /// `factors`, with the scales times it, and keeps for every channel what has
  /// the least error. A channel whose scale is 0 becomes zeros. The integers
  /// are in the order of the weights, whatever the order of rounding was.
  ///
  /// With groups of `groupSize` input channels, `multipliers` are the integers
  /// within the channels' scales, which stay as they are.
  CompensatedWeights quantize(std::span<const float> weight,
                              std::span<const float> scale,
                              std::span<const float> factors, unsigned threads,
                              std::span<const uint8_t> multipliers = {},
                              int64_t groupSize = 0) const;

private:
  struct Factor;
  class Batch;
  explicit GptqSolver(std::unique_ptr<Factor> factor);
  std::unique_ptr<Factor> factor;
};

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_GPTQ_H

//===- Comparison.h - How far two models are apart --------------*- C++ -*-===//

#ifndef ODYSSEY_REFERENCE_COMPARISON_H
#define ODYSSEY_REFERENCE_COMPARISON_H

#include "odyssey/Reference/Perplexity.h"

#include <vector>

namespace odyssey::reference {

struct ComparisonResult {
  PerplexityResult a, b;
  /// Of every token that counts, the divergence of the distributions that it
  /// was predicted from, in nats: KL(A || B) = sum over the vocabulary of
  /// p_A log(p_A / p_B). Ascending.
  std::vector<double> divergences;
  /// Tokens where A and B hold the same token for the likeliest.
  int64_t agreements = 0;

  double meanDivergence() const;
  /// The divergence that `share` of the tokens do not exceed.
  double divergenceQuantile(double share) const;
  /// Share of the tokens.
  double agreement() const;
};

/// Runs both over the windows of `tokens`. Their vocabularies must have the
/// same size.
ComparisonResult compareModels(const SequenceLogits &a, const SequenceLogits &b,
                               std::span<const int32_t> tokens,
                               const PerplexityOptions &options = {});

/// KL(A || B) of softmax(a) and softmax(b), in nats; never negative.
double divergence(std::span<const float> a, std::span<const float> b);

/// The index of the greatest value, the lowest one on a tie.
int32_t likeliestToken(std::span<const float> logits);

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_COMPARISON_H

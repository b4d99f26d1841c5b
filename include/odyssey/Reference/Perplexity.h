//===- Perplexity.h - How well a model predicts a text ----------*- C++ -*-===//

#ifndef ODYSSEY_REFERENCE_PERPLEXITY_H
#define ODYSSEY_REFERENCE_PERPLEXITY_H

#include "odyssey/Reference/Matrix.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>

namespace odyssey::reference {

/// The logits after every one of `tokens`, which are a sequence of their own:
/// [tokens, vocabulary]. Whatever runs a model can stand behind it.
using SequenceLogits = std::function<Matrix(std::span<const int32_t> tokens)>;

struct PerplexityOptions {
  /// Tokens of a window, `bos` included; at least 2.
  int64_t context = 512;
  /// From the start of one window to that of the next; less than the context
  /// gives every token more to be predicted from, and costs time.
  int64_t stride = 512;
  /// Stands in front of every window, where the model expects it there.
  std::optional<int32_t> bos;
  /// Called after every window with the tokens done of how many. Returning
  /// false stops; the result is then of the windows so far.
  std::function<bool(int64_t done, int64_t total)> progress;
};

struct PerplexityResult {
  /// Sum of -log p(token | those before it in the window), in nats.
  double loss = 0;
  /// Tokens in that sum.
  int64_t tokens = 0;

  double meanLoss() const;
  /// exp(meanLoss()).
  double perplexity() const;
};

/// Cuts `tokens` into windows and adds up the losses of all tokens that have
/// one before them in their window; where windows overlap, a token counts in
/// the first only.
PerplexityResult measurePerplexity(const SequenceLogits &logits,
                                   std::span<const int32_t> tokens,
                                   const PerplexityOptions &options = {});

/// -log of the probability that softmax gives to `token`, in nats.
double tokenLoss(std::span<const float> logits, int32_t token);

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_PERPLEXITY_H

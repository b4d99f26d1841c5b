//===- Perplexity.h - How well a model predicts a text ----------*- C++ -*-===//

#ifndef ODYSSEY_REFERENCE_PERPLEXITY_H
#define ODYSSEY_REFERENCE_PERPLEXITY_H

#include "odyssey/Reference/Matrix.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace odyssey::reference {

/// The logits after tokens[first] and after every later one of `tokens`, which
/// are a sequence of their own: [tokens - first, vocabulary]. Whatever runs a
/// model can stand behind it. Nothing when that fails, which ends the
/// measurement.
using SequenceLogits = std::function<std::optional<Matrix>(
    std::span<const int32_t> tokens, int64_t first)>;

struct PerplexityOptions {
  /// Tokens of a window, `bos` included; at least 2.
  int64_t context = 512;
  /// From the start of one window to that of the next: at most the tokens of
  /// the text in a window. Less gives every token more to be predicted from,
  /// and costs time.
  int64_t stride = 512;
  /// Stands in front of every window, where the model expects it there.
  std::optional<int32_t> bos;
  /// Called after every window with the tokens done of how many. Returning
  /// false stops; the result is then of the windows so far.
  std::function<bool(int64_t done, int64_t total)> progress;
};

/// Tokens that a model sees at once.
struct Window {
  std::vector<int32_t> tokens;
  /// tokens[firstScored] is the first whose loss counts; at least 1.
  int64_t firstScored = 1;
  /// Where the window ends in the text.
  int64_t end = 0;

  int64_t scored() const {
    return static_cast<int64_t>(tokens.size()) - firstScored;
  }
  /// The token that row `row` of the logits from tokens[firstScored - 1] on is
  /// the prediction of.
  int32_t target(int64_t row) const { return tokens[firstScored + row]; }
};

/// Cuts `tokens` into windows in which every token counts that has one before
/// it; where windows overlap, in the first of them only.
std::vector<Window> cutWindows(std::span<const int32_t> tokens,
                               const PerplexityOptions &options);

struct PerplexityResult {
  /// Sum of -log p(token | those before it in the window), in nats.
  double loss = 0;
  /// Tokens in that sum.
  int64_t tokens = 0;

  double meanLoss() const;
  /// exp(meanLoss()).
  double perplexity() const;
};

/// Adds up the losses of all tokens that count in their windows.
PerplexityResult measurePerplexity(const SequenceLogits &logits,
                                   std::span<const int32_t> tokens,
                                   const PerplexityOptions &options = {});

/// -log of the probability that softmax gives to `token`, in nats.
double tokenLoss(std::span<const float> logits, int32_t token);

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_PERPLEXITY_H

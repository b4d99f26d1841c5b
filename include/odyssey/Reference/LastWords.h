//===- LastWords.h - Last-word accuracy (LAMBADA) ---------------*- C++ -*-===//
//
// LAMBADA (Paperno et al. 2016) asks for the last word of passages that people
// can guess from the whole passage, but not from its last sentence.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_REFERENCE_LASTWORDS_H
#define ODYSSEY_REFERENCE_LASTWORDS_H

#include "odyssey/Reference/Perplexity.h"

#include <vector>

namespace odyssey::reference {

struct Passage {
  std::vector<int32_t> tokens;
  /// Where the last word's tokens begin; at least 1.
  int64_t lastWord = 0;
};

struct LastWordResult {
  int64_t passages = 0;
  /// Passages in which every token of the last word was the likeliest one.
  int64_t correct = 0;
  /// Of the last words' tokens.
  PerplexityResult prediction;

  double accuracy() const;
};

/// Stops where `logits` fails and where `progress`, called after every passage
/// with how many are done, returns false.
LastWordResult
measureLastWords(const SequenceLogits &logits,
                 std::span<const Passage> passages,
                 const std::function<bool(int64_t done)> &progress = {});

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_LASTWORDS_H

//===- LastWords.cpp - Last-word accuracy (LAMBADA) -----------------------===//

#include "odyssey/Reference/LastWords.h"

#include "odyssey/Reference/Comparison.h"

#include <cassert>

using namespace odyssey::reference;

double LastWordResult::accuracy() const {
  return static_cast<double>(correct) / static_cast<double>(passages);
}

LastWordResult odyssey::reference::measureLastWords(
    const SequenceLogits &logits, std::span<const Passage> passages,
    const std::function<bool(int64_t done)> &progress) {
  LastWordResult result;
  for (const Passage &passage : passages) {
    auto size = static_cast<int64_t>(passage.tokens.size());
    assert(passage.lastWord >= 1 && passage.lastWord < size);
    // The last token is predicted only.
    std::optional<Matrix> rows =
        logits(std::span(passage.tokens).first(size - 1), passage.lastWord - 1);
    if (!rows)
      break;
    bool correct = true;
    for (int64_t i = passage.lastWord; i < size; ++i) {
      std::span<const float> row = rows->row(i - passage.lastWord);
      correct &= likeliestToken(row) == passage.tokens[i];
      result.prediction.loss += tokenLoss(row, passage.tokens[i]);
      ++result.prediction.tokens;
    }
    result.correct += correct;
    ++result.passages;
    if (progress && !progress(result.passages))
      break;
  }
  return result;
}

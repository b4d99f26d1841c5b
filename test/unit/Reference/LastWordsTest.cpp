//===- LastWordsTest.cpp --------------------------------------------------===//

#include "odyssey/Reference/LastWords.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey::reference;
using ::testing::ElementsAre;

namespace {

/// A model of 10 tokens that counts: after t it expects t + 1, with e times
/// the probability of any other.
std::optional<Matrix> count(std::span<const int32_t> tokens, int64_t first) {
  Matrix logits(static_cast<int64_t>(tokens.size()) - first, 10);
  for (int64_t i = 0; i < logits.rows; ++i)
    logits.row(i)[(tokens[first + i] + 1) % 10] = 1;
  return logits;
}

} // namespace

TEST(LastWords, EveryTokenOfTheWordCounts) {
  std::vector<Passage> passages = {
      {{5, 3, 4}, 2},    // right
      {{5, 3, 7}, 2},    // wrong
      {{1, 7, 8, 9}, 2}, // right
      {{1, 7, 8, 3}, 2}, // its end is wrong
      {{1, 3, 4, 5}, 1}, // its beginning is wrong
  };
  std::vector<int64_t> seen;
  LastWordResult result = measureLastWords(count, passages, [&](int64_t done) {
    seen.push_back(done);
    return true;
  });
  EXPECT_EQ(result.passages, 5);
  EXPECT_EQ(result.correct, 2);
  EXPECT_NEAR(result.accuracy(), 0.4, 1e-12);
  EXPECT_THAT(seen, ElementsAre(1, 2, 3, 4, 5));
  // 9 tokens, of which 6 were expected.
  EXPECT_EQ(result.prediction.tokens, 9);
  EXPECT_NEAR(result.prediction.loss, 9 * std::log(std::exp(1) + 9) - 6, 1e-5);
}

TEST(LastWords, FailureStops) {
  std::vector<Passage> passages(3, {{1, 2, 3}, 2});
  int calls = 0;
  SequenceLogits once = [&](std::span<const int32_t> tokens, int64_t first) {
    return ++calls == 1 ? count(tokens, first) : std::nullopt;
  };
  EXPECT_EQ(measureLastWords(once, passages).passages, 1);
}

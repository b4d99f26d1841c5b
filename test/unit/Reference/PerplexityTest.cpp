//===- PerplexityTest.cpp -------------------------------------------------===//

#include "odyssey/Reference/Perplexity.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <vector>

using namespace odyssey::reference;
using ::testing::ElementsAre;

namespace {

/// A model that gives token v of 4 the probability weight[v] whatever stands
/// before it, and remembers what it was asked.
class UnigramModel {
public:
  SequenceLogits logits() {
    return [this](std::span<const int32_t> tokens,
                  int64_t first) -> std::optional<Matrix> {
      windows.emplace_back(tokens.begin(), tokens.end());
      firsts.push_back(first);
      if (windows.size() > worksFor)
        return std::nullopt;
      Matrix result(static_cast<int64_t>(tokens.size()) - first, 4);
      for (int64_t t = 0; t < result.rows; ++t)
        for (int64_t v = 0; v < 4; ++v)
          result.row(t)[v] = static_cast<float>(std::log(weights[v]) + 10);
      return result;
    };
  }

  const double weights[4] = {0.5, 0.25, 0.125, 0.125};
  std::vector<std::vector<int32_t>> windows;
  std::vector<int64_t> firsts;
  /// Calls that succeed.
  size_t worksFor = 1000;
};

} // namespace

TEST(Perplexity, TokenLoss) {
  std::vector<float> logits = {1000.0f, 1000.0f, -1000.0f};
  EXPECT_NEAR(tokenLoss(logits, 0), std::log(2), 1e-9);
  EXPECT_NEAR(tokenLoss(logits, 2), 2000 + std::log(2), 1e-9);
}

TEST(Perplexity, OneWindow) {
  UnigramModel model;
  std::vector<int32_t> tokens = {3, 0, 1, 2};
  PerplexityResult result = measurePerplexity(model.logits(), tokens);
  EXPECT_EQ(result.tokens, 3);
  EXPECT_NEAR(result.loss, std::log(2) + std::log(4) + std::log(8), 1e-6);
  EXPECT_NEAR(result.perplexity(), 4, 1e-6);
  EXPECT_THAT(model.windows, ElementsAre(tokens));
}

TEST(Perplexity, Windows) {
  UnigramModel model;
  std::vector<int32_t> tokens = {0, 1, 2, 3, 0, 1, 2};
  PerplexityOptions options;
  options.context = options.stride = 3;
  PerplexityResult result = measurePerplexity(model.logits(), tokens, options);
  // The last token is alone in its window: nothing to predict there.
  EXPECT_THAT(model.windows,
              ElementsAre(ElementsAre(0, 1, 2), ElementsAre(3, 0, 1)));
  EXPECT_EQ(result.tokens, 4);
  EXPECT_NEAR(result.loss, std::log(4 * 8 * 2 * 4), 1e-6);
}

TEST(Perplexity, OverlapCountsOnce) {
  UnigramModel model;
  std::vector<int32_t> tokens = {0, 1, 2, 3, 0, 1};
  PerplexityOptions options;
  options.context = 4;
  options.stride = 2;
  PerplexityResult result = measurePerplexity(model.logits(), tokens, options);
  EXPECT_THAT(model.windows,
              ElementsAre(ElementsAre(0, 1, 2, 3), ElementsAre(2, 3, 0, 1)));
  // Of the second window only the two tokens that the first has not.
  EXPECT_THAT(model.firsts, ElementsAre(0, 1));
  EXPECT_EQ(result.tokens, 5);
  EXPECT_NEAR(result.loss, std::log(4 * 8 * 8 * 2 * 4), 1e-6);
}

TEST(Perplexity, Bos) {
  UnigramModel model;
  std::vector<int32_t> tokens = {0, 1, 2, 3};
  PerplexityOptions options;
  options.context = 3;
  options.stride = 2;
  options.bos = 3;
  PerplexityResult result = measurePerplexity(model.logits(), tokens, options);
  EXPECT_THAT(model.windows,
              ElementsAre(ElementsAre(3, 0, 1), ElementsAre(3, 2, 3)));
  EXPECT_EQ(result.tokens, 4);
}

TEST(Perplexity, ProgressStops) {
  UnigramModel model;
  std::vector<int32_t> tokens(20);
  PerplexityOptions options;
  options.context = options.stride = 5;
  std::vector<int64_t> seen;
  options.progress = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 20);
    seen.push_back(done);
    return done < 10;
  };
  EXPECT_EQ(measurePerplexity(model.logits(), tokens, options).tokens, 8);
  EXPECT_THAT(seen, ElementsAre(5, 10));
}

TEST(Perplexity, FailureStops) {
  UnigramModel model;
  model.worksFor = 1;
  std::vector<int32_t> tokens(20);
  PerplexityOptions options;
  options.context = options.stride = 5;
  EXPECT_EQ(measurePerplexity(model.logits(), tokens, options).tokens, 4);
  EXPECT_EQ(model.windows.size(), 2u);
}

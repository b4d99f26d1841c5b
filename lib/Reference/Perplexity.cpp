//===- Perplexity.cpp - How well a model predicts a text ------------------===//

#include "odyssey/Reference/Perplexity.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

using namespace odyssey::reference;

double PerplexityResult::meanLoss() const {
  return loss / static_cast<double>(tokens);
}

double PerplexityResult::perplexity() const { return std::exp(meanLoss()); }

double odyssey::reference::tokenLoss(std::span<const float> logits,
                                     int32_t token) {
  double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (float value : logits)
    sum += std::exp(static_cast<double>(value) - largest);
  return std::log(sum) + largest - static_cast<double>(logits[token]);
}

PerplexityResult
odyssey::reference::measurePerplexity(const SequenceLogits &logits,
                                      std::span<const int32_t> tokens,
                                      const PerplexityOptions &options) {
  assert(options.context >= 2 && options.stride >= 1);
  int64_t total = static_cast<int64_t>(tokens.size());
  int64_t prefix = options.bos ? 1 : 0;
  int64_t width = options.context - prefix;
  PerplexityResult result;
  int64_t scored = 0; // tokens[0, scored) have had their turn
  for (int64_t begin = 0; scored < total; begin += options.stride) {
    int64_t end = std::min(begin + width, total);
    std::vector<int32_t> window;
    if (options.bos)
      window.push_back(*options.bos);
    window.insert(window.end(), tokens.begin() + begin, tokens.begin() + end);
    Matrix rows = logits(window);
    // Without BOS the window's first token has nothing before it.
    for (int64_t i = std::max(scored, begin + 1 - prefix); i < end; ++i) {
      result.loss += tokenLoss(rows.row(i - begin + prefix - 1), tokens[i]);
      ++result.tokens;
    }
    scored = end;
    if (options.progress && !options.progress(scored, total))
      break;
  }
  return result;
}

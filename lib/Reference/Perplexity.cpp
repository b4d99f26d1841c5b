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

std::vector<Window>
odyssey::reference::cutWindows(std::span<const int32_t> tokens,
                               const PerplexityOptions &options) {
  int64_t total = static_cast<int64_t>(tokens.size());
  int64_t prefix = options.bos ? 1 : 0;
  int64_t width = options.context - prefix;
  assert(options.context >= 2 && options.stride >= 1 &&
         options.stride <= width);
  std::vector<Window> windows;
  int64_t scored = 0; // tokens[0, scored) have had their turn
  for (int64_t begin = 0; scored < total; begin += options.stride) {
    int64_t end = std::min(begin + width, total);
    Window window;
    if (options.bos)
      window.tokens.push_back(*options.bos);
    window.tokens.insert(window.tokens.end(), tokens.begin() + begin,
                         tokens.begin() + end);
    // Without BOS the window's first token has nothing before it.
    window.firstScored = std::max(scored - begin + prefix, int64_t(1));
    window.end = scored = end;
    if (window.scored() > 0)
      windows.push_back(std::move(window));
  }
  return windows;
}

PerplexityResult
odyssey::reference::measurePerplexity(const SequenceLogits &logits,
                                      std::span<const int32_t> tokens,
                                      const PerplexityOptions &options) {
  PerplexityResult result;
  for (const Window &window : cutWindows(tokens, options)) {
    std::optional<Matrix> rows = logits(window.tokens, window.firstScored - 1);
    if (!rows)
      break;
    for (int64_t row = 0; row < window.scored(); ++row)
      result.loss += tokenLoss(rows->row(row), window.target(row));
    result.tokens += window.scored();
    if (options.progress &&
        !options.progress(window.end, static_cast<int64_t>(tokens.size())))
      break;
  }
  return result;
}

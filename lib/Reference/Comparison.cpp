//===- Comparison.cpp - How far two models are apart ----------------------===//

#include "odyssey/Reference/Comparison.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

using namespace odyssey::reference;

double ComparisonResult::meanDivergence() const {
  return std::accumulate(divergences.begin(), divergences.end(), 0.0) /
         static_cast<double>(divergences.size());
}

double ComparisonResult::divergenceQuantile(double share) const {
  auto last = static_cast<double>(divergences.size() - 1);
  return divergences[static_cast<size_t>(std::ceil(share * last))];
}

double ComparisonResult::agreement() const {
  return static_cast<double>(agreements) /
         static_cast<double>(divergences.size());
}

int32_t odyssey::reference::likeliestToken(std::span<const float> logits) {
  return static_cast<int32_t>(std::ranges::max_element(logits) -
                              logits.begin());
}

/// log of the sum of exp(logit).
static double logOfSum(std::span<const float> logits) {
  double largest = *std::ranges::max_element(logits), sum = 0;
  for (float value : logits)
    sum += std::exp(static_cast<double>(value) - largest);
  return std::log(sum) + largest;
}

double odyssey::reference::divergence(std::span<const float> a,
                                      std::span<const float> b) {
  assert(a.size() == b.size());
  double logSumA = logOfSum(a), logSumB = logOfSum(b), sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    double logA = static_cast<double>(a[i]) - logSumA;
    double logB = static_cast<double>(b[i]) - logSumB;
    sum += std::exp(logA) * (logA - logB);
  }
  // Equal distributions may round to a little less.
  return std::max(sum, 0.0);
}

ComparisonResult odyssey::reference::compareModels(
    const SequenceLogits &a, const SequenceLogits &b,
    std::span<const int32_t> tokens, const PerplexityOptions &options) {
  ComparisonResult result;
  for (const Window &window : cutWindows(tokens, options)) {
    std::optional<Matrix> ofA = a(window.tokens, window.firstScored - 1);
    if (!ofA)
      break;
    std::optional<Matrix> ofB = b(window.tokens, window.firstScored - 1);
    if (!ofB)
      break;
    for (int64_t row = 0; row < window.scored(); ++row) {
      std::span<const float> rowA = ofA->row(row), rowB = ofB->row(row);
      result.a.loss += tokenLoss(rowA, window.target(row));
      result.b.loss += tokenLoss(rowB, window.target(row));
      result.divergences.push_back(divergence(rowA, rowB));
      result.agreements += likeliestToken(rowA) == likeliestToken(rowB);
    }
    result.a.tokens += window.scored();
    result.b.tokens += window.scored();
    if (options.progress &&
        !options.progress(window.end, static_cast<int64_t>(tokens.size())))
      break;
  }
  std::ranges::sort(result.divergences);
  return result;
}

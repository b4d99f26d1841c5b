//===- Sampler.cpp - Choosing the next token ------------------------------===//
//
// Sums run over the candidates in the order of their ids, or from the best to
// the worst where top-k or top-p put them in that order. The order is part of
// the promise that a seed gives the same tokens everywhere.
//
//===----------------------------------------------------------------------===//

#include "odyssey/runtime/Sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

using namespace odyssey::runtime;

/// The better candidate first; of equal logits the lower token.
static bool isBetter(float logitA, int32_t tokenA, float logitB,
                     int32_t tokenB) {
  return logitA != logitB ? logitA > logitB : tokenA < tokenB;
}

/// e^x for x <= 0, within two units of the last place and bit by bit the same
/// everywhere: x = k ln 2 + r with |r| <= ln 2 / 2, and the Taylor series of
/// e^r, whose first term left out is below 2^-57.
static double portableExp(double x) {
  constexpr double kInverseLn2 = 0x1.71547652b82fep+0;
  // ln 2 in two parts; the first has zeros at its end so that k times it is
  // exact.
  constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
  // Below this the result is less than half the smallest normal number.
  if (x < -708.0)
    return 0;
  double k = std::floor(x * kInverseLn2 + 0.5);
  double r = (x - k * kLn2High) - k * kLn2Low;
  constexpr int kTerms = 14;
  double sum = 1;
  for (int n = kTerms; n > 0; --n)
    sum = 1 + sum * r / n;
  return std::ldexp(sum, static_cast<int>(k));
}

/// The next output of SplitMix64.
static uint64_t splitMix64(uint64_t &state) {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

Sampler::Sampler(const SamplerOptions &options)
    : options(options), state(options.seed) {}

Result<Sampler> Sampler::create(const SamplerOptions &options) {
  // The negations refuse NaN as well.
  if (!(options.temperature >= 0) || std::isinf(options.temperature))
    return invalidArgument("temperature " +
                           std::to_string(options.temperature) +
                           " is not a finite number of at least 0");
  if (options.topK < 0)
    return invalidArgument("top-k " + std::to_string(options.topK) +
                           " is negative");
  if (!(options.topP > 0 && options.topP <= 1))
    return invalidArgument("top-p " + std::to_string(options.topP) +
                           " is not above 0 and at most 1");
  return Sampler(options);
}

/// The index of the best logit; an error for logits that rank in no order.
static Result<int32_t> findBest(std::span<const float> logits) {
  if (logits.empty() ||
      logits.size() > size_t(std::numeric_limits<int32_t>::max()))
    return invalidArgument(std::to_string(logits.size()) + " logits");
  size_t best = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) ||
        logits[i] == std::numeric_limits<float>::infinity())
      return invalidArgument(
          "logit " + std::to_string(i) + " is " +
          (std::isnan(logits[i]) ? "not a number" : "infinite"));
    if (logits[i] > logits[best])
      best = i;
  }
  if (std::isinf(logits[best]))
    return invalidArgument("all logits are -inf");
  return static_cast<int32_t>(best);
}

Result<int32_t> Sampler::sample(std::span<const float> logits) {
  ODYSSEY_ASSIGN_OR_RETURN(int32_t best, findBest(logits));
  if (options.temperature == 0)
    return best;

  candidates.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isinf(logits[i]))
      continue;
    double exponent = (double(logits[i]) - double(logits[best])) /
                      double(options.temperature);
    candidates.push_back(
        {static_cast<int32_t>(i), logits[i], portableExp(exponent)});
  }
  keepTopK();
  keepTopP();
  return draw();
}

/// Leaves the k best candidates, in order.
void Sampler::keepTopK() {
  auto k = static_cast<size_t>(options.topK);
  if (k == 0 || k >= candidates.size())
    return;
  std::partial_sort(candidates.begin(), candidates.begin() + k,
                    candidates.end(),
                    [](const Candidate &a, const Candidate &b) {
                      return isBetter(a.logit, a.token, b.logit, b.token);
                    });
  candidates.resize(k);
}

/// Leaves the fewest candidates that hold the share top-p, in order. A heap
/// gives the best ones without sorting the many that fall away.
void Sampler::keepTopP() {
  if (options.topP == 1)
    return;
  double total = 0;
  for (const Candidate &candidate : candidates)
    total += candidate.weight;
  double wanted = double(options.topP) * total;

  // The best one is the greatest for the heap.
  auto isWorse = [](const Candidate &a, const Candidate &b) {
    return isBetter(b.logit, b.token, a.logit, a.token);
  };
  std::make_heap(candidates.begin(), candidates.end(), isWorse);
  double held = 0;
  auto heapEnd = candidates.end();
  do {
    std::pop_heap(candidates.begin(), heapEnd, isWorse);
    held += (--heapEnd)->weight;
  } while (held < wanted && heapEnd != candidates.begin());
  candidates.erase(candidates.begin(), heapEnd);
  std::ranges::reverse(candidates);
}

/// Draws from the candidates that are left, in proportion to their weights.
int32_t Sampler::draw() {
  double total = 0;
  for (const Candidate &candidate : candidates)
    total += candidate.weight;
  double u = static_cast<double>(splitMix64(state) >> 11) * 0x1p-53;
  double target = u * total;
  double passed = 0;
  for (const Candidate &candidate : candidates) {
    passed += candidate.weight;
    if (target < passed)
      return candidate.token;
  }
  // u < 1, and `passed` ends as the very sum that `total` is.
  return candidates.back().token;
}

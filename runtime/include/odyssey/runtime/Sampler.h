//===- Sampler.h - Choosing the next token ----------------------*- C++ -*-===//
//
// Chooses a token from a model's logits: the best one, or one at random from
// the distribution softmax(logits / temperature), cut down to the k best tokens
// (top-k) and then to the fewest tokens that hold a share p of the probability
// (top-p, nucleus sampling; Holtzman et al. 2020, arXiv:1904.09751).
//
// A seed gives the same tokens on every machine, given the same logits. For
// that the class uses nothing of the C++ library whose result is left open:
// draws come from SplitMix64 (Steele, Lea, Flood 2014) as
//   u = (next() >> 11) * 2^-53
// and the exponential function is computed with IEEE 754 additions and
// multiplications only. Each `sample` with a temperature above zero makes
// exactly one draw, so that the n-th token's draw depends on the seed and on n
// alone.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_SAMPLER_H
#define ODYSSEY_RUNTIME_SAMPLER_H

#include "odyssey/runtime/Status.h"

#include <cstdint>
#include <span>
#include <vector>

namespace odyssey::runtime {

struct SamplerOptions {
  /// 0 takes the token with the largest logit. Larger values flatten the
  /// distribution.
  float temperature = 0;
  /// How many of the best tokens may be chosen; 0 for all.
  int32_t topK = 0;
  /// The share of the probability, in (0, 1], whose smallest set of tokens may
  /// be chosen; 1 for all. Refers to what top-k leaves over. At least one token
  /// remains.
  float topP = 1;
  uint64_t seed = 0;
};

class Sampler {
public:
  /// InvalidArgument, naming the option, for a value out of its range.
  static Result<Sampler> create(const SamplerOptions &options);

  /// Chooses a token, an index into `logits`. Of equal logits the lower index
  /// counts as the better one. -inf excludes a token. InvalidArgument for no
  /// logits, for a NaN or +inf, naming its index, and when all are -inf; no
  /// draw is made then.
  Result<int32_t> sample(std::span<const float> logits);

private:
  /// A token that may be chosen. The weight is its probability up to a factor.
  struct Candidate {
    int32_t token;
    float logit;
    double weight;
  };

  explicit Sampler(const SamplerOptions &options);

  void keepTopK();
  void keepTopP();
  int32_t draw();

  SamplerOptions options;
  /// SplitMix64's counter.
  uint64_t state;
  /// Kept between calls to save the allocation.
  std::vector<Candidate> candidates;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SAMPLER_H

//===- TokenQuantization.h - Activations of one token on the host -*- C++ -*-=//
//
// What a product of one token that makes its 8-bit activations itself must
// multiply, from docs/numerics.md alone (N7, N15, N18).
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_TOKENQUANTIZATION_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_TOKENQUANTIZATION_H

#include "odyssey/runtime/Plan.h"

#include <cstdint>
#include <vector>

namespace odyssey::bench {

struct QuantizedToken {
  /// int8 as bytes, [k].
  std::vector<uint8_t> values;
  float scale = 0;
  /// What the kernel in front would have told of the row:
  /// ProloguePlan::statistics numbers or pairs.
  std::vector<float> statistics;
};

/// Quantizes the fp16 row `x` of k elements; `norm` are k fp16 weights, if the
/// prologue has a norm.
QuantizedToken quantizeToken(const std::vector<uint8_t> &x,
                             const std::vector<uint8_t> &norm, int64_t k,
                             const runtime::ProloguePlan &prologue);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_TOKENQUANTIZATION_H

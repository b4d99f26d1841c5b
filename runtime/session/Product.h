//===- Product.h - One launch of a plan, one output of a product *- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_SESSION_PRODUCT_H
#define ODYSSEY_RUNTIME_SESSION_PRODUCT_H

#include "odyssey/runtime/Plan.h"

#include <cstdint>

namespace odyssey::runtime {

/// A launch of a plan's step for `tokens` tokens, but for the kernel's handle
/// and its arguments.
LaunchRequest launchRequest(const KernelPlan &kernel, const StepPlan &step,
                            int64_t tokens);

/// An integer product's output as fp16 bits, from its integer sum:
/// docs/numerics.md, N11. The sum is that of weights themselves (of 4 bits, the
/// kernel's are 16 times as large, and its scale a sixteenth).
uint16_t scaledOutput(int32_t sum, float weightScale, float tokenScale);

/// fp16 bits of a float, rounded to nearest even.
uint16_t halfBits(float value);

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_PRODUCT_H

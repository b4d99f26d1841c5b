//===- Product.cpp - One launch of a plan, one output of a product --------===//

#include "Product.h"

#include <bit>

namespace odyssey::runtime {

LaunchRequest launchRequest(const KernelPlan &kernel, const StepPlan &step,
                            int64_t tokens) {
  auto blocks = [&](size_t i) {
    return static_cast<uint32_t>(step.grid[i].blocks(tokens));
  };
  LaunchRequest request;
  request.grid = {blocks(0), blocks(1), blocks(2)};
  request.block = kernel.block;
  request.cluster = kernel.cluster;
  request.sharedBytes = kernel.sharedBytes;
  request.programmaticDependentLaunch = kernel.programmaticDependentLaunch;
  return request;
}

uint16_t halfBits(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return static_cast<uint16_t>(sign | 0x7fff);
  // 65520 is the first that rounds to infinity, 2^-14 the least normal number.
  if (magnitude >= 0x477ff000)
    return static_cast<uint16_t>(sign | 0x7c00);
  if (magnitude < 0x38800000) {
    // Adding 1/2 puts the last place of a subnormal half at the float's end,
    // and rounds to nearest even on the way.
    float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(
        sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
  }
  uint32_t odd = magnitude >> 13 & 1;
  return static_cast<uint16_t>(sign |
                               ((magnitude - 0x38000000 + 0xfff + odd) >> 13));
}

uint16_t scaledOutput(int32_t sum, float weightScale, float tokenScale) {
  float scaled = static_cast<float>(sum * 16) * (weightScale * 0.0625f);
  return halfBits(scaled * tokenScale);
}

} // namespace odyssey::runtime

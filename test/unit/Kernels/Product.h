//===- Product.h - Integer products and what they should give ---*- C++ -*-===//
//
// What tests of products share: the IR of one product with all that may stand
// around it, and its expected outputs by the formulas of docs/numerics.md,
// written out with integer sums.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_KERNELS_PRODUCT_H
#define ODYSSEY_TEST_UNIT_KERNELS_PRODUCT_H

#include "CompiledModule.h"

namespace odyssey::testing {

/// Activations [M, K] of 8 bits and a scale for each token.
struct Quantized {
  std::vector<int8_t> values;
  std::vector<float> scales;
};

/// Quantizes fp16 activations [m, k].
Quantized quantize(const std::vector<uint16_t> &x, int64_t m, int64_t k);

/// What stands around a product besides its weights.
struct Variant {
  bool bias = false, residual = false;
  /// `schedule <...>` as in the IR; the compiler's choice without.
  std::string schedule = "", target = "sm_80";
  /// Bits of a weight: 4 or 8.
  int64_t bits = 4;
  /// Emulators to run in, each with all hazard checks.
  std::vector<runtime::EmulatorOptions> emulators = {{}};
  /// Launches in each of them, one after the other on the same memory.
  int launches = 1;
};

/// Bias [N] and residual [M, N]; empty where the product has none.
struct Extras {
  std::vector<uint16_t> bias, residual;
};

/// The fp16 outputs [m, n] of weights [n, k] of `bits` bits with a scale per
/// channel.
std::vector<uint16_t> multiply(const Quantized &x, const std::vector<int8_t> &w,
                               const std::vector<float> &scales, int64_t m,
                               int64_t n, int64_t k, const Extras &extras,
                               int64_t bits = 4);

/// A function `main` of activations in fp16 (and the residual), which are
/// quantized and multiplied by the weights "w" with scales "ws" and bias "b".
std::string matmulIr(int64_t n, int64_t k, const Variant &variant);

/// Compiles [n, k] once and compares every output for each number of tokens, in
/// every emulator.
void checkProduct(int64_t n, int64_t k, const std::vector<int64_t> &tokens,
                  const Variant &variant = {});

} // namespace odyssey::testing

#endif // ODYSSEY_TEST_UNIT_KERNELS_PRODUCT_H

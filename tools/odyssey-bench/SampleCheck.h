//===- SampleCheck.h - Results against the reference ------------*- C++ -*-===//
//
// Computes some outputs of a product on the host, from docs/numerics.md alone,
// and compares: products of packed weights and of int8 matrices for equality,
// fp16 products within what the order of their sums allows.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_SAMPLECHECK_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_SAMPLECHECK_H

#include "Operands.h"

#include "odyssey/runtime/Plan.h"

#include <cstdint>
#include <vector>

namespace odyssey::bench {

/// What the host knows about the operands of one product.
struct HostOperands {
  int64_t m = 0, n = 0, k = 0;
  /// Quantized activations, dense [m, k], and the same as fp16 for the
  /// baseline.
  const std::vector<uint8_t> *x = nullptr, *xHalf = nullptr;
  const std::vector<float> *xScales = nullptr, *weightScales = nullptr;
  /// fp16, [n] and [m, n], or null.
  const std::vector<uint8_t> *bias = nullptr, *residual = nullptr;
  /// Packed, for a product with groups.
  const std::vector<uint8_t> *multipliers = nullptr;
  /// The matrix begins at this offset of the buffer.
  const PatternBuffer *weights = nullptr;
  size_t weightsOffset = 0;
};

/// Which outputs are compared: the first, the last, and others in between.
std::vector<int64_t> sampleIndices(int64_t size, int64_t count);

/// How many outputs were compared. DataLoss, naming the first difference, when
/// one is not as expected; `result` is [m, product.outputs()] of fp16 in device
/// memory.
runtime::Result<int64_t> checkProduct(runtime::Device &device,
                                      const HostOperands &operands,
                                      const runtime::ProductPlan &product,
                                      runtime::DeviceAddress result);
/// As above, for a result of int32 from dense weights [n, k] of 8 bits.
runtime::Result<int64_t> checkInt8(runtime::Device &device,
                                   const HostOperands &operands,
                                   runtime::DeviceAddress result);
/// As above, for a result of fp16 from dense weights [n, k] of fp16.
runtime::Result<int64_t> checkHalf(runtime::Device &device,
                                   const HostOperands &operands,
                                   runtime::DeviceAddress result);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_SAMPLECHECK_H

//===- Roofline.h - What a device can do at best ----------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_ROOFLINE_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_ROOFLINE_H

#include "odyssey/Layout/PackedMultipliers.h"
#include "odyssey/runtime/Device.h"
#include "odyssey/runtime/Plan.h"

#include <cstdint>

namespace odyssey::bench {

/// The layout of the group multipliers of a product that has some.
layout::PackedMultipliers
packedMultipliers(const runtime::ProductPlan &product);
/// Bytes of the packed weights of a product, padding included.
size_t packedBytes(const runtime::ProductPlan &product);

/// What a product moves and computes at least.
struct ProductWork {
  /// Packed weights, scales and activations once in, the result once out.
  double bytes = 0;
  /// Two for each multiply-add.
  double operations = 0;
};
ProductWork productWork(const runtime::ProductPlan &product, int64_t tokens);

/// The highest rates that a device announces; 0 where it does not.
struct Peaks {
  double bytesPerSecond = 0;
  /// Dense, in int8.
  double operationsPerSecond = 0;
};
Peaks peaksOf(const runtime::DeviceProperties &device);

/// The seconds below which no kernel can be; 0 where they are not known.
double floorSeconds(const ProductWork &work, const Peaks &peaks);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_ROOFLINE_H

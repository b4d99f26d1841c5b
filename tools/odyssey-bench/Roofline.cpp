//===- Roofline.cpp - What a device can do at best ------------------------===//

#include "Roofline.h"

#include "odyssey/Layout/PackedWeights.h"

#include <algorithm>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;

/// Dense int8 operations of one multiprocessor in one cycle: NVIDIA's
/// architecture white papers (A100, GA102, Ada, H100).
static double operationsPerCycle(int computeCapability) {
  switch (computeCapability) {
  case 80:
    return 4096;
  case 86:
  case 89:
    return 2048;
  case 90:
    return 8192;
  default:
    return 0;
  }
}

layout::PackedMultipliers bench::packedMultipliers(const ProductPlan &product) {
  int64_t groups = product.groupSize == 0
                       ? 0
                       : layout::groupCount(product.k, product.groupSize);
  return {product.n, groups, product.groupSize, product.panelChannels};
}

size_t bench::packedBytes(const ProductPlan &product) {
  layout::PackedWeights packed{product.n, product.k, product.panelChannels,
                               /*offset=*/0, product.weightBits};
  return static_cast<size_t>(packed.bytes());
}

ProductWork bench::productWork(const ProductPlan &product, int64_t tokens) {
  double m = static_cast<double>(tokens), n = static_cast<double>(product.n),
         k = static_cast<double>(product.k);
  ProductWork work;
  work.bytes = n * k * static_cast<double>(product.weightBits) / 8 +
               n * sizeof(float) + m * (k + sizeof(float)) +
               m * static_cast<double>(product.outputs()) * sizeof(uint16_t);
  // The token in fp16 instead, the norm's weights, and pairs or numbers.
  if (product.prologue)
    work.bytes += k * (product.prologue->norm ? 3 : 1) +
                  static_cast<double>(product.prologue->statistics) *
                      (product.prologue->norm ? 8 : 4) -
                  4;
  if (product.groupSize != 0)
    work.bytes +=
        n * static_cast<double>(packedMultipliers(product).groups) / 2;
  work.operations = 2 * m * n * k;
  return work;
}

Peaks bench::peaksOf(const DeviceProperties &device) {
  return {device.memoryBytesPerSecond,
          operationsPerCycle(device.computeCapability) *
              device.multiprocessors * device.clockHertz};
}

double bench::floorSeconds(const ProductWork &work, const Peaks &peaks) {
  double seconds = 0;
  if (peaks.bytesPerSecond > 0)
    seconds = work.bytes / peaks.bytesPerSecond;
  if (peaks.operationsPerSecond > 0)
    seconds = std::max(seconds, work.operations / peaks.operationsPerSecond);
  return seconds;
}

//===- HeadSums.h - Sums over a head ----------------------------*- C++ -*-===//

#ifndef ODYSSEY_LIB_REFERENCE_HEADSUMS_H
#define ODYSSEY_LIB_REFERENCE_HEADSUMS_H

#include <span>

namespace odyssey::reference {

/// The sum of squares of a head in the order of kernels (docs/numerics.md,
/// N21).
float sumOfSquaresOfHead(std::span<const float> head);

} // namespace odyssey::reference

#endif // ODYSSEY_LIB_REFERENCE_HEADSUMS_H

//===- WeightTable.h - Finding the weights in their section -----*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_SESSION_WEIGHTTABLE_H
#define ODYSSEY_RUNTIME_SESSION_WEIGHTTABLE_H

#include "odyssey/runtime/Status.h"
#include "odyssey/runtime/Tensor.h"

#include <cstddef>
#include <span>
#include <vector>

namespace odyssey::runtime {

/// Reads the header of a safetensors file and returns the bytes of each tensor
/// of `weights`, in that order. DataLoss when the header contradicts itself or
/// the file's size, when tensors overlap, or when a weight is missing, of
/// another type or shape, or not aligned to `kBufferAlignment` in the section.
Result<std::vector<std::span<const std::byte>>>
readWeightTable(std::span<const std::byte> section,
                const std::vector<TensorType> &weights);

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_WEIGHTTABLE_H

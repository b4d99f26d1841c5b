//===- Npy.h - NumPy's .npy files -------------------------------*- C++ -*-===//
//
// Reads and writes the format of `numpy.save`, versions 1 to 3, little-endian
// and in C order (https://numpy.org/doc/stable/reference/generated/
// numpy.lib.format.html). NumPy has no bf16: a bf16 tensor is stored as uint16,
// the bits of its elements, and uint16 is read as bf16. `ml_dtypes` and
// `torch.Tensor.view` turn one into the other.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_NPY_H
#define ODYSSEY_RUNTIME_NPY_H

#include "odyssey/runtime/Status.h"
#include "odyssey/runtime/Tensor.h"

#include <cstddef>
#include <span>
#include <string>

namespace odyssey::runtime {

/// DataLoss when the bytes are no .npy file or not all of one; Unsupported,
/// naming it, for another element type or byte order and for Fortran order.
Result<HostTensor> parseNpy(std::span<const std::byte> bytes);

/// Reads a file; its path stands in the errors.
Result<HostTensor> readNpyFile(const std::string &path);

/// The bytes of a .npy file (version 1).
std::string formatNpy(const HostTensor &tensor);

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_NPY_H

//===- Tensor.h - Element types and tensors in host memory ------*- C++ -*-===//
//
// The vocabulary in which a bundle describes data, and the form in which a
// program hands it over: dense, row-major, little-endian.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TENSOR_H
#define ODYSSEY_RUNTIME_TENSOR_H

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace odyssey::runtime {

/// The types of docs/bundle.md.
enum class ElementType { I8, U8, I32, F16, BF16, F32 };

/// The name in plan.json, for example "f16".
const char *elementTypeName(ElementType type);
std::optional<ElementType> parseElementType(std::string_view name);

/// Size of one element in bytes.
size_t elementBytes(ElementType type);

/// Stands in a shape for the number of tokens of a call.
inline constexpr int64_t kTokensDim = -1;

/// A tensor as a plan declares it. Only the leading dimension may be
/// `kTokensDim`.
struct TensorType {
  std::string name;
  ElementType type = ElementType::F32;
  std::vector<int64_t> shape;

  bool hasTokens() const { return !shape.empty() && shape[0] == kTokensDim; }

  /// The shape with `tokens` in place of `kTokensDim`.
  std::vector<int64_t> shapeFor(int64_t tokens) const;
  /// Size in bytes of the tensor of a call with `tokens` tokens. Does not
  /// overflow for a plan that `parsePlan` accepted and its largest bucket.
  uint64_t bytes(int64_t tokens) const;
};

/// For messages: "f16 [tokens, 64]".
std::string describe(const TensorType &type);
std::string describe(ElementType type, const std::vector<int64_t> &shape);

/// The number of elements, or nothing for a negative size or when the number
/// of bytes of the widest type would not fit 62 bits.
std::optional<uint64_t> elementCount(const std::vector<int64_t> &shape);

/// A tensor and its data in host memory.
struct HostTensor {
  ElementType type = ElementType::F32;
  std::vector<int64_t> shape;
  /// Row-major elements; `elementCount(shape) * elementBytes(type)` bytes.
  std::vector<std::byte> data;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_TENSOR_H

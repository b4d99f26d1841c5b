//===- Tensor.cpp - Element types and tensors in host memory --------------===//

#include "odyssey/runtime/Tensor.h"

namespace odyssey::runtime {

namespace {
struct TypeInfo {
  ElementType type;
  const char *name;
  size_t bytes;
};
constexpr TypeInfo kTypes[] = {
    {ElementType::I8, "i8", 1},     {ElementType::U8, "u8", 1},
    {ElementType::I32, "i32", 4},   {ElementType::F16, "f16", 2},
    {ElementType::BF16, "bf16", 2}, {ElementType::F32, "f32", 4},
};

const TypeInfo &info(ElementType type) {
  return kTypes[static_cast<size_t>(type)];
}
} // namespace

const char *elementTypeName(ElementType type) { return info(type).name; }

std::optional<ElementType> parseElementType(std::string_view name) {
  for (const TypeInfo &entry : kTypes)
    if (name == entry.name)
      return entry.type;
  return std::nullopt;
}

size_t elementBytes(ElementType type) { return info(type).bytes; }

std::vector<int64_t> TensorType::shapeFor(int64_t tokens) const {
  std::vector<int64_t> result = shape;
  if (hasTokens())
    result[0] = tokens;
  return result;
}

uint64_t TensorType::bytes(int64_t tokens) const {
  uint64_t result = elementBytes(type);
  for (int64_t size : shape)
    result *= static_cast<uint64_t>(size == kTokensDim ? tokens : size);
  return result;
}

std::string describe(ElementType type, const std::vector<int64_t> &shape) {
  std::string text = elementTypeName(type);
  text += " [";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i)
      text += ", ";
    text += shape[i] == kTokensDim ? "tokens" : std::to_string(shape[i]);
  }
  return text + "]";
}

std::string describe(const TensorType &type) {
  return describe(type.type, type.shape);
}

std::optional<uint64_t> elementCount(const std::vector<int64_t> &shape) {
  constexpr uint64_t kMax = (uint64_t(1) << 62) / sizeof(float);
  uint64_t count = 1;
  bool empty = false;
  for (int64_t size : shape) {
    if (size < 0)
      return std::nullopt;
    if (size == 0) {
      empty = true;
      continue;
    }
    if (count > kMax / static_cast<uint64_t>(size))
      return std::nullopt;
    count *= static_cast<uint64_t>(size);
  }
  return empty ? 0 : count;
}

} // namespace odyssey::runtime

//===- GgufMetadata.h - The key-value pairs of a GGUF file ------*- C++ -*-===//
//
// Reads the metadata of GGUF versions 2 and 3 (little-endian), not the tensors.
// The format: ggml's docs/gguf.md.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_GGUFMETADATA_H
#define ODYSSEY_RUNTIME_TOKENIZER_GGUFMETADATA_H

#include "odyssey/runtime/Status.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace odyssey::runtime::tokenizer {

class GgufMetadata {
public:
  /// Reads the key-value pairs of a file, whose content must outlive the
  /// object. DataLoss, naming the key, when a size or count leads beyond the
  /// end; Unsupported for other versions.
  static Result<GgufMetadata> parse(std::span<const std::byte> content);

  // Each of these gives no value when the key is absent, and DataLoss when its
  // value has another type.
  Result<std::optional<std::string_view>> getString(std::string_view key) const;
  Result<std::optional<bool>> getBool(std::string_view key) const;
  /// Any integer type; DataLoss for a value outside 64-bit signed integers.
  Result<std::optional<int64_t>> getInteger(std::string_view key) const;
  Result<std::optional<std::vector<std::string_view>>>
  getStrings(std::string_view key) const;
  Result<std::optional<std::vector<float>>>
  getFloats(std::string_view key) const;
  Result<std::optional<std::vector<int32_t>>>
  getInts(std::string_view key) const;

private:
  enum class Type : uint32_t {
    Uint8,
    Int8,
    Uint16,
    Int16,
    Uint32,
    Int32,
    Float32,
    Bool,
    String,
    Array,
    Uint64,
    Int64,
    Float64,
  };

  struct Value {
    Type type = Type::Uint8;
    /// Of an array only.
    Type elementType = Type::Uint8;
    uint64_t count = 0;
    /// The value; of an array all elements; of a string its characters.
    std::span<const std::byte> bytes;
  };

  class Reader;

  const Value *find(std::string_view key) const;
  Result<const Value *> findArray(std::string_view key, Type elementType) const;

  std::map<std::string_view, Value> values;
};

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_GGUFMETADATA_H

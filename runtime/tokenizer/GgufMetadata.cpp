//===- GgufMetadata.cpp - The key-value pairs of a GGUF file --------------===//
//
// A bounds-checked walk over the metadata. Nothing is allocated by a count of
// the file before that many elements have been seen to be there.
//
//===----------------------------------------------------------------------===//

#include "GgufMetadata.h"

#include <algorithm>
#include <bit>
#include <limits>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

/// How deep arrays of arrays may be nested.
static constexpr int kMaximalArrayDepth = 4;

/// The little-endian integer that `bytes` (at most 8) hold.
static uint64_t loadInteger(std::span<const std::byte> bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;)
    value = value << 8 | std::to_integer<uint64_t>(bytes[i]);
  return value;
}

static std::string_view asText(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char *>(bytes.data()), bytes.size()};
}

/// Takes the content apart from front to back.
class GgufMetadata::Reader {
public:
  explicit Reader(std::span<const std::byte> content) : content(content) {}

  size_t remaining() const { return content.size() - offset; }

  Result<std::span<const std::byte>> readBytes(uint64_t count) {
    if (count > remaining())
      return dataLoss(std::to_string(count) + " bytes at offset " +
                      std::to_string(offset) + " of a file of " +
                      std::to_string(content.size()) + " bytes");
    std::span<const std::byte> bytes = content.subspan(offset, count);
    offset += count;
    return bytes;
  }

  Result<uint64_t> readInteger(size_t size) {
    ODYSSEY_ASSIGN_OR_RETURN(std::span<const std::byte> bytes, readBytes(size));
    return loadInteger(bytes);
  }

  Result<std::string_view> readString() {
    ODYSSEY_ASSIGN_OR_RETURN(uint64_t length, readInteger(8));
    ODYSSEY_ASSIGN_OR_RETURN(std::span<const std::byte> bytes,
                             readBytes(length));
    return asText(bytes);
  }

  Result<Type> readType() {
    ODYSSEY_ASSIGN_OR_RETURN(uint64_t type, readInteger(4));
    if (type > uint64_t(Type::Float64))
      return dataLoss("value type " + std::to_string(type));
    return static_cast<Type>(type);
  }

  Result<Value> readValue() {
    Value value;
    ODYSSEY_ASSIGN_OR_RETURN(value.type, readType());
    if (value.type == Type::Array)
      return readArray(value);
    if (value.type == Type::String) {
      ODYSSEY_ASSIGN_OR_RETURN(std::string_view text, readString());
      value.bytes = std::as_bytes(std::span(text));
      return value;
    }
    ODYSSEY_ASSIGN_OR_RETURN(value.bytes, readBytes(sizeOf(value.type)));
    return value;
  }

  /// The size of a type other than String and Array, in bytes.
  static size_t sizeOf(Type type) {
    switch (type) {
    case Type::Uint8:
    case Type::Int8:
    case Type::Bool:
      return 1;
    case Type::Uint16:
    case Type::Int16:
      return 2;
    case Type::Uint32:
    case Type::Int32:
    case Type::Float32:
      return 4;
    case Type::Uint64:
    case Type::Int64:
    case Type::Float64:
      return 8;
    case Type::String:
    case Type::Array:
      break;
    }
    return 0;
  }

private:
  Result<Value> readArray(Value value) {
    ODYSSEY_ASSIGN_OR_RETURN(value.elementType, readType());
    ODYSSEY_ASSIGN_OR_RETURN(value.count, readInteger(8));
    size_t begin = offset;
    ODYSSEY_RETURN_IF_ERROR(
        skipElements(value.elementType, value.count, /*depth=*/1));
    value.bytes = content.subspan(begin, offset - begin);
    return value;
  }

  Status skipElements(Type type, uint64_t count, int depth) {
    if (depth > kMaximalArrayDepth)
      return dataLoss("arrays nested more than " +
                      std::to_string(kMaximalArrayDepth) + " deep");
    if (type != Type::String && type != Type::Array) {
      if (count > remaining() / sizeOf(type))
        return dataLoss("array of " + std::to_string(count) +
                        " elements at offset " + std::to_string(offset) +
                        " of a file of " + std::to_string(content.size()) +
                        " bytes");
      offset += count * sizeOf(type);
      return Status::success();
    }
    for (uint64_t i = 0; i < count; ++i) {
      if (type == Type::String) {
        ODYSSEY_RETURN_IF_ERROR(readString().status());
        continue;
      }
      ODYSSEY_ASSIGN_OR_RETURN(Type innerType, readType());
      ODYSSEY_ASSIGN_OR_RETURN(uint64_t innerCount, readInteger(8));
      ODYSSEY_RETURN_IF_ERROR(skipElements(innerType, innerCount, depth + 1));
    }
    return Status::success();
  }

  std::span<const std::byte> content;
  size_t offset = 0;
};

Result<GgufMetadata> GgufMetadata::parse(std::span<const std::byte> content) {
  Reader reader(content);
  Result<std::span<const std::byte>> magic = reader.readBytes(4);
  if (!magic.ok() || asText(*magic) != "GGUF")
    return dataLoss("not a GGUF file");
  ODYSSEY_ASSIGN_OR_RETURN(uint64_t version, reader.readInteger(4));
  if (version != 2 && version != 3)
    return unsupported("GGUF version " + std::to_string(version) +
                       " is not supported, little-endian 2 and 3 are");
  // The number of tensors, which are of no interest here.
  ODYSSEY_RETURN_IF_ERROR(reader.readInteger(8).status());
  ODYSSEY_ASSIGN_OR_RETURN(uint64_t pairCount, reader.readInteger(8));

  GgufMetadata metadata;
  for (uint64_t i = 0; i < pairCount; ++i) {
    Result<std::string_view> key = reader.readString();
    if (!key.ok())
      return key.status().withContext("metadata key " + std::to_string(i) +
                                      " of " + std::to_string(pairCount));
    Result<Value> value = reader.readValue();
    if (!value.ok())
      return value.status().withContext("metadata '" + std::string(*key) + "'");
    if (!metadata.values.try_emplace(*key, *value).second)
      return dataLoss("metadata '" + std::string(*key) + "' stands twice");
  }
  return metadata;
}

const GgufMetadata::Value *GgufMetadata::find(std::string_view key) const {
  auto entry = values.find(key);
  return entry == values.end() ? nullptr : &entry->second;
}

static Status wrongType(std::string_view key, const char *expected) {
  return dataLoss("metadata '" + std::string(key) + "' is not " + expected);
}

Result<std::optional<std::string_view>>
GgufMetadata::getString(std::string_view key) const {
  const Value *value = find(key);
  if (!value)
    return std::optional<std::string_view>();
  if (value->type != Type::String)
    return wrongType(key, "a string");
  return std::optional(asText(value->bytes));
}

Result<std::optional<bool>> GgufMetadata::getBool(std::string_view key) const {
  const Value *value = find(key);
  if (!value)
    return std::optional<bool>();
  if (value->type != Type::Bool)
    return wrongType(key, "a boolean");
  return std::optional(loadInteger(value->bytes) != 0);
}

Result<std::optional<int64_t>>
GgufMetadata::getInteger(std::string_view key) const {
  const Value *value = find(key);
  if (!value)
    return std::optional<int64_t>();
  uint64_t bits = loadInteger(value->bytes.first(
      std::min<size_t>(value->bytes.size(), sizeof(uint64_t))));
  switch (value->type) {
  case Type::Uint8:
  case Type::Uint16:
  case Type::Uint32:
    return std::optional(static_cast<int64_t>(bits));
  case Type::Uint64:
    if (bits > uint64_t(std::numeric_limits<int64_t>::max()))
      return dataLoss("metadata '" + std::string(key) + "' is " +
                      std::to_string(bits));
    return std::optional(static_cast<int64_t>(bits));
  case Type::Int8:
    return std::optional<int64_t>(static_cast<int8_t>(bits));
  case Type::Int16:
    return std::optional<int64_t>(static_cast<int16_t>(bits));
  case Type::Int32:
    return std::optional<int64_t>(static_cast<int32_t>(bits));
  case Type::Int64:
    return std::optional(static_cast<int64_t>(bits));
  case Type::Float32:
  case Type::Float64:
  case Type::Bool:
  case Type::String:
  case Type::Array:
    break;
  }
  return wrongType(key, "an integer");
}

Result<const GgufMetadata::Value *>
GgufMetadata::findArray(std::string_view key, Type elementType) const {
  const Value *value = find(key);
  if (value && (value->type != Type::Array ||
                (value->elementType != elementType && value->count != 0)))
    return wrongType(key, "an array of the expected type");
  return value;
}

Result<std::optional<std::vector<std::string_view>>>
GgufMetadata::getStrings(std::string_view key) const {
  ODYSSEY_ASSIGN_OR_RETURN(const Value *value, findArray(key, Type::String));
  if (!value)
    return std::optional<std::vector<std::string_view>>();
  Reader reader(value->bytes);
  std::vector<std::string_view> strings;
  strings.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    ODYSSEY_ASSIGN_OR_RETURN(std::string_view text, reader.readString());
    strings.push_back(text);
  }
  return std::optional(std::move(strings));
}

Result<std::optional<std::vector<float>>>
GgufMetadata::getFloats(std::string_view key) const {
  ODYSSEY_ASSIGN_OR_RETURN(const Value *value, findArray(key, Type::Float32));
  if (!value)
    return std::optional<std::vector<float>>();
  std::vector<float> floats;
  floats.reserve(value->count);
  for (size_t i = 0; i < value->count; ++i)
    floats.push_back(std::bit_cast<float>(
        static_cast<uint32_t>(loadInteger(value->bytes.subspan(i * 4, 4)))));
  return std::optional(std::move(floats));
}

Result<std::optional<std::vector<int32_t>>>
GgufMetadata::getInts(std::string_view key) const {
  ODYSSEY_ASSIGN_OR_RETURN(const Value *value, findArray(key, Type::Int32));
  if (!value)
    return std::optional<std::vector<int32_t>>();
  std::vector<int32_t> ints;
  ints.reserve(value->count);
  for (size_t i = 0; i < value->count; ++i)
    ints.push_back(
        static_cast<int32_t>(loadInteger(value->bytes.subspan(i * 4, 4))));
  return std::optional(std::move(ints));
}

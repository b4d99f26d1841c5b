//===- Gguf.cpp - Reading the GGUF container ------------------------------===//

#include "odyssey/Frontend/Checkpoint/Gguf.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/MathExtras.h"

#include <bit>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;
using llvm::support::endian::read16le;
using llvm::support::endian::read32le;
using llvm::support::endian::read64le;

static constexpr uint32_t maxDimensions = 4;
static constexpr uint64_t defaultAlignment = 32;

/// Bytes of a value of fixed size; 0 for strings, arrays and unknown types.
static uint64_t fixedSize(GgufType type) {
  switch (type) {
  case GgufType::UInt8:
  case GgufType::Int8:
  case GgufType::Bool:
    return 1;
  case GgufType::UInt16:
  case GgufType::Int16:
    return 2;
  case GgufType::UInt32:
  case GgufType::Int32:
  case GgufType::Float32:
    return 4;
  case GgufType::UInt64:
  case GgufType::Int64:
  case GgufType::Float64:
    return 8;
  case GgufType::String:
  case GgufType::Array:
    return 0;
  }
  return 0;
}

namespace odyssey {

/// Walks over the file once. Every step checks that it stays inside, and no
/// memory is taken for a count that the file could not hold.
class GgufParser {
public:
  explicit GgufParser(llvm::ArrayRef<uint8_t> bytes) : bytes(bytes) {}

  Expected<std::unique_ptr<GgufFile>> parse();

private:
  Expected<llvm::ArrayRef<uint8_t>> take(uint64_t size, const Twine &what);
  Expected<uint32_t> takeU32(const Twine &what);
  Expected<uint64_t> takeU64(const Twine &what);
  Expected<StringRef> takeString(const Twine &what);

  Error parseEntry(GgufFile &file);
  Error skipArray(GgufEntry &entry);
  /// Leaves the tensor's bytes empty and puts its offset into `offset`.
  Expected<GgufTensor> parseTensor(uint64_t &offset);
  Error placeTensors(GgufFile &file, llvm::ArrayRef<uint64_t> offsets);

  uint64_t remaining() const { return bytes.size() - position; }

  llvm::ArrayRef<uint8_t> bytes;
  uint64_t position = 0;
};

} // namespace odyssey

Expected<llvm::ArrayRef<uint8_t>> GgufParser::take(uint64_t size,
                                                   const Twine &what) {
  if (size > remaining())
    return createStringError("truncated: " + what + " needs " + Twine(size) +
                             " bytes at byte " + Twine(position) + " of " +
                             Twine(bytes.size()));
  llvm::ArrayRef<uint8_t> taken = bytes.slice(position, size);
  position += size;
  return taken;
}

Expected<uint32_t> GgufParser::takeU32(const Twine &what) {
  Expected<llvm::ArrayRef<uint8_t>> taken = take(4, what);
  if (!taken)
    return taken.takeError();
  return read32le(taken->data());
}

Expected<uint64_t> GgufParser::takeU64(const Twine &what) {
  Expected<llvm::ArrayRef<uint8_t>> taken = take(8, what);
  if (!taken)
    return taken.takeError();
  return read64le(taken->data());
}

Expected<StringRef> GgufParser::takeString(const Twine &what) {
  Expected<uint64_t> size = takeU64(what);
  if (!size)
    return size.takeError();
  Expected<llvm::ArrayRef<uint8_t>> taken = take(*size, what);
  if (!taken)
    return taken.takeError();
  return llvm::toStringRef(*taken);
}

Error GgufParser::skipArray(GgufEntry &entry) {
  Expected<uint32_t> type = takeU32("array '" + entry.key + "'");
  if (!type)
    return type.takeError();
  Expected<uint64_t> count = takeU64("array '" + entry.key + "'");
  if (!count)
    return count.takeError();
  entry.elementType = static_cast<GgufType>(*type);
  entry.count = *count;
  if (entry.elementType == GgufType::String) {
    uint64_t begin = position;
    for (uint64_t i = 0; i < *count; ++i)
      if (Expected<StringRef> s = takeString("array '" + entry.key + "'"); !s)
        return s.takeError();
    entry.payload = bytes.slice(begin, position - begin);
    return Error::success();
  }
  uint64_t size = fixedSize(entry.elementType);
  if (size == 0)
    return createStringError("array '" + entry.key +
                             "' holds elements of the unsupported type " +
                             Twine(*type));
  std::optional<uint64_t> total = llvm::checkedMulUnsigned(size, *count);
  if (!total)
    return createStringError("array '" + entry.key + "' has " + Twine(*count) +
                             " elements, beyond any file");
  Expected<llvm::ArrayRef<uint8_t>> payload =
      take(*total, "array '" + entry.key + "'");
  if (!payload)
    return payload.takeError();
  entry.payload = *payload;
  return Error::success();
}

Error GgufParser::parseEntry(GgufFile &file) {
  uint64_t begin = position;
  Expected<StringRef> key = takeString("metadata key");
  if (!key)
    return key.takeError();
  Expected<uint32_t> type = takeU32("metadata '" + *key + "'");
  if (!type)
    return type.takeError();
  GgufEntry entry;
  entry.key = *key;
  entry.type = static_cast<GgufType>(*type);
  if (entry.type == GgufType::Array) {
    if (Error error = skipArray(entry))
      return error;
  } else if (entry.type == GgufType::String) {
    Expected<StringRef> text = takeString("metadata '" + *key + "'");
    if (!text)
      return text.takeError();
    entry.payload = llvm::arrayRefFromStringRef(*text);
  } else {
    uint64_t size = fixedSize(entry.type);
    if (size == 0)
      return createStringError("metadata '" + *key + "' has the unknown type " +
                               Twine(*type));
    Expected<llvm::ArrayRef<uint8_t>> payload =
        take(size, "metadata '" + *key + "'");
    if (!payload)
      return payload.takeError();
    entry.payload = *payload;
  }
  entry.raw = bytes.slice(begin, position - begin);
  if (!file.indexOfKey.try_emplace(*key, file.allEntries.size()).second)
    return createStringError("metadata '" + *key + "' appears twice");
  file.allEntries.push_back(entry);
  return Error::success();
}

Expected<GgufTensor> GgufParser::parseTensor(uint64_t &offset) {
  Expected<StringRef> name = takeString("tensor name");
  if (!name)
    return name.takeError();
  auto fail = [&](const Twine &what) {
    return createStringError("tensor '" + *name + "' " + what);
  };
  Expected<uint32_t> dimensions = takeU32("tensor '" + *name + "'");
  if (!dimensions)
    return dimensions.takeError();
  if (*dimensions == 0 || *dimensions > maxDimensions)
    return fail("has " + Twine(*dimensions) + " dimensions");
  GgufTensor tensor;
  tensor.name = *name;
  for (uint32_t i = 0; i < *dimensions; ++i) {
    Expected<uint64_t> size = takeU64("tensor '" + *name + "'");
    if (!size)
      return size.takeError();
    if (*size == 0)
      return fail("has a dimension of size zero");
    if (*size > static_cast<uint64_t>(INT64_MAX))
      return fail("has a shape too large for any file");
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(*size));
  }
  Expected<uint32_t> type = takeU32("tensor '" + *name + "'");
  if (!type)
    return type.takeError();
  std::optional<StorageType> storage = parseGgmlType(*type);
  if (!storage)
    return fail("has the unsupported type " + ggmlTypeName(*type));
  tensor.type = *storage;
  Expected<uint64_t> begin = takeU64("tensor '" + *name + "'");
  if (!begin)
    return begin.takeError();
  offset = *begin;
  return tensor;
}

/// Bytes of `tensor`, or nothing where they exceed 64 bits. The row length is
/// known to be a multiple of the block.
static std::optional<uint64_t> byteSize(const GgufTensor &tensor) {
  StorageBlock block = storageBlock(tensor.type);
  std::optional<int64_t> bytes = block.bytes;
  for (int64_t size : llvm::ArrayRef(tensor.shape).drop_back())
    bytes = bytes ? llvm::checkedMul(*bytes, size) : std::nullopt;
  return bytes ? llvm::checkedMul(*bytes, tensor.shape.back() / block.elements)
               : std::nullopt;
}

Error GgufParser::placeTensors(GgufFile &file,
                               llvm::ArrayRef<uint64_t> offsets) {
  Expected<std::optional<int64_t>> stated =
      file.getInteger("general.alignment");
  if (!stated)
    return stated.takeError();
  uint64_t alignment = stated->value_or(defaultAlignment);
  if (alignment < 8 || !llvm::isPowerOf2_64(alignment) ||
      alignment > UINT32_MAX)
    return createStringError("general.alignment is " + Twine(alignment) +
                             ", not a power of two from 8 on");
  uint64_t dataBegin = llvm::alignTo(position, alignment);
  if (dataBegin > bytes.size() && !offsets.empty())
    return createStringError("truncated: no tensor data");
  llvm::ArrayRef<uint8_t> data =
      bytes.drop_front(std::min<uint64_t>(dataBegin, bytes.size()));

  for (auto [tensor, offset] : llvm::zip_equal(file.allTensors, offsets)) {
    auto fail = [&, name = tensor.name](const Twine &what) {
      return createStringError("tensor '" + name + "' " + what);
    };
    StorageBlock block = storageBlock(tensor.type);
    if (tensor.shape.back() % block.elements != 0)
      return fail("has rows of " + Twine(tensor.shape.back()) +
                  " values, not a multiple of the " + Twine(block.elements) +
                  " of a " + storageTypeName(tensor.type) + " block");
    std::optional<uint64_t> size = byteSize(tensor);
    if (!size)
      return fail("has a shape too large for any file");
    if (offset % alignment != 0)
      return fail("starts at byte " + Twine(offset) +
                  ", which is not aligned to " + Twine(alignment));
    if (offset > data.size() || *size > data.size() - offset)
      return fail("lies outside of the file: it needs " + Twine(*size) +
                  " bytes at byte " + Twine(offset) + " of " +
                  Twine(data.size()) + " bytes of data");
    tensor.bytes = data.slice(offset, *size);
  }

  std::vector<const GgufTensor *> sorted;
  for (const GgufTensor &tensor : file.allTensors)
    sorted.push_back(&tensor);
  llvm::sort(sorted, [](const GgufTensor *a, const GgufTensor *b) {
    return a->bytes.data() < b->bytes.data();
  });
  for (size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i]->bytes.begin() < sorted[i - 1]->bytes.end())
      return createStringError("tensors '" + sorted[i - 1]->name + "' and '" +
                               sorted[i]->name + "' overlap");
  return Error::success();
}

Expected<std::unique_ptr<GgufFile>> GgufParser::parse() {
  std::unique_ptr<GgufFile> file(new GgufFile);
  Expected<llvm::ArrayRef<uint8_t>> magic = take(4, "magic number");
  if (!magic)
    return magic.takeError();
  if (llvm::toStringRef(*magic) != "GGUF")
    return createStringError("not a GGUF file");
  Expected<uint32_t> version = takeU32("version");
  if (!version)
    return version.takeError();
  if (llvm::byteswap(*version) <= 3)
    return createStringError("big-endian GGUF is not supported");
  if (*version != 2 && *version != 3)
    return createStringError("GGUF version " + Twine(*version) +
                             " is not supported, only 2 and 3 are");
  Expected<uint64_t> tensorCount = takeU64("tensor count");
  if (!tensorCount)
    return tensorCount.takeError();
  Expected<uint64_t> entryCount = takeU64("metadata count");
  if (!entryCount)
    return entryCount.takeError();

  // Counts that lie run into the end of the file.
  for (uint64_t i = 0; i < *entryCount; ++i)
    if (Error error = parseEntry(*file))
      return error;
  std::vector<uint64_t> offsets;
  llvm::StringSet<> names;
  for (uint64_t i = 0; i < *tensorCount; ++i) {
    Expected<GgufTensor> tensor = parseTensor(offsets.emplace_back());
    if (!tensor)
      return tensor.takeError();
    if (!names.insert(tensor->name).second)
      return createStringError("tensor '" + tensor->name + "' appears twice");
    file->allTensors.push_back(std::move(*tensor));
  }
  if (Error error = placeTensors(*file, offsets))
    return error;
  return file;
}

Expected<std::unique_ptr<GgufFile>> GgufFile::open(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return llvm::createFileError(path, buffer.getError());
  return create(std::move(*buffer), path);
}

Expected<std::unique_ptr<GgufFile>>
GgufFile::create(std::unique_ptr<llvm::MemoryBuffer> buffer, StringRef name) {
  Expected<std::unique_ptr<GgufFile>> file =
      GgufParser(llvm::arrayRefFromStringRef(buffer->getBuffer())).parse();
  if (!file)
    return llvm::createFileError(name, file.takeError());
  (*file)->buffer = std::move(buffer);
  return file;
}

const GgufEntry *GgufFile::find(StringRef key) const {
  auto it = indexOfKey.find(key);
  return it == indexOfKey.end() ? nullptr : &allEntries[it->second];
}

static Error wrongType(StringRef key, StringRef expected) {
  return createStringError("metadata '" + key + "' is not " + expected);
}

Expected<std::optional<int64_t>> GgufFile::getInteger(StringRef key) const {
  const GgufEntry *entry = find(key);
  if (!entry)
    return std::nullopt;
  const uint8_t *p = entry->payload.data();
  switch (entry->type) {
  case GgufType::UInt8:
    return *p;
  case GgufType::Int8:
    return static_cast<int8_t>(*p);
  case GgufType::UInt16:
    return read16le(p);
  case GgufType::Int16:
    return static_cast<int16_t>(read16le(p));
  case GgufType::UInt32:
    return read32le(p);
  case GgufType::Int32:
    return static_cast<int32_t>(read32le(p));
  case GgufType::UInt64:
    if (read64le(p) > static_cast<uint64_t>(INT64_MAX))
      return wrongType(key, "an integer of 63 bits");
    return static_cast<int64_t>(read64le(p));
  case GgufType::Int64:
    return static_cast<int64_t>(read64le(p));
  default:
    return wrongType(key, "an integer");
  }
}

Expected<std::optional<double>> GgufFile::getFloat(StringRef key) const {
  const GgufEntry *entry = find(key);
  if (!entry)
    return std::nullopt;
  if (entry->type == GgufType::Float32)
    return std::bit_cast<float>(read32le(entry->payload.data()));
  if (entry->type == GgufType::Float64)
    return std::bit_cast<double>(read64le(entry->payload.data()));
  return wrongType(key, "a floating-point number");
}

Expected<std::optional<bool>> GgufFile::getBool(StringRef key) const {
  const GgufEntry *entry = find(key);
  if (!entry)
    return std::nullopt;
  if (entry->type != GgufType::Bool)
    return wrongType(key, "a boolean");
  return entry->payload[0] != 0;
}

Expected<std::optional<StringRef>> GgufFile::getString(StringRef key) const {
  const GgufEntry *entry = find(key);
  if (!entry)
    return std::nullopt;
  if (entry->type != GgufType::String)
    return wrongType(key, "a string");
  return llvm::toStringRef(entry->payload);
}

Expected<std::optional<uint64_t>> GgufFile::getArraySize(StringRef key) const {
  const GgufEntry *entry = find(key);
  if (!entry)
    return std::nullopt;
  if (entry->type != GgufType::Array)
    return wrongType(key, "an array");
  return entry->count;
}

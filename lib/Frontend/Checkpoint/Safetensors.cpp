//===- Safetensors.cpp - Reading safetensors files ------------------------===//

#include "odyssey/Frontend/Checkpoint/Safetensors.h"

#include "Json.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CheckedArithmetic.h"
#include "llvm/Support/Endian.h"

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

/// The format's own limit, so that a lying length does not cost memory.
static constexpr uint64_t maxHeaderBytes = 100'000'000;

/// One entry of the header: {"dtype": ..., "shape": [...], "data_offsets":
/// [begin, end]}, against `data`, all bytes after the header.
static Expected<SafetensorsTensor> parseTensor(StringRef name,
                                               const llvm::json::Value &entry,
                                               llvm::ArrayRef<uint8_t> data) {
  auto fail = [&](const Twine &what) {
    return createStringError("tensor '" + name + "' " + what);
  };
  const llvm::json::Object *object = entry.getAsObject();
  if (!object)
    return fail("is described by something that is no object");

  std::optional<StringRef> dtype = object->getString("dtype");
  if (!dtype)
    return fail("has no dtype");
  std::optional<StorageType> type = parseSafetensorsType(*dtype);
  if (!type)
    return fail("has the unknown dtype '" + *dtype + "'");

  const llvm::json::Array *shape = object->getArray("shape");
  if (!shape)
    return fail("has no shape");
  SafetensorsTensor tensor{name.str(), *type, {}, {}};
  std::optional<int64_t> bytes = storageBlock(*type).bytes;
  for (const llvm::json::Value &value : *shape) {
    std::optional<int64_t> size = value.getAsInteger();
    if (!size || *size < 0)
      return fail("has a shape that is no list of sizes");
    if (*size == 0)
      return fail("has a dimension of size zero");
    tensor.shape.push_back(*size);
    bytes = bytes ? llvm::checkedMul(*bytes, *size) : std::nullopt;
  }
  if (!bytes)
    return fail("has a shape too large for any file");

  const llvm::json::Array *offsets = object->getArray("data_offsets");
  std::optional<int64_t> begin, end;
  if (offsets && offsets->size() == 2) {
    begin = (*offsets)[0].getAsInteger();
    end = (*offsets)[1].getAsInteger();
  }
  if (!begin || !end || *begin < 0 || *end < *begin)
    return fail("has no valid data_offsets");
  if (static_cast<uint64_t>(*end) > data.size())
    return fail("lies outside of the file: it ends at byte " + Twine(*end) +
                " of " + Twine(data.size()) + " bytes of data");
  if (*end - *begin != *bytes)
    return fail("has " + Twine(*end - *begin) + " bytes, but its shape needs " +
                Twine(*bytes));
  tensor.bytes = data.slice(*begin, *bytes);
  return tensor;
}

/// The tensors, sorted by address, must cover `data` without gaps or overlaps.
static Error checkCoverage(llvm::ArrayRef<SafetensorsTensor> sorted,
                           llvm::ArrayRef<uint8_t> data) {
  const uint8_t *position = data.begin();
  StringRef previous;
  for (const SafetensorsTensor &tensor : sorted) {
    if (tensor.bytes.begin() < position)
      return createStringError("tensors '" + previous + "' and '" +
                               tensor.name + "' overlap");
    if (tensor.bytes.begin() > position)
      return createStringError(Twine(tensor.bytes.begin() - position) +
                               " bytes before tensor '" + tensor.name +
                               "' belong to no tensor");
    position = tensor.bytes.end();
    previous = tensor.name;
  }
  if (position != data.end())
    return createStringError(Twine(data.end() - position) +
                             " bytes at the end belong to no tensor");
  return Error::success();
}

static Expected<std::vector<SafetensorsTensor>>
parseFile(llvm::ArrayRef<uint8_t> file) {
  if (file.size() < 8)
    return createStringError("truncated: no safetensors header");
  uint64_t headerSize = llvm::support::endian::read64le(file.data());
  if (headerSize > maxHeaderBytes)
    return createStringError("the header's length of " + Twine(headerSize) +
                             " bytes is beyond the format's limit");
  if (headerSize > file.size() - 8)
    return createStringError("truncated: the header has " + Twine(headerSize) +
                             " bytes, the file only " + Twine(file.size() - 8) +
                             " more");
  llvm::ArrayRef<uint8_t> data = file.drop_front(8 + headerSize);

  Expected<llvm::json::Object> header =
      parseJsonObject(llvm::toStringRef(file.slice(8, headerSize)));
  if (!header)
    return header.takeError();

  std::vector<SafetensorsTensor> tensors;
  for (const auto &[name, entry] : *header) {
    if (StringRef(name) == "__metadata__")
      continue;
    Expected<SafetensorsTensor> tensor = parseTensor(name, entry, data);
    if (!tensor)
      return tensor.takeError();
    tensors.push_back(std::move(*tensor));
  }
  llvm::sort(tensors, [](const auto &a, const auto &b) {
    return std::pair(a.bytes.data(), StringRef(a.name)) <
           std::pair(b.bytes.data(), StringRef(b.name));
  });
  if (Error error = checkCoverage(tensors, data))
    return error;
  return tensors;
}

Expected<std::unique_ptr<SafetensorsReader>>
SafetensorsReader::open(StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return llvm::createFileError(path, buffer.getError());
  return create(std::move(*buffer), path);
}

Expected<std::unique_ptr<SafetensorsReader>>
SafetensorsReader::create(std::unique_ptr<llvm::MemoryBuffer> buffer,
                          StringRef name) {
  Expected<std::vector<SafetensorsTensor>> tensors =
      parseFile(llvm::arrayRefFromStringRef(buffer->getBuffer()));
  if (!tensors)
    return llvm::createFileError(name, tensors.takeError());
  std::unique_ptr<SafetensorsReader> reader(new SafetensorsReader);
  reader->buffer = std::move(buffer);
  reader->allTensors = std::move(*tensors);
  for (auto [index, tensor] : llvm::enumerate(reader->allTensors))
    reader->indexOfName[tensor.name] = index;
  return reader;
}

const SafetensorsTensor *SafetensorsReader::find(StringRef name) const {
  auto it = indexOfName.find(name);
  return it == indexOfName.end() ? nullptr : &allTensors[it->second];
}

Expected<LoadedTensor> SafetensorsReader::load(StringRef name) const {
  const SafetensorsTensor *tensor = find(name);
  if (!tensor)
    return createStringError("the weights have no tensor '" + name + "'");
  return LoadedTensor{tensor->type, tensor->shape, tensor->bytes, nullptr};
}

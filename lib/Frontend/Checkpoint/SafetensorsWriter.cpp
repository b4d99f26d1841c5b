//===- SafetensorsWriter.cpp - Writing safetensors files ------------------===//

#include "odyssey/Frontend/Checkpoint/Safetensors.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

#include <unistd.h>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

static uint64_t byteSize(const SafetensorsSpec &spec) {
  uint64_t bytes = storageBlock(spec.type).bytes;
  for (int64_t size : spec.shape)
    bytes *= size;
  return bytes;
}

static Error writeAt(int descriptor, uint64_t offset,
                     llvm::ArrayRef<uint8_t> bytes) {
  while (!bytes.empty()) {
    ssize_t written = llvm::sys::RetryAfterSignal(
        -1, ::pwrite, descriptor, bytes.data(), bytes.size(), offset);
    if (written < 0)
      return llvm::errorCodeToError(llvm::errnoAsErrorCode());
    bytes = bytes.drop_front(written);
    offset += written;
  }
  return Error::success();
}

/// The header's bytes, length included, padded with blanks so that the data
/// starts at a multiple of 8. `tensors` are in the order of the data.
static std::string makeHeader(llvm::ArrayRef<SafetensorsSpec> tensors) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::json::OStream json(stream);
  uint64_t offset = 0;
  json.object([&] {
    json.attributeObject("__metadata__",
                         [&] { json.attribute("format", "pt"); });
    for (const SafetensorsSpec &tensor : tensors) {
      json.attributeObject(tensor.name, [&] {
        json.attribute("dtype", storageTypeName(tensor.type));
        json.attribute("shape", llvm::json::Array(tensor.shape));
        uint64_t end = offset + byteSize(tensor);
        json.attribute("data_offsets", llvm::json::Array({offset, end}));
        offset = end;
      });
    }
  });
  text.resize(llvm::alignTo(text.size(), 8), ' ');
  char length[8];
  llvm::support::endian::write64le(length, text.size());
  return std::string(length, 8) + text;
}

SafetensorsWriter::SafetensorsWriter(StringRef path,
                                     llvm::sys::fs::TempFile file)
    : path(path), file(std::move(file)) {}

SafetensorsWriter::~SafetensorsWriter() {
  if (file)
    llvm::consumeError(file->discard());
}

Expected<std::unique_ptr<SafetensorsWriter>>
SafetensorsWriter::create(StringRef path,
                          std::vector<SafetensorsSpec> tensors) {
  llvm::sort(tensors, [](const auto &a, const auto &b) {
    return std::pair(-storageBlock(a.type).bytes, StringRef(a.name)) <
           std::pair(-storageBlock(b.type).bytes, StringRef(b.name));
  });
  Expected<llvm::sys::fs::TempFile> file =
      llvm::sys::fs::TempFile::create(path + ".tmp-%%%%%%");
  if (!file)
    return llvm::createFileError(path, file.takeError());
  std::unique_ptr<SafetensorsWriter> writer(
      new SafetensorsWriter(path, std::move(*file)));

  std::string header = makeHeader(tensors);
  uint64_t offset = header.size();
  for (const SafetensorsSpec &tensor : tensors) {
    uint64_t size = byteSize(tensor);
    if (!writer->regions.try_emplace(tensor.name, Region{offset, size, 0})
             .second)
      return llvm::createFileError(
          path, createStringError("tensor '" + tensor.name +
                                  "' is to be written twice"));
    offset += size;
  }
  if (Error error =
          writeAt(writer->file->FD, 0, llvm::arrayRefFromStringRef(header)))
    return llvm::createFileError(path, std::move(error));
  return writer;
}

Error SafetensorsWriter::write(StringRef name, uint64_t offset,
                               llvm::ArrayRef<uint8_t> bytes) {
  auto it = regions.find(name);
  if (it == regions.end())
    return llvm::createFileError(
        path, createStringError("no tensor '" + name + "' in the layout"));
  Region &region = it->second;
  if (offset > region.size || bytes.size() > region.size - offset)
    return llvm::createFileError(
        path,
        createStringError("bytes beyond the end of tensor '" + name + "'"));
  if (Error error = writeAt(file->FD, region.begin + offset, bytes))
    return llvm::createFileError(path, std::move(error));
  region.written += bytes.size();
  return Error::success();
}

Error SafetensorsWriter::finish() {
  for (const auto &[name, region] : regions)
    if (region.written != region.size)
      return llvm::createFileError(
          path, createStringError("tensor '" + name + "' has " +
                                  Twine(region.written) + " of " +
                                  Twine(region.size) + " bytes"));
  // Some file systems report a full disk only here.
  if (::fsync(file->FD) != 0)
    return llvm::createFileError(path, llvm::errnoAsErrorCode());
  Error error = file->keep(path);
  file.reset();
  if (error)
    return llvm::createFileError(path, std::move(error));
  return Error::success();
}

//===- BundleWriter.cpp - Writes the file that the runtime loads ----------===//

#include "odyssey/Target/BundleWriter.h"

#include "odyssey/Frontend/Checkpoint/TensorSource.h"
#include "odyssey/runtime/BundleFormat.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

#include <cstring>

using namespace mlir;
using namespace odyssey;
namespace json = llvm::json;

namespace {

/// Tensors begin at multiples of this, so that kernels may load vectors.
constexpr uint64_t kTensorAlignment = 256;

struct PlacedSection {
  std::string name;
  uint64_t offset, bytes;
};

/// The header of the safetensors section. Safetensors files have no gaps, so
/// what aligns a tensor is a tensor of its own.
class WeightsLayout {
public:
  explicit WeightsLayout(ArrayRef<BundleConstant> constants) {
    json::Object header;
    auto add = [&](StringRef name, StringRef type, json::Array shape,
                   uint64_t bytes) {
      // Objects do not own keys and strings that are given as references.
      header[json::ObjectKey(name.str())] = json::Object{
          {"dtype", type.str()},
          {"shape", std::move(shape)},
          {"data_offsets", json::Array{dataBytes, dataBytes + bytes}}};
      dataBytes += bytes;
    };
    for (auto [i, constant] : llvm::enumerate(constants)) {
      offsets.push_back(dataBytes);
      add(constant.name, StringRef(constant.type).upper(),
          json::Array(constant.shape), constant.bytes);
      uint64_t padding = llvm::alignTo(dataBytes, kTensorAlignment) - dataBytes;
      if (padding > 0)
        add(("padding." + Twine(i)).str(), "U8",
            json::Array{static_cast<int64_t>(padding)}, padding);
    }
    llvm::raw_string_ostream stream(text);
    stream << json::Value(std::move(header));
    // Spaces after the header are part of the format.
    text.resize(
        llvm::alignTo(text.size() + sizeof(uint64_t), kTensorAlignment) -
            sizeof(uint64_t),
        ' ');
  }
  uint64_t headerBytes() const { return sizeof(uint64_t) + text.size(); }
  uint64_t totalBytes() const { return headerBytes() + dataBytes; }

  std::string text;
  std::vector<uint64_t> offsets;
  uint64_t dataBytes = 0;
};

class BundleFileWriter {
public:
  explicit BundleFileWriter(StringRef path) : path(path) {}

  /// `sectionCount` sections will follow.
  llvm::Error open(size_t sectionCount);
  void addSection(StringRef name, StringRef content);
  llvm::Error addWeights(ArrayRef<BundleConstant> constants,
                         const TensorSource *weights,
                         llvm::function_ref<void(uint64_t, uint64_t)> progress);
  llvm::Error finish();
  /// Removes what has been written.
  void discard() {
    if (stream)
      stream->clear_error();
    stream.reset();
    if (file)
      llvm::consumeError(file->discard());
    file.reset();
  }
  uint64_t fileBytes() const { return end; }

private:
  void begin(StringRef name);
  void close() {
    sections.back().bytes = stream->tell() - sections.back().offset;
  }
  void padTo(uint64_t offset) {
    if (uint64_t at = stream->tell(); at < offset)
      stream->write_zeros(offset - at);
  }
  llvm::Error check() {
    if (!stream->has_error())
      return llvm::Error::success();
    std::error_code code = stream->error();
    stream->clear_error();
    return llvm::createStringError("cannot write '" + path +
                                   "': " + code.message());
  }

  std::string path;
  std::optional<llvm::sys::fs::TempFile> file;
  std::unique_ptr<llvm::raw_fd_ostream> stream;
  std::vector<PlacedSection> sections;
  uint64_t end = 0;
};

llvm::Error BundleFileWriter::open(size_t sectionCount) {
  if (sectionCount > bundle::kMaxSections)
    return llvm::createStringError(
        "cannot write '" + path + "': " + Twine(sectionCount) +
        " sections are more than the format's " + Twine(bundle::kMaxSections));
  auto temporary = llvm::sys::fs::TempFile::create(path + ".%%%%%%");
  if (!temporary)
    return llvm::createStringError("cannot write '" + path + "': " +
                                   llvm::toString(temporary.takeError()));
  file = std::move(*temporary);
  stream = std::make_unique<llvm::raw_fd_ostream>(file->FD,
                                                  /*shouldClose=*/false);
  // The header and the table come last, when offsets and hashes are known.
  stream->write_zeros(llvm::alignTo(
      sizeof(bundle::FileHeader) + sectionCount * sizeof(bundle::SectionEntry),
      bundle::kSectionAlignment));
  return check();
}

void BundleFileWriter::begin(StringRef name) {
  padTo(llvm::alignTo(stream->tell(), bundle::kSectionAlignment));
  sections.push_back({name.str(), stream->tell(), 0});
}

void BundleFileWriter::addSection(StringRef name, StringRef content) {
  begin(name);
  *stream << content;
  close();
}

llvm::Error BundleFileWriter::addWeights(
    ArrayRef<BundleConstant> constants, const TensorSource *weights,
    llvm::function_ref<void(uint64_t, uint64_t)> progress) {
  begin(bundle::kWeightsSection);
  WeightsLayout layout(constants);
  uint64_t start = stream->tell() + layout.headerBytes();
  uint64_t size = layout.text.size();
  stream->write(reinterpret_cast<const char *>(&size), sizeof(size));
  *stream << layout.text;
  for (auto [constant, offset] : llvm::zip_equal(constants, layout.offsets)) {
    auto bytes = materialize(constant, weights);
    if (!bytes)
      return bytes.takeError();
    if (bytes->size() != constant.bytes)
      return llvm::createStringError(
          "tensor '" + constant.name + "' has " + Twine(bytes->size()) +
          " bytes, expected " + Twine(constant.bytes));
    padTo(start + offset);
    stream->write(reinterpret_cast<const char *>(bytes->data()), bytes->size());
    if (llvm::Error error = check())
      return error;
    progress(offset + constant.bytes, layout.dataBytes);
  }
  padTo(start + layout.dataBytes);
  close();
  return llvm::Error::success();
}

llvm::Error BundleFileWriter::finish() {
  padTo(llvm::alignTo(stream->tell(), bundle::kSectionAlignment));
  end = stream->tell();
  stream->flush();
  if (llvm::Error error = check())
    return error;

  auto mapped = llvm::MemoryBuffer::getOpenFile(
      llvm::sys::fs::convertFDToNativeFile(file->FD), path, end,
      /*RequiresNullTerminator=*/false);
  if (!mapped)
    return llvm::createStringError(mapped.getError(),
                                   "cannot read back '" + path + "'");
  std::vector<bundle::SectionEntry> table;
  for (const PlacedSection &section : sections) {
    bundle::SectionEntry entry = {};
    if (section.name.size() >= sizeof(entry.name))
      return llvm::createStringError("the section name '" + section.name +
                                     "' is too long");
    std::memcpy(entry.name, section.name.data(), section.name.size());
    entry.offset = section.offset;
    entry.bytes = section.bytes;
    entry.hash = llvm::xxh3_64bits(
        (*mapped)->getBuffer().substr(section.offset, section.bytes));
    table.push_back(entry);
  }
  StringRef tableBytes(reinterpret_cast<const char *>(table.data()),
                       table.size() * sizeof(bundle::SectionEntry));
  bundle::FileHeader header = {};
  std::memcpy(header.magic, bundle::kMagic, sizeof(header.magic));
  header.version = bundle::kVersion;
  header.sectionCount = static_cast<uint32_t>(table.size());
  header.fileBytes = end;
  header.tableHash = llvm::xxh3_64bits(tableBytes);
  stream->seek(0);
  stream->write(reinterpret_cast<const char *>(&header), sizeof(header));
  *stream << tableBytes;
  stream->flush();
  if (llvm::Error error = check())
    return error;
  stream.reset();
  llvm::Error error = file->keep(path);
  file.reset();
  if (error)
    return llvm::createStringError("cannot write '" + path +
                                   "': " + llvm::toString(std::move(error)));
  return llvm::Error::success();
}

} // namespace

llvm::Expected<uint64_t>
odyssey::writeBundle(StringRef path, ArrayRef<BundleSection> sections,
                     ArrayRef<BundleConstant> constants, bool withConstants,
                     const TensorSource *weights,
                     llvm::function_ref<void(uint64_t, uint64_t)> progress) {
  BundleFileWriter writer(path);
  if (llvm::Error error = writer.open(sections.size() + withConstants))
    return error;
  auto write = [&]() -> llvm::Error {
    for (const BundleSection &section : sections)
      writer.addSection(section.name, section.content);
    if (withConstants)
      if (llvm::Error error = writer.addWeights(constants, weights, progress))
        return error;
    return writer.finish();
  };
  if (llvm::Error error = write()) {
    writer.discard();
    return error;
  }
  return writer.fileBytes();
}

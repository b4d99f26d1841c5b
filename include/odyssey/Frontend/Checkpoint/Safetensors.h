//===- Safetensors.h - Reading and writing safetensors files ----*- C++ -*-===//
//
// The format (https://github.com/huggingface/safetensors): 8 bytes of header
// length, little-endian; a JSON object that maps each tensor's name to its
// dtype, shape and [begin, end) offsets; then the tensors' bytes, without gaps.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_SAFETENSORS_H
#define ODYSSEY_FRONTEND_CHECKPOINT_SAFETENSORS_H

#include "odyssey/Frontend/Checkpoint/MappedPages.h"
#include "odyssey/Frontend/Checkpoint/TensorSource.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace odyssey {

struct SafetensorsTensor {
  std::string name;
  StorageType type;
  /// Empty for a scalar.
  std::vector<int64_t> shape;
  /// shape's product times the element's size. Files do not promise that a
  /// tensor is aligned to its elements; those that Odyssey writes are.
  llvm::ArrayRef<uint8_t> bytes;
};

/// A mapped safetensors file. Opening checks the whole header: a tensor that
/// it hands out lies inside the file and has the size that its shape says.
class SafetensorsReader : public TensorSource {
public:
  static llvm::Expected<std::unique_ptr<SafetensorsReader>>
  open(llvm::StringRef path);

  /// The same over bytes in memory. `name` stands in the errors.
  static llvm::Expected<std::unique_ptr<SafetensorsReader>>
  create(std::unique_ptr<llvm::MemoryBuffer> buffer, llvm::StringRef name);

  /// As Checkpoint::releasePages.
  void releasePages() const { odyssey::releasePages(*buffer); }

  /// In the order of the file's bytes.
  llvm::ArrayRef<SafetensorsTensor> tensors() const { return allTensors; }

  /// Null if there is no such tensor.
  const SafetensorsTensor *find(llvm::StringRef name) const;

  llvm::Expected<LoadedTensor> load(llvm::StringRef name) const override;

private:
  SafetensorsReader() = default;

  std::unique_ptr<llvm::MemoryBuffer> buffer;
  std::vector<SafetensorsTensor> allTensors;
  llvm::StringMap<size_t> indexOfName;
};

/// What a file to be written will hold.
struct SafetensorsSpec {
  std::string name;
  StorageType type;
  std::vector<int64_t> shape;
};

/// Writes a safetensors file piece by piece, in any order. The file appears
/// under its name only by `finish`; a writer that dies before leaves nothing.
class SafetensorsWriter {
public:
  /// Lays the file out: tensors of wide elements first, so that all are
  /// aligned, then by name.
  static llvm::Expected<std::unique_ptr<SafetensorsWriter>>
  create(llvm::StringRef path, std::vector<SafetensorsSpec> tensors);

  ~SafetensorsWriter();

  /// Writes `bytes` at `offset` bytes into the tensor `name`. Fails when the
  /// tensor is not in the layout or has no such bytes, and when the disk is
  /// full. Every byte must be written once.
  llvm::Error write(llvm::StringRef name, uint64_t offset,
                    llvm::ArrayRef<uint8_t> bytes);

  template <typename T>
  llvm::Error write(llvm::StringRef name, uint64_t offset,
                    llvm::ArrayRef<T> values) {
    return write(name, offset,
                 llvm::ArrayRef<uint8_t>(
                     reinterpret_cast<const uint8_t *>(values.data()),
                     values.size() * sizeof(T)));
  }

  /// Fails when bytes are missing or do not reach the disk.
  llvm::Error finish();

private:
  struct Region {
    uint64_t begin, size, written;
  };

  SafetensorsWriter(llvm::StringRef path, llvm::sys::fs::TempFile file);

  std::string path;
  std::optional<llvm::sys::fs::TempFile> file;
  llvm::StringMap<Region> regions;
};

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_SAFETENSORS_H

//===- Gguf.h - Reading the GGUF container ----------------------*- C++ -*-===//
//
// GGUF versions 2 and 3, little-endian
// (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): typed key-value
// pairs, a table of tensors, then the tensors' bytes. This is the container
// only; Checkpoint gives it meaning.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_GGUF_H
#define ODYSSEY_FRONTEND_CHECKPOINT_GGUF_H

#include "odyssey/Frontend/Checkpoint/MappedPages.h"
#include "odyssey/Frontend/Checkpoint/StorageType.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace odyssey {

/// Type numbers of the format.
enum class GgufType : uint32_t {
  UInt8 = 0,
  Int8 = 1,
  UInt16 = 2,
  Int16 = 3,
  UInt32 = 4,
  Int32 = 5,
  Float32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  UInt64 = 10,
  Int64 = 11,
  Float64 = 12,
};

/// A key-value pair, decoded on demand.
struct GgufEntry {
  llvm::StringRef key;
  GgufType type;
  /// Of arrays: what they hold, and how many.
  GgufType elementType = GgufType::UInt8;
  uint64_t count = 0;
  /// The value; of arrays the elements, of strings the characters.
  llvm::ArrayRef<uint8_t> payload;
  /// The whole pair as it stands in the file, for copying.
  llvm::ArrayRef<uint8_t> raw;
};

struct GgufTensor {
  llvm::StringRef name;
  StorageType type;
  /// Slowest dimension first, unlike in the file: [rows, columns].
  std::vector<int64_t> shape;
  llvm::ArrayRef<uint8_t> bytes;
};

/// A mapped GGUF file. Opening checks the whole container: strings and arrays
/// end inside the file, tensors have types that Odyssey can read, lie inside
/// the file, do not overlap, and names and keys are unique.
class GgufFile {
public:
  static llvm::Expected<std::unique_ptr<GgufFile>> open(llvm::StringRef path);

  /// The same over bytes in memory. `name` stands in the errors.
  static llvm::Expected<std::unique_ptr<GgufFile>>
  create(std::unique_ptr<llvm::MemoryBuffer> buffer, llvm::StringRef name);

  /// As Checkpoint::releasePages.
  void releasePages() const { odyssey::releasePages(*buffer); }

  llvm::ArrayRef<GgufEntry> entries() const { return allEntries; }
  llvm::ArrayRef<GgufTensor> tensors() const { return allTensors; }

  /// Null if there is no such key.
  const GgufEntry *find(llvm::StringRef key) const;

  /// The value of `key`: an integer of any width, a float of any width, ...
  /// Nothing if the key is absent; an error if it has another type.
  llvm::Expected<std::optional<int64_t>> getInteger(llvm::StringRef key) const;
  llvm::Expected<std::optional<double>> getFloat(llvm::StringRef key) const;
  llvm::Expected<std::optional<bool>> getBool(llvm::StringRef key) const;
  llvm::Expected<std::optional<llvm::StringRef>>
  getString(llvm::StringRef key) const;
  /// How many elements the array `key` has.
  llvm::Expected<std::optional<uint64_t>>
  getArraySize(llvm::StringRef key) const;

private:
  friend class GgufParser;
  GgufFile() = default;

  std::unique_ptr<llvm::MemoryBuffer> buffer;
  std::vector<GgufEntry> allEntries;
  std::vector<GgufTensor> allTensors;
  llvm::StringMap<size_t> indexOfKey;
};

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_GGUF_H

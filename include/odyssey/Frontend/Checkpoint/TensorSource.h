//===- TensorSource.h - Tensors by name -------------------------*- C++ -*-===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_TENSORSOURCE_H
#define ODYSSEY_FRONTEND_CHECKPOINT_TENSORSOURCE_H

#include "odyssey/Frontend/Checkpoint/StorageType.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <vector>

namespace odyssey {

/// A tensor in memory: row-major, its bytes perhaps not aligned. They live as
/// long as both this object and what it was loaded from.
struct LoadedTensor {
  StorageType type;
  /// Empty for a scalar.
  std::vector<int64_t> shape;
  llvm::ArrayRef<uint8_t> bytes;
  /// Keeps bytes that were made for this object; null for those of a file.
  std::shared_ptr<const void> owner;
};

/// Where the compiler takes weights from. Loading is thread-safe.
class TensorSource {
public:
  virtual ~TensorSource() = default;

  /// Fails when there is no tensor of that name, and names it.
  virtual llvm::Expected<LoadedTensor> load(llvm::StringRef name) const = 0;
};

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_TENSORSOURCE_H

//===- ShardedSafetensors.h - The weights of a folder -----------*- C++ -*-===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_SHARDEDSAFETENSORS_H
#define ODYSSEY_FRONTEND_CHECKPOINT_SHARDEDSAFETENSORS_H

#include "odyssey/Frontend/Checkpoint/Safetensors.h"

namespace odyssey {

/// The tensors of a Hugging Face folder, in one file or in several.
class ShardedSafetensors {
public:
  /// Opens model.safetensors, or the shards that model.safetensors.index.json
  /// lists. Fails when a tensor is not where the list says, or in two files.
  static llvm::Expected<ShardedSafetensors> open(llvm::StringRef folder);

  llvm::ArrayRef<std::unique_ptr<SafetensorsReader>> shards() const {
    return files;
  }

  /// Null if there is no such tensor.
  const SafetensorsTensor *find(llvm::StringRef name) const;

private:
  std::vector<std::unique_ptr<SafetensorsReader>> files;
};

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_SHARDEDSAFETENSORS_H

//===- RoundedCheckpoint.h - A checkpoint, rounded while read ---*- C++ -*-===//
//
// A trained checkpoint as the compiler takes weights: rounded to nearest with
// one scale per output channel, tensor by tensor as they are asked for, without
// a folder in between.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_QUANTIZE_ROUNDEDCHECKPOINT_H
#define ODYSSEY_QUANTIZE_ROUNDEDCHECKPOINT_H

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Frontend/Checkpoint/TensorSource.h"

#include "llvm/ADT/StringSet.h"

#include <memory>

namespace odyssey {

/// Has the tensors of the folder that quantizeCheckpoint writes by the recipe
/// RoundToNearest, with the same values: of each linear NAME.weight, integers
/// of `bits` bits (4 or 8) as I8 [N, K], and NAME.weight_scale, F32 [N, 1]; all
/// others as F16.
class RoundedCheckpoint : public TensorSource {
public:
  /// Opens a GGUF file or a Hugging Face folder. Fails on what Checkpoint fails
  /// on, and on linear layers with more input channels than a product takes.
  static llvm::Expected<std::unique_ptr<RoundedCheckpoint>>
  open(llvm::StringRef path, int64_t bits);

  const ModelConfig &config() const { return source->config(); }
  llvm::ArrayRef<TokenizerFile> tokenizerFiles() const {
    return source->tokenizerFiles();
  }

  /// Fails also on weights that are not finite or, of those kept as fp16, too
  /// large for it.
  llvm::Expected<LoadedTensor> load(llvm::StringRef name) const override;

private:
  RoundedCheckpoint(std::unique_ptr<Checkpoint> source, int64_t bits);

  llvm::Expected<LoadedTensor> loadHalf(const CheckpointTensor &tensor) const;
  llvm::Expected<LoadedTensor> loadIntegers(const CheckpointTensor &tensor,
                                            bool scales) const;

  std::unique_ptr<Checkpoint> source;
  int64_t bits;
  /// By name, with ".weight".
  llvm::StringSet<> linears;
};

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_ROUNDEDCHECKPOINT_H

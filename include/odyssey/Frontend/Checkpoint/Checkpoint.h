//===- Checkpoint.h - A trained model on disk -------------------*- C++ -*-===//
//
// One view of trained weights, whichever of the two formats holds them: a GGUF
// file, or a Hugging Face folder of config.json, safetensors and a tokenizer.
//
// Everything is in Hugging Face's terms: the tensors' names, and the order of
// the rows of the Q and K projections (RoPE turns element i of a head together
// with element i + headDim/2). GGUF stores these rows interleaved in models of
// the architecture "llama"; reading undoes that.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_CHECKPOINT_H
#define ODYSSEY_FRONTEND_CHECKPOINT_CHECKPOINT_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"
#include "odyssey/Frontend/Checkpoint/StorageType.h"
#include "odyssey/Frontend/Checkpoint/TokenizerFiles.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>
#include <vector>

namespace odyssey {

/// A tensor of a checkpoint. Vectors have one row.
struct CheckpointTensor {
  /// "model.layers.0.self_attn.q_proj.weight"
  std::string name;
  std::vector<int64_t> shape;
  StorageType type;

  int64_t rows() const { return shape.size() == 2 ? shape[0] : 1; }
  int64_t columns() const { return shape.back(); }
  int64_t size() const { return rows() * columns(); }

  /// The first row's bytes in the mapped file; null where rows are made from
  /// several tensors.
  const uint8_t *data = nullptr;
  /// 0, or the size of the heads within which the rows are stored interleaved.
  int64_t interleavedHeadDim = 0;
};

/// An opened checkpoint: the files stay mapped until it dies. Reading is
/// thread-safe.
///
/// Opening checks everything but the weights' values: that the files are whole
/// and do not contradict themselves, that the model is one that Odyssey knows
/// and that exactly its tensors are there, with the right shapes.
class Checkpoint {
public:
  /// Opens a GGUF file or a Hugging Face folder.
  static llvm::Expected<std::unique_ptr<Checkpoint>> open(llvm::StringRef path);

  /// Opens a folder that is quantized already, in one of the formats that
  /// QuantizedCheckpoint reads and with groups of any kind, as what its
  /// integers and scales stand for in fp32.
  static llvm::Expected<std::unique_ptr<Checkpoint>>
  openDequantized(llvm::StringRef folder);

  virtual ~Checkpoint();

  const ModelConfig &config() const { return modelConfig; }

  /// In the order of the model. With tied embeddings there is no
  /// lm_head.weight.
  llvm::ArrayRef<CheckpointTensor> tensors() const { return modelTensors; }

  /// Null if there is no such tensor.
  const CheckpointTensor *find(llvm::StringRef name) const;

  /// Converts rows [first, first + count) of `tensor` to fp32. `out` has room
  /// for count * columns values. Fails on values that are not finite, and
  /// names the tensor and the index of the first one.
  virtual llvm::Error readRows(const CheckpointTensor &tensor, int64_t first,
                               int64_t count,
                               llvm::MutableArrayRef<float> out) const;

  /// All of the tensor `name`, row-major.
  llvm::Expected<std::vector<float>> readF32(llvm::StringRef name) const;

  /// Lets go of the mapped pages that were read, which otherwise count as
  /// memory of this process while there is room. They come back when read
  /// again.
  virtual void releasePages() const {}

  /// The tokenizer as files to be kept beside the model. The first is the
  /// tokenizer itself: tokenizer.json, tokenizer.model, or tokenizer.gguf.
  llvm::ArrayRef<TokenizerFile> tokenizerFiles() const { return tokenizer; }

protected:
  Checkpoint() = default;

  /// Takes from `available` what `modelConfig` asks for, in the model's order.
  /// Fails on missing tensors, on wrong shapes, and on tensors left over,
  /// which would be parts of a model that this one is not.
  llvm::Error adoptTensors(std::vector<CheckpointTensor> available);

  ModelConfig modelConfig;
  std::vector<CheckpointTensor> modelTensors;
  std::vector<TokenizerFile> tokenizer;

private:
  llvm::StringMap<size_t> indexOfName;
};

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_CHECKPOINT_H

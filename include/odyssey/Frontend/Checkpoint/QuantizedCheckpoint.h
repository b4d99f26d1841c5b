//===- QuantizedCheckpoint.h - W4A8 weights on disk -------------*- C++ -*-===//
//
// The folder that odyssey-quantize writes and odyssey-compile reads. It is a
// Hugging Face folder in the "int-quantized" format of compressed-tensors, in
// its W4A8 scheme: 4-bit integer weights, symmetric, one scale per output
// channel; 8-bit integer activations, symmetric, one scale per token, computed
// at run time.
//
//   config.json        the model, with a quantization_config
//   model.safetensors  for each linear of a layer
//                        NAME.weight        I8  [N, K], values -8..7
//                        NAME.weight_scale  F32 [N, 1]
//                      embeddings, norms and lm_head as F16 (no lm_head where
//                      it is tied to the embeddings)
//   tokenizer.*        copied from the source
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_QUANTIZEDCHECKPOINT_H
#define ODYSSEY_FRONTEND_CHECKPOINT_QUANTIZEDCHECKPOINT_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"
#include "odyssey/Frontend/Checkpoint/OutputFolder.h"
#include "odyssey/Frontend/Checkpoint/Safetensors.h"
#include "odyssey/Frontend/Checkpoint/TokenizerFiles.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace odyssey {

/// The weights of y = W x with W ~ scale[n] * weight[n, k].
struct QuantizedLinear {
  /// "model.layers.0.self_attn.q_proj", without ".weight".
  std::string name;
  /// Output channels and input channels.
  int64_t n = 0, k = 0;
  /// n * k values in -8..7, row-major.
  std::span<const int8_t> weight;
  /// n values, finite, not negative.
  std::span<const float> scale;
};

/// A norm, the embeddings, or the output matrix: fp16 values as bits.
struct HalfTensor {
  /// "model.norm.weight"
  std::string name;
  std::vector<int64_t> shape;
  std::span<const uint16_t> values;
};

/// An opened quantized checkpoint. Spans point into the mapped file and live
/// as long as this object. Opening checks everything, all values included.
class QuantizedCheckpoint {
public:
  struct Layer {
    HalfTensor inputNorm;
    QuantizedLinear q, k, v, o;
    HalfTensor postAttentionNorm;
    QuantizedLinear gate, up, down;
  };

  static llvm::Expected<std::unique_ptr<QuantizedCheckpoint>>
  open(llvm::StringRef folder);

  const ModelConfig &config() const { return modelConfig; }

  std::span<const Layer> layers() const { return allLayers; }
  const HalfTensor &embedding() const { return embeddingTensor; }
  const HalfTensor &finalNorm() const { return finalNormTensor; }
  /// With tied embeddings this is `embedding()`, name included.
  const HalfTensor &lmHead() const {
    return modelConfig.tiedEmbeddings ? embeddingTensor : lmHeadTensor;
  }

  /// The first file is the tokenizer itself.
  std::span<const TokenizerFile> tokenizerFiles() const { return tokenizer; }

  /// The file that the spans point into.
  const SafetensorsReader &weights() const { return *file; }

private:
  QuantizedCheckpoint() = default;

  llvm::Error readConfig(llvm::StringRef folder);
  llvm::Error readWeights();
  llvm::Expected<Layer> readLayer(int64_t index);
  llvm::Expected<QuantizedLinear> readLinear(std::string name, int64_t n,
                                             int64_t k);
  llvm::Expected<HalfTensor> readHalf(std::string name,
                                      std::vector<int64_t> shape);
  template <typename T>
  llvm::Expected<std::span<const T>> readValues(llvm::StringRef name,
                                                StorageType type,
                                                llvm::ArrayRef<int64_t> shape);

  ModelConfig modelConfig;
  std::unique_ptr<SafetensorsReader> file;
  std::vector<Layer> allLayers;
  HalfTensor embeddingTensor, finalNormTensor, lmHeadTensor;
  std::vector<TokenizerFile> tokenizer;
  /// Copies of tensors that are not aligned in the file.
  std::vector<std::unique_ptr<std::byte[]>> realigned;
  size_t tensorsRead = 0;
};

/// Writes a quantized checkpoint, weight by weight in any order. The folder
/// appears under its name only by `finish`.
class QuantizedCheckpointWriter {
public:
  /// `replace` as in OutputFolder.
  static llvm::Expected<std::unique_ptr<QuantizedCheckpointWriter>>
  create(llvm::StringRef folder, const ModelConfig &config,
         llvm::ArrayRef<TokenizerFile> tokenizer, bool replace);

  /// Output channels [first, first + scale.size()) of the linear `name`
  /// (without ".weight"): their k input channels each, and their scales.
  llvm::Error writeChannels(llvm::StringRef name, int64_t first,
                            llvm::ArrayRef<int8_t> weight,
                            llvm::ArrayRef<float> scale);

  /// Values from index `first` on of a norm, the embeddings or lm_head.
  llvm::Error writeHalf(llvm::StringRef name, int64_t first,
                        llvm::ArrayRef<uint16_t> values);

  /// Fails when a weight has not been written whole.
  llvm::Error finish();

private:
  QuantizedCheckpointWriter() = default;

  std::unique_ptr<OutputFolder> folder;
  std::unique_ptr<SafetensorsWriter> weights;
};

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_QUANTIZEDCHECKPOINT_H

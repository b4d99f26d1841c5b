//===- QuantizedCheckpoint.h - Integer weights on disk ----------*- C++ -*-===//
//
// The folder that odyssey-quantize writes is a Hugging Face folder in the
// "int-quantized" format of compressed-tensors, in its W4A8 scheme: 4-bit
// integer weights, symmetric, one scale per output channel; 8-bit integer
// activations, symmetric, one scale per token, computed at run time.
//
//   config.json        the model, with a quantization_config
//   model.safetensors  for each linear of a layer
//                        NAME.weight        I8  [N, K], values -8..7
//                        NAME.weight_scale  F32 [N, 1], or with groups [N, G],
//                                           G = ceil(K / group size)
//                      embeddings, norms, biases and lm_head as F16 (no lm_head
//                      where it is tied to the embeddings)
//   tokenizer.*        copied from the source
//
// Weights of 8 bits, without groups, are in the scheme W8A8 of the same format:
// NAME.weight has values -127..127 then.
//
// With groups, the scales of an output channel are multiples, 0 to 15, of one
// number, the channel's scale: that is what products need, and the folder is an
// ordinary one of the strategy "group" for everybody else.
//
// What is read is more: folders that other programs have quantized, in that
// format, in the "pack-quantized" format, and by GPTQ (AutoGPTQ, GPTQModel),
// with scales and other tensors of any floating-point type of 16 or 32 bits,
// in one file or in shards. All of them look like the first from here on.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_QUANTIZEDCHECKPOINT_H
#define ODYSSEY_FRONTEND_CHECKPOINT_QUANTIZEDCHECKPOINT_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"
#include "odyssey/Frontend/Checkpoint/OutputFolder.h"
#include "odyssey/Frontend/Checkpoint/Safetensors.h"
#include "odyssey/Frontend/Checkpoint/TensorSource.h"
#include "odyssey/Frontend/Checkpoint/TokenizerFiles.h"
#include "odyssey/Layout/WeightFormat.h"

#include "llvm/Support/Error.h"

#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace odyssey {

/// The weights of y = W x with W ~ scale[n] * weight[n, k], or with groups
/// scale[n] * multiplier[n, k / groupSize] * weight[n, k].
struct QuantizedLinear {
  /// "model.layers.0.self_attn.q_proj", without ".weight".
  std::string name;
  /// Output channels and input channels.
  int64_t n = 0, k = 0;
  /// n * k values in -8..7, or of 8 bits in -127..127, row-major.
  std::span<const int8_t> weight;
  /// n values, finite, not negative.
  std::span<const float> scale;
  /// n values of fp16 as bits; empty where the model has none.
  std::span<const uint16_t> bias;
  /// Without groups there are no multipliers; else n * ceil(k / group size) in
  /// 0..15.
  layout::WeightFormat format = {};
  std::span<const uint8_t> multiplier = {};
};

/// A norm, the embeddings, or the output matrix: fp16 values as bits.
struct HalfTensor {
  /// "model.norm.weight"
  std::string name;
  std::vector<int64_t> shape;
  std::span<const uint16_t> values;
};

/// An opened quantized checkpoint. Opening checks everything, all values
/// included. Spans live as long as this object.
///
/// As a TensorSource it has the tensors of the format that odyssey-quantize
/// writes, whatever the folder is in: one at a time, so that a model need not
/// fit into memory.
class QuantizedCheckpoint : public TensorSource {
public:
  struct Layer {
    HalfTensor inputNorm;
    QuantizedLinear q, k, v, o;
    HalfTensor postAttentionNorm;
    QuantizedLinear gate, up, down;
    /// Of the heads of Q and K; without values where the model has none.
    HalfTensor qNorm, kNorm;
  };

  static llvm::Expected<std::unique_ptr<QuantizedCheckpoint>>
  open(llvm::StringRef folder);

  /// Whether `path` is a folder whose config says that it is quantized, by
  /// whatever method. Fails where a folder has no readable config.
  static llvm::Expected<bool> isQuantized(llvm::StringRef path);

  ~QuantizedCheckpoint() override;

  const ModelConfig &config() const { return modelConfig; }

  /// Input channels that share a multiplier: 32, 64 or 128, or 0 where there is
  /// one scale per output channel.
  int64_t groupSize() const { return format().groupSize; }
  /// The width of the weights, and their groups.
  layout::WeightFormat format() const;

  /// The whole model in memory, but for what the mapped files have as it is;
  /// made by the first call.
  std::span<const Layer> layers() const { return model().layers; }
  const HalfTensor &embedding() const { return model().embedding; }
  const HalfTensor &finalNorm() const { return model().finalNorm; }
  /// With tied embeddings this is `embedding()`, name included.
  const HalfTensor &lmHead() const {
    return modelConfig.tiedEmbeddings ? model().embedding : model().lmHead;
  }

  /// With groups, linears have NAME.weight_channel_scale [N, 1] and
  /// NAME.weight_multiplier (I8 [N, G]) in place of NAME.weight_scale.
  llvm::Expected<LoadedTensor> load(llvm::StringRef name) const override;

  /// The first file is the tokenizer itself.
  std::span<const TokenizerFile> tokenizerFiles() const { return tokenizer; }

private:
  class Reader;
  struct Model {
    std::vector<Layer> layers;
    HalfTensor embedding, finalNorm, lmHead;
    std::vector<std::shared_ptr<const void>> owners;
  };

  QuantizedCheckpoint();

  const Model &model() const;

  ModelConfig modelConfig;
  std::vector<TokenizerFile> tokenizer;
  std::unique_ptr<const Reader> reader;
  mutable std::once_flag modelMade;
  mutable Model wholeModel;
};

/// Writes a quantized checkpoint, weight by weight in any order. The folder
/// appears under its name only by `finish`.
class QuantizedCheckpointWriter {
public:
  /// `replace` as in OutputFolder.
  static llvm::Expected<std::unique_ptr<QuantizedCheckpointWriter>>
  create(llvm::StringRef folder, const ModelConfig &config,
         layout::WeightFormat format, llvm::ArrayRef<TokenizerFile> tokenizer,
         bool replace);

  /// Output channels [first, first + scale.size()) of the linear `name`
  /// (without ".weight"): their k input channels each, their scales and,
  /// with groups, multipliers. Such scales must be those of `groupableScale`.
  llvm::Error writeChannels(llvm::StringRef name, int64_t first,
                            llvm::ArrayRef<int8_t> weight,
                            llvm::ArrayRef<float> scale,
                            llvm::ArrayRef<uint8_t> multiplier = {});

  /// Values from index `first` on of a norm, a bias, the embeddings or lm_head.
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

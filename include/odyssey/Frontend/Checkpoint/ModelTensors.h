//===- ModelTensors.h - Which tensors a model consists of -------*- C++ -*-===//
//
// The one list of a decoder's weights, in Hugging Face's names, that readers
// check against and the quantizer walks along.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_MODELTENSORS_H
#define ODYSSEY_FRONTEND_CHECKPOINT_MODELTENSORS_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace odyssey {

struct ModelTensor {
  enum class Kind {
    Embedding, // [vocabSize, hiddenSize]
    Norm,      // [hiddenSize], or [headDim] on the heads of Q and K
    Linear,    // [output channels, input channels]; what quantization is about
    Bias,      // [output channels] of the linear before it
    LmHead,    // [vocabSize, hiddenSize]; absent with tied embeddings
  };
  /// "model.layers.0.mlp.up_proj.weight"
  std::string name;
  Kind kind;
  std::vector<int64_t> shape;
};

/// Calls `visit` for every tensor of the model, in the order in which a token
/// meets them, and stops at the first error. One at a time, so that a config
/// that lies about its number of layers costs no memory.
llvm::Error
forEachModelTensor(const ModelConfig &config,
                   llvm::function_ref<llvm::Error(const ModelTensor &)> visit);

/// Fails on sizes that make no model: the promises of ModelConfig.
llvm::Error checkConfig(const ModelConfig &config);

/// Fails if a linear layer has more input channels than the int32 accumulator
/// of a W4A8 product can take (`maxReductionSize`), and names it.
llvm::Error checkReductionSizes(const ModelConfig &config);

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_MODELTENSORS_H

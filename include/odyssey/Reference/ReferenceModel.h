//===- ReferenceModel.h - The model in plain C++ ----------------*- C++ -*-===//
//
// What a compiled model must compute, written down without a compiler: tests
// compare logits and intermediate values with it, calibration watches it run.
//
// Two kinds of arithmetic share one walk through the model:
//
//   Fp32  every value and weight in fp32: the checkpoint as it was trained.
//   W4A8  the linears of the layers as W4A8 products; every value that the
//         compiled model keeps in fp16 is rounded to fp16 here too. Norms,
//         RoPE, softmax and SiLU are in fp32 inside.
//
// No LLVM: tests of the runtime use it too.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_REFERENCE_REFERENCEMODEL_H
#define ODYSSEY_REFERENCE_REFERENCEMODEL_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"
#include "odyssey/Reference/Matrix.h"
#include "odyssey/Reference/Products.h"

#include <functional>
#include <memory>
#include <string_view>

namespace odyssey::reference {

/// All weights of a model whose layers' linears are of type `Linear`. Tensors
/// have the shapes that `config` says.
template <typename Linear> struct Weights {
  struct Layer {
    std::vector<float> inputNorm;
    Linear q, k, v, o;
    std::vector<float> postAttentionNorm;
    Linear gate, up, down;
    /// Of the heads of Q and K; empty where the model has none.
    std::vector<float> qNorm, kNorm;
  };

  ModelConfig config;
  std::vector<float> embedding;
  std::vector<Layer> layers;
  std::vector<float> finalNorm;
  /// Empty where it is the embedding.
  std::vector<float> lmHead;
};

using Fp32Weights = Weights<Fp32Linear>;
/// Norms, biases, embedding and lmHead hold fp16 values.
using W4A8Weights = Weights<W4A8Linear>;

/// Sees values as they are computed, a row for each token of the call (of
/// lm_head, for those whose logits are asked for). Names are those of Hugging
/// Face's modules, prefixed by "model.layers.N." where they are of a layer;
/// inputs of linears are marked *. In W4A8 arithmetic a norm marked so is seen
/// in two parts, `NAME.factors` [tokens, 1] and then `NAME.products`, whose
/// rows times these are its values (NormalizedRows):
///
///   model.embed_tokens
///     input_layernorm *
///     self_attn.q_proj, self_attn.k_proj, self_attn.v_proj
///     self_attn.q_norm, self_attn.k_norm (where the model has them)
///     self_attn.q_rope, self_attn.k_rope
///     self_attn.context *
///     self_attn.o_proj
///     post_attention_layernorm *
///     mlp.gate_proj, mlp.up_proj
///     mlp.activation *
///     mlp.down_proj
///     output
///   model.norm
///   lm_head
using Observer = std::function<void(std::string_view name, const Matrix &)>;

/// A model with its KV cache. One sequence at a time; not thread-safe. Tokens
/// must be in the vocabulary and the sequence within the model's context:
/// anything else ends the program with a message.
class ReferenceModel {
public:
  /// `threads` for the products; 0 means as many as the machine has cores.
  explicit ReferenceModel(Fp32Weights weights, unsigned threads = 0);
  /// What `weights` points to must outlive the model.
  /// With `int8Cache`, keys and values are kept as 8-bit integers.
  explicit ReferenceModel(W4A8Weights weights, unsigned threads = 0,
                          bool int8Cache = false);
  ~ReferenceModel();

  const ModelConfig &config() const;

  /// Appends `tokens` to the sequence. Returns the logits of tokens[first] and
  /// of every later one: [tokens - first, vocabSize].
  Matrix prefill(std::span<const int32_t> tokens, int64_t first = 0);

  /// Appends one token. Returns its logits.
  std::vector<float> decode(int32_t token);

  /// Tokens in the sequence so far.
  int64_t position() const;

  /// Forgets the sequence.
  void reset();

  /// Empty for none.
  void setObserver(Observer observer);

private:
  class Implementation;
  template <typename Linear> class Typed;
  std::unique_ptr<Implementation> implementation;
};

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_REFERENCEMODEL_H

//===- ModelConfig.h - The shape of a transformer ---------------*- C++ -*-===//
//
// What a checkpoint says about its model, whatever format it came in. Plain
// data without LLVM, so that the reference model can use it too.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_MODELCONFIG_H
#define ODYSSEY_FRONTEND_CHECKPOINT_MODELCONFIG_H

#include <cstdint>
#include <optional>
#include <vector>

namespace odyssey {

/// Families of models, named after their Hugging Face classes.
enum class Architecture {
  Llama,   // LlamaForCausalLM; GGUF "llama"
  Mistral, // MistralForCausalLM without a sliding window
  Qwen2,   // Qwen2ForCausalLM: Q, K and V have a bias; GGUF "qwen2"
  Qwen3,   // Qwen3ForCausalLM: heads of Q and K are normalized; GGUF "qwen3"
};

/// How the rotation frequencies are stretched beyond the trained context.
struct RopeScaling {
  enum class Kind {
    None,
    Linear, // every frequency is divided by `factor`
    Llama3, // low frequencies only, with a smooth passage between
  };
  Kind kind = Kind::None;
  double factor = 1.0;
  // Of Llama3 only.
  double lowFreqFactor = 1.0;
  double highFreqFactor = 4.0;
  int64_t originalMaxContext = 0;

  bool operator==(const RopeScaling &) const = default;
};

/// The sizes and constants of one model. Names follow config.json of Hugging
/// Face. A config that a reader hands out is consistent: all sizes are
/// positive, `numHeads` is a multiple of `numKvHeads`, `headDim` is even.
struct ModelConfig {
  Architecture architecture = Architecture::Llama;
  int64_t hiddenSize = 0;
  int64_t numLayers = 0;
  int64_t numHeads = 0;
  int64_t numKvHeads = 0;
  int64_t headDim = 0;
  int64_t ffnSize = 0;
  int64_t vocabSize = 0;
  /// The longest sequence, in tokens, that the model was made for.
  int64_t maxContext = 0;
  float rmsNormEps = 1e-5f;
  double ropeTheta = 10000.0;
  RopeScaling ropeScaling;
  /// The output matrix is the embedding matrix.
  bool tiedEmbeddings = false;
  std::optional<int64_t> bosId;
  /// Any of these ends a text. May be empty.
  std::vector<int64_t> eosIds;
  /// The tokenizer puts `bosId` in front of a text.
  bool addBos = false;

  /// Width of the concatenated query heads; that of keys and of values.
  int64_t queryWidth() const { return numHeads * headDim; }
  int64_t keyValueWidth() const { return numKvHeads * headDim; }

  /// The projections to Q, K and V add a bias.
  bool hasAttentionBias() const { return architecture == Architecture::Qwen2; }
  /// RMS norms on every head of Q and K, before RoPE.
  bool hasHeadNorms() const { return architecture == Architecture::Qwen3; }

  bool operator==(const ModelConfig &) const = default;
};

/// Largest K of a W4A8 product whose int32 accumulator cannot overflow:
/// |q| <= 127 and |16 * w| <= 128, so K * 127 * 128 < 2^31.
inline constexpr int64_t maxReductionSize = 132104;

/// The headDim / 2 angular steps per token of RoPE, in radians: pair i of a
/// head turns by `position * result[i]`.
std::vector<double> ropeFrequencies(const ModelConfig &config);

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_MODELCONFIG_H

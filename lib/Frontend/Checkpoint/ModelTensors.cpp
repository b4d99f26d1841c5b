//===- ModelTensors.cpp - Which tensors a model consists of ---------------===//

#include "odyssey/Frontend/Checkpoint/ModelTensors.h"

#include "llvm/ADT/Twine.h"

#include <cmath>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Twine;

Error odyssey::forEachModelTensor(
    const ModelConfig &config,
    llvm::function_ref<Error(const ModelTensor &)> visit) {
  using Kind = ModelTensor::Kind;
  int64_t hidden = config.hiddenSize, ffn = config.ffnSize;
  int64_t queries = config.queryWidth(), keys = config.keyValueWidth();
  struct Row {
    const char *name;
    Kind kind;
    std::vector<int64_t> shape;
    bool present = true;
  };
  bool bias = config.hasAttentionBias(), headNorms = config.hasHeadNorms();
  const Row layerRows[] = {
      {"input_layernorm.weight", Kind::Norm, {hidden}},
      {"self_attn.q_proj.weight", Kind::Linear, {queries, hidden}},
      {"self_attn.q_proj.bias", Kind::Bias, {queries}, bias},
      {"self_attn.k_proj.weight", Kind::Linear, {keys, hidden}},
      {"self_attn.k_proj.bias", Kind::Bias, {keys}, bias},
      {"self_attn.v_proj.weight", Kind::Linear, {keys, hidden}},
      {"self_attn.v_proj.bias", Kind::Bias, {keys}, bias},
      {"self_attn.q_norm.weight", Kind::Norm, {config.headDim}, headNorms},
      {"self_attn.k_norm.weight", Kind::Norm, {config.headDim}, headNorms},
      {"self_attn.o_proj.weight", Kind::Linear, {hidden, queries}},
      {"post_attention_layernorm.weight", Kind::Norm, {hidden}},
      {"mlp.gate_proj.weight", Kind::Linear, {ffn, hidden}},
      {"mlp.up_proj.weight", Kind::Linear, {ffn, hidden}},
      {"mlp.down_proj.weight", Kind::Linear, {hidden, ffn}},
  };

  if (Error error = visit({"model.embed_tokens.weight",
                           Kind::Embedding,
                           {config.vocabSize, hidden}}))
    return error;
  for (int64_t layer = 0; layer < config.numLayers; ++layer)
    for (const Row &row : layerRows) {
      if (!row.present)
        continue;
      if (Error error =
              visit({("model.layers." + Twine(layer) + "." + row.name).str(),
                     row.kind, row.shape}))
        return error;
    }
  if (Error error = visit({"model.norm.weight", Kind::Norm, {hidden}}))
    return error;
  if (config.tiedEmbeddings)
    return Error::success();
  return visit({"lm_head.weight", Kind::LmHead, {config.vocabSize, hidden}});
}

Error odyssey::checkConfig(const ModelConfig &config) {
  const std::pair<const char *, int64_t> sizes[] = {
      {"hidden size", config.hiddenSize},
      {"number of layers", config.numLayers},
      {"number of attention heads", config.numHeads},
      {"number of key-value heads", config.numKvHeads},
      {"head size", config.headDim},
      {"feed-forward size", config.ffnSize},
      {"vocabulary size", config.vocabSize},
      {"context length", config.maxContext},
  };
  for (auto [name, size] : sizes)
    if (size <= 0 || size > INT32_MAX)
      return createStringError(Twine("the model's ") + name + " is " +
                               Twine(size));
  if (config.numHeads % config.numKvHeads != 0)
    return createStringError(Twine(config.numHeads) +
                             " attention heads cannot share " +
                             Twine(config.numKvHeads) + " key-value heads");
  if (config.headDim % 2 != 0)
    return createStringError("the head size " + Twine(config.headDim) +
                             " is odd, so RoPE cannot pair its elements");
  // Negated comparisons, so that NaN fails them.
  if (!(config.rmsNormEps >= 0) || !std::isfinite(config.rmsNormEps))
    return createStringError("the epsilon of the norms is not a finite, "
                             "non-negative number");
  if (!(config.ropeTheta > 0) || !std::isfinite(config.ropeTheta))
    return createStringError("the base of RoPE is not a positive number");
  const RopeScaling &scaling = config.ropeScaling;
  if (!(scaling.factor > 0) || !std::isfinite(scaling.factor))
    return createStringError("the factor of the RoPE scaling is not a "
                             "positive number");
  if (scaling.kind == RopeScaling::Kind::Llama3 &&
      (!(scaling.lowFreqFactor > 0) ||
       !(scaling.highFreqFactor > scaling.lowFreqFactor) ||
       scaling.originalMaxContext <= 0))
    return createStringError("the parameters of the 'llama3' RoPE scaling "
                             "contradict each other");
  auto checkToken = [&](const char *what, int64_t id) {
    return id >= 0 && id < config.vocabSize
               ? Error::success()
               : createStringError(Twine("the ") + what + " token " +
                                   Twine(id) + " is not in the vocabulary of " +
                                   Twine(config.vocabSize));
  };
  if (config.bosId)
    if (Error error = checkToken("BOS", *config.bosId))
      return error;
  for (int64_t id : config.eosIds)
    if (Error error = checkToken("EOS", id))
      return error;
  if (config.addBos && !config.bosId)
    return createStringError("the tokenizer starts texts with a BOS token, "
                             "but the model has none");
  return Error::success();
}

Error odyssey::checkReductionSizes(const ModelConfig &config) {
  return forEachModelTensor(config, [](const ModelTensor &tensor) -> Error {
    if (tensor.kind != ModelTensor::Kind::Linear ||
        tensor.shape[1] <= maxReductionSize)
      return Error::success();
    return createStringError("tensor '" + tensor.name + "' has " +
                             Twine(tensor.shape[1]) +
                             " input channels; the int32 accumulator of a "
                             "W4A8 product takes at most " +
                             Twine(maxReductionSize));
  });
}

//===- ReferenceWeights.cpp - Checkpoints for the reference model ---------===//

#include "odyssey/Quantize/ReferenceWeights.h"

#include "odyssey/Frontend/Checkpoint/Half.h"

using namespace odyssey;
using llvm::Error;
using llvm::Expected;

Expected<reference::Fp32Weights>
odyssey::loadFp32Weights(const Checkpoint &checkpoint) {
  auto readTensor = [&](std::vector<float> &target,
                        const std::string &name) -> Error {
    Expected<std::vector<float>> values = checkpoint.readF32(name);
    if (!values)
      return values.takeError();
    target = std::move(*values);
    return Error::success();
  };
  auto read = [&](std::vector<float> &target, const std::string &name) {
    return readTensor(target, name + ".weight");
  };
  auto readLinear = [&](reference::Fp32Linear &target,
                        const std::string &name) -> Error {
    const CheckpointTensor *tensor = checkpoint.find(name + ".weight");
    target.n = tensor->rows();
    target.k = tensor->columns();
    if (checkpoint.find(name + ".bias"))
      if (Error error = readTensor(target.bias, name + ".bias"))
        return error;
    return read(target.weight, name);
  };

  reference::Fp32Weights weights;
  weights.config = checkpoint.config();
  if (Error error = read(weights.embedding, "model.embed_tokens"))
    return error;
  for (int64_t i = 0; i < weights.config.numLayers; ++i) {
    auto &layer = weights.layers.emplace_back();
    std::string prefix = "model.layers." + std::to_string(i) + ".";
    if (Error error = read(layer.inputNorm, prefix + "input_layernorm"))
      return error;
    if (Error error =
            read(layer.postAttentionNorm, prefix + "post_attention_layernorm"))
      return error;
    if (weights.config.hasHeadNorms()) {
      if (Error error = read(layer.qNorm, prefix + "self_attn.q_norm"))
        return error;
      if (Error error = read(layer.kNorm, prefix + "self_attn.k_norm"))
        return error;
    }
    const std::pair<reference::Fp32Linear &, const char *> linears[] = {
        {layer.q, "self_attn.q_proj"}, {layer.k, "self_attn.k_proj"},
        {layer.v, "self_attn.v_proj"}, {layer.o, "self_attn.o_proj"},
        {layer.gate, "mlp.gate_proj"}, {layer.up, "mlp.up_proj"},
        {layer.down, "mlp.down_proj"},
    };
    for (auto &[target, name] : linears)
      if (Error error = readLinear(target, prefix + name))
        return error;
  }
  if (Error error = read(weights.finalNorm, "model.norm"))
    return error;
  if (!weights.config.tiedEmbeddings)
    if (Error error = read(weights.lmHead, "lm_head"))
      return error;
  return weights;
}

static std::vector<float> toFloats(std::span<const uint16_t> halves) {
  std::vector<float> values(halves.size());
  std::ranges::transform(halves, values.begin(), halfToFloat);
  return values;
}

static std::vector<float> toFloats(const HalfTensor &tensor) {
  return toFloats(tensor.values);
}

static reference::W4A8Linear view(const QuantizedLinear &linear) {
  return {linear.n,
          linear.k,
          linear.weight,
          linear.scale,
          toFloats(linear.bias),
          linear.format,
          linear.multiplier};
}

reference::W4A8Weights
odyssey::viewW4A8Weights(const QuantizedCheckpoint &checkpoint) {
  reference::W4A8Weights weights;
  weights.config = checkpoint.config();
  weights.embedding = toFloats(checkpoint.embedding());
  weights.finalNorm = toFloats(checkpoint.finalNorm());
  if (!weights.config.tiedEmbeddings)
    weights.lmHead = toFloats(checkpoint.lmHead());
  for (const QuantizedCheckpoint::Layer &layer : checkpoint.layers())
    weights.layers.push_back(
        {toFloats(layer.inputNorm), view(layer.q), view(layer.k), view(layer.v),
         view(layer.o), toFloats(layer.postAttentionNorm), view(layer.gate),
         view(layer.up), view(layer.down), toFloats(layer.qNorm),
         toFloats(layer.kNorm)});
  return weights;
}

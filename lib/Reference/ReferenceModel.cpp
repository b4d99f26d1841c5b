//===- ReferenceModel.cpp - The model in plain C++ ------------------------===//

#include "odyssey/Reference/ReferenceModel.h"

#include "odyssey/Reference/LayerSteps.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <type_traits>

using namespace odyssey;
using namespace odyssey::reference;

/// What does not depend on the kind of arithmetic.
class ReferenceModel::Implementation {
public:
  Implementation(const ModelConfig &config, Arithmetic arithmetic,
                 unsigned threads)
      : config(config), threads(threads), steps(config, arithmetic),
        caches(config.numLayers) {}
  virtual ~Implementation() = default;

  Matrix append(std::span<const int32_t> tokens, int64_t first);
  void reset();

  const ModelConfig config;
  const unsigned threads;
  bool int8Cache = false;
  Observer observer;
  int64_t position = 0;

protected:
  /// The logits of tokens[first] and after. The tokens stand at `position` and
  /// after.
  virtual Matrix run(std::span<const int32_t> tokens, int64_t first) = 0;

  void observe(const std::string &name, const Matrix &value) const {
    if (observer)
      observer(name, value);
  }

  LayerSteps steps;
  std::vector<KeyValueCache> caches;
};

[[noreturn]] static void fail(const std::string &message) {
  std::fprintf(stderr, "reference model: %s\n", message.c_str());
  std::abort();
}

Matrix ReferenceModel::Implementation::append(std::span<const int32_t> tokens,
                                              int64_t first) {
  int64_t end = position + static_cast<int64_t>(tokens.size());
  if (end > config.maxContext)
    fail(std::to_string(end) + " tokens exceed the context of " +
         std::to_string(config.maxContext));
  for (int32_t token : tokens)
    if (token < 0 || token >= config.vocabSize)
      fail("token " + std::to_string(token) + " is not in the vocabulary of " +
           std::to_string(config.vocabSize));
  steps.reserve(end);
  Matrix logits = run(tokens, first);
  position = end;
  return logits;
}

void ReferenceModel::Implementation::reset() {
  position = 0;
  for (KeyValueCache &cache : caches)
    cache = {};
}

//===----------------------------------------------------------------------===//
// The walk through the model
//===----------------------------------------------------------------------===//

/// The kind of arithmetic follows from the type of the linears.
template <typename Linear>
constexpr Arithmetic arithmeticOf =
    std::is_same_v<Linear, W4A8Linear> ? Arithmetic::W4A8 : Arithmetic::Fp32;

template <typename Linear>
class ReferenceModel::Typed : public ReferenceModel::Implementation {
public:
  Typed(Weights<Linear> weights, unsigned threads)
      : Implementation(weights.config, arithmeticOf<Linear>, threads),
        weights(std::move(weights)) {}

protected:
  Matrix run(std::span<const int32_t> tokens, int64_t first) override;

private:
  using Layer = typename Weights<Linear>::Layer;

  Matrix embed(std::span<const int32_t> tokens) const;
  void runLayer(const Layer &layer, int64_t index, Matrix &x);

  /// What several linears read: in W4A8 with a factor for each row.
  struct Input {
    Matrix rows;
    std::vector<float> factors = {};
  };
  /// A norm in front of linears.
  Input normalize(const std::string &name, const Matrix &x,
                  std::span<const float> weight) const;
  Matrix project(const Input &x, const Linear &linear) const;
  Matrix projectToVocabulary(const Matrix &x,
                             std::span<const float> weight) const {
    if constexpr (arithmeticOf<Linear> == Arithmetic::W4A8)
      return multiplyInGroups(x, weight, config.vocabSize, threads);
    else
      return multiply(x, weight, config.vocabSize, threads);
  }

  Weights<Linear> weights;
};

template <>
Matrix
ReferenceModel::Typed<Fp32Linear>::project(const Input &x,
                                           const Fp32Linear &linear) const {
  Matrix y = multiply(x.rows, linear.weight, linear.n, threads);
  if (!linear.bias.empty())
    for (int64_t row = 0; row < y.rows; ++row)
      std::ranges::transform(y.row(row), linear.bias, y.row(row).begin(),
                             std::plus<>());
  return y;
}

template <>
Matrix
ReferenceModel::Typed<W4A8Linear>::project(const Input &x,
                                           const W4A8Linear &linear) const {
  return multiplyW4A8(x.rows, linear, threads, x.factors);
}

template <>
auto ReferenceModel::Typed<Fp32Linear>::normalize(
    const std::string &name, const Matrix &x,
    std::span<const float> weight) const -> Input {
  Matrix rows = steps.normalize(x, weight);
  observe(name, rows);
  return {std::move(rows)};
}

template <>
auto ReferenceModel::Typed<W4A8Linear>::normalize(
    const std::string &name, const Matrix &x,
    std::span<const float> weight) const -> Input {
  NormalizedRows rows = steps.normalizeToQuantize(x, weight);
  if (observer) {
    Matrix factors(x.rows, 1);
    factors.values = rows.factors;
    observe(name + ".factors", factors);
  }
  observe(name + ".products", rows.products);
  return {std::move(rows.products), std::move(rows.factors)};
}

template <typename Linear>
Matrix
ReferenceModel::Typed<Linear>::embed(std::span<const int32_t> tokens) const {
  Matrix x(static_cast<int64_t>(tokens.size()), config.hiddenSize);
  for (int64_t i = 0; i < x.rows; ++i)
    std::ranges::copy(
        std::span(weights.embedding)
            .subspan(tokens[i] * config.hiddenSize, config.hiddenSize),
        x.row(i).begin());
  return x;
}

template <typename Linear>
void ReferenceModel::Typed<Linear>::runLayer(const Layer &layer, int64_t index,
                                             Matrix &x) {
  std::string prefix = "model.layers." + std::to_string(index) + ".";
  auto observed = [&](const char *name, Matrix value) {
    observe(prefix + name, value);
    return value;
  };

  Input h = normalize(prefix + "input_layernorm", x, layer.inputNorm);
  Matrix q = observed("self_attn.q_proj", project(h, layer.q));
  Matrix k = observed("self_attn.k_proj", project(h, layer.k));
  Matrix v = observed("self_attn.v_proj", project(h, layer.v));
  if (config.hasHeadNorms()) {
    steps.normalizeHeads(q, layer.qNorm);
    steps.normalizeHeads(k, layer.kNorm);
    observe(prefix + "self_attn.q_norm", q);
    observe(prefix + "self_attn.k_norm", k);
  }
  steps.rotate(q, position);
  steps.rotate(k, position);
  observe(prefix + "self_attn.q_rope", q);
  observe(prefix + "self_attn.k_rope", k);

  KeyValueCache &cache = caches[index];
  steps.append(cache, k, v, int8Cache);
  Matrix context = steps.attend(q, cache, position, threads);
  observe(prefix + "self_attn.context", context);
  steps.addResidual(x,
                    observed("self_attn.o_proj", project({context}, layer.o)));

  h = normalize(prefix + "post_attention_layernorm", x,
                layer.postAttentionNorm);
  Matrix gate = observed("mlp.gate_proj", project(h, layer.gate));
  Matrix up = observed("mlp.up_proj", project(h, layer.up));
  Matrix activation = observed("mlp.activation", steps.activate(gate, up));
  steps.addResidual(
      x, observed("mlp.down_proj", project({activation}, layer.down)));
  observe(prefix + "output", x);
}

template <typename Linear>
Matrix ReferenceModel::Typed<Linear>::run(std::span<const int32_t> tokens,
                                          int64_t first) {
  Matrix x = embed(tokens);
  observe("model.embed_tokens", x);
  for (int64_t index = 0; index < config.numLayers; ++index)
    runLayer(weights.layers[index], index, x);
  Matrix h = steps.normalize(x, weights.finalNorm);
  observe("model.norm", h);
  h.values.erase(h.values.begin(), h.values.begin() + first * h.columns);
  h.rows -= first;
  Matrix logits = projectToVocabulary(
      h, weights.lmHead.empty() ? weights.embedding : weights.lmHead);
  observe("lm_head", logits);
  return logits;
}

//===----------------------------------------------------------------------===//
// ReferenceModel
//===----------------------------------------------------------------------===//

ReferenceModel::ReferenceModel(Fp32Weights weights, unsigned threads)
    : implementation(
          std::make_unique<Typed<Fp32Linear>>(std::move(weights), threads)) {}

ReferenceModel::ReferenceModel(W4A8Weights weights, unsigned threads,
                               bool int8Cache)
    : implementation(
          std::make_unique<Typed<W4A8Linear>>(std::move(weights), threads)) {
  implementation->int8Cache = int8Cache;
}

ReferenceModel::~ReferenceModel() = default;

const ModelConfig &ReferenceModel::config() const {
  return implementation->config;
}

Matrix ReferenceModel::prefill(std::span<const int32_t> tokens, int64_t first) {
  return implementation->append(tokens, first);
}

std::vector<float> ReferenceModel::decode(int32_t token) {
  return implementation->append({&token, 1}, 0).values;
}

int64_t ReferenceModel::position() const { return implementation->position; }

void ReferenceModel::reset() { implementation->reset(); }

void ReferenceModel::setObserver(Observer observer) {
  implementation->observer = std::move(observer);
}

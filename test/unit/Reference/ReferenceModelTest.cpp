//===- ReferenceModelTest.cpp ---------------------------------------------===//
//
// The reference against a second writing of the same model: in doubles,
// without a cache, token by token and element by element.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Reference/ReferenceModel.h"

#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Quantize/QuantizeCheckpoint.h"
#include "odyssey/Quantize/ReferenceWeights.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::reference;
using namespace odyssey::testing;

namespace {

using Vector = std::vector<double>;

/// y = W x + b.
Vector apply(const TestModel &model, const std::string &name, const Vector &x) {
  const std::vector<float> &weight = model.weights.at(name + ".weight");
  Vector y(weight.size() / x.size());
  for (size_t n = 0; n < y.size(); ++n)
    for (size_t k = 0; k < x.size(); ++k)
      y[n] += weight[n * x.size() + k] * x[k];
  if (auto bias = model.weights.find(name + ".bias");
      bias != model.weights.end())
    for (size_t n = 0; n < y.size(); ++n)
      y[n] += bias->second[n];
  return y;
}

Vector norm(const TestModel &model, const std::string &name, const Vector &x) {
  double squares = 0;
  for (double value : x)
    squares += value * value;
  double rms = std::sqrt(squares / x.size() + model.config.rmsNormEps);
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    y[i] = x[i] / rms * model.weights.at(name + ".weight")[i];
  return y;
}

/// Every head by itself.
void normHeads(const TestModel &model, const std::string &name, Vector &heads) {
  int64_t size = model.config.headDim;
  for (auto head = heads.begin(); head != heads.end(); head += size)
    std::ranges::copy(norm(model, name, Vector(head, head + size)), head);
}

/// The pair (i, i + headDim / 2) of every head as a complex number, turned.
void turn(const ModelConfig &config, Vector &heads, int position) {
  int64_t half = config.headDim / 2;
  for (size_t head = 0; head < heads.size(); head += config.headDim)
    for (int64_t i = 0; i < half; ++i) {
      double angle =
          position * std::pow(config.ropeTheta, -2.0 * i / config.headDim);
      double re = heads[head + i], im = heads[head + half + i];
      heads[head + i] = re * std::cos(angle) - im * std::sin(angle);
      heads[head + half + i] = re * std::sin(angle) + im * std::cos(angle);
    }
}

/// Logits of every token.
std::vector<Vector> runModel(const TestModel &model,
                             const std::vector<int32_t> &tokens) {
  const ModelConfig &config = model.config;
  std::vector<Vector> xs;
  for (int32_t token : tokens) {
    auto row = model.weights.at("model.embed_tokens.weight").begin() +
               token * config.hiddenSize;
    xs.emplace_back(row, row + config.hiddenSize);
  }
  for (int64_t layer = 0; layer < config.numLayers; ++layer) {
    std::string prefix = "model.layers." + std::to_string(layer) + ".";
    std::vector<Vector> qs, ks, vs;
    for (size_t t = 0; t < xs.size(); ++t) {
      Vector h = norm(model, prefix + "input_layernorm", xs[t]);
      qs.push_back(apply(model, prefix + "self_attn.q_proj", h));
      ks.push_back(apply(model, prefix + "self_attn.k_proj", h));
      vs.push_back(apply(model, prefix + "self_attn.v_proj", h));
      if (config.architecture == Architecture::Qwen3) {
        normHeads(model, prefix + "self_attn.q_norm", qs.back());
        normHeads(model, prefix + "self_attn.k_norm", ks.back());
      }
      turn(config, qs.back(), static_cast<int>(t));
      turn(config, ks.back(), static_cast<int>(t));
    }
    for (size_t t = 0; t < xs.size(); ++t) {
      Vector context(config.queryWidth());
      for (int64_t i = 0; i < config.queryWidth(); ++i) {
        int64_t head = i / config.headDim;
        int64_t kv = head / (config.numHeads / config.numKvHeads);
        double total = 0;
        for (size_t s = 0; s <= t; ++s) {
          double score = 0;
          for (int64_t d = 0; d < config.headDim; ++d)
            score += qs[t][head * config.headDim + d] *
                     ks[s][kv * config.headDim + d];
          double weight = std::exp(score / std::sqrt(config.headDim));
          total += weight;
          context[i] +=
              weight * vs[s][kv * config.headDim + i % config.headDim];
        }
        context[i] /= total;
      }
      Vector o = apply(model, prefix + "self_attn.o_proj", context);
      for (size_t i = 0; i < o.size(); ++i)
        xs[t][i] += o[i];
      Vector h = norm(model, prefix + "post_attention_layernorm", xs[t]);
      Vector gate = apply(model, prefix + "mlp.gate_proj", h);
      Vector up = apply(model, prefix + "mlp.up_proj", h);
      for (size_t i = 0; i < up.size(); ++i)
        up[i] *= gate[i] / (1 + std::exp(-gate[i]));
      Vector down = apply(model, prefix + "mlp.down_proj", up);
      for (size_t i = 0; i < down.size(); ++i)
        xs[t][i] += down[i];
    }
  }
  std::vector<Vector> logits;
  for (const Vector &x : xs)
    logits.push_back(
        apply(model, config.tiedEmbeddings ? "model.embed_tokens" : "lm_head",
              norm(model, "model.norm", x)));
  return logits;
}

class ReferenceModelTest : public ::testing::Test {
protected:
  Fp32Weights fp32Weights() {
    auto checkpoint = llvm::cantFail(
        Checkpoint::open(folder.write("model.gguf", makeGguf(model).build())));
    return llvm::cantFail(loadFp32Weights(*checkpoint));
  }

  W4A8Weights w4a8Weights() {
    auto checkpoint = llvm::cantFail(
        Checkpoint::open(folder.write("model.gguf", makeGguf(model).build())));
    llvm::cantFail(quantizeCheckpoint(*checkpoint, folder / "quantized", {}));
    quantized = llvm::cantFail(QuantizedCheckpoint::open(folder / "quantized"));
    return viewW4A8Weights(*quantized);
  }

  const std::vector<int32_t> tokens = {1, 17, 4, 4, 31, 0, 9, 22, 13, 8, 2, 30};
  TestModel model = makeTestModel();
  TemporaryFolder folder;
  std::unique_ptr<QuantizedCheckpoint> quantized;
};

} // namespace

TEST_F(ReferenceModelTest, Fp32MatchesDoubles) {
  for (auto [tied, architecture] : {std::pair(false, Architecture::Llama),
                                    {true, Architecture::Llama},
                                    {false, Architecture::Qwen2},
                                    {false, Architecture::Qwen3}}) {
    model = makeTestModel(tied, architecture);
    ReferenceModel reference(fp32Weights());
    Matrix logits = reference.prefill(tokens);
    std::vector<Vector> expected = runModel(model, tokens);
    ASSERT_EQ(logits.rows, static_cast<int64_t>(tokens.size()));
    for (int64_t t = 0; t < logits.rows; ++t)
      for (int64_t i = 0; i < logits.columns; ++i)
        ASSERT_NEAR(logits.row(t)[i], expected[t][i], 2e-4) << t << ", " << i;
  }
}

TEST_F(ReferenceModelTest, W4A8IsNearFp32) {
  Matrix exact = ReferenceModel(fp32Weights()).prefill(tokens);
  Matrix rounded = ReferenceModel(w4a8Weights()).prefill(tokens);
  double dot = 0, a = 0, b = 0;
  for (size_t i = 0; i < exact.values.size(); ++i) {
    dot += double(exact.values[i]) * rounded.values[i];
    a += double(exact.values[i]) * exact.values[i];
    b += double(rounded.values[i]) * rounded.values[i];
  }
  EXPECT_GT(dot / std::sqrt(a * b), 0.95);
}

TEST_F(ReferenceModelTest, DecodeContinuesPrefill) {
  // What leads up to the logits is the same for any split of the tokens, bit
  // for bit; the logits' sums may be in another order.
  auto check = [&](ReferenceModel &reference, float tolerance) {
    Matrix hidden;
    reference.setObserver([&](std::string_view name, const Matrix &value) {
      if (name == "model.norm")
        hidden = value;
    });
    Matrix whole = reference.prefill(tokens);
    Matrix wholeHidden = hidden;
    reference.reset();
    EXPECT_EQ(reference.position(), 0);
    reference.prefill(std::span(tokens).first(5));
    for (size_t t = 5; t < tokens.size(); ++t) {
      std::vector<float> logits = reference.decode(tokens[t]);
      for (int64_t i = 0; i < hidden.columns; ++i)
        ASSERT_NEAR(hidden.row(0)[i], wholeHidden.row(t)[i], tolerance);
      for (size_t i = 0; i < logits.size(); ++i)
        ASSERT_NEAR(logits[i], whole.row(t)[i], 2e-4);
    }
    EXPECT_EQ(reference.position(), static_cast<int64_t>(tokens.size()));
  };
  ReferenceModel fp32(fp32Weights());
  check(fp32, 1e-4f);
  ReferenceModel w4a8(w4a8Weights());
  check(w4a8, 0);
}

TEST_F(ReferenceModelTest, LogitsFromATokenOn) {
  ReferenceModel all(fp32Weights()), some(fp32Weights());
  Matrix whole = all.prefill(tokens), part = some.prefill(tokens, 3);
  ASSERT_EQ(part.rows, whole.rows - 3);
  for (int64_t row = 0; row < part.rows; ++row)
    for (int64_t i = 0; i < part.columns; ++i)
      ASSERT_NEAR(part.row(row)[i], whole.row(row + 3)[i], 2e-4);
  EXPECT_EQ(some.position(), all.position());
}

TEST_F(ReferenceModelTest, ThreadsDoNotMatter) {
  W4A8Weights weights = w4a8Weights();
  ReferenceModel one(weights, 1), three(weights, 3);
  EXPECT_EQ(one.prefill(tokens).values, three.prefill(tokens).values);
}

/// For every architecture that has steps of its own.
class ReferenceSteps : public ReferenceModelTest,
                       public ::testing::WithParamInterface<Architecture> {};

INSTANTIATE_TEST_SUITE_P(Architectures, ReferenceSteps,
                         ::testing::Values(Architecture::Llama,
                                           Architecture::Qwen2,
                                           Architecture::Qwen3));

TEST_P(ReferenceSteps, W4A8KeepsHalves) {
  // Every value but the logits, and norms in front of linears, is fp16, and
  // each linear's output is the W4A8 product of the value that was its input.
  model = makeTestModel(/*tiedEmbeddings=*/false, GetParam());
  bool headNorms = GetParam() == Architecture::Qwen3;
  ReferenceModel reference(w4a8Weights());
  std::map<std::string, Matrix, std::less<>> seen;
  reference.setObserver([&](std::string_view name, const Matrix &value) {
    seen[std::string(name)] = value;
    if (name == "lm_head" || name.find("layernorm") != name.npos)
      return;
    for (float v : value.values)
      ASSERT_EQ(v, roundToHalf(v)) << name;
  });
  reference.prefill(tokens);
  ASSERT_EQ(seen.size(), 3 + (headNorms ? 18 : 16) * 2u);
  for (int64_t i = 0; i < 2; ++i) {
    const QuantizedCheckpoint::Layer &layer = quantized->layers()[i];
    std::string prefix = "model.layers." + std::to_string(i) + ".";
    auto expectProduct = [&](const QuantizedLinear &linear,
                             const std::string &input) {
      W4A8Linear view{linear.n, linear.k, linear.weight, linear.scale, {}};
      for (uint16_t bias : linear.bias)
        view.bias.push_back(halfToFloat(bias));
      const Matrix &rows = seen.contains(prefix + input)
                               ? seen[prefix + input]
                               : seen[prefix + input + ".products"];
      EXPECT_EQ(
          multiplyW4A8(rows, view, 1, seen[prefix + input + ".factors"].values)
              .values,
          seen[linear.name].values)
          << linear.name;
    };
    expectProduct(layer.q, "input_layernorm");
    EXPECT_EQ(layer.q.bias.empty(), GetParam() != Architecture::Qwen2);
    expectProduct(layer.k, "input_layernorm");
    expectProduct(layer.v, "input_layernorm");
    expectProduct(layer.o, "self_attn.context");
    expectProduct(layer.gate, "post_attention_layernorm");
    expectProduct(layer.up, "post_attention_layernorm");
    expectProduct(layer.down, "mlp.activation");
  }
  // The residual sums.
  const Matrix &out = seen["model.layers.0.output"];
  for (size_t i = 0; i < out.values.size(); ++i) {
    float afterAttention =
        roundToHalf(seen["model.embed_tokens"].values[i] +
                    seen["model.layers.0.self_attn.o_proj"].values[i]);
    EXPECT_EQ(out.values[i],
              roundToHalf(afterAttention +
                          seen["model.layers.0.mlp.down_proj"].values[i]));
  }
}

TEST_F(ReferenceModelTest, NoTokens) {
  ReferenceModel reference(fp32Weights());
  Matrix logits = reference.prefill({});
  EXPECT_EQ(logits.rows, 0);
  EXPECT_EQ(logits.columns, 32);
}

TEST_F(ReferenceModelTest, MisuseEndsTheProgram) {
  ReferenceModel reference(fp32Weights(), 1);
  EXPECT_DEATH(reference.decode(32), "token 32 is not in the vocabulary of 32");
  EXPECT_DEATH(reference.prefill(std::vector<int32_t>(41, 1)),
               "41 tokens exceed the context of 40");
}

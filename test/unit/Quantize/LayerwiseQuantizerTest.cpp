//===- LayerwiseQuantizerTest.cpp -----------------------------------------===//

#include "odyssey/Quantize/LayerwiseQuantizer.h"

#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Quantize/QuantizeCheckpoint.h"
#include "odyssey/Quantize/ReferenceWeights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Le;

namespace {

class LayerwiseQuantizerTest : public ::testing::Test {
protected:
  LayerwiseQuantizerTest() {
    uint32_t state = 1;
    for (int i = 0; i < 12; ++i) {
      std::vector<int32_t> &sample = samples.emplace_back();
      for (int t = 0; t < 40 - i; ++t) {
        state = state * 1664525u + 1013904223u;
        sample.push_back(static_cast<int32_t>(state >> 27));
      }
    }
  }

  std::unique_ptr<Checkpoint> open() {
    return llvm::cantFail(
        Checkpoint::open(writeHuggingFace(model, folder, "model")));
  }

  std::unique_ptr<QuantizedCheckpoint> quantize(Recipe recipe,
                                                unsigned threads = 0) {
    QuantizeOptions options;
    options.recipe = recipe;
    options.threads = threads;
    options.replace = true;
    options.calibration = samples;
    reports.clear();
    options.report = [&](const LinearReport &report) {
      reports.push_back(report);
    };
    llvm::cantFail(quantizeCheckpoint(*open(), folder / "out", options));
    return llvm::cantFail(QuantizedCheckpoint::open(folder / "out"));
  }

  const LinearReport &report(const std::string &name) {
    return *std::ranges::find(reports, name, &LinearReport::name);
  }

  std::string error() {
    return errorText(
        quantizeLayerwise(*open(), samples, options,
                          [](const LinearReport &, const QuantizedWeights &) {
                            return llvm::Error::success();
                          }));
  }

  TestModel model = makeTestModel();
  CalibrationSamples samples;
  TemporaryFolder folder;
  std::vector<LinearReport> reports;
  LayerwiseOptions options;
};

/// Statistics of a linear's inputs as the whole quantized model shows them.
class Watcher {
public:
  explicit Watcher(const QuantizedCheckpoint &checkpoint)
      : model(viewW4A8Weights(checkpoint)) {
    model.setObserver(
        [this](std::string_view name, const reference::Matrix &value) {
          if (name == watched + ".factors")
            factors = value.values;
          if (name != watched && name != watched + ".products")
            return;
          reference::Matrix seen = value;
          std::vector<int8_t> quantized(value.columns);
          for (int64_t t = 0; t < seen.rows; ++t) {
            float scale = reference::quantizeToken(value.row(t), quantized);
            if (!factors.empty())
              scale *= factors[t];
            for (int64_t i = 0; i < seen.columns; ++i)
              seen.row(t)[i] = scale * quantized[i];
          }
          statistics->add(seen, {}, 1);
        });
  }

  InputStatistics watch(const std::string &name, int64_t channels,
                        const CalibrationSamples &samples) {
    watched = name;
    factors.clear();
    statistics.emplace(channels);
    for (const std::vector<int32_t> &sample : samples) {
      model.reset();
      model.prefill(sample);
    }
    return *statistics;
  }

private:
  reference::ReferenceModel model;
  std::string watched;
  /// Of the rows of a norm, which are seen before it.
  std::vector<float> factors;
  std::optional<InputStatistics> statistics;
};

} // namespace

TEST_F(LayerwiseQuantizerTest, ModelOrder) {
  quantize(Recipe::ClipAndCompensate);
  std::vector<std::string> names;
  for (const LinearReport &report : reports)
    names.push_back(report.name);
  ASSERT_EQ(names.size(), 14u);
  names.resize(7);
  EXPECT_THAT(names, ElementsAre("model.layers.0.self_attn.q_proj",
                                 "model.layers.0.self_attn.k_proj",
                                 "model.layers.0.self_attn.v_proj",
                                 "model.layers.0.self_attn.o_proj",
                                 "model.layers.0.mlp.gate_proj",
                                 "model.layers.0.mlp.up_proj",
                                 "model.layers.0.mlp.down_proj"));
}

/// For every architecture that has steps of its own.
class LayerwiseSteps : public LayerwiseQuantizerTest,
                       public ::testing::WithParamInterface<Architecture> {};

INSTANTIATE_TEST_SUITE_P(Architectures, LayerwiseSteps,
                         ::testing::Values(Architecture::Llama,
                                           Architecture::Qwen2,
                                           Architecture::Qwen3));

TEST_P(LayerwiseSteps, SeeWhatTheQuantizedModelComputes) {
  // The inputs of a linear do not depend on it and on those after it, so the
  // finished model must show the same ones.
  model = makeTestModel(/*tiedEmbeddings=*/false, GetParam());
  auto quantized = quantize(Recipe::Clip);
  Watcher watcher(*quantized);
  for (int64_t i = 0; i < 2; ++i) {
    const QuantizedCheckpoint::Layer &layer = quantized->layers()[i];
    std::string prefix = "model.layers." + std::to_string(i) + ".";
    auto expectScales = [&](const QuantizedLinear &linear,
                            const std::string &input) {
      InputStatistics statistics =
          watcher.watch(prefix + input, linear.k, samples);
      EXPECT_TRUE(std::ranges::equal(report(linear.name).inputMaxima,
                                     statistics.maxima()))
          << linear.name;
      // Linears whose tokens all count the same.
      if (input != "input_layernorm" && input != "post_attention_layernorm")
        return;
      if (linear.name.ends_with("k_proj") || linear.name.ends_with("v_proj"))
        return;
      Clipping clipping = learnClipping(model.weights[linear.name + ".weight"],
                                        linear.n, statistics, 1);
      EXPECT_TRUE(std::ranges::equal(clipping.scale, linear.scale))
          << linear.name;
      EXPECT_EQ(clipping.factor, report(linear.name).clippingFactors);
    };
    expectScales(layer.q, "input_layernorm");
    expectScales(layer.k, "input_layernorm");
    expectScales(layer.v, "input_layernorm");
    expectScales(layer.o, "self_attn.context");
    expectScales(layer.gate, "post_attention_layernorm");
    expectScales(layer.up, "post_attention_layernorm");
    expectScales(layer.down, "mlp.activation");
  }
}

TEST_F(LayerwiseQuantizerTest, EachStepLowersTheError) {
  quantize(Recipe::ClipAndCompensate);
  double rounding = 0, clipping = 0, all = 0;
  for (const LinearReport &report : reports) {
    EXPECT_LE(report.errorOfClipping, report.errorOfRounding) << report.name;
    EXPECT_LT(report.error, report.errorOfRounding) << report.name;
    EXPECT_THAT(report.clippingFactors, Each(Le(1.28f)));
    EXPECT_EQ(report.damping, GptqOptions().damping);
    rounding += report.errorOfRounding;
    clipping += report.errorOfClipping;
    all += report.error;
  }
  EXPECT_LT(clipping, rounding);
  EXPECT_LT(all, clipping);
}

TEST_F(LayerwiseQuantizerTest, Recipes) {
  quantize(Recipe::Clip);
  for (const LinearReport &report : reports)
    EXPECT_EQ(report.error, report.errorOfClipping);
  quantize(Recipe::Compensate);
  for (const LinearReport &report : reports) {
    EXPECT_EQ(report.errorOfClipping, report.errorOfRounding);
    EXPECT_LT(report.error, report.errorOfRounding);
    EXPECT_THAT(report.clippingFactors, Each(1.0f));
  }
}

TEST_F(LayerwiseQuantizerTest, ThreadsDoNotMatter) {
  std::string files[2];
  for (unsigned threads : {1, 3}) {
    quantize(Recipe::ClipAndCompensate, threads);
    files[threads / 2] = readFile(folder / "out/model.safetensors");
  }
  EXPECT_EQ(files[0], files[1]);
}

TEST_F(LayerwiseQuantizerTest, ZeroChannelsAndOneToken) {
  std::fill_n(model.weights["model.layers.0.mlp.up_proj.weight"].begin() +
                  3 * 64,
              64, 0.0f);
  std::ranges::fill(model.weights["model.layers.1.self_attn.v_proj.weight"],
                    0.0f);
  samples = {{5}};
  auto quantized = quantize(Recipe::ClipAndCompensate);
  EXPECT_EQ(quantized->layers()[0].up.scale[3], 0);
  EXPECT_THAT(quantized->layers()[1].v.weight, Each(0));
  // Behind values of zeros the context is zero, and its projection unseen.
  EXPECT_EQ(report("model.layers.1.self_attn.o_proj").errorOfRounding, 0);
}

TEST_F(LayerwiseQuantizerTest, ProgressRunsToTheEnd) {
  double last = 0;
  options.progress = [&](llvm::StringRef, double done) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, 1);
    last = done;
    return true;
  };
  EXPECT_EQ(error(), "");
  EXPECT_NEAR(last, 1, 1e-6);
}

TEST_F(LayerwiseQuantizerTest, InterruptedLeavesNothing) {
  auto checkpoint = open();
  QuantizeOptions interrupted;
  interrupted.recipe = Recipe::ClipAndCompensate;
  interrupted.calibration = samples;
  interrupted.progress = [](llvm::StringRef, double done) {
    return done < 0.5;
  };
  EXPECT_EQ(
      errorText(quantizeCheckpoint(*checkpoint, folder / "out", interrupted)),
      "interrupted");
  EXPECT_THAT(folder.list(), ElementsAre("model"));
}

TEST_F(LayerwiseQuantizerTest, TooLargeForHalf) {
  for (float &weight : model.weights["model.layers.0.mlp.down_proj.weight"])
    weight *= 1e6f;
  EXPECT_EQ(error(), "inputs of 'model.layers.1.self_attn.q_proj': not finite; "
                     "some value of the model is too large for fp16");
}

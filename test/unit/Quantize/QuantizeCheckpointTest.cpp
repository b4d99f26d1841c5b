//===- QuantizeCheckpointTest.cpp -----------------------------------------===//

#include "odyssey/Quantize/QuantizeCheckpoint.h"

#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Quantize/ReferenceWeights.h"
#include "odyssey/Quantize/RoundToNearest.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

class QuantizeCheckpointTest : public ::testing::Test {
protected:
  std::string quantizeError(const std::string &source,
                            QuantizeOptions options = {}) {
    auto checkpoint = llvm::cantFail(Checkpoint::open(source));
    return errorText(quantizeCheckpoint(*checkpoint, output, options));
  }

  void expectQuantized(const QuantizedLinear &linear) {
    const std::vector<float> &weights = model.weights[linear.name + ".weight"];
    std::vector<int8_t> expected(linear.k);
    for (int64_t n = 0; n < linear.n; ++n) {
      std::span row = std::span(weights).subspan(n * linear.k, linear.k);
      EXPECT_EQ(linear.scale[n], channelScale(row, linear.format.bits))
          << linear.name << " " << n;
      quantizeChannel(row, linear.scale[n], expected, linear.format.bits);
      EXPECT_TRUE(std::ranges::equal(
          expected, linear.weight.subspan(n * linear.k, linear.k)))
          << linear.name << " " << n;
    }
  }

  void expectHalf(const HalfTensor &tensor) {
    std::vector<uint16_t> expected;
    for (float value : model.weights[tensor.name])
      expected.push_back(floatToHalf(value));
    EXPECT_TRUE(std::ranges::equal(expected, tensor.values)) << tensor.name;
  }

  void expectWhole() {
    auto quantized = llvm::cantFail(QuantizedCheckpoint::open(output));
    EXPECT_EQ(quantized->config(), model.config);
    for (const QuantizedCheckpoint::Layer &layer : quantized->layers()) {
      for (const QuantizedLinear *linear :
           {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up,
            &layer.down})
        expectQuantized(*linear);
      expectHalf(layer.inputNorm);
      expectHalf(layer.postAttentionNorm);
    }
    expectHalf(quantized->embedding());
    expectHalf(quantized->finalNorm());
    expectHalf(quantized->lmHead());
  }

  TestModel model = makeTestModel();
  TemporaryFolder folder;
  std::string output = folder / "out";
};

} // namespace

TEST_F(QuantizeCheckpointTest, HuggingFace) {
  std::string source = writeHuggingFace(model, folder, "model");
  auto checkpoint = llvm::cantFail(Checkpoint::open(source));
  QuantizeSummary summary =
      llvm::cantFail(quantizeCheckpoint(*checkpoint, output, {}));
  EXPECT_EQ(summary.quantizedTensors, 14);
  EXPECT_EQ(summary.quantizedWeights,
            2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64));
  EXPECT_EQ(summary.halfWeights, 2 * 32 * 64 + 5 * 64);
  expectWhole();
}

TEST_F(QuantizeCheckpointTest, Gguf) {
  std::string source = folder.write("model.gguf", makeGguf(model).build());
  ASSERT_EQ(quantizeError(source), "");
  expectWhole();
  auto quantized = llvm::cantFail(QuantizedCheckpoint::open(output));
  EXPECT_EQ(quantized->tokenizerFiles()[0].name, "tokenizer.gguf");
}

TEST_F(QuantizeCheckpointTest, EightBits) {
  QuantizeOptions options;
  options.weightBits = 8;
  ASSERT_EQ(quantizeError(writeHuggingFace(model, folder, "model"), options),
            "");
  expectWhole();
  auto quantized = llvm::cantFail(QuantizedCheckpoint::open(output));
  EXPECT_EQ(quantized->format().bits, 8);
}

TEST_F(QuantizeCheckpointTest, TiedEmbeddings) {
  model = makeTestModel(/*tiedEmbeddings=*/true);
  ASSERT_EQ(quantizeError(writeHuggingFace(model, folder, "model")), "");
  expectWhole();
}

TEST_F(QuantizeCheckpointTest, ThreadsDoNotMatter) {
  std::string source = writeHuggingFace(model, folder, "model");
  std::string files[2];
  QuantizeOptions options;
  options.replace = true;
  for (unsigned threads : {1, 2}) {
    options.threads = threads;
    ASSERT_EQ(quantizeError(source, options), "");
    files[threads - 1] = readFile(output + "/model.safetensors");
  }
  EXPECT_EQ(files[0], files[1]);
}

TEST_F(QuantizeCheckpointTest, ZeroChannel) {
  std::vector<float> &weights =
      model.weights["model.layers.0.mlp.up_proj.weight"];
  std::fill_n(weights.begin() + 3 * 64, 64, 0.0f);
  ASSERT_EQ(quantizeError(writeHuggingFace(model, folder, "model")), "");
  expectWhole();
}

TEST_F(QuantizeCheckpointTest, BadWeightsLeaveNothing) {
  model.weights["model.layers.1.mlp.up_proj.weight"][77] = NAN;
  std::string source = folder.write("model.gguf", makeGguf(model).build());
  EXPECT_EQ(quantizeError(source), "tensor 'model.layers.1.mlp.up_proj.weight' "
                                   "has the value NaN at index 77");
  EXPECT_THAT(folder.list(), ElementsAre("model.gguf"));
}

TEST_F(QuantizeCheckpointTest, TooLargeForHalf) {
  model.weights["model.norm.weight"][5] = 65520.0f;
  std::string source = folder.write("model.gguf", makeGguf(model).build());
  EXPECT_EQ(quantizeError(source), "tensor 'model.norm.weight' has a value too "
                                   "large for fp16 at index 5");
  EXPECT_THAT(folder.list(), ElementsAre("model.gguf"));
}

TEST_F(QuantizeCheckpointTest, Progress) {
  std::string source = folder.write("model.gguf", makeGguf(model).build());
  int64_t calls = 0;
  double last = -1;
  QuantizeOptions options;
  options.progress = [&](llvm::StringRef, double done) {
    ++calls;
    EXPECT_GT(done, last);
    EXPECT_LE(done, 1);
    last = done;
    return true;
  };
  EXPECT_EQ(quantizeError(source, options), "");
  EXPECT_EQ(calls, 22);
}

TEST_F(QuantizeCheckpointTest, InterruptedLeavesNothing) {
  std::string source = folder.write("model.gguf", makeGguf(model).build());
  QuantizeOptions options;
  options.progress = [](llvm::StringRef, double done) { return done < 0.5; };
  EXPECT_EQ(quantizeError(source, options), "interrupted");
  EXPECT_THAT(folder.list(), ElementsAre("model.gguf"));
}

TEST_F(QuantizeCheckpointTest, ExistingOutput) {
  std::string source = writeHuggingFace(model, folder, "model");
  ASSERT_EQ(quantizeError(source), "");
  EXPECT_THAT(quantizeError(source), HasSubstr("exists already"));
  QuantizeOptions options;
  options.replace = true;
  EXPECT_EQ(quantizeError(source, options), "");
  EXPECT_THAT(errorText(Checkpoint::open(output)),
              HasSubstr("the checkpoint is quantized already"));
}

TEST_F(QuantizeCheckpointTest, ReferenceWeights) {
  std::string source = writeHuggingFace(model, folder, "model");
  ASSERT_EQ(quantizeError(source), "");
  auto checkpoint = llvm::cantFail(Checkpoint::open(source));
  reference::Fp32Weights fp32 = llvm::cantFail(loadFp32Weights(*checkpoint));
  EXPECT_EQ(fp32.layers[1].down.weight,
            model.weights["model.layers.1.mlp.down_proj.weight"]);
  EXPECT_EQ(fp32.layers[1].down.n, 64);
  EXPECT_EQ(fp32.layers[1].down.k, 96);
  EXPECT_EQ(fp32.lmHead, model.weights["lm_head.weight"]);

  auto quantized = llvm::cantFail(QuantizedCheckpoint::open(output));
  reference::W4A8Weights w4a8 = viewW4A8Weights(*quantized);
  EXPECT_EQ(w4a8.layers[0].gate.weight.data(),
            quantized->layers()[0].gate.weight.data());
  EXPECT_EQ(w4a8.embedding[9], roundToHalf(fp32.embedding[9]));
}

//===- StoriesTest.cpp - Trained models tell their stories ----------------===//
//
// The expected texts are those of an independent engine at temperature 0.
//
//===----------------------------------------------------------------------===//

#include "TestCheckpoints.h"
#include "odyssey/Frontend/Checkpoint/Gguf.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Quantize/QuantizeCheckpoint.h"
#include "odyssey/Quantize/ReferenceWeights.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::reference;
using namespace odyssey::testing;
using ::testing::StartsWith;

namespace {

class StoriesTest : public ::testing::Test {
protected:
  /// The path of a file of the data folder; skips the test if it is absent.
  void find(const std::string &name) {
    const char *folder = std::getenv("ODYSSEY_DATA");
    llvm::SmallString<128> joined(folder ? folder : ODYSSEY_DATA_DIR);
    llvm::sys::path::append(joined, name);
    if (!llvm::sys::fs::exists(joined))
      GTEST_SKIP() << "there is no " << joined.str().str();
    path = joined.str().str();
    checkpoint = llvm::cantFail(Checkpoint::open(path));
  }

  ReferenceModel fp32Model() {
    return ReferenceModel(llvm::cantFail(loadFp32Weights(*checkpoint)));
  }

  ReferenceModel w4a8Model() {
    llvm::cantFail(quantizeCheckpoint(*checkpoint, folder / "quantized", {}));
    quantized = llvm::cantFail(QuantizedCheckpoint::open(folder / "quantized"));
    return ReferenceModel(viewW4A8Weights(*quantized));
  }

  static int32_t mostLikely(std::span<const float> logits) {
    return static_cast<int32_t>(std::ranges::max_element(logits) -
                                logits.begin());
  }

  static std::vector<int32_t> continueGreedily(ReferenceModel &model,
                                               std::vector<int32_t> prompt,
                                               int count) {
    Matrix logits = model.prefill(prompt);
    std::vector<int32_t> tokens = {mostLikely(logits.row(logits.rows - 1))};
    while (static_cast<int>(tokens.size()) < count)
      tokens.push_back(mostLikely(model.decode(tokens.back())));
    return tokens;
  }

  std::string text(const std::vector<int32_t> &tokens) const {
    std::string result;
    for (int32_t token : tokens)
      result += vocabulary[token];
    // SentencePiece's blank.
    for (size_t at; (at = result.find("\u2581")) != std::string::npos;)
      result.replace(at, 3, " ");
    return result;
  }

  /// Mean of -log p(token | those before) in nats, the first token aside.
  static double meanLoss(ReferenceModel &model,
                         const std::vector<int32_t> &tokens) {
    Matrix logits = model.prefill(tokens);
    double loss = 0;
    for (size_t t = 0; t + 1 < tokens.size(); ++t) {
      std::span<const float> row = logits.row(t);
      double largest = *std::ranges::max_element(row), sum = 0;
      for (float value : row)
        sum += std::exp(value - largest);
      loss += std::log(sum) + largest - row[tokens[t + 1]];
    }
    return loss / (tokens.size() - 1);
  }

  /// The story of the fp32 model is a likely one to the quantized model.
  void expectSimilarLoss(ReferenceModel &w4a8,
                         const std::vector<int32_t> &prompt) {
    ReferenceModel fp32 = fp32Model();
    std::vector<int32_t> story = continueGreedily(fp32, prompt, 80);
    story.insert(story.begin(), prompt.begin(), prompt.end());
    fp32.reset();
    double loss = meanLoss(w4a8, story);
    EXPECT_LT(loss, meanLoss(fp32, story) + 0.25);
  }

  std::string path;
  TemporaryFolder folder;
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<QuantizedCheckpoint> quantized;
  std::vector<std::string> vocabulary;
};

class Stories260K : public StoriesTest {
protected:
  void SetUp() override {
    find("stories260K/stories260K.gguf");
    if (path.empty())
      return;
    auto gguf = llvm::cantFail(GgufFile::open(path));
    llvm::ArrayRef<uint8_t> bytes =
        gguf->find("tokenizer.ggml.tokens")->payload;
    while (!bytes.empty()) {
      uint64_t size = llvm::support::endian::read64le(bytes.data());
      vocabulary.emplace_back(bytes.begin() + 8, bytes.begin() + 8 + size);
      bytes = bytes.drop_front(8 + size);
    }
    ASSERT_EQ(text({403, 407, 261, 378}), " Once upon a time");
  }

  const std::vector<int32_t> prompt = {1, 403, 407, 261, 378};
};

class TinyStories656K : public StoriesTest {
protected:
  void SetUp() override {
    find("TinyStories-656K");
    if (path.empty())
      return;
    llvm::json::Value json = llvm::cantFail(
        llvm::json::parse(checkpoint->tokenizerFiles()[0].bytes));
    vocabulary.resize(checkpoint->config().vocabSize);
    for (const auto &[piece, id] :
         *json.getAsObject()->getObject("model")->getObject("vocab"))
      vocabulary[*id.getAsInteger()] = piece.str();
    ASSERT_EQ(text({80, 147, 201, 282, 81, 248, 197}),
              " Once upon a time there was");
  }

  const std::vector<int32_t> prompt = {1, 80, 147, 201, 282, 81, 248, 197};
};

} // namespace

TEST_F(Stories260K, Fp32) {
  ReferenceModel model = fp32Model();
  EXPECT_THAT(
      text(continueGreedily(model, prompt, 80)),
      StartsWith(", there was a little girl named Lily. She loved to play "
                 "outside in the park. One day, she saw a big, red ball. She "
                 "wanted to play with it, but it was too high."));
}

TEST_F(Stories260K, W4A8) {
  ReferenceModel model = w4a8Model();
  EXPECT_THAT(text(continueGreedily(model, prompt, 20)),
              StartsWith(", there was a little girl named Lily. She loved to"));
  model.reset();
  expectSimilarLoss(model, prompt);
}

TEST_F(TinyStories656K, Fp32) {
  ReferenceModel model = fp32Model();
  EXPECT_THAT(
      text(continueGreedily(model, prompt, 80)),
      StartsWith(" an enormous bird named Bob. Bob loved to fly high in the "
                 "sky and play with his friends. One day, Bob saw a small "
                 "bird on the ground."));
}

TEST_F(TinyStories656K, W4A8) {
  ReferenceModel model = w4a8Model();
  expectSimilarLoss(model, prompt);
}

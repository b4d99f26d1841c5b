//===- ModelBatchTest.cpp - A compiled model in batches -------------------===//
//
// stories260K in the emulator, through Session: sequences of mixed lengths that
// share steps, prefill beside decode, with logits equal bit for bit to those of
// each sequence alone; and one graph for all decode steps of a bucket.
//
//===----------------------------------------------------------------------===//

#include "CompiledModel.h"

#include "gtest/gtest.h"

using namespace odyssey;
using namespace odyssey::testing;
using runtime::SequenceId;
namespace fs = std::filesystem;

namespace {

struct Case {
  const char *name;
  const char *target;
  KvCacheType kvCache;
};

class ModelBatch : public ::testing::TestWithParam<Case> {
protected:
  void SetUp() override {
    fs::path source = dataFolder() / "stories260K" / "stories260K.gguf";
    if (!fs::exists(source))
      GTEST_SKIP() << "there is no " << source;
    quantized = std::make_unique<QuantizedModel>(source);
    compiler::Options options;
    options.input = quantized->path();
    options.output = quantized->folder() / "model.odyssey";
    options.target = GetParam().target;
    options.kvCache = GetParam().kvCache;
    options.maxBatch = 5;
    options.assemble = false;
    model = std::make_unique<CompiledModel>(options);
    ASSERT_TRUE(model->loaded());
  }

  std::unique_ptr<QuantizedModel> quantized;
  std::unique_ptr<CompiledModel> model;
};

/// Token `position` of text `i`.
int32_t token(size_t i, size_t position) {
  return static_cast<int32_t>(
      (17 * i + 31 * position + position * position) % 500 + 3);
}

std::vector<int32_t> tokens(size_t i, size_t from, size_t to) {
  std::vector<int32_t> result;
  for (size_t position = from; position < to; ++position)
    result.push_back(token(i, position));
  return result;
}

TEST_P(ModelBatch, LogitsAreThoseOfEachSequenceAlone) {
  constexpr size_t kTexts = 5, kSteps = 3;
  const size_t lengths[kTexts] = {3, 17, 1, 70, 33};
  // Alone: the prompt in one piece, then token by token.
  std::vector<std::vector<std::vector<float>>> alone(kTexts);
  for (size_t i = 0; i < kTexts; ++i) {
    SequenceId sequence = model->add();
    alone[i] = model->step({{sequence, tokens(i, 0, lengths[i])}});
    for (size_t n = 0; n < kSteps; ++n)
      alone[i].push_back(
          model->step({{sequence, {token(i, lengths[i] + n)}}}).front());
    model->remove(sequence);
  }
  EXPECT_EQ(model->session().executor().recordedGraphs(), 1u);

  // Together: the last two prompts begin in pieces, beside decode of others.
  std::vector<SequenceId> ids;
  for (size_t i = 0; i < kTexts; ++i)
    ids.push_back(model->add());
  auto first = model->step({{ids[0], tokens(0, 0, lengths[0])},
                            {ids[3], tokens(3, 0, 30)},
                            {ids[1], tokens(1, 0, lengths[1])},
                            {ids[2], tokens(2, 0, lengths[2])}});
  EXPECT_EQ(first[0], alone[0][0]);
  EXPECT_EQ(first[2], alone[1][0]);
  EXPECT_EQ(first[3], alone[2][0]);
  auto second = model->step({{ids[4], tokens(4, 0, lengths[4])},
                             {ids[0], {token(0, lengths[0])}},
                             {ids[3], tokens(3, 30, lengths[3])},
                             {ids[1], {token(1, lengths[1])}},
                             {ids[2], {token(2, lengths[2])}}});
  EXPECT_EQ(second[0], alone[4][0]);
  EXPECT_EQ(second[1], alone[0][1]);
  EXPECT_EQ(second[2], alone[3][0]);
  EXPECT_EQ(second[3], alone[1][1]);
  EXPECT_EQ(second[4], alone[2][1]);
  // Decode of five and of three, both in the bucket of 8.
  const size_t done[kTexts] = {1, 1, 1, 0, 0};
  std::vector<std::pair<SequenceId, std::vector<int32_t>>> five, three;
  for (size_t i = 0; i < kTexts; ++i)
    five.push_back({ids[i], {token(i, lengths[i] + done[i])}});
  auto third = model->step(five);
  for (size_t i = 0; i < kTexts; ++i)
    EXPECT_EQ(third[i], alone[i][done[i] + 1]) << "text " << i;
  for (size_t i : {4u, 0u, 3u})
    three.push_back({ids[i], {token(i, lengths[i] + done[i] + 1)}});
  auto fourth = model->step(three);
  EXPECT_EQ(fourth[0], alone[4][2]);
  EXPECT_EQ(fourth[1], alone[0][3]);
  EXPECT_EQ(fourth[2], alone[3][2]);
  // One graph for bucket 1, one for bucket 8; the mixed steps were not
  // recorded.
  EXPECT_EQ(model->session().executor().recordedGraphs(), 2u);
}

INSTANTIATE_TEST_SUITE_P(
    Models, ModelBatch,
    ::testing::Values(Case{"sm80", "sm_80", KvCacheType::F16},
                      Case{"sm80Int8Cache", "sm_80", KvCacheType::I8},
                      Case{"sm90a", "sm_90a", KvCacheType::F16}),
    [](const auto &info) { return std::string(info.param.name); });

} // namespace

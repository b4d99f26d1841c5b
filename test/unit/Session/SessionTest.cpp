//===- SessionTest.cpp - Sequences, pages and steps -----------------------===//

#include "odyssey/runtime/Session.h"

#include "ToyDecoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using ::testing::HasSubstr;

namespace {

std::vector<int32_t> iota(int32_t first, size_t count) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

class SessionTest : public ::testing::Test {
protected:
  void open(const ToyOptions &toyOptions) {
    options = toyOptions;
    TemporaryFile file(toyBundle(options).build());
    auto bundle = Bundle::open(file.path());
    ASSERT_TRUE(bundle.ok()) << bundle.status().message();
    device = std::make_shared<FakeDevice>();
    addToyKernels(*device);
    auto created = Session::create(*bundle, device);
    ASSERT_TRUE(created.ok()) << created.status().message();
    session = std::move(*created);
  }
  void SetUp() override { open({}); }

  SequenceId add() {
    auto sequence = session->addSequence();
    EXPECT_TRUE(sequence.ok()) << sequence.status().message();
    return sequence.ok() ? *sequence : SequenceId(-1);
  }

  /// Runs a step and checks each answer against the toy's rule, for sequences
  /// whose tokens so far stand in `histories`.
  void stepAndCheck(
      const std::vector<std::pair<SequenceId, std::vector<int32_t>>> &inputs) {
    std::vector<Session::Input> request;
    for (auto &[sequence, tokens] : inputs)
      request.push_back({sequence, tokens, /*wantLogits=*/true});
    auto outputs = session->step(request);
    ASSERT_TRUE(outputs.ok()) << outputs.status().message();
    ASSERT_EQ(outputs->size(), inputs.size());
    for (size_t i = 0; i < inputs.size(); ++i) {
      auto &[sequence, tokens] = inputs[i];
      std::vector<int32_t> &history = histories[sequence];
      history.insert(history.end(), tokens.begin(), tokens.end());
      const Session::Output &output = (*outputs)[i];
      EXPECT_EQ(output.nextToken, toyNextToken(history, options));
      ASSERT_EQ(output.logits.size(), size_t(options.vocabulary));
      EXPECT_EQ(output.logits[size_t(output.nextToken)], 0.0f);
      EXPECT_EQ(*session->length(sequence), int64_t(history.size()));
    }
  }

  ToyOptions options;
  std::shared_ptr<FakeDevice> device;
  std::unique_ptr<Session> session;
  std::map<SequenceId, std::vector<int32_t>> histories;
};

TEST_F(SessionTest, DecodesOneTokenAfterTheOther) {
  SequenceId a = add();
  for (int32_t token : {7, 3, 60, 1, 1, 5, 9, 22, 31, 40})
    stepAndCheck({{a, {token}}});
}

TEST_F(SessionTest, ScoreGivesTheLogitsOfEveryToken) {
  // 21 tokens take three steps, and each some calls of the logits function.
  std::vector<int32_t> tokens = iota(3, 21);
  auto vocabulary = static_cast<size_t>(options.vocabulary);
  for (size_t first : {0u, 5u, 8u, 20u}) {
    SequenceId a = add();
    auto logits = session->score(a, tokens, first);
    ASSERT_TRUE(logits.ok()) << logits.status().message();
    ASSERT_EQ(logits->size(), (tokens.size() - first) * vocabulary);
    for (size_t i = first; i < tokens.size(); ++i) {
      auto row = std::span(*logits).subspan((i - first) * vocabulary);
      int32_t next = toyNextToken(std::span(tokens).first(i + 1), options);
      EXPECT_EQ(row[size_t(next)], 0.0f) << "after token " << i;
    }
    // The sequence goes on from there.
    histories[a] = tokens;
    stepAndCheck({{a, {11}}});
    ASSERT_TRUE(session->removeSequence(a).ok());
    histories.clear();
  }
}

TEST_F(SessionTest, ScoreRefusesWhatAStepRefuses) {
  SequenceId a = add();
  EXPECT_THAT(session->score(a, iota(3, 4), 4).status().message(),
              HasSubstr("from token 4 on of 4"));
  EXPECT_EQ(session->score(a, iota(3, 41)).status().code(),
            StatusCode::ResourceExhausted);
  EXPECT_EQ(session->score(a, std::vector<int32_t>{64}).status().code(),
            StatusCode::InvalidArgument);
  EXPECT_EQ(*session->length(a), 0);
}

TEST_F(SessionTest, PrefillLongerThanAStepRunsInChunks) {
  SequenceId a = add();
  stepAndCheck({{a, iota(3, 21)}});
  // 8 + 8 + 5 tokens through two kernels, then the logits of the last alone.
  ASSERT_EQ(device->launches.size(), 7u);
  EXPECT_EQ(device->launches[0].grid.x, 2u);
  EXPECT_EQ(device->launches[4].i32(5), 5);
  EXPECT_EQ(device->launches[6].kernel, "toy_logits");
  stepAndCheck({{a, {11}}});
}

TEST_F(SessionTest, ChunksAndPiecesGiveTheSameAnswer) {
  std::vector<int32_t> tokens = iota(5, 30);
  for (size_t piece : {1u, 2u, 7u, 8u, 9u, 30u}) {
    SequenceId a = add();
    for (size_t begin = 0; begin < tokens.size(); begin += piece) {
      size_t end = std::min(begin + piece, tokens.size());
      stepAndCheck({{a, {tokens.begin() + begin, tokens.begin() + end}}});
    }
    ASSERT_TRUE(session->removeSequence(a).ok());
    histories.clear();
  }
}

TEST_F(SessionTest, SequencesOfDifferentLengthShareSteps) {
  SequenceId a = add(), b = add(), c = add();
  stepAndCheck({{a, iota(3, 5)}, {b, iota(10, 11)}, {c, {4}}});
  stepAndCheck({{c, {9}}, {a, {8}}});
  stepAndCheck({{b, {1}}, {c, iota(20, 9)}, {a, {2}}});
  stepAndCheck({{a, {3}}, {b, {4}}, {c, {5}}});
}

TEST_F(SessionTest, MoreSequencesThanTheBundleServesAreRefused) {
  add(), add(), add();
  auto fourth = session->addSequence();
  ASSERT_FALSE(fourth.ok());
  EXPECT_EQ(fourth.status().code(), StatusCode::ResourceExhausted);
  EXPECT_THAT(fourth.status().message(), HasSubstr("all 3 sequences"));
  ASSERT_TRUE(session->removeSequence(SequenceId(1)).ok());
  EXPECT_EQ(add(), SequenceId(1));
}

TEST_F(SessionTest, PagesOfEndedSequencesAreReused) {
  // 24 pages of 4 tokens, two sequences of 10 pages: only what was given back
  // lets a third one be as long.
  SequenceId a = add(), b = add();
  stepAndCheck({{a, iota(3, 40)}});
  stepAndCheck({{b, iota(4, 40)}});
  SequenceId c = add();
  std::vector<int32_t> tokens = iota(1, 17);
  auto tooMuch = session->step(std::array{Session::Input{c, tokens}});
  ASSERT_FALSE(tooMuch.ok());
  EXPECT_EQ(tooMuch.status().code(), StatusCode::ResourceExhausted);
  EXPECT_THAT(tooMuch.status().message(),
              HasSubstr("4 of 24 pages left, but the step needs 5"));
  EXPECT_EQ(*session->length(c), 0);
  ASSERT_TRUE(session->removeSequence(a).ok());
  stepAndCheck({{c, tokens}});
  stepAndCheck({{c, iota(9, 20)}});
}

TEST_F(SessionTest, ContextOverflowNamesTheLimitAndChangesNothing) {
  SequenceId a = add();
  stepAndCheck({{a, iota(3, 39)}});
  std::vector<int32_t> two = {5, 6};
  auto overflow = session->step(std::array{Session::Input{a, two}});
  ASSERT_FALSE(overflow.ok());
  EXPECT_EQ(overflow.status().code(), StatusCode::ResourceExhausted);
  EXPECT_THAT(overflow.status().message(),
              HasSubstr("41 tokens is longer than the context of 40 tokens"));
  stepAndCheck({{a, {5}}});
}

TEST_F(SessionTest, RewindForgetsTokensAndGivesPagesBack) {
  SequenceId a = add();
  stepAndCheck({{a, iota(3, 30)}});
  ASSERT_TRUE(session->rewind(a, 13).ok());
  histories[a].resize(13);
  stepAndCheck({{a, {50}}});
  SequenceId b = add(), c = add();
  // 4 pages are a's: 20 are free again.
  stepAndCheck({{b, iota(2, 40)}, {c, iota(7, 40)}});
  EXPECT_EQ(session->rewind(a, 15).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(session->rewind(a, -1).code(), StatusCode::InvalidArgument);
}

TEST_F(SessionTest, WrongInputsAreRefused) {
  SequenceId a = add();
  std::vector<int32_t> fine = {1}, tooLarge = {64}, negative = {-1};
  auto code = [&](std::vector<Session::Input> inputs) {
    return session->step(inputs).status().code();
  };
  EXPECT_EQ(code({{a, {}}}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({{a, tooLarge}}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({{a, negative}}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({{a, fine}, {a, fine}}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({{SequenceId(1), fine}}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({{SequenceId(3), fine}}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({{SequenceId(-1), fine}}), StatusCode::InvalidArgument);
  EXPECT_TRUE(session->step({}).ok());
  EXPECT_TRUE(device->launches.empty());
}

TEST_F(SessionTest, DecodeStepsAreOneGraphPerBucket) {
  SequenceId a = add(), b = add(), c = add();
  stepAndCheck({{a, iota(3, 6)}});
  EXPECT_EQ(device->liveGraphs(), 0u);
  for (int32_t i = 0; i < 10; ++i)
    stepAndCheck({{a, {i}}});
  // Graphs are only destroyed at the end, so this counts recordings.
  EXPECT_EQ(device->liveGraphs(), 1u);
  EXPECT_EQ(device->replays, 10u);
  EXPECT_EQ(session->executor().recordedGraphs(), 1u);
  // Two and three sequences are in the bucket of 8 tokens, filled up.
  stepAndCheck({{a, {1}}, {b, {2}}});
  EXPECT_EQ(device->launches.back().i32(4), 8);
  stepAndCheck({{c, {1}}, {b, {2}}, {a, {9}}});
  stepAndCheck({{a, {3}}, {c, {60}}});
  EXPECT_EQ(device->liveGraphs(), 2u);
  EXPECT_EQ(device->replays, 13u);
  // What a step brings is one copy; the page table comes when it has changed.
  size_t before = device->calls.size();
  stepAndCheck({{a, {5}}, {b, {6}}});
  std::vector<std::string> calls(device->calls.begin() +
                                     static_cast<ptrdiff_t>(before),
                                 device->calls.end());
  EXPECT_EQ(std::ranges::count(calls, "copyToDevice 1024"), 1);
  EXPECT_EQ(std::ranges::count_if(
                calls, [](auto &call) { return call.starts_with("copyToD"); }),
            1);
}

TEST_F(SessionTest, WithoutPaddedStepsEveryNumberOfTokensIsAGraph) {
  ToyOptions unpadded;
  unpadded.paddedSteps = false;
  open(unpadded);
  SequenceId a = add(), b = add(), c = add();
  for (int32_t i = 0; i < 2; ++i) {
    stepAndCheck({{a, {1}}});
    stepAndCheck({{a, {1}}, {b, {2}}});
    EXPECT_EQ(device->launches.back().i32(4), 2);
    stepAndCheck({{a, {1}}, {b, {2}}, {c, {3}}});
  }
  EXPECT_EQ(device->liveGraphs(), 3u);
}

TEST_F(SessionTest, KernelTimesAreCollectedOnRequest) {
  SequenceId a = add();
  KernelTimes times;
  session->collectKernelTimes(&times);
  stepAndCheck({{a, iota(3, 16)}});
  session->collectKernelTimes(nullptr);
  stepAndCheck({{a, {7}}});
  ASSERT_EQ(times.size(), 3u);
  EXPECT_EQ(times["attention"].launches, 2u);
  EXPECT_EQ(times["embedding"].launches, 2u);
  EXPECT_EQ(times["lm_head"].launches, 1u);
  // The fake device's clock counts launches.
  EXPECT_EQ(times["attention"].seconds, 2.0);
}

TEST_F(SessionTest, FailuresOfTheDeviceLeaveTheSequencesAsTheyWere) {
  SequenceId a = add();
  stepAndCheck({{a, iota(3, 6)}});
  for (const char *call : {"copyToDevice", "launch", "copyToHost"}) {
    device->failAt = call;
    device->failAfter = 1;
    std::vector<int32_t> tokens = iota(9, 20);
    auto failed = session->step(std::array{Session::Input{a, tokens, true}});
    ASSERT_FALSE(failed.ok()) << call;
    EXPECT_THAT(failed.status().message(),
                HasSubstr(std::string("the test lets ") + call));
    device->failAt.clear();
    EXPECT_EQ(*session->length(a), int64_t(histories[a].size()));
    stepAndCheck({{a, {4}}});
  }
}

TEST_F(SessionTest, EverythingIsGivenBackAtTheEnd) {
  SequenceId a = add();
  stepAndCheck({{a, {3}}});
  session.reset();
  EXPECT_EQ(device->liveBuffers(), 0u);
  EXPECT_EQ(device->liveGraphs(), 0u);
  EXPECT_EQ(device->liveModules(), 0u);
}

TEST_F(SessionTest, EveryFailureWhileLoadingIsReportedAndLeaksNothing) {
  session.reset();
  TemporaryFile file(toyBundle(options).build());
  auto bundle = Bundle::open(file.path());
  ASSERT_TRUE(bundle.ok());
  for (const char *call : {"allocate", "fill", "loadModule"})
    for (size_t i = 0; i < 9; ++i) {
      auto failing = std::make_shared<FakeDevice>();
      addToyKernels(*failing);
      failing->failAt = call;
      failing->failAfter = i;
      auto created = Session::create(*bundle, failing);
      if (created.ok())
        continue;
      EXPECT_THAT(created.status().message(), HasSubstr("the test lets"));
      EXPECT_EQ(failing->liveBuffers(), 0u) << call << " " << i;
      EXPECT_EQ(failing->liveModules(), 0u) << call << " " << i;
    }
}

} // namespace

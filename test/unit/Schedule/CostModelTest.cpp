//===- CostModelTest.cpp --------------------------------------------------===//

#include "odyssey/Schedule/CostModel.h"
#include "odyssey/Schedule/ScheduleChoice.h"
#include "odyssey/Schedule/TuningDatabase.h"

#include "odyssey/Layout/PackedWeights.h"

#include "mlir/AsmParser/AsmParser.h"
#include "gtest/gtest.h"

#include <map>
#include <set>

using namespace mlir;
using namespace odyssey;
using fastgemm::Path;
using fastgemm::ScheduleAttr;

namespace {

class CostModel : public ::testing::Test {
protected:
  CostModel() { context.loadDialect<fastgemm::FastGemmDialect>(); }

  ScheduleAttr mmaSync(int64_t channels, int64_t tokens, int64_t k,
                       int64_t channelWarps, int64_t tokenWarps, int64_t stages,
                       int64_t splitK = 1) {
    return ScheduleAttr::get(&context, Path::MmaSync, channels, tokens, k,
                             channelWarps, tokenWarps, stages, splitK);
  }
  std::vector<ScheduleAttr> legal(const TargetDescription &target,
                                  const ProductShape &shape) {
    return legalSchedules(&context, target, shape,
                          choosePanelChannels(shape.n, shape.k));
  }

  MLIRContext context;
};

const ProductShape kShapes[] = {
    {1, 4096, 4096},
    {16, 12288, 4096},
    {64, 4096, 11008},
    {512, 22016, 4096},
    {1, 576, 1536},
    {128, 192, 172},
    {7, 1, 1},
    // Weights of 8 bits, and with groups.
    {1, 4096, 4096, {.bits = 8}},
    {64, 4096, 11008, {.bits = 8}},
    {512, 22016, 4096, {.bits = 8}},
    {128, 192, 172, {.bits = 8}},
    {16, 12288, 4096, {.groupSize = 64}},
};

std::vector<TargetDescription> allTargets() {
  std::vector<TargetDescription> targets;
  for (auto [name, gpu] : {std::pair("sm_80", "a100"),
                           {"sm_86", "a10"},
                           {"sm_89", "l40s"},
                           {"sm_89", "rtx4090"},
                           {"sm_90a", "h100"},
                           {"sm_90a", "h200"}})
    targets.push_back(*findTarget(name, gpu));
  return targets;
}

} // namespace

TEST(Targets, AreFoundByArchitectureAndGpu) {
  EXPECT_EQ(findTarget("sm_90a")->gpu, "h100");
  EXPECT_EQ(findTarget("sm_90a", "h200")->memoryGbs, 4800);
  EXPECT_FALSE(findTarget("sm_80", "h100"));
  EXPECT_FALSE(findTarget("sm_70"));
  EXPECT_EQ(gpuNames("sm_89"), "l40s, rtx4090");
  EXPECT_EQ(targetNames(), "sm_80, sm_86, sm_89, sm_90a");
}

// What the data sheets call the dense int8 rate, in TOPS.
TEST(Targets, RatesAreThoseOfTheDataSheets) {
  auto tops = [](const TargetDescription &target) {
    return 2e-12 * std::max(target.mmaPerClock, target.wgmmaPerClock) *
           static_cast<double>(target.multiprocessors) * target.clock();
  };
  EXPECT_NEAR(tops(*findTarget("sm_80")), 624, 5);
  EXPECT_NEAR(tops(*findTarget("sm_86")), 250, 2);
  EXPECT_NEAR(tops(*findTarget("sm_89", "l40s")), 733, 5);
  EXPECT_NEAR(tops(*findTarget("sm_89", "rtx4090")), 661, 5);
  EXPECT_NEAR(tops(*findTarget("sm_90a")), 1979, 5);
}

// Everything that the lowering asks of a schedule.
TEST_F(CostModel, LegalSchedulesAreLegal) {
  for (const TargetDescription &target : allTargets())
    for (const ProductShape &shape : kShapes) {
      int64_t panel = choosePanelChannels(shape.n, shape.k);
      layout::PackedWeights packed{shape.n, shape.k, panel};
      std::vector<ScheduleAttr> schedules = legal(target, shape);
      // What is enumerated has been verified by nobody.
      for (size_t i = 0; i < schedules.size(); i += 7)
        EXPECT_TRUE(parseAttribute(
            "#fastgemm.schedule<" + scheduleText(schedules[i]) + ">", &context))
            << scheduleText(schedules[i]);
      EXPECT_FALSE(schedules.empty());
      std::set<const void *> distinct;
      for (ScheduleAttr s : schedules) {
        EXPECT_TRUE(distinct.insert(s.getAsOpaquePointer()).second);
        EXPECT_LE(s.getSharedBytes(shape.weights), target.sharedBytesPerBlock);
        EXPECT_LE(s.getThreads() * estimateRegisters(s, shape.weights),
                  target.registers);
        if (s.getPath() == Path::Wgmma) {
          EXPECT_TRUE(target.hasWgmma());
          continue;
        }
        EXPECT_EQ(packed.paddedN() % s.getChannels(), 0);
        EXPECT_EQ(packed.paddedK() % s.getK(), 0);
        EXPECT_LE(s.getSplitK(), packed.paddedK() / s.getK());
      }
    }
}

TEST_F(CostModel, NamesTheConstraintThatLeavesNothing) {
  auto whyNot = [&](const ProductShape &shape) {
    std::string why;
    EXPECT_TRUE(legalSchedules(&context, *findTarget("sm_80"), shape, 64, &why)
                    .empty());
    return why;
  };
  EXPECT_EQ(whyNot({1, 64, 132105}),
            "K must be at most 132104 for exact sums of 32 bits, got 132105");
  EXPECT_EQ(whyNot({1, 64, 133145, {.bits = 8}}),
            "K must be at most 133144 for exact sums of 32 bits, got 133145");
  EXPECT_EQ(whyNot({1, 0, 64}), "tokens, N and K must be positive");
}

// No schedule beats the floor, and every prediction is a time.
TEST_F(CostModel, PredictionsAreAboveTheFloor) {
  for (const TargetDescription &target : allTargets())
    for (const ProductShape &shape : kShapes) {
      double floor = floorOf(target, shape).seconds;
      for (ScheduleAttr s : legal(target, shape)) {
        Prediction prediction = predict(target, shape, s);
        EXPECT_GE(prediction.seconds, floor);
        EXPECT_LT(prediction.seconds, 1);
        EXPECT_GE(prediction.occupancy, 1);
      }
    }
}

// 4096 x 4096 weights of 4 bits, one token, outputs and scales, at 2039 GB/s.
TEST_F(CostModel, FloorIsBytesOrOperations) {
  const TargetDescription target = *findTarget("sm_80");
  Floor decode = floorOf(target, {1, 4096, 4096});
  EXPECT_TRUE(decode.byMemory);
  EXPECT_NEAR(decode.seconds, 8417284 / 2039e9, 1e-9);
  Floor ofBytes = floorOf(target, {1, 4096, 4096, {.bits = 8}});
  EXPECT_NEAR(ofBytes.seconds, (8417284 + 4096 * 2048) / 2039e9, 1e-9);
  Floor prefill = floorOf(target, {4096, 4096, 4096});
  EXPECT_FALSE(prefill.byMemory);
  EXPECT_NEAR(prefill.seconds, 4096.0 * 4096 * 4096 / (2048 * 108 * 1.41e9),
              1e-9);
}

// What changes with one number of a schedule, everything else being equal.
TEST_F(CostModel, PredictsWhatPipelinesAndSplitsAreFor) {
  const TargetDescription target = *findTarget("sm_80");
  ProductShape decode{1, 4096, 4096};
  // Few bytes in flight do not cover the memory's latency.
  EXPECT_GT(predict(target, decode, mmaSync(64, 8, 64, 2, 1, 2)).seconds,
            1.5 * predict(target, decode, mmaSync(64, 8, 64, 2, 1, 6)).seconds);
  // 16 tiles of 256 channels leave most multiprocessors without work.
  EXPECT_GT(predict(target, decode, mmaSync(256, 8, 64, 4, 1, 4)).seconds,
            predict(target, decode, mmaSync(256, 8, 64, 4, 1, 4, 8)).seconds);
  // Many tokens want wide tiles: fewer bytes from L2 per product.
  ProductShape prefill{512, 4096, 4096};
  EXPECT_GT(
      predict(target, prefill, mmaSync(64, 8, 64, 2, 1, 4)).seconds,
      2 * predict(target, prefill, mmaSync(128, 64, 64, 4, 1, 4)).seconds);
}

// 32 tiles: 128 CTAs are four for each, 132 leave the sums of two tiles each.
TEST_F(CostModel, StreamKPaysForSumsThatAreLeft) {
  const TargetDescription target = *findTarget("sm_90a", "h200");
  ProductShape shape{128, 4096, 11008};
  auto seconds = [&](int64_t streamK) {
    return predict(target, shape,
                   ScheduleAttr::get(&context, Path::Wgmma, 128, 128, 128, 4, 1,
                                     6, /*splitK=*/1, /*ctas=*/0, streamK))
        .seconds;
  };
  EXPECT_LT(seconds(128), seconds(132));
  // A CTA a tile leaves nothing, but most multiprocessors without work.
  EXPECT_LT(1.5 * seconds(128), seconds(32));
  // Eight CTAs a tile need another wave for more sums.
  EXPECT_LT(seconds(128), seconds(256));
}

// ptxas gives a thread 230 registers of which 96 are sums, and as many others'
// sums that it loads at once; 154 without.
TEST_F(CostModel, AddingUpOthersSumsTakesRegisters) {
  const TargetDescription target = *findTarget("sm_90a", "h200");
  auto occupancy = [&](int64_t streamK) {
    return predict(target, {96, 4096, 11008},
                   ScheduleAttr::get(&context, Path::Wgmma, 128, 96, 128, 4, 1,
                                     5, /*splitK=*/1, /*ctas=*/0, streamK))
        .occupancy;
  };
  EXPECT_EQ(occupancy(0), 2);
  EXPECT_EQ(occupancy(128), 1);
}

TEST_F(CostModel, StreamsFillTheGpuOrAreAMultipleOfTheTiles) {
  const TargetDescription target = *findTarget("sm_90a", "h200");
  std::set<int64_t> counts;
  for (ScheduleAttr s : legal(target, {128, 4096, 11008}))
    if (s.getPath() == Path::Wgmma && s.getChannels() == 256 &&
        s.getTokens() == 128 && s.getStreamK() > 0)
      counts.insert(s.getStreamK());
  EXPECT_EQ(counts, (std::set<int64_t>{128, 132, 256, 264, 384, 396}));
}

// What a pack measures has all ways of dividing sums that may be the best.
TEST_F(CostModel, CandidatesDiffer) {
  const TargetDescription target = *findTarget("sm_90a", "h200");
  for (const ProductShape &shape :
       {ProductShape{128, 4096, 11008}, ProductShape{256, 4096, 11008},
        ProductShape{128, 4096, 14336}, ProductShape{256, 4096, 14336}}) {
    auto ranked = rankSchedules(&context, target, shape, 128);
    auto picked = pickCandidates(ranked, 5);
    ASSERT_EQ(picked.size(), 5u);
    EXPECT_EQ(picked[0].schedule, ranked[0].schedule);
    bool hasSplit = false, hasStream = false;
    for (size_t i = 0; i < picked.size(); ++i) {
      ScheduleAttr s = picked[i].schedule;
      hasSplit |= s.getPath() == Path::Wgmma && s.getSplitK() > 1;
      hasStream |= s.getPath() == Path::Wgmma && s.getStreamK() > 0;
      if (i > 0)
        EXPECT_LE(picked[i - 1].prediction.seconds,
                  picked[i].prediction.seconds);
    }
    EXPECT_TRUE(hasSplit);
    EXPECT_TRUE(hasStream);
  }
  // Room for one only: the first.
  auto ranked = rankSchedules(&context, target, {128, 4096, 11008}, 128);
  auto one = pickCandidates(ranked, 1);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].schedule, ranked[0].schedule);
  // Two of one shape at most, whatever the depth of their pipelines.
  std::map<std::string, int> shapes;
  for (const RankedSchedule &entry : pickCandidates(ranked, 12)) {
    ScheduleAttr s = entry.schedule;
    ScheduleAttr shallow =
        ScheduleAttr::get(&context, s.getPath(), s.getChannels(), s.getTokens(),
                          s.getK(), s.getChannelWarps(), s.getTokenWarps(), 2,
                          s.getSplitK(), s.getCtas(), s.getStreamK());
    EXPECT_LE(++shapes[scheduleText(shallow)], 2);
  }
}

// Two CTAs that share activations read less from L2 and wait for each other: a
// way of its own, which a pack measures where tiles have many tokens.
TEST_F(CostModel, MulticastIsMeasuredWhereTokensAreMany) {
  const TargetDescription target = *findTarget("sm_90a", "h200");
  ProductShape many{1024, 22016, 4096}, few{16, 22016, 4096};
  auto ranked = rankSchedules(&context, target, many, 128);
  bool isPicked = false;
  for (const RankedSchedule &entry : pickCandidates(ranked, 5))
    isPicked |= entry.schedule.getMulticast() > 1;
  EXPECT_TRUE(isPicked);
  for (ScheduleAttr s : legal(target, few))
    EXPECT_EQ(s.getMulticast(), 1);
  // A CTA of no channels completes the last cluster.
  auto ctas = [&](int64_t multicast) {
    return predict(target, {128, 5 * 256, 4096},
                   ScheduleAttr::get(&context, Path::Wgmma, 256, 128, 128, 8, 1,
                                     5, /*splitK=*/1, /*ctas=*/0, /*streamK=*/0,
                                     multicast))
        .ctas;
  };
  EXPECT_EQ(ctas(1), 5);
  EXPECT_EQ(ctas(2), 6);
}

// Weights of 8 bits are twice the bytes, which is what few tokens wait for, and
// take twice the shared memory; many tokens wait for the tensor cores more than
// for them.
TEST_F(CostModel, KnowsTheWidthOfWeights) {
  ScheduleAttr schedule = mmaSync(64, 8, 64, 2, 1, 6);
  EXPECT_EQ(schedule.getSharedBytes({.bits = 4}), 6 * (2048 + 512));
  EXPECT_EQ(schedule.getSharedBytes({.bits = 8}), 6 * (4096 + 512));
  auto best = [&](const TargetDescription &target, ProductShape shape,
                  int64_t bits) {
    shape.weights.bits = bits;
    return rankSchedules(&context, target, shape, 128)
        .front()
        .prediction.seconds;
  };
  ProductShape few{1, 22016, 4096}, many{4096, 4096, 4096};
  for (const TargetDescription &target : allTargets())
    EXPECT_GT(best(target, few, 8), 1.4 * best(target, few, 4))
        << target.gpu.str();
  for (const char *gpu : {"h100", "h200"}) {
    TargetDescription target = *findTarget("sm_90a", gpu);
    double ratio = best(target, many, 8) / best(target, many, 4);
    EXPECT_GE(ratio, 0.95) << gpu;
    EXPECT_LE(ratio, 1.35) << gpu;
  }
}

// Stream-K of 160 tokens a tile spills with fragments of 8 bits.
TEST_F(CostModel, WideStreamsAreForFourBits) {
  const TargetDescription target = *findTarget("sm_90a", "h200");
  auto widest = [&](int64_t bits) {
    ProductShape shape{1024, 4096, 11008};
    shape.weights.bits = bits;
    int64_t tokens = 0;
    for (ScheduleAttr s : legal(target, shape))
      if (s.getPath() == Path::Wgmma && s.getStreamK() > 0)
        tokens = std::max(tokens, s.getTokens());
    return tokens;
  };
  EXPECT_EQ(widest(4), 160);
  EXPECT_EQ(widest(8), 128);
}

// A kernel that quantizes its token keeps it beside the stages, if both fit.
TEST_F(CostModel, TokensAreKeptWhereTheyFit) {
  auto wgmma = [&](int64_t channels, int64_t stages) {
    return ScheduleAttr::get(&context, Path::Wgmma, channels, 8, 128,
                             channels / 32, 1, stages);
  };
  EXPECT_TRUE(canQuantizeToken(wgmma(256, 6), 4096, {.bits = 4}));
  EXPECT_TRUE(canQuantizeToken(wgmma(128, 6), 4096, {.bits = 8}));
  EXPECT_FALSE(canQuantizeToken(wgmma(256, 7), 4096, {.bits = 8}));
  EXPECT_FALSE(canQuantizeToken(wgmma(128, 6), 11008, {.bits = 8}));
}

// The same product takes less time where memory is faster.
TEST_F(CostModel, KnowsTheGpu) {
  ProductShape shape{1, 12288, 4096};
  auto best = [&](const char *gpu) {
    return rankSchedules(&context, *findTarget("sm_90a", gpu), shape, 128)
        .front()
        .prediction.seconds;
  };
  EXPECT_LT(best("h200"), best("h100"));
}

TEST_F(CostModel, RanksBySeconds) {
  auto ranked =
      rankSchedules(&context, *findTarget("sm_80"), {16, 4096, 4096}, 128);
  ASSERT_GT(ranked.size(), 100u);
  for (size_t i = 1; i < ranked.size(); ++i)
    EXPECT_LE(ranked[i - 1].prediction.seconds, ranked[i].prediction.seconds);
}

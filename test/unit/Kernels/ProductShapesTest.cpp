//===- ProductShapesTest.cpp - Products of real models --------------------===//
//
// The products of LLaMA models of 7, 13 and 70 billion weights, with the
// schedules that the compiler chooses for them, on either path: for sm_80
// mma_sync, for sm_90a wgmma. N and K are reduced to full tiles and a last one
// that is not full, in every direction, so that the emulator has little to do;
// two shapes keep their size. Every output is compared for equality.
//
//===----------------------------------------------------------------------===//

#include "Product.h"

#include "odyssey/Schedule/ScheduleChoice.h"
#include "odyssey/Schedule/ScheduleSelector.h"

#include "gtest/gtest.h"

#include <map>

using namespace odyssey;
using namespace odyssey::testing;
using fastgemm::Path;
using fastgemm::ScheduleAttr;

namespace {

constexpr int64_t kTokens[] = {1, 7, 8, 16, 33, 64, 128, 257};

/// A tile of 256 channels and 44 more. 40 in the last 128 of k, so that packed
/// weights (padded to 64) end in the middle of a stage of the path wgmma.
constexpr int64_t kReducedN = 300, kReducedK = 1192;
/// The same for tiles of 384.
constexpr int64_t kWideN = 428;
/// For stages of mma_sync, which divide the padded K: the last 256 not full.
constexpr int64_t kReducedKMmaSync = 1240;
/// Persistent CTAs are fewer, as there are fewer tiles.
constexpr int64_t kReducedCtas = 2;

struct Case {
  int64_t n, k;
  const char *target;
  /// Of a weight.
  int64_t bits = 4;
};

bool isHopper(const Case &c) { return std::string(c.target) == "sm_90a"; }

int64_t reducedK(const Case &c) {
  return isHopper(c) ? kReducedK : kReducedKMmaSync;
}

/// The best schedule of the target's path for the whole shape, as it is written
/// in the IR, with persistent CTAs reduced.
std::string scheduleOf(const ScheduleSelector &selector, const Case &c,
                       int64_t tokens) {
  Path path = isHopper(c) ? Path::Wgmma : Path::MmaSync;
  for (const ScheduleCandidate &candidate :
       selector.choices({tokens, c.n, c.k, {.bits = c.bits}}).candidates) {
    ScheduleAttr s = candidate.schedule;
    if (s.getPath() != path)
      continue;
    s = ScheduleAttr::get(
        s.getContext(), path, s.getChannels(), s.getTokens(), s.getK(),
        s.getChannelWarps(), s.getTokenWarps(), s.getStages(), s.getSplitK(),
        std::min(s.getCtas(), kReducedCtas), s.getStreamK(), s.getMulticast());
    return "schedule <" + scheduleText(s) + ">";
  }
  ADD_FAILURE() << "no schedule for " << tokens << " tokens";
  return "";
}

class ProductShapes : public ::testing::TestWithParam<Case> {};

TEST_P(ProductShapes, EveryOutputIsEqual) {
  const Case &c = GetParam();
  mlir::MLIRContext context;
  context.loadDialect<fastgemm::FastGemmDialect>();
  ScheduleSelector selector(&context, *findTarget(c.target));
  std::map<std::string, std::vector<int64_t>> tokensOf;
  for (int64_t tokens : kTokens)
    tokensOf[scheduleOf(selector, c, tokens)].push_back(tokens);
  for (const auto &[schedule, tokens] : tokensOf) {
    SCOPED_TRACE(schedule);
    bool isWide = schedule.find("channels = 384") != std::string::npos;
    checkProduct(isWide ? kWideN : kReducedN, reducedK(c), tokens,
                 {.schedule = schedule, .target = c.target, .bits = c.bits});
  }
}

std::vector<Case> allCases() {
  const std::pair<int64_t, int64_t> shapes[] = {
      {4096, 4096},  {12288, 4096}, {22016, 4096}, {4096, 11008}, {5120, 5120},
      {27648, 5120}, {5120, 13824}, {28672, 8192}, {8192, 28672}};
  std::vector<Case> cases;
  for (auto [n, k] : shapes)
    for (const char *target : {"sm_80", "sm_90a"})
      cases.push_back({n, k, target});
  // The twin of 8 bits that W4A8 is compared with.
  for (auto [n, k] : {std::pair<int64_t, int64_t>(4096, 4096),
                      {22016, 4096},
                      {4096, 11008},
                      {8192, 28672}})
    for (const char *target : {"sm_80", "sm_90a"})
      cases.push_back({n, k, target, 8});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Llama, ProductShapes, ::testing::ValuesIn(allCases()),
                         [](const auto &info) {
                           const Case &c = info.param;
                           return "n" + std::to_string(c.n) + "k" +
                                  std::to_string(c.k) + c.target +
                                  (c.bits == 8 ? "i8" : "");
                         });

TEST(ProductShapes, FullSize) {
  for (const char *target : {"sm_80", "sm_90a"}) {
    checkProduct(4096, 4096, {16}, {.target = target});
    checkProduct(4096, 11008, {1}, {.target = target});
  }
  checkProduct(4096, 11008, {1}, {.target = "sm_90a", .bits = 8});
}

//===----------------------------------------------------------------------===//
// Divided sums
//===----------------------------------------------------------------------===//

/// Width of a tile and the numbers of tokens that it takes.
struct Width {
  int64_t tile;
  std::vector<int64_t> tokens;
};

const Width kWidths[] = {
    {8, {1, 7, 8}}, {16, {16}}, {48, {33}}, {64, {64}}, {128, {128, 257}}};

/// All divisions are compared with the same sums.
TEST(DividedProducts, MmaSync) {
  for (const Width &width : kWidths)
    for (const char *division : {"split_k = 1", "split_k = 2", "split_k = 4",
                                 "split_k = 8", "stream_k = 7"}) {
      std::string schedule =
          "schedule <path = mma_sync, channels = 128, tokens = " +
          std::to_string(width.tile) +
          ", k = 128, channel_warps = 4, token_warps = 1, stages = 3, " +
          division + ">";
      SCOPED_TRACE(schedule);
      for (int64_t bits : {4, 8})
        checkProduct(kReducedN, kReducedKMmaSync, width.tokens,
                     {.schedule = schedule, .bits = bits});
    }
}

TEST(DividedProducts, Wgmma) {
  for (const Width &width : kWidths)
    for (int split : {1, 2, 4, 8}) {
      std::string schedule =
          "schedule <path = wgmma, channels = 128, tokens = " +
          std::to_string(width.tile) +
          ", k = 128, channel_warps = 4, token_warps = 1, stages = 3, "
          "split_k = " +
          std::to_string(split) + ">";
      SCOPED_TRACE(schedule);
      for (int64_t bits : {4, 8})
        checkProduct(kReducedN, kReducedK, width.tokens,
                     {.schedule = schedule, .target = "sm_90a", .bits = bits});
    }
}

/// 3 tiles of 128 channels or 2 of 256, the last one not full, of 5 stages of
/// k, the last one neither. Of all tiles' stages a CTA takes: all; whole tiles
/// and parts of others; a half of each tile; parts of one or two; one, so that
/// a tile is shared by five, where more CTAs were asked for. Every product is
/// launched twice: counters are left as they were.
TEST(DividedProducts, WgmmaStreamK) {
  const std::pair<int, std::vector<int>> ctasOfChannels[] = {
      {128, {1, 2, 6, 7, 1000}}, {256, {3, 1000}}};
  for (const Width &width : kWidths)
    for (const auto &[channels, counts] : ctasOfChannels)
      for (int ctas : counts) {
        std::string schedule =
            "schedule <path = wgmma, channels = " + std::to_string(channels) +
            ", tokens = " + std::to_string(width.tile) +
            ", k = 128, channel_warps = " + std::to_string(channels / 32) +
            ", token_warps = 1, stages = 3, stream_k = " +
            std::to_string(ctas) + ">";
        SCOPED_TRACE(schedule);
        checkProduct(kReducedN, 4 * 128 + 40, width.tokens,
                     {.schedule = schedule, .target = "sm_90a", .launches = 2});
      }
}

//===----------------------------------------------------------------------===//
// Shared activations, and three warpgroups
//===----------------------------------------------------------------------===//

/// 3 tiles of 128 channels, so that the last cluster has a CTA of none, or 2 of
/// 256, the last one not full; a CTA for each, and a cluster that walks over
/// them, launched twice. More stages than the ring has, or fewer.
TEST(MulticastProducts, EveryOutputIsEqual) {
  for (const Width &width : kWidths)
    for (int channels : {128, 256})
      for (bool walks : {false, true}) {
        std::string schedule =
            "schedule <path = wgmma, channels = " + std::to_string(channels) +
            ", tokens = " + std::to_string(width.tile) +
            ", k = 128, channel_warps = " + std::to_string(channels / 32) +
            ", token_warps = 1, stages = 3, " + (walks ? "ctas = 2, " : "") +
            "multicast = 2>";
        SCOPED_TRACE(schedule);
        bool isLong = walks == (channels == 256);
        checkProduct(kReducedN, isLong ? kReducedK : 192, width.tokens,
                     {.schedule = schedule,
                      .target = "sm_90a",
                      .launches = walks ? 2 : 1});
      }
  checkProduct(kReducedN, kReducedK, {128},
               {.schedule = "schedule <path = wgmma, channels = 256, tokens = "
                            "128, k = 128, channel_warps = 8, token_warps = 1, "
                            "stages = 3, ctas = 2, multicast = 2>",
                .target = "sm_90a",
                .bits = 8});
}

/// 300 channels are a tile that is not full, 800 two and one that is not.
TEST(WideProducts, EveryOutputIsEqual) {
  for (int64_t n : {kReducedN, int64_t(800)})
    for (const Width &width : kWidths)
      for (const char *division : {"split_k = 1", "split_k = 3", "ctas = 2",
                                   "stream_k = 2", "ctas = 2, multicast = 2"}) {
        if (width.tile > 80)
          continue;
        std::string schedule =
            "schedule <path = wgmma, channels = 384, tokens = " +
            std::to_string(width.tile) +
            ", k = 128, channel_warps = 12, token_warps = 1, stages = 3, " +
            division + ">";
        SCOPED_TRACE(schedule);
        checkProduct(n, 4 * 128 + 40, width.tokens,
                     {.schedule = schedule, .target = "sm_90a"});
      }
}

//===----------------------------------------------------------------------===//
// Order and time
//===----------------------------------------------------------------------===//

std::vector<runtime::EmulatorOptions> emulators() {
  std::vector<runtime::EmulatorOptions> result;
  for (auto copies : {runtime::AsyncCopies::Eager, runtime::AsyncCopies::Late,
                      runtime::AsyncCopies::Random})
    for (uint64_t seed : {11, 12}) {
      runtime::EmulatorOptions options;
      options.asyncCopies = copies;
      options.seed = seed;
      result.push_back(options);
    }
  return result;
}

/// Whenever copies end, and however warps take turns.
class ProductTiming : public ::testing::TestWithParam<int64_t> {};

TEST_P(ProductTiming, SameBitsInEveryOrder) {
  int64_t bits = GetParam();
  checkProduct(kReducedN, 576, {5, 33},
               {.schedule = "schedule <path = mma_sync, channels = 64, tokens "
                            "= 16, k = 64, channel_warps = 2, token_warps = 1, "
                            "stages = 3, split_k = 3>",
                .bits = bits,
                .emulators = emulators()});
  for (const char *schedule :
       {"channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = "
        "1, stages = 2, split_k = 2",
        "channels = 256, tokens = 32, k = 128, channel_warps = 8, token_warps "
        "= 1, stages = 2, ctas = 2",
        "channels = 128, tokens = 16, k = 128, channel_warps = 4, token_warps "
        "= 1, stages = 2, stream_k = 4",
        "channels = 128, tokens = 16, k = 128, channel_warps = 4, token_warps "
        "= 1, stages = 2, multicast = 2",
        "channels = 256, tokens = 16, k = 128, channel_warps = 8, token_warps "
        "= 1, stages = 2, ctas = 2, multicast = 2"})
    checkProduct(
        kReducedN, 576, {5, 33},
        {.schedule = std::string("schedule <path = wgmma, ") + schedule + ">",
         .target = "sm_90a",
         .bits = bits,
         .emulators = emulators()});
}

INSTANTIATE_TEST_SUITE_P(Bits, ProductTiming, ::testing::Values(4, 8));

} // namespace

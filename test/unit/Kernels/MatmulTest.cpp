//===- MatmulTest.cpp - Integer products, bit for bit ---------------------===//
//
// Every output is compared for equality with the formulas of docs/numerics.md
// (Product.h).
//
//===----------------------------------------------------------------------===//

#include "Product.h"

#include "gtest/gtest.h"

using namespace odyssey::testing;
using odyssey::runtime::ElementType;
using odyssey::runtime::HostTensor;

namespace {

struct Shape {
  int64_t n, k;
  std::vector<int64_t> tokens;
};

class MatmulShapes : public ::testing::TestWithParam<Shape> {};

TEST_P(MatmulShapes, EveryOutputIsEqual) {
  checkProduct(GetParam().n, GetParam().k, GetParam().tokens);
}

// 13 weights, 45 shapes: multiples and non-multiples of every tile.
INSTANTIATE_TEST_SUITE_P(
    Small, MatmulShapes,
    ::testing::Values(Shape{64, 64, {1, 7, 8, 9, 128, 300}},
                      Shape{172, 64, {1, 5, 16, 33, 129}},
                      Shape{64, 172, {1, 17, 64, 65, 300}},
                      Shape{344, 64, {1, 31, 127}}, Shape{1, 1, {1, 3}},
                      Shape{3, 65, {2, 40}}, Shape{33, 100, {1, 12, 100}},
                      Shape{130, 191, {4, 24, 257}}));
INSTANTIATE_TEST_SUITE_P(Real, MatmulShapes,
                         ::testing::Values(Shape{576, 576, {1, 8, 48, 300}},
                                           Shape{960, 576, {1, 20, 130}},
                                           Shape{576, 1536, {1, 16, 64, 200}},
                                           Shape{3072, 576, {1, 32}},
                                           Shape{4096, 4096, {1, 16}}));

class ByteShapes : public ::testing::TestWithParam<Shape> {};

/// Weights of 8 bits, in every tile of either path.
TEST_P(ByteShapes, EveryOutputIsEqual) {
  for (const char *target : {"sm_80", "sm_90a"}) {
    SCOPED_TRACE(target);
    checkProduct(GetParam().n, GetParam().k, GetParam().tokens,
                 {.bias = true, .target = target, .bits = 8});
  }
}

INSTANTIATE_TEST_SUITE_P(
    Small, ByteShapes,
    ::testing::Values(Shape{64, 64, {1, 7, 8, 9, 128, 300}},
                      Shape{172, 64, {1, 5, 33, 129}},
                      Shape{64, 172, {1, 17, 64, 300}}, Shape{1, 1, {1, 3}},
                      Shape{33, 100, {1, 12, 100}},
                      Shape{130, 1091, {4, 24, 257}},
                      Shape{576, 1536, {1, 16, 200}}));

TEST(Matmul, LongestReductionOfLlama) { checkProduct(256, 11008, {1, 33}); }

TEST(Matmul, Bias) {
  checkProduct(192, 128, {1, 9, 70}, {.bias = true});
  checkProduct(35, 64, {3}, {.bias = true});
}

/// The product's own rounding to fp16 stands before the sum.
TEST(Matmul, Residual) {
  checkProduct(192, 128, {1, 9, 70}, {.residual = true});
  checkProduct(35, 64, {3, 17}, {.residual = true});
  checkProduct(192, 128, {5}, {.bias = true, .residual = true});
}

/// The extremes of 32-bit accumulation: every product at its largest magnitude.
class LargestSums : public ::testing::TestWithParam<int64_t> {};

TEST_P(LargestSums, AreExact) {
  constexpr int64_t n = 32, k = 11008;
  int64_t bits = GetParam();
  std::vector<int8_t> weights(n * k, bits == 8 ? -127 : -8);
  std::vector<float> scales(n, bits == 8 ? 0.0001f : 0.001f);
  CompiledModule module(matmulIr(n, k, {.bits = bits}),
                        {{"w", tensor(ElementType::I8, {n, k}, weights)},
                         {"ws", tensor(ElementType::F32, {n}, scales)}});
  std::vector<uint16_t> x(k, toHalf(-1.0f));
  std::vector<HostTensor> outputs =
      module.run("main", {tensor(ElementType::F16, {1, k}, x)});
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(elements<uint16_t>(outputs[0]),
            multiply(quantize(x, 1, k), weights, scales, 1, n, k, {}, bits));
}

INSTANTIATE_TEST_SUITE_P(Bits, LargestSums, ::testing::Values(4, 8));

/// Schedules differ in everything; the bits do not.
TEST(Matmul, EveryScheduleGivesTheSameBits) {
  for (
      const char *schedule :
      {"channels = 32, tokens = 8, k = 64, channel_warps = 1, token_warps = 1, "
       "stages = 2",
       "channels = 64, tokens = 16, k = 192, channel_warps = 2, token_warps = "
       "2, stages = 3",
       "channels = 64, tokens = 64, k = 64, channel_warps = 1, token_warps = "
       "4, "
       "stages = 5",
       "channels = 128, tokens = 128, k = 64, channel_warps = 4, token_warps = "
       "2, stages = 4",
       "channels = 128, tokens = 8, k = 576, channel_warps = 4, token_warps = "
       "1, stages = 2",
       "channels = 64, tokens = 32, k = 64, channel_warps = 2, token_warps = "
       "1, "
       "stages = 8"}) {
    SCOPED_TRACE(schedule);
    for (int64_t bits : {4, 8})
      checkProduct(160, 576, {1, 37, 130},
                   {.schedule = std::string("schedule <path = mma_sync, ") +
                                schedule + ">",
                    .bits = bits});
  }
}

class HopperShapes : public ::testing::TestWithParam<Shape> {};

TEST_P(HopperShapes, EveryOutputIsEqual) {
  checkProduct(GetParam().n, GetParam().k, GetParam().tokens,
               {.target = "sm_90a"});
}

INSTANTIATE_TEST_SUITE_P(
    Small, HopperShapes,
    ::testing::Values(Shape{64, 64, {1, 7, 8, 9, 128, 300}},
                      Shape{172, 64, {1, 5, 16, 33, 129}},
                      Shape{64, 172, {1, 17, 64, 65, 300}},
                      Shape{344, 128, {1, 31, 127}}, Shape{1, 1, {1, 3}},
                      Shape{130, 1091, {4, 24, 257}}));

TEST(Matmul, EveryHopperScheduleGivesTheSameBits) {
  for (
      const char *schedule :
      {// One warpgroup, a CTA a tile; K whole and split in a cluster.
       "channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = "
       "1, stages = 2",
       "channels = 128, tokens = 24, k = 128, channel_warps = 4, token_warps = "
       "1, stages = 3, split_k = 2",
       "channels = 128, tokens = 16, k = 128, channel_warps = 4, token_warps = "
       "1, stages = 2, split_k = 3",
       "channels = 128, tokens = 48, k = 128, channel_warps = 4, token_warps = "
       "1, stages = 4, split_k = 5",
       // Two warpgroups, which take the producer's registers.
       "channels = 256, tokens = 160, k = 128, channel_warps = 8, token_warps "
       "= 1, stages = 3",
       "channels = 256, tokens = 32, k = 128, channel_warps = 8, token_warps = "
       "1, stages = 2, split_k = 4",
       // Persistent: tile after tile through one ring.
       "channels = 256, tokens = 128, k = 128, channel_warps = 8, token_warps "
       "= 1, stages = 4, ctas = 2",
       "channels = 128, tokens = 16, k = 128, channel_warps = 4, token_warps = "
       "1, stages = 3, ctas = 3",
       // Sums that CTAs share: of parts of tiles, of whole ones and parts.
       "channels = 128, tokens = 24, k = 128, channel_warps = 4, token_warps = "
       "1, stages = 3, stream_k = 9",
       "channels = 256, tokens = 160, k = 128, channel_warps = 8, token_warps "
       "= 1, stages = 2, stream_k = 3"}) {
    SCOPED_TRACE(schedule);
    for (int64_t bits : {4, 8})
      checkProduct(
          388, 576, {1, 37, 300},
          {.bias = true,
           .residual = true,
           .schedule = std::string("schedule <path = wgmma, ") + schedule + ">",
           .target = "sm_90a",
           .bits = bits});
  }
}

/// K = 1100 is 18 blocks of 64: parts of equal and of unequal length, N and M
/// with a last tile that is not full, and more and fewer CTAs than there are
/// tiles, or stages. Every call comes twice: counters are left as they were.
TEST(Matmul, DividedSumsGiveTheSameBits) {
  for (const char *division :
       {"split_k = 2", "split_k = 4", "split_k = 5", "split_k = 8",
        "split_k = 16", "split_k = 18", "stream_k = 1", "stream_k = 2",
        "stream_k = 3", "stream_k = 7", "stream_k = 20", "stream_k = 64",
        "stream_k = 1000"}) {
    SCOPED_TRACE(division);
    for (int64_t bits : {4, 8})
      checkProduct(
          100, 1100, {1, 7, 8, 16, 33, 64, 1, 33},
          {.bias = true,
           .residual = true,
           .schedule = std::string("schedule <path = mma_sync, channels = 64, "
                                   "tokens = 16, k = 64, channel_warps = 2, "
                                   "token_warps = 1, stages = 4, ") +
                       division + ">",
           .bits = bits});
  }
}

/// The activation in the product against an own kernel behind two products,
/// which a further use keeps apart: plain, divided, and in both tiles of wgmma.
/// With a schedule, that is the one of the product with the activation.
void checkSiluMul(int64_t f, int64_t k, const std::vector<int64_t> &tokens,
                  const std::string &target = "sm_80",
                  const std::string &schedule = "", int64_t bits = 4) {
  std::string integer = "xi" + std::to_string(bits) + ">";
  SCOPED_TRACE("F = " + std::to_string(f) + ", K = " + std::to_string(k));
  std::string F = std::to_string(f), K = std::to_string(k);
  std::string x = "tensor<?x" + K + "xf16>", y = "tensor<?x" + F + "xf16>";
  std::string both = std::to_string(2 * f);
  std::string scheduled =
      "%w = odyssey.weight \"wg\", \"wu\" interleaved : tensor<" + both + "x" +
      K + integer +
      "\n%ws = odyssey.weight \"sg\", \"su\" interleaved : tensor<" + both +
      "xf32>\n%b = odyssey.weight \"b\", \"b\" interleaved : tensor<" + both +
      "xf16>\n%q, %s = odyssey.quantize %x : " + x + " -> tensor<?x" + K +
      "xi8>, tensor<?xf32>\n" +
      "%a = odyssey.matmul %q scale %s, %w scale %ws bias %b silu_mul " +
      schedule + " : (tensor<?x" + K + "xi8>, tensor<?xf32>, tensor<" + both +
      "x" + K + integer + ", tensor<" + both + "xf32>, tensor<" + both +
      "xf16>) -> " + y + "\n";
  std::string product = " bias %b : (tensor<?x" + K +
                        "xi8>, tensor<?xf32>, tensor<" + F + "x" + K + integer +
                        ", tensor<" + F + "xf32>, tensor<" + F + "xf16>) -> " +
                        y + "\n";
  std::string body =
      "%wg = odyssey.weight \"wg\" : tensor<" + F + "x" + K + integer +
      "\n%wu = odyssey.weight \"wu\" : tensor<" + F + "x" + K + integer +
      "\n%sg = odyssey.weight \"sg\" : tensor<" + F +
      "xf32>\n%su = odyssey.weight \"su\" : tensor<" + F +
      "xf32>\n%b = odyssey.weight \"b\" : tensor<" + F +
      "xf16>\n%q, %s = odyssey.quantize %x : " + x + " -> tensor<?x" + K +
      "xi8>, tensor<?xf32>\n" +
      "%g = odyssey.matmul %q scale %s, %wg scale %sg" + product +
      "%u = odyssey.matmul %q scale %s, %wu scale %su" + product +
      "%a = odyssey.silu_mul %g, %u : (" + y + ", " + y + ") -> " + y + "\n";
  std::mt19937 random(static_cast<unsigned>(f + k));
  CompiledModule module(
      "func.func @fused(%x: " + x + ") -> " + y + " {\n" +
          (schedule.empty() ? body : scheduled) + "return %a : " + y +
          "\n}\nfunc.func @apart(%x: " + x + ") -> (" + y + ", " + y + ") {\n" +
          body + "return %a, %g : " + y + ", " + y + "\n}\n",
      {{"wg",
        tensor(ElementType::I8, {f, k}, randomWeights(random, f * k, bits))},
       {"wu",
        tensor(ElementType::I8, {f, k}, randomWeights(random, f * k, bits))},
       {"sg", tensor(ElementType::F32, {f}, randomScales(random, f))},
       {"su", tensor(ElementType::F32, {f}, randomScales(random, f))},
       {"b", tensor(ElementType::F16, {f}, randomHalves(random, f))}},
      target);
  for (int64_t m : tokens) {
    SCOPED_TRACE("M = " + std::to_string(m));
    HostTensor input =
        tensor(ElementType::F16, {m, k}, randomHalves(random, m * k));
    std::vector<HostTensor> fused = module.run("fused", {input}),
                            apart = module.run("apart", {input});
    ASSERT_EQ(fused.size(), 1u);
    ASSERT_EQ(apart.size(), 2u);
    EXPECT_EQ(elements<uint16_t>(fused[0]), elements<uint16_t>(apart[0]));
  }
}

TEST(Matmul, SiluMul) {
  checkSiluMul(172, 64, {1, 9, 130});
  checkSiluMul(34, 1024, {1, 5, 64});
  checkSiluMul(172, 576, {1, 9, 130}, "sm_90a");
  // 3 tiles of 5 stages for 4 CTAs.
  checkSiluMul(172, 576, {1, 9, 130}, "sm_90a",
               "schedule <path = wgmma, channels = 128, tokens = 16, k = 128, "
               "channel_warps = 4, token_warps = 1, stages = 2, stream_k = 4>");
  checkSiluMul(172, 64, {1, 9, 130}, "sm_80", "", 8);
  checkSiluMul(172, 576, {1, 9, 130}, "sm_90a", "", 8);
}

/// A gated feed-forward layer, a norm and a product behind it, whose step of
/// one token quantizes in the second and third product, of which every CTA
/// knows what it has to of the row from the product in front: against steps of
/// more tokens, which have kernels for it.
void checkFeedForward(int64_t f, int64_t k, const std::string &upSchedule,
                      const std::string &downSchedule,
                      const std::string &nextSchedule) {
  SCOPED_TRACE("F = " + std::to_string(f) + ", K = " + std::to_string(k));
  std::string F = std::to_string(f), K = std::to_string(k),
              N = std::to_string(2 * f);
  std::string x = "tensor<?x" + K + "xf16>", a = "tensor<?x" + F + "xf16>";
  std::mt19937 random(static_cast<unsigned>(3 * f + k));
  CompiledModule module(
      "func.func @main(%x: " + x + ") -> (" + x + ", tensor<?x64xf16>)" +
          " {\n%w = odyssey.weight \"w\" : tensor<" + N + "x" + K +
          "xi4>\n%s = odyssey.weight \"s\" : tensor<" + N +
          "xf32>\n%v = odyssey.weight \"v\" : tensor<" + K + "x" + F +
          "xi4>\n%t = odyssey.weight \"t\" : tensor<" + K +
          "xf32>\n%q, %qs = odyssey.quantize %x : " + x + " -> tensor<?x" + K +
          "xi8>, tensor<?xf32>\n%a = odyssey.matmul %q scale %qs, %w scale %s "
          "silu_mul" +
          upSchedule + " : (tensor<?x" + K + "xi8>, tensor<?xf32>, tensor<" +
          N + "x" + K + "xi4>, tensor<" + N + "xf32>) -> " + a +
          "\n%r, %rs = odyssey.quantize %a : " + a + " -> tensor<?x" + F +
          "xi8>, tensor<?xf32>\n%y = odyssey.matmul %r scale %rs, %v scale %t "
          "residual %x" +
          downSchedule + " : (tensor<?x" + F + "xi8>, tensor<?xf32>, tensor<" +
          K + "x" + F + "xi4>, tensor<" + K + "xf32>, " + x + ") -> " + x +
          "\n%g = odyssey.weight \"g\" : tensor<" + K +
          "xf16>\n%u = "
          "odyssey.weight \"u\" : tensor<64x" +
          K +
          "xi4>\n%us = "
          "odyssey.weight \"us\" : tensor<64xf32>\n%p, %ps = "
          "odyssey.rms_norm_quantize %y, %g epsilon = 1.0e-5 : " +
          x + ", tensor<" + K + "xf16> -> tensor<?x" + K +
          "xi8>, tensor<?xf32>\n%z = odyssey.matmul %p scale %ps, %u scale "
          "%us" +
          nextSchedule + " : (tensor<?x" + K +
          "xi8>, tensor<?xf32>, tensor<64x" + K +
          "xi4>, tensor<64xf32>) -> tensor<?x64xf16>\nreturn %y, %z : " + x +
          ", tensor<?x64xf16>\n}\n",
      {{"w",
        tensor(ElementType::I8, {2 * f, k}, randomWeights(random, 2 * f * k))},
       {"g", tensor(ElementType::F16, {k}, randomHalves(random, k))},
       {"u", tensor(ElementType::I8, {64, k}, randomWeights(random, 64 * k))},
       {"us", tensor(ElementType::F32, {64}, randomScales(random, 64))},
       {"s", tensor(ElementType::F32, {2 * f}, randomScales(random, 2 * f))},
       {"v", tensor(ElementType::I8, {k, f}, randomWeights(random, f * k))},
       {"t", tensor(ElementType::F32, {k}, randomScales(random, k))}},
      "sm_90a");
  constexpr int64_t tokens = 5;
  std::vector<uint16_t> rows = randomHalves(random, tokens * k);
  // One token of zeros: its activation is zeros as well.
  std::fill(rows.begin() + 2 * k, rows.begin() + 3 * k, 0);
  std::vector<HostTensor> together =
      module.run("main", {tensor(ElementType::F16, {tokens, k}, rows)});
  ASSERT_EQ(together.size(), 2u);
  for (int64_t token = 0; token < tokens; ++token) {
    SCOPED_TRACE("token " + std::to_string(token));
    auto of = [&](const std::vector<uint16_t> &all, int64_t columns) {
      return std::vector<uint16_t>(all.begin() + token * columns,
                                   all.begin() + (token + 1) * columns);
    };
    std::vector<HostTensor> alone =
        module.run("main", {tensor(ElementType::F16, {1, k}, of(rows, k))});
    ASSERT_EQ(alone.size(), 2u);
    EXPECT_EQ(elements<uint16_t>(alone[0]),
              of(elements<uint16_t>(together[0]), k));
    EXPECT_EQ(elements<uint16_t>(alone[1]),
              of(elements<uint16_t>(together[1]), 64));
  }
}

TEST(Matmul, FeedForwardOfOneToken) {
  auto schedule = [](const std::string &channels, const std::string &warps,
                     const std::string &rest) {
    return " schedule <path = wgmma, channels = " + channels +
           ", tokens = 8, k = 128, channel_warps = " + warps +
           ", token_warps = 1, stages = 2" + rest + ">";
  };
  // As they are chosen; parts of K that end inside the row, a last tile of
  // channels that is not full, more maxima than a warp has lanes; two
  // warpgroups, the second of which has no channels in the last tile.
  checkFeedForward(344, 128, "", "", "");
  checkFeedForward(1112, 192, schedule("128", "4", ""),
                   schedule("128", "4", ", split_k = 4"),
                   schedule("128", "4", ""));
  checkFeedForward(192, 320, schedule("256", "8", ", split_k = 2"),
                   schedule("256", "8", ""),
                   schedule("128", "4", ", split_k = 2"));
  // More segments of a norm than a warp has lanes.
  checkFeedForward(128, 1288, schedule("128", "4", ""),
                   schedule("256", "8", ""),
                   schedule("128", "4", ", split_k = 3"));
}

TEST(Matmul, OtherTargets) {
  checkProduct(172, 192, {1, 50}, {.target = "sm_86"});
  checkProduct(172, 192, {1, 50}, {.target = "sm_89"});
}

} // namespace

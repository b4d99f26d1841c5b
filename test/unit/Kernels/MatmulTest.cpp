//===- MatmulTest.cpp - W4A8 products, bit for bit ------------------------===//
//
// The expected outputs are the formulas of docs/numerics.md, written out here
// with int64 sums. Every output is compared for equality.
//
//===----------------------------------------------------------------------===//

#include "CompiledModule.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace odyssey::testing;
using odyssey::runtime::ElementType;
using odyssey::runtime::HostTensor;

namespace {

struct Quantized {
  std::vector<int8_t> values;
  std::vector<float> scales;
};

Quantized quantize(const std::vector<uint16_t> &x, int64_t m, int64_t k) {
  Quantized result;
  for (int64_t row = 0; row < m; ++row) {
    float largest = 0;
    for (int64_t i = 0; i < k; ++i)
      largest = std::max(largest, std::fabs(fromHalf(x[row * k + i])));
    float factor = largest == 0 ? 0.0f : 127.0f / largest;
    for (int64_t i = 0; i < k; ++i) {
      float scaled = std::nearbyintf(fromHalf(x[row * k + i]) * factor);
      result.values.push_back(
          static_cast<int8_t>(std::min(127.0f, std::max(-127.0f, scaled))));
    }
    result.scales.push_back(largest / 127.0f);
  }
  return result;
}

/// What stands around a product besides its weights.
struct Variant {
  bool bias = false, residual = false;
  std::string schedule = "", target = "sm_80";
};

/// Bias [N] and residual [M, N]; empty where the product has none.
struct Extras {
  std::vector<uint16_t> bias, residual;
};

std::vector<uint16_t> multiply(const Quantized &x, const std::vector<int8_t> &w,
                               const std::vector<float> &scales, int64_t m,
                               int64_t n, int64_t k, const Extras &extras) {
  std::vector<uint16_t> result(m * n);
  for (int64_t row = 0; row < m; ++row)
    for (int64_t channel = 0; channel < n; ++channel) {
      int32_t sum = 0;
      const int8_t *a = x.values.data() + row * k, *b = w.data() + channel * k;
      for (int64_t i = 0; i < k; ++i)
        sum += static_cast<int32_t>(a[i]) * b[i];
      float scaled = static_cast<float>(16 * static_cast<int64_t>(sum));
      scaled = scaled * (scales[channel] / 16.0f);
      scaled = scaled * x.scales[row];
      if (!extras.bias.empty())
        scaled = scaled + fromHalf(extras.bias[channel]);
      uint16_t product = toHalf(scaled);
      if (!extras.residual.empty())
        product = toHalf(fromHalf(product) +
                         fromHalf(extras.residual[row * n + channel]));
      result[row * n + channel] = product;
    }
  return result;
}

std::string matmulIr(int64_t n, int64_t k, const Variant &variant) {
  std::string N = std::to_string(n), K = std::to_string(k);
  std::string half = "tensor<?x" + N + "xf16>";
  std::string bias =
      variant.bias ? "%b = odyssey.weight \"b\" : tensor<" + N + "xf16>\n" : "";
  return "func.func @main(%x: tensor<?x" + K + "xf16>" +
         (variant.residual ? ", %r: " + half : "") + ") -> " + half +
         " {\n"
         "%w = odyssey.weight \"w\" : tensor<" +
         N + "x" + K +
         "xi4>\n"
         "%ws = odyssey.weight \"ws\" : tensor<" +
         N + "xf32>\n" + bias + "%q, %s = odyssey.quantize %x : tensor<?x" + K +
         "xf16> -> tensor<?x" + K +
         "xi8>, tensor<?xf32>\n"
         "%y = odyssey.matmul %q scale %s, %w scale %ws " +
         (variant.bias ? "bias %b " : "") +
         (variant.residual ? "residual %r " : "") + variant.schedule +
         " : (tensor<?x" + K + "xi8>, tensor<?xf32>, tensor<" + N + "x" + K +
         "xi4>, tensor<" + N + "xf32>" +
         (variant.bias ? ", tensor<" + N + "xf16>" : "") +
         (variant.residual ? ", " + half : "") + ") -> " + half +
         "\nreturn %y : " + half + "\n}\n";
}

/// Compiles [n, k] once and compares every output for each number of tokens.
void checkProduct(int64_t n, int64_t k, const std::vector<int64_t> &tokens,
                  const Variant &variant = {}) {
  SCOPED_TRACE("N = " + std::to_string(n) + ", K = " + std::to_string(k));
  std::mt19937 random(static_cast<unsigned>(n * 7919 + k));
  std::vector<int8_t> weights = randomWeights(random, n * k);
  std::vector<float> scales = randomScales(random, n);
  std::vector<WeightTensor> file = {
      {"w", tensor(ElementType::I8, {n, k}, weights)},
      {"ws", tensor(ElementType::F32, {n}, scales)}};
  Extras extras;
  if (variant.bias) {
    extras.bias = randomHalves(random, n);
    file.push_back({"b", tensor(ElementType::F16, {n}, extras.bias)});
  }
  CompiledModule module(matmulIr(n, k, variant), file, variant.target);
  for (int64_t m : tokens) {
    SCOPED_TRACE("M = " + std::to_string(m));
    std::vector<uint16_t> x = randomHalves(random, m * k);
    // One row of zeros: its scale is 0.
    if (m > 2)
      std::fill(x.begin() + k, x.begin() + 2 * k, 0);
    std::vector<HostTensor> inputs = {tensor(ElementType::F16, {m, k}, x)};
    if (variant.residual) {
      extras.residual = randomHalves(random, m * n, 4.0f);
      inputs.push_back(tensor(ElementType::F16, {m, n}, extras.residual));
    }
    std::vector<HostTensor> outputs = module.run("main", inputs);
    ASSERT_EQ(outputs.size(), 1u);
    std::vector<uint16_t> actual = elements<uint16_t>(outputs[0]);
    std::vector<uint16_t> expected =
        multiply(quantize(x, m, k), weights, scales, m, n, k, extras);
    ASSERT_EQ(actual.size(), expected.size());
    int64_t wrong = 0;
    for (size_t i = 0; i < actual.size(); ++i)
      if (actual[i] != expected[i] && ++wrong <= 3)
        ADD_FAILURE() << "token " << i / n << ", channel " << i % n << ": "
                      << fromHalf(actual[i]) << ", expected "
                      << fromHalf(expected[i]);
    EXPECT_EQ(wrong, 0) << "of " << actual.size() << " outputs";
  }
}

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
TEST(Matmul, LargestSums) {
  constexpr int64_t n = 32, k = 11008;
  std::vector<int8_t> weights(n * k, -8);
  std::vector<float> scales(n, 0.001f);
  CompiledModule module(matmulIr(n, k, {}),
                        {{"w", tensor(ElementType::I8, {n, k}, weights)},
                         {"ws", tensor(ElementType::F32, {n}, scales)}});
  std::vector<uint16_t> x(k, toHalf(-1.0f));
  std::vector<HostTensor> outputs =
      module.run("main", {tensor(ElementType::F16, {1, k}, x)});
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(elements<uint16_t>(outputs[0]),
            multiply(quantize(x, 1, k), weights, scales, 1, n, k, {}));
}

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
    checkProduct(160, 576, {1, 37, 130},
                 {.schedule = std::string("schedule <path = mma_sync, ") +
                              schedule + ">"});
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
       "1, stages = 3, ctas = 3"}) {
    SCOPED_TRACE(schedule);
    checkProduct(
        388, 576, {1, 37, 300},
        {.bias = true,
         .residual = true,
         .schedule = std::string("schedule <path = wgmma, ") + schedule + ">",
         .target = "sm_90a"});
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
    checkProduct(
        100, 1100, {1, 7, 8, 16, 33, 64, 1, 33},
        {.bias = true,
         .residual = true,
         .schedule = std::string("schedule <path = mma_sync, channels = 64, "
                                 "tokens = 16, k = 64, channel_warps = 2, "
                                 "token_warps = 1, stages = 4, ") +
                     division + ">"});
  }
}

/// The activation in the product against an own kernel behind two products,
/// which a further use keeps apart: plain, divided, and in both tiles of wgmma.
void checkSiluMul(int64_t f, int64_t k, const std::vector<int64_t> &tokens,
                  const std::string &target = "sm_80") {
  SCOPED_TRACE("F = " + std::to_string(f) + ", K = " + std::to_string(k));
  std::string F = std::to_string(f), K = std::to_string(k);
  std::string x = "tensor<?x" + K + "xf16>", y = "tensor<?x" + F + "xf16>";
  std::string product =
      " bias %b : (tensor<?x" + K + "xi8>, tensor<?xf32>, tensor<" + F + "x" +
      K + "xi4>, tensor<" + F + "xf32>, tensor<" + F + "xf16>) -> " + y + "\n";
  std::string body =
      "%wg = odyssey.weight \"wg\" : tensor<" + F + "x" + K +
      "xi4>\n%wu = odyssey.weight \"wu\" : tensor<" + F + "x" + K +
      "xi4>\n%sg = odyssey.weight \"sg\" : tensor<" + F +
      "xf32>\n%su = odyssey.weight \"su\" : tensor<" + F +
      "xf32>\n%b = odyssey.weight \"b\" : tensor<" + F +
      "xf16>\n%q, %s = odyssey.quantize %x : " + x + " -> tensor<?x" + K +
      "xi8>, tensor<?xf32>\n" +
      "%g = odyssey.matmul %q scale %s, %wg scale %sg" + product +
      "%u = odyssey.matmul %q scale %s, %wu scale %su" + product +
      "%a = odyssey.silu_mul %g, %u : (" + y + ", " + y + ") -> " + y + "\n";
  std::mt19937 random(static_cast<unsigned>(f + k));
  CompiledModule module(
      "func.func @fused(%x: " + x + ") -> " + y + " {\n" + body +
          "return %a : " + y + "\n}\nfunc.func @apart(%x: " + x + ") -> (" + y +
          ", " + y + ") {\n" + body + "return %a, %g : " + y + ", " + y +
          "\n}\n",
      {{"wg", tensor(ElementType::I8, {f, k}, randomWeights(random, f * k))},
       {"wu", tensor(ElementType::I8, {f, k}, randomWeights(random, f * k))},
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
}

TEST(Matmul, OtherTargets) {
  checkProduct(172, 192, {1, 50}, {.target = "sm_86"});
  checkProduct(172, 192, {1, 50}, {.target = "sm_89"});
}

} // namespace

//===- GroupedMatmulTest.cpp - Products with groups, bit for bit ----------===//
//
// The expected outputs are the formulas of docs/numerics.md (N29 to N33),
// written out here with int64 sums. Every output is compared for equality.
//
//===----------------------------------------------------------------------===//

#include "CompiledModule.h"

#include "odyssey/Reference/Products.h"

#include "gtest/gtest.h"

using namespace odyssey::testing;
using odyssey::runtime::ElementType;
using odyssey::runtime::HostTensor;

namespace {

/// A product with groups and, drawn at random, all that it needs.
class GroupedProduct {
public:
  GroupedProduct(int64_t n, int64_t k, int64_t groupSize, bool withBias = false)
      : n(n), k(k), groupSize(groupSize),
        groups((k + groupSize - 1) / groupSize),
        random(static_cast<unsigned>(n * 7919 + k * 31 + groupSize)),
        weights(randomWeights(random, n * k)), scales(randomScales(random, n)),
        multipliers(n * groups) {
    for (int8_t &m : multipliers)
      m = static_cast<int8_t>(random() % 16);
    if (withBias)
      bias = randomHalves(random, n);
  }

  void check(const std::vector<int64_t> &tokens,
             const std::string &schedule = "",
             const std::string &target = "sm_80");

  /// Multiplies `x` [m, k].
  std::vector<uint16_t> expected(const std::vector<uint16_t> &x,
                                 int64_t m) const;
  std::string ir(const std::string &schedule) const;
  std::vector<WeightTensor> file() const;

  int64_t n, k, groupSize, groups;
  std::mt19937 random;
  std::vector<int8_t> weights;
  std::vector<float> scales;
  std::vector<int8_t> multipliers;
  std::vector<uint16_t> bias;
};

std::vector<uint16_t> GroupedProduct::expected(const std::vector<uint16_t> &x,
                                               int64_t m) const {
  std::vector<uint16_t> result(m * n);
  std::vector<float> row(k);
  std::vector<int8_t> q(k);
  for (int64_t token = 0; token < m; ++token) {
    for (int64_t i = 0; i < k; ++i)
      row[i] = fromHalf(x[token * k + i]);
    float tokenScale = odyssey::reference::quantizeToken(row, q);
    for (int64_t channel = 0; channel < n; ++channel) {
      int64_t sum = 0;
      for (int64_t i = 0; i < k; ++i)
        sum += q[i] * (multipliers[channel * groups + i / groupSize] *
                       weights[channel * k + i]);
      float value = static_cast<float>(sum) * scales[channel];
      value = value * tokenScale;
      if (!bias.empty())
        value = value + fromHalf(bias[channel]);
      result[token * n + channel] = toHalf(value);
    }
  }
  return result;
}

std::string GroupedProduct::ir(const std::string &schedule) const {
  std::string N = std::to_string(n), K = std::to_string(k),
              G = std::to_string(groups);
  bool hasBias = !bias.empty();
  auto weight = [](const std::string &name, const std::string &type) {
    return "%" + name + " = odyssey.weight \"" + name + "\" : tensor<" + type +
           ">\n";
  };
  return "func.func @main(%x: tensor<?x" + K + "xf16>) -> tensor<?x" + N +
         "xf16> {\n" + weight("w", N + "x" + K + "xi4") +
         weight("ws", N + "xf32") + weight("wm", N + "x" + G + "xi8") +
         (hasBias ? weight("b", N + "xf16") : "") +
         "%q, %s = odyssey.quantize %x : tensor<?x" + K + "xf16> -> tensor<?x" +
         K + "xi8>, tensor<?xf32>\n%y = odyssey.matmul %q scale %s, %w scale " +
         "%ws " + (hasBias ? "bias %b " : "") + "groups %wm of " +
         std::to_string(groupSize) + " " + schedule + " : (tensor<?x" + K +
         "xi8>, tensor<?xf32>, tensor<" + N + "x" + K + "xi4>, tensor<" + N +
         "xf32>" + (hasBias ? ", tensor<" + N + "xf16>" : "") + ", tensor<" +
         N + "x" + G + "xi8>) -> tensor<?x" + N +
         "xf16>\nreturn %y : tensor<?x" + N + "xf16>\n}\n";
}

std::vector<WeightTensor> GroupedProduct::file() const {
  std::vector<WeightTensor> file = {
      {"w", tensor(ElementType::I8, {n, k}, weights)},
      {"ws", tensor(ElementType::F32, {n}, scales)},
      {"wm", tensor(ElementType::I8, {n, groups}, multipliers)}};
  if (!bias.empty())
    file.push_back({"b", tensor(ElementType::F16, {n}, bias)});
  return file;
}

/// Compiles once and compares every output for each number of tokens.
void GroupedProduct::check(const std::vector<int64_t> &tokens,
                           const std::string &schedule,
                           const std::string &target) {
  SCOPED_TRACE("N = " + std::to_string(n) + ", K = " + std::to_string(k) +
               ", groups of " + std::to_string(groupSize));
  CompiledModule module(ir(schedule), file(), target);
  for (int64_t m : tokens) {
    SCOPED_TRACE("M = " + std::to_string(m));
    std::vector<uint16_t> x = randomHalves(random, m * k);
    // One row of zeros: its scale is 0.
    if (m > 2)
      std::fill(x.begin() + k, x.begin() + 2 * k, 0);
    std::vector<HostTensor> outputs =
        module.run("main", {tensor(ElementType::F16, {m, k}, x)});
    ASSERT_EQ(outputs.size(), 1u);
    std::vector<uint16_t> actual = elements<uint16_t>(outputs[0]);
    std::vector<uint16_t> right = expected(x, m);
    ASSERT_EQ(actual.size(), right.size());
    int64_t wrong = 0;
    for (size_t i = 0; i < actual.size(); ++i)
      if (actual[i] != right[i] && ++wrong <= 3)
        ADD_FAILURE() << "token " << i / n << ", channel " << i % n << ": "
                      << fromHalf(actual[i]) << ", expected "
                      << fromHalf(right[i]);
    EXPECT_EQ(wrong, 0) << "of " << actual.size() << " outputs";
  }
}

struct Shape {
  int64_t n, k;
  std::vector<int64_t> tokens;
};

class GroupedShapes
    : public ::testing::TestWithParam<std::tuple<int64_t, Shape>> {};

TEST_P(GroupedShapes, EveryOutputIsEqual) {
  const auto &[groupSize, shape] = GetParam();
  GroupedProduct(shape.n, shape.k, groupSize).check(shape.tokens);
}

// Whole groups and short ones, one group for all of K, groups of 128 in stages
// that begin in their middle (K = 192 in steps of 64), K that is padded by a
// group and more.
INSTANTIATE_TEST_SUITE_P(
    All, GroupedShapes,
    ::testing::Combine(
        ::testing::Values(32, 64, 128),
        ::testing::Values(Shape{64, 64, {1, 9, 130}},
                          Shape{64, 172, {1, 17, 65}}, Shape{3, 65, {2, 40}},
                          Shape{1, 1, {1}}, Shape{33, 100, {1, 12}},
                          Shape{130, 191, {4, 257}}, Shape{344, 256, {1, 31}},
                          Shape{576, 576, {1, 48}},
                          Shape{192, 1536, {1, 16}})));

TEST(GroupedMatmul, LongestReductionOfLlama) {
  GroupedProduct(64, 11008, 128).check({1, 9});
}

TEST(GroupedMatmul, Bias) {
  GroupedProduct(192, 128, 64, /*withBias=*/true).check({1, 9, 70});
  GroupedProduct(35, 64, 32, /*withBias=*/true).check({3});
}

TEST(GroupedMatmul, OtherTargets) {
  GroupedProduct(172, 192, 64).check({1, 50}, "", "sm_86");
  GroupedProduct(172, 192, 128).check({1, 50}, "", "sm_89");
}

/// Every weight with every multiplier, in every place of a fragment.
TEST(GroupedMatmul, EveryWeightTimesEveryMultiplier) {
  GroupedProduct product(64, 512, 32);
  for (int64_t channel = 0; channel < product.n; ++channel) {
    for (int64_t i = 0; i < product.k; ++i)
      product.weights[channel * product.k + i] =
          static_cast<int8_t>((i + channel) % 16 - 8);
    for (int64_t group = 0; group < product.groups; ++group)
      product.multipliers[channel * product.groups + group] =
          static_cast<int8_t>((group + channel / 16 * 5) % 16);
  }
  product.check({8});
}

/// The extremes of 32-bit accumulation: every product at its largest magnitude.
TEST(GroupedMatmul, LargestSums) {
  GroupedProduct product(32, 11008, 64);
  std::fill(product.weights.begin(), product.weights.end(), int8_t(-8));
  std::fill(product.multipliers.begin(), product.multipliers.end(), int8_t(15));
  std::fill(product.scales.begin(), product.scales.end(), 0.001f);
  CompiledModule module(product.ir(""), product.file());
  std::vector<uint16_t> x(product.k, toHalf(-1.0f));
  std::vector<HostTensor> outputs =
      module.run("main", {tensor(ElementType::F16, {1, product.k}, x)});
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(elements<uint16_t>(outputs[0]), product.expected(x, 1));
}

/// Schedules differ in everything; the bits do not. Stages of 64 and 192 begin
/// inside groups of 128.
TEST(GroupedMatmul, EveryScheduleGivesTheSameBits) {
  for (const char *schedule :
       {"channels = 32, tokens = 8, k = 64, channel_warps = 1, token_warps = "
        "1, stages = 2",
        "channels = 64, tokens = 16, k = 192, channel_warps = 2, token_warps = "
        "2, stages = 3",
        "channels = 64, tokens = 64, k = 64, channel_warps = 1, token_warps = "
        "4, stages = 5",
        "channels = 128, tokens = 128, k = 64, channel_warps = 4, token_warps "
        "= 2, stages = 4",
        "channels = 128, tokens = 8, k = 576, channel_warps = 4, token_warps = "
        "1, stages = 2",
        "channels = 128, tokens = 8, k = 64, channel_warps = 1, token_warps = "
        "1, stages = 8",
        // A CTA across two panels of 64 channels, parts of K that begin inside
        // groups, and CTAs that take parts of several tiles.
        "channels = 192, tokens = 8, k = 64, channel_warps = 2, token_warps = "
        "1, stages = 2, split_k = 4",
        "channels = 64, tokens = 16, k = 64, channel_warps = 2, token_warps = "
        "1, stages = 3, stream_k = 7"})
    for (int64_t groupSize : {32, 64, 128}) {
      SCOPED_TRACE(schedule);
      GroupedProduct(160, 576, groupSize)
          .check({1, 130},
                 std::string("schedule <path = mma_sync, ") + schedule + ">");
    }
}

} // namespace

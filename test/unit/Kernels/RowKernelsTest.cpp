//===- RowKernelsTest.cpp - Norms, activations, quantization, rows --------===//
//
// Norms against docs/numerics.md, bit for bit; other kernels against an
// independent computation in double precision, rounded where that says.
//
//===----------------------------------------------------------------------===//

#include "Product.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

using namespace odyssey::testing;
using odyssey::runtime::ElementType;
using odyssey::runtime::HostTensor;

namespace {

std::string str(int64_t value) { return std::to_string(value); }

HostTensor halves(std::vector<int64_t> shape, const std::vector<uint16_t> &v) {
  return tensor(ElementType::F16, std::move(shape), v);
}
HostTensor indices(const std::vector<int32_t> &v) {
  return tensor(ElementType::I32, {static_cast<int64_t>(v.size())}, v);
}

/// Distance of two fp16 in units in the last place.
int64_t ulps(uint16_t a, uint16_t b) {
  auto order = [](uint16_t bits) -> int64_t {
    return bits & 0x8000 ? -static_cast<int64_t>(bits & 0x7FFF) : bits;
  };
  return std::llabs(order(a) - order(b));
}

void expectClose(const std::vector<uint16_t> &actual,
                 const std::vector<double> &expected, int64_t maxUlps) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    ASSERT_LE(ulps(actual[i], toHalf(static_cast<float>(expected[i]))), maxUlps)
        << "element " << i << ": " << fromHalf(actual[i]) << ", expected "
        << expected[i];
}

/// The sum of squares of the segment from element `first` of a row on (N15).
float segmentSum(const uint16_t *row, int64_t n, int64_t first) {
  std::array<float, 32> tree = {};
  for (int64_t i = 0; i < std::min<int64_t>(32, n - first); ++i) {
    float x = fromHalf(row[first + i]);
    tree[i] = x * x;
  }
  for (int64_t size = 16; size > 0; size /= 2)
    for (int64_t i = 0; i < size; ++i)
      tree[i] = tree[2 * i] + tree[2 * i + 1];
  return tree[0];
}

/// N15 over the squares of a row, as docs/numerics.md says it.
float sumOfSquares(const uint16_t *row, int64_t n) {
  std::array<float, 32> lanes = {};
  for (int64_t first = 0; first < n; first += 32)
    lanes[first / 32 % 32] += segmentSum(row, n, first);
  for (size_t mask = 16; mask > 0; mask /= 2) {
    std::array<float, 32> before = lanes;
    for (size_t i = 0; i < 32; ++i)
      lanes[i] = before[i] + before[i ^ mask];
  }
  return lanes[0];
}

/// The `r` of N16.
float normFactor(const uint16_t *row, int64_t n, float epsilon) {
  float mean = sumOfSquares(row, n) / static_cast<float>(n);
  return 1.0f / std::sqrt(mean + epsilon);
}

/// N16, and N18 of a norm.
struct NormalizedRows {
  std::vector<uint16_t> y;
  Quantized quantized;
};
NormalizedRows normalizedRows(const std::vector<uint16_t> &x,
                              const std::vector<uint16_t> &w, int64_t m,
                              int64_t n, float epsilon) {
  NormalizedRows result;
  for (int64_t row = 0; row < m; ++row) {
    const uint16_t *begin = x.data() + row * n;
    float r = normFactor(begin, n, epsilon);
    std::vector<float> products;
    float largest = 0;
    for (int64_t i = 0; i < n; ++i) {
      float value = fromHalf(begin[i]), weight = fromHalf(w[i]);
      result.y.push_back(toHalf((value * r) * weight));
      products.push_back(value * weight);
      largest = std::max(largest, std::fabs(products.back()));
    }
    float factor = largest == 0 ? 0 : 127.0f / largest;
    for (float product : products)
      result.quantized.values.push_back(static_cast<int8_t>(
          std::clamp(std::nearbyint(product * factor), -127.0f, 127.0f)));
    result.quantized.scales.push_back((largest / 127.0f) * r);
  }
  return result;
}

// One width per way in which threads divide a row: scalar, 4 and 8 wide, whole
// and ragged, more than one piece a thread, more than 256 threads.
class RowWidths : public ::testing::TestWithParam<int64_t> {};

TEST_P(RowWidths, RmsNormAndItsQuantization) {
  int64_t n = GetParam(), m = 8;
  std::mt19937 random(static_cast<unsigned>(n));
  std::vector<uint16_t> x = randomHalves(random, m * n),
                        w = randomHalves(random, n);
  std::fill(x.begin() + 2 * n, x.begin() + 3 * n, 0);
  constexpr int64_t channels = 32;
  std::vector<int8_t> p = randomWeights(random, channels * n);
  std::vector<float> ps = randomScales(random, channels);
  std::string N = str(n), X = "tensor<?x" + N + "xf16>",
              W = "tensor<" + N + "xf16>", Q = "tensor<?x" + N + "xi8>",
              P = "tensor<32x" + N + "xi4>";
  std::string head = "%w = odyssey.weight \"w\" : " + W + "\n";
  CompiledModule module(
      "func.func @norm(%x: " + X + ") -> " + X + " {\n" + head +
          "%y = odyssey.rms_norm %x, %w epsilon = 1.0e-5 : " + X + ", " + W +
          "\nreturn %y : " + X + "\n}\nfunc.func @quantized(%x: " + X +
          ") -> (tensor<?x32xf16>, tensor<?xf32>) {\n" + head +
          "%p = odyssey.weight \"p\" : " + P +
          "\n%ps = odyssey.weight \"ps\" : tensor<32xf32>\n%q, %s = "
          "odyssey.rms_norm_quantize %x, %w epsilon = 1.0e-5 : " +
          X + ", " + W + " -> " + Q +
          ", tensor<?xf32>\n%y = odyssey.matmul %q scale %s, %p scale %ps : (" +
          Q + ", tensor<?xf32>, " + P +
          ", tensor<32xf32>) -> tensor<?x32xf16>\nreturn %y, %s : "
          "tensor<?x32xf16>, tensor<?xf32>\n}\n",
      {{"w", halves({n}, w)},
       {"p", tensor(ElementType::I8, {channels, n}, p)},
       {"ps", tensor(ElementType::F32, {channels}, ps)}});
  NormalizedRows expected = normalizedRows(x, w, m, n, 1e-5f);
  auto norm = module.run("norm", {halves({m, n}, x)});
  ASSERT_EQ(norm.size(), 1u);
  EXPECT_EQ(elements<uint16_t>(norm[0]), expected.y);
  auto product = module.run("quantized", {halves({m, n}, x)});
  ASSERT_EQ(product.size(), 2u);
  EXPECT_EQ(elements<uint16_t>(product[0]),
            multiply(expected.quantized, p, ps, m, channels, n, {}));
  // To the last bit of fp32, which the order of the sum decides.
  EXPECT_EQ(elements<float>(product[1]), expected.quantized.scales);
}

// What a product tells the norm behind it: a last tile that is not full, K
// split by a cluster, two warpgroups of which the second has no channels.
class ProductStatistics : public ::testing::TestWithParam<const char *> {};

TEST_P(ProductStatistics, OfEverySegment) {
  constexpr int64_t n = 340, k = 256, m = 6;
  std::mt19937 random(7);
  std::vector<uint16_t> x = randomHalves(random, m * k),
                        norm = randomHalves(random, n);
  std::vector<int8_t> w = randomWeights(random, n * k);
  std::vector<float> ws = randomScales(random, n);
  bool wide = std::string(GetParam()).find("channels = 256") == 0;
  int64_t columns = wide ? 16 : 12;
  std::string pairs = "tensor<?x" + str(columns) + "x2xf32>";
  CompiledModule module(
      "func.func @main(%x: tensor<?x256xf16>) -> (tensor<?x340xf16>, " + pairs +
          ") {\n%w = odyssey.weight \"w\" : tensor<340x256xi4>\n"
          "%ws = odyssey.weight \"ws\" : tensor<340xf32>\n"
          "%g = odyssey.weight \"g\" : tensor<340xf16>\n"
          "%q, %s = odyssey.quantize %x : tensor<?x256xf16> -> "
          "tensor<?x256xi8>, tensor<?xf32>\n"
          "%y, %m = odyssey.matmul %q scale %s, %w scale %ws norm %g schedule "
          "<path = wgmma, " +
          std::string(GetParam()) +
          "> : (tensor<?x256xi8>, tensor<?xf32>, tensor<340x256xi4>, "
          "tensor<340xf32>, tensor<340xf16>) -> (tensor<?x340xf16>, " +
          pairs + ")\nreturn %y, %m : tensor<?x340xf16>, " + pairs + "\n}\n",
      {{"w", tensor(ElementType::I8, {n, k}, w)},
       {"ws", tensor(ElementType::F32, {n}, ws)},
       {"g", halves({n}, norm)}},
      "sm_90a");
  auto result = module.run("main", {halves({m, k}, x)});
  ASSERT_EQ(result.size(), 2u);
  std::vector<uint16_t> y = multiply(quantize(x, m, k), w, ws, m, n, k, {});
  EXPECT_EQ(elements<uint16_t>(result[0]), y);
  std::vector<float> expected;
  for (int64_t row = 0; row < m; ++row)
    for (int64_t first = 0; first < 32 * columns; first += 32) {
      float largest = 0;
      for (int64_t i = first; i < std::min(n, first + 32); ++i)
        largest = std::max(
            largest, std::fabs(fromHalf(y[row * n + i]) * fromHalf(norm[i])));
      expected.push_back(largest);
      expected.push_back(first < n ? segmentSum(&y[row * n], n, first) : 0);
    }
  EXPECT_EQ(elements<float>(result[1]), expected);
}

INSTANTIATE_TEST_SUITE_P(
    Schedules, ProductStatistics,
    ::testing::Values("channels = 128, tokens = 8, k = 128, channel_warps = 4, "
                      "token_warps = 1, stages = 2",
                      "channels = 128, tokens = 8, k = 128, channel_warps = 4, "
                      "token_warps = 1, stages = 2, split_k = 2",
                      "channels = 256, tokens = 8, k = 128, channel_warps = 8, "
                      "token_warps = 1, stages = 2"));

TEST_P(RowWidths, SiluMul) {
  int64_t n = GetParam(), m = 2;
  std::mt19937 random(static_cast<unsigned>(n) + 1);
  std::vector<uint16_t> gate = randomHalves(random, m * n, 3.0f),
                        up = randomHalves(random, m * n);
  // The ends of exp's range.
  gate[0] = toHalf(-200.0f);
  if (n > 2)
    gate[1] = toHalf(200.0f), gate[2] = toHalf(-0.0f);
  std::string T = "tensor<?x" + str(n) + "xf16>",
              T2 = "tensor<?x" + str(2 * n) + "xf16>";
  CompiledModule module("func.func @two(%g: " + T + ", %u: " + T + ") -> " + T +
                            " {\n%y = odyssey.silu_mul %g, %u : (" + T + ", " +
                            T + ") -> " + T + "\nreturn %y : " + T + "\n}\n" +
                            "func.func @one(%gu: " + T2 + ") -> " + T +
                            " {\n%y = odyssey.silu_mul %gu : (" + T2 + ") -> " +
                            T + "\nreturn %y : " + T + "\n}\n",
                        {});
  auto two = module.run("two", {halves({m, n}, gate), halves({m, n}, up)});
  std::vector<uint16_t> both;
  for (int64_t row = 0; row < m; ++row) {
    both.insert(both.end(), gate.begin() + row * n,
                gate.begin() + (row + 1) * n);
    both.insert(both.end(), up.begin() + row * n, up.begin() + (row + 1) * n);
  }
  auto one = module.run("one", {halves({m, 2 * n}, both)});
  ASSERT_EQ(two.size(), 1u);
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].data, two[0].data);
  std::vector<double> expected;
  for (size_t i = 0; i < gate.size(); ++i) {
    double x = fromHalf(gate[i]);
    expected.push_back(x / (1.0 + std::exp(-x)) * fromHalf(up[i]));
  }
  expectClose(elements<uint16_t>(two[0]), expected, 1);
}

TEST_P(RowWidths, AddStoreAndGather) {
  int64_t n = GetParam(), m = 5;
  std::mt19937 random(static_cast<unsigned>(n) + 2);
  std::vector<uint16_t> a = randomHalves(random, m * n),
                        b = randomHalves(random, m * n);
  std::string T = "tensor<?x" + str(n) + "xf16>",
              S = "memref<8x" + str(n) + "xf16>";
  CompiledModule module(
      "func.func @put(%a: " + T + ", %b: " + T + ", %s: " + S +
          " {odyssey.name = \"state\"}) {\n%y = odyssey.add %a, %b : " + T +
          "\nodyssey.store_rows %y, %s : " + T + ", " + S + "\nreturn\n}\n" +
          "func.func @get(%i: tensor<?xi32>, %s: " + S +
          " {odyssey.name = \"state\"}) -> " + T +
          " {\n%y = odyssey.gather_rows %s, %i : (" + S +
          ", tensor<?xi32>) -> " + T + "\nreturn %y : " + T + "\n}\n",
      {});
  module.run("put", {halves({m, n}, a), halves({m, n}, b)});
  std::vector<int32_t> wanted = {4, 0, 3, 3};
  auto rows = module.run("get", {indices(wanted)});
  ASSERT_EQ(rows.size(), 1u);
  std::vector<uint16_t> expected;
  for (int32_t row : wanted)
    for (int64_t i = 0; i < n; ++i)
      expected.push_back(
          toHalf(fromHalf(a[row * n + i]) + fromHalf(b[row * n + i])));
  EXPECT_EQ(elements<uint16_t>(rows[0]), expected);
}

INSTANTIATE_TEST_SUITE_P(Widths, RowWidths,
                         ::testing::Values(8, 64, 100, 172, 576, 1001, 4096,
                                           11008));

TEST(Rows, Embedding) {
  constexpr int64_t vocabulary = 50, n = 24;
  std::mt19937 random(3);
  std::vector<uint16_t> table = randomHalves(random, vocabulary * n);
  CompiledModule module(
      "func.func @main(%i: tensor<?xi32>) -> tensor<?x24xf16> {\n"
      "%t = odyssey.weight \"t\" : tensor<50x24xf16>\n"
      "%y = odyssey.embedding %i, %t : (tensor<?xi32>, tensor<50x24xf16>) -> "
      "tensor<?x24xf16>\nreturn %y : tensor<?x24xf16>\n}\n",
      {{"t", halves({vocabulary, n}, table)}});
  std::vector<int32_t> ids = {0, 49, 7, 7, 21};
  auto rows = module.run("main", {indices(ids)});
  ASSERT_EQ(rows.size(), 1u);
  std::vector<uint16_t> expected;
  for (int32_t id : ids)
    expected.insert(expected.end(), table.begin() + id * n,
                    table.begin() + (id + 1) * n);
  EXPECT_EQ(elements<uint16_t>(rows[0]), expected);
}

TEST(Rows, ArgmaxTakesTheLowestIndexOfATie) {
  constexpr int64_t n = 1003, m = 4;
  std::mt19937 random(5);
  std::vector<float> x(m * n);
  for (float &value : x)
    value = static_cast<float>(random() % 100) - 120.0f; // many ties
  x[1 * n + 1002] = 5.0f;
  std::fill(x.begin() + 2 * n, x.begin() + 3 * n,
            -std::numeric_limits<float>::infinity());
  CompiledModule module(
      "func.func @main(%x: tensor<?x1003xf32>) -> tensor<?xi32> {\n"
      "%y = odyssey.argmax %x : tensor<?x1003xf32> -> tensor<?xi32>\n"
      "return %y : tensor<?xi32>\n}\n",
      {});
  auto result = module.run("main", {tensor(ElementType::F32, {m, n}, x)});
  ASSERT_EQ(result.size(), 1u);
  std::vector<int32_t> expected;
  for (int64_t row = 0; row < m; ++row)
    expected.push_back(static_cast<int32_t>(
        std::max_element(x.begin() + row * n, x.begin() + (row + 1) * n) -
        (x.begin() + row * n)));
  EXPECT_EQ(elements<int32_t>(result[0]), expected);
}

struct LinearShape {
  int64_t n, k;
  std::vector<int64_t> tokens;
  bool bias = false;
};
class LinearShapes : public ::testing::TestWithParam<LinearShape> {};

/// A row as products take it (N14): each group of 32 elements rounded to
/// multiples of 2^(E - 9), all magnitudes being below 2^E.
std::vector<double> inUnitsOfGroups(const uint16_t *row, int64_t k) {
  std::vector<double> result;
  for (int64_t first = 0; first < k; first += 32) {
    int64_t end = std::min(k, first + 32);
    float largest = 0x1p-15f;
    for (int64_t i = first; i < end; ++i)
      largest = std::max(largest, std::fabs(fromHalf(row[i])));
    double unit = std::ldexp(1.0, std::ilogb(largest) + 1 - 9);
    for (int64_t i = first; i < end; ++i)
      result.push_back(std::nearbyint(fromHalf(row[i]) / unit) * unit);
  }
  return result;
}

TEST_P(LinearShapes, EveryOutputIsEqualOnAllTensorCores) {
  auto [n, k, tokens, hasBias] = GetParam();
  std::mt19937 random(static_cast<unsigned>(n + k));
  std::vector<uint16_t> w = randomHalves(random, n * k),
                        bias = randomHalves(random, n);
  // Rows of different sizes, a group of zeros, and one of subnormal numbers.
  auto spread = [k = k](std::vector<uint16_t> &values) {
    for (size_t i = 0; i < values.size(); ++i) {
      float size = std::ldexp(1.0f, static_cast<int>(i / k % 20) - 12);
      if (i / 32 % 11 == 3)
        size = i % 2 ? 0.0f : 0x1p-20f;
      values[i] = toHalf(fromHalf(values[i]) * size);
    }
  };
  spread(w);
  std::string W = "tensor<" + str(n) + "x" + str(k) + "xf16>",
              X = "tensor<?x" + str(k) + "xf16>",
              Y = "tensor<?x" + str(n) + "xf32>",
              B = "tensor<" + str(n) + "xf16>";
  std::vector<std::vector<double>> weights;
  for (int64_t channel = 0; channel < n; ++channel)
    weights.push_back(inUnitsOfGroups(w.data() + channel * k, k));
  for (const char *target : {"sm_80", "sm_90a"}) {
    CompiledModule module(
        "func.func @main(%x: " + X + ") -> " + Y +
            " {\n%w = odyssey.weight \"w\" : " + W +
            "\n%b = odyssey.weight \"b\" : " + B +
            "\n%y = odyssey.linear %x, %w " + (hasBias ? "bias %b " : "") +
            "keep : (" + X + ", " + W + (hasBias ? ", " + B : "") + ") -> " +
            Y + "\nreturn %y : " + Y + "\n}\n",
        {{"w", halves({n, k}, w)}, {"b", halves({n}, bias)}}, target);
    for (int64_t m : tokens) {
      SCOPED_TRACE(std::string(target) + ", M = " + str(m));
      std::vector<uint16_t> x = randomHalves(random, m * k);
      spread(x);
      auto result = module.run("main", {halves({m, k}, x)});
      ASSERT_EQ(result.size(), 1u);
      std::vector<float> y = elements<float>(result[0]);
      for (int64_t row = 0; row < m; ++row) {
        std::vector<double> activations =
            inUnitsOfGroups(x.data() + row * k, k);
        for (int64_t channel = 0; channel < n; ++channel) {
          float sum = 0;
          for (int64_t first = 0; first < k; first += 32) {
            double group = 0;
            for (int64_t i = first; i < std::min(k, first + 32); ++i)
              group += activations[i] * weights[channel][i];
            ASSERT_EQ(group, static_cast<float>(group)) << "is not exact";
            sum += static_cast<float>(group);
          }
          if (hasBias)
            sum += fromHalf(bias[channel]);
          ASSERT_EQ(y[row * n + channel], sum)
              << "token " << row << ", channel " << channel;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearShapes,
                         ::testing::Values(LinearShape{512, 64, {1, 8, 30}},
                                           LinearShape{130, 576, {1, 17, 70}},
                                           LinearShape{67, 88, {3, 9}},
                                           LinearShape{67, 88, {9}, true},
                                           LinearShape{96, 64, {5}, true},
                                           LinearShape{2051, 128, {2, 40}}));

} // namespace

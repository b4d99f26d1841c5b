//===- Product.cpp - Integer products and what they should give -----------===//

#include "Product.h"

#include "gtest/gtest.h"

#include <cmath>

using namespace odyssey::testing;
using odyssey::runtime::ElementType;
using odyssey::runtime::EmulatorOptions;
using odyssey::runtime::HostTensor;

Quantized odyssey::testing::quantize(const std::vector<uint16_t> &x, int64_t m,
                                     int64_t k) {
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

std::vector<uint16_t>
odyssey::testing::multiply(const Quantized &x, const std::vector<int8_t> &w,
                           const std::vector<float> &scales, int64_t m,
                           int64_t n, int64_t k, const Extras &extras,
                           int64_t bits) {
  // Of 4 bits, weights are unpacked as 16 times what they are.
  int64_t factor = bits == 8 ? 1 : 16;
  std::vector<uint16_t> result(m * n);
  for (int64_t row = 0; row < m; ++row)
    for (int64_t channel = 0; channel < n; ++channel) {
      int32_t sum = 0;
      const int8_t *a = x.values.data() + row * k, *b = w.data() + channel * k;
      for (int64_t i = 0; i < k; ++i)
        sum += static_cast<int32_t>(a[i]) * b[i];
      float scaled = static_cast<float>(factor * static_cast<int64_t>(sum));
      scaled = scaled * (scales[channel] / static_cast<float>(factor));
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

std::string odyssey::testing::matmulIr(int64_t n, int64_t k,
                                       const Variant &variant) {
  std::string N = std::to_string(n), K = std::to_string(k);
  std::string half = "tensor<?x" + N + "xf16>";
  std::string integer = "xi" + std::to_string(variant.bits) + ">";
  std::string bias =
      variant.bias ? "%b = odyssey.weight \"b\" : tensor<" + N + "xf16>\n" : "";
  return "func.func @main(%x: tensor<?x" + K + "xf16>" +
         (variant.residual ? ", %r: " + half : "") + ") -> " + half +
         " {\n"
         "%w = odyssey.weight \"w\" : tensor<" +
         N + "x" + K + integer +
         "\n"
         "%ws = odyssey.weight \"ws\" : tensor<" +
         N + "xf32>\n" + bias + "%q, %s = odyssey.quantize %x : tensor<?x" + K +
         "xf16> -> tensor<?x" + K +
         "xi8>, tensor<?xf32>\n"
         "%y = odyssey.matmul %q scale %s, %w scale %ws " +
         (variant.bias ? "bias %b " : "") +
         (variant.residual ? "residual %r " : "") + variant.schedule +
         " : (tensor<?x" + K + "xi8>, tensor<?xf32>, tensor<" + N + "x" + K +
         integer + ", tensor<" + N + "xf32>" +
         (variant.bias ? ", tensor<" + N + "xf16>" : "") +
         (variant.residual ? ", " + half : "") + ") -> " + half +
         "\nreturn %y : " + half + "\n}\n";
}

/// Compares every output [M, n] of a product.
static void expectEqual(const std::vector<HostTensor> &outputs,
                        const std::vector<uint16_t> &expected, int64_t n) {
  ASSERT_EQ(outputs.size(), 1u);
  std::vector<uint16_t> actual = elements<uint16_t>(outputs[0]);
  ASSERT_EQ(actual.size(), expected.size());
  int64_t wrong = 0;
  for (size_t i = 0; i < actual.size(); ++i)
    if (actual[i] != expected[i] && ++wrong <= 3)
      ADD_FAILURE() << "token " << i / n << ", channel " << i % n << ": "
                    << fromHalf(actual[i]) << ", expected "
                    << fromHalf(expected[i]);
  EXPECT_EQ(wrong, 0) << "of " << actual.size() << " outputs";
}

void odyssey::testing::checkProduct(int64_t n, int64_t k,
                                    const std::vector<int64_t> &tokens,
                                    const Variant &variant) {
  SCOPED_TRACE("N = " + std::to_string(n) + ", K = " + std::to_string(k));
  std::mt19937 random(static_cast<unsigned>(n * 7919 + k));
  std::vector<int8_t> weights = randomWeights(random, n * k, variant.bits);
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
    std::vector<uint16_t> expected = multiply(
        quantize(x, m, k), weights, scales, m, n, k, extras, variant.bits);
    for (const EmulatorOptions &emulator : variant.emulators) {
      module.restart(emulator);
      for (int launch = 0; launch < variant.launches; ++launch)
        expectEqual(module.run("main", inputs), expected, n);
    }
  }
}

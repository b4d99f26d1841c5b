//===- InputStatisticsTest.cpp --------------------------------------------===//

#include "odyssey/Quantize/InputStatistics.h"

#include "QuantizeTestData.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using reference::Matrix;
using ::testing::ElementsAre;

TEST(InputStatistics, SumsOfProducts) {
  // More channels than a tile has.
  constexpr int64_t k = 230, tokens = 40;
  Matrix first = correlatedInputs(k, tokens), second = first;
  std::ranges::reverse(second.values);
  InputStatistics statistics(k);
  statistics.add(first, {}, 1);
  statistics.add(second, {}, 1);
  EXPECT_EQ(statistics.channels(), k);
  EXPECT_EQ(statistics.tokens(), 2 * tokens);
  for (int64_t i = 0; i < k; ++i)
    for (int64_t j = 0; j < k; ++j) {
      double expected = 0, size = 0;
      for (const Matrix *x : {&first, &second})
        for (int64_t t = 0; t < tokens; ++t) {
          double product = static_cast<double>(x->row(t)[i]) *
                           static_cast<double>(x->row(t)[j]);
          expected += product;
          size += std::abs(product);
        }
      ASSERT_NEAR(statistics.row(i)[j], expected, 1e-6 * size);
      ASSERT_EQ(statistics.row(i)[j], statistics.row(j)[i]);
    }
}

TEST(InputStatistics, ThreadsDoNotMatter) {
  constexpr int64_t k = 500;
  InputStatistics one(k), three(k);
  Matrix inputs = correlatedInputs(k, 100);
  one.add(inputs, {}, 1);
  three.add(inputs, {}, 3);
  EXPECT_TRUE(std::ranges::equal(one.hessian(), three.hessian()));
}

TEST(InputStatistics, Maxima) {
  InputStatistics statistics(3);
  Matrix x(2, 3);
  std::ranges::copy(std::initializer_list<float>{1, -5, 0, 2, 3, 0},
                    x.values.begin());
  statistics.add(x, {}, 1);
  EXPECT_THAT(statistics.maxima(), ElementsAre(2, 5, 0));
}

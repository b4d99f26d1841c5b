//===- DenseProductTest.cpp -----------------------------------------------===//

#include "odyssey/Reference/DenseProduct.h"

#include <cmath>
#include <gtest/gtest.h>
#include <random>
#include <vector>

using namespace odyssey::reference;

namespace {

template <typename T> std::vector<T> randomValues(int64_t count) {
  std::mt19937 random(7);
  std::vector<T> values(count);
  for (T &value : values)
    value = static_cast<T>(random() >> 8) / T(0x1p23) - 1;
  return values;
}

template <typename A, typename B> class DenseProductTest {
public:
  /// c += a * b for all combinations of transposed operands.
  static void check(int64_t rows, int64_t depth, int64_t columns) {
    std::vector<A> left = randomValues<A>(rows * depth);
    std::vector<B> right = randomValues<B>(depth * columns);
    auto a = MatrixView<const A>::rowMajor(left.data(), rows, depth);
    auto aT =
        MatrixView<const A>::rowMajor(left.data(), depth, rows).transposed();
    auto b = MatrixView<const B>::rowMajor(right.data(), depth, columns);
    auto bT = MatrixView<const B>::rowMajor(right.data(), columns, depth)
                  .transposed();
    checkViews(a, b);
    checkViews(aT, b);
    checkViews(a, bT);
    checkViews(aT, bT);
  }

private:
  static void checkViews(MatrixView<const A> a, MatrixView<const B> b) {
    // c is a part of a larger matrix, the rest of which stays as it is.
    int64_t stride = b.columns + 3;
    std::vector<A> before = randomValues<A>((a.rows + 2) * stride);
    std::vector<A> after = before;
    multiplyAdd(a, b,
                MatrixView<A>::rowMajor(after.data(), a.rows + 2, stride)
                    .block(1, 2, a.rows, b.columns));
    double unit = std::is_same_v<A, float> ? 1e-6 : 1e-14;
    for (int64_t i = 0; i < a.rows + 2; ++i)
      for (int64_t j = 0; j < stride; ++j) {
        double expected = before[i * stride + j];
        if (i < 1 || i > a.rows || j < 2 || j >= b.columns + 2) {
          ASSERT_EQ(after[i * stride + j], expected) << i << ", " << j;
          continue;
        }
        for (int64_t k = 0; k < a.columns; ++k)
          expected += static_cast<double>(
                          a.data[(i - 1) * a.rowStride + k * a.columnStride]) *
                      static_cast<double>(
                          b.data[k * b.rowStride + (j - 2) * b.columnStride]);
        ASSERT_NEAR(after[i * stride + j], expected,
                    unit * (1 + static_cast<double>(a.columns)))
            << i << ", " << j;
      }
  }
};

struct Sizes {
  int64_t rows, depth, columns;
};

/// Less than, as many as, and more than a vector, a kernel and a block hold.
constexpr Sizes sizes[] = {{1, 1, 1},     {6, 16, 16},     {5, 3, 17},
                           {7, 256, 8},   {13, 257, 33},   {96, 20, 512},
                           {97, 300, 70}, {100, 512, 530}, {3, 0, 4}};

} // namespace

TEST(DenseProduct, Floats) {
  for (auto [rows, depth, columns] : sizes)
    DenseProductTest<float, float>::check(rows, depth, columns);
}

TEST(DenseProduct, Doubles) {
  for (auto [rows, depth, columns] : sizes)
    DenseProductTest<double, double>::check(rows, depth, columns);
}

TEST(DenseProduct, FloatsAsDoubles) {
  for (auto [rows, depth, columns] : sizes)
    DenseProductTest<double, float>::check(rows, depth, columns);
}

//===- DenseProduct.cpp - Products of dense matrices ----------------------===//
//
// The scheme of Goto and van de Geijn, "Anatomy of High-Performance Matrix
// Multiplication" (2008): copies of blocks of a and b that lie as the kernel
// reads them, sized for the caches, around a kernel that keeps a few rows of c
// in registers.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Reference/DenseProduct.h"

#include "odyssey/Reference/VectorClones.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <vector>

using namespace odyssey::reference;

namespace {

/// A vector of 64 bytes, which the compiler makes of what the CPU has.
template <typename T> struct VectorOf;
template <> struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(64)));
};
template <> struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(64)));
};

/// Rows of c that the kernel keeps: with one vector each, one for b and one for
/// a they are just right for the 16 registers of AVX2.
constexpr int64_t kernelRows = 6;
/// The kernel's columns: one vector.
template <typename T> constexpr int64_t kernelColumns = 64 / sizeof(T);

/// The copy of b (depth x columnsPerBlock) is for the level-2 cache, a panel
/// of it (depth x kernelColumns) and of a (kernelRows x depth) for level 1.
constexpr int64_t depthPerBlock = 256;
constexpr int64_t rowsPerBlock = 16 * kernelRows;
constexpr int64_t columnsPerBlock = 512;

/// c += a * b for kernelRows x depth and depth x kernelColumns values, of which
/// `rows` and `columns` are real.
template <typename T>
[[gnu::always_inline]] inline void
multiplyPanels(const T *a, const T *b, int64_t depth, T *c, int64_t stride,
               int64_t rows, int64_t columns) {
  using Vector = typename VectorOf<T>::Type;
  Vector sums[kernelRows] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector right;
    std::memcpy(&right, b + k * kernelColumns<T>, sizeof right);
    for (int64_t i = 0; i < kernelRows; ++i)
      sums[i] += a[k * kernelRows + i] * right;
  }
  for (int64_t i = 0; i < rows; ++i) {
    T *row = c + i * stride;
    if (columns == kernelColumns<T>) {
      Vector before;
      std::memcpy(&before, row, sizeof before);
      before += sums[i];
      std::memcpy(row, &before, sizeof before);
    } else {
      for (int64_t j = 0; j < columns; ++j)
        row[j] += sums[i][j];
    }
  }
}

/// c += a * b of packed blocks: a in panels of kernelRows rows, b in panels of
/// kernelColumns columns, both padded with zeros.
template <typename T>
[[gnu::always_inline]] inline void
multiplyBlocks(const T *a, const T *b, int64_t depth, MatrixView<T> c) {
  for (int64_t column = 0; column < c.columns; column += kernelColumns<T>)
    for (int64_t row = 0; row < c.rows; row += kernelRows)
      multiplyPanels(a + row * depth, b + column * depth, depth,
                     c.data + row * c.rowStride + column, c.rowStride,
                     std::min(kernelRows, c.rows - row),
                     std::min(kernelColumns<T>, c.columns - column));
}

ODYSSEY_VECTOR_CLONES void runKernel(const float *a, const float *b,
                                     int64_t depth, MatrixView<float> c) {
  multiplyBlocks(a, b, depth, c);
}

ODYSSEY_VECTOR_CLONES void runKernel(const double *a, const double *b,
                                     int64_t depth, MatrixView<double> c) {
  multiplyBlocks(a, b, depth, c);
}

/// Copies `from` into panels of `width` columns, the last padded with zeros:
/// element (k, j) goes to panel j / width, at k * width + j % width.
template <typename From, typename To>
void pack(MatrixView<const From> from, int64_t width, To *to) {
  for (int64_t first = 0; first < from.columns; first += width) {
    int64_t count = std::min(width, from.columns - first);
    for (int64_t k = 0; k < from.rows; ++k) {
      const From *source =
          from.data + k * from.rowStride + first * from.columnStride;
      for (int64_t j = 0; j < count; ++j)
        *to++ = static_cast<To>(source[j * from.columnStride]);
      for (int64_t j = count; j < width; ++j)
        *to++ = 0;
    }
  }
}

int64_t roundUp(int64_t value, int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

template <typename A, typename B>
void multiplyAddBlocked(MatrixView<const A> a, MatrixView<const B> b,
                        MatrixView<A> c) {
  assert(a.rows == c.rows && b.columns == c.columns && a.columns == b.rows);
  assert(c.columnStride == 1);
  int64_t depthLimit = std::min(depthPerBlock, a.columns);
  int64_t rowLimit = roundUp(std::min(rowsPerBlock, c.rows), kernelRows);
  int64_t columnLimit =
      roundUp(std::min(columnsPerBlock, c.columns), kernelColumns<A>);
  std::vector<A> packedA(rowLimit * depthLimit);
  std::vector<A> packedB(columnLimit * depthLimit);
  for (int64_t column = 0; column < c.columns; column += columnsPerBlock) {
    int64_t width = std::min(columnsPerBlock, c.columns - column);
    for (int64_t k = 0; k < a.columns; k += depthPerBlock) {
      int64_t depth = std::min(depthPerBlock, a.columns - k);
      pack(b.block(k, column, depth, width), kernelColumns<A>, packedB.data());
      for (int64_t row = 0; row < c.rows; row += rowsPerBlock) {
        int64_t height = std::min(rowsPerBlock, c.rows - row);
        pack(a.block(row, k, height, depth).transposed(), kernelRows,
             packedA.data());
        runKernel(packedA.data(), packedB.data(), depth,
                  c.block(row, column, height, width));
      }
    }
  }
}

} // namespace

void odyssey::reference::multiplyAdd(MatrixView<const float> a,
                                     MatrixView<const float> b,
                                     MatrixView<float> c) {
  multiplyAddBlocked(a, b, c);
}

void odyssey::reference::multiplyAdd(MatrixView<const double> a,
                                     MatrixView<const double> b,
                                     MatrixView<double> c) {
  multiplyAddBlocked(a, b, c);
}

void odyssey::reference::multiplyAdd(MatrixView<const double> a,
                                     MatrixView<const float> b,
                                     MatrixView<double> c) {
  multiplyAddBlocked(a, b, c);
}

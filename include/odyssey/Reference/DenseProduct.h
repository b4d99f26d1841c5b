//===- DenseProduct.h - Products of dense matrices --------------*- C++ -*-===//
//
// c += a * b on one core, at the speed of the vector unit that is there. A
// library of templates has to choose that unit when it is compiled, and the
// programs here are to run on any CPU of their architecture: so this one
// kernel is compiled for several, and the one that fits is taken at run time.
// All of them add in the same order, without fused multiply-adds, and give the
// same bits.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_REFERENCE_DENSEPRODUCT_H
#define ODYSSEY_REFERENCE_DENSEPRODUCT_H

#include <cstdint>

namespace odyssey::reference {

/// A matrix in somebody else's memory: element (i, j) is
/// data[i * rowStride + j * columnStride].
template <typename T> struct MatrixView {
  T *data = nullptr;
  int64_t rows = 0, columns = 0;
  int64_t rowStride = 0, columnStride = 1;

  /// Row-major and without gaps.
  static MatrixView rowMajor(T *data, int64_t rows, int64_t columns) {
    return {data, rows, columns, columns, 1};
  }

  MatrixView transposed() const {
    return {data, columns, rows, columnStride, rowStride};
  }

  MatrixView block(int64_t row, int64_t column, int64_t height,
                   int64_t width) const {
    return {data + row * rowStride + column * columnStride, height, width,
            rowStride, columnStride};
  }
};

/// c += a * b, where c has unit column stride and does not overlap the others.
/// An element's products are added to each other in runs of 256, in their
/// order, and the runs to c.
void multiplyAdd(MatrixView<const float> a, MatrixView<const float> b,
                 MatrixView<float> c);

/// The same in doubles; the elements of b are converted.
void multiplyAdd(MatrixView<const double> a, MatrixView<const double> b,
                 MatrixView<double> c);
void multiplyAdd(MatrixView<const double> a, MatrixView<const float> b,
                 MatrixView<double> c);

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_DENSEPRODUCT_H

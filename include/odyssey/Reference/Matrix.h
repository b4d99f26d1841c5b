//===- Matrix.h - Rows of fp32 values ---------------------------*- C++ -*-===//

#ifndef ODYSSEY_REFERENCE_MATRIX_H
#define ODYSSEY_REFERENCE_MATRIX_H

#include <cstdint>
#include <span>
#include <vector>

namespace odyssey::reference {

/// Row-major; a row is a token wherever values of the model are meant.
struct Matrix {
  int64_t rows = 0, columns = 0;
  std::vector<float> values;

  Matrix() = default;
  Matrix(int64_t rows, int64_t columns)
      : rows(rows), columns(columns), values(rows * columns) {}

  std::span<float> row(int64_t index) {
    return std::span(values).subspan(index * columns, columns);
  }
  std::span<const float> row(int64_t index) const {
    return std::span(values).subspan(index * columns, columns);
  }
};

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_MATRIX_H

//===- HessianProduct.cpp - Rows times H ----------------------------------===//

#include "HessianProduct.h"

#include <algorithm>

using namespace odyssey;

/// Rows of H that are converted to double at a time.
static constexpr int64_t panelSize = 64;

DoubleRows odyssey::multiplyByHessian(const DoubleRows &rows,
                                      const InputStatistics &statistics) {
  using FloatRows =
      Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  int64_t k = statistics.channels();
  Eigen::Map<const FloatRows> hessian(statistics.hessian().data(), k, k);
  DoubleRows products = DoubleRows::Zero(rows.rows(), k);
  for (int64_t first = 0; first < k; first += panelSize) {
    int64_t count = std::min(panelSize, k - first);
    DoubleRows panel = hessian.middleRows(first, count).cast<double>();
    products.noalias() += rows.middleCols(first, count) * panel;
  }
  return products;
}

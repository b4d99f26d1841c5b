//===- HessianProduct.cpp - Rows times H ----------------------------------===//

#include "HessianProduct.h"

#include "odyssey/Reference/DenseProduct.h"

using namespace odyssey;
using reference::MatrixView;

DoubleRows odyssey::multiplyByHessian(const DoubleRows &rows,
                                      const InputStatistics &statistics) {
  int64_t k = statistics.channels();
  DoubleRows products = DoubleRows::Zero(rows.rows(), k);
  reference::multiplyAdd(
      MatrixView<const double>::rowMajor(rows.data(), rows.rows(), k),
      MatrixView<const float>::rowMajor(statistics.hessian().data(), k, k),
      MatrixView<double>::rowMajor(products.data(), rows.rows(), k));
  return products;
}

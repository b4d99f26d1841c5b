//===- HessianProduct.h - Rows times H --------------------------*- C++ -*-===//

#ifndef ODYSSEY_LIB_QUANTIZE_HESSIANPRODUCT_H
#define ODYSSEY_LIB_QUANTIZE_HESSIANPRODUCT_H

#include "odyssey/Quantize/InputStatistics.h"

#include <Eigen/Core>

namespace odyssey {

using DoubleRows =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// rows * H in doubles, on the calling thread.
DoubleRows multiplyByHessian(const DoubleRows &rows,
                             const InputStatistics &statistics);

} // namespace odyssey

#endif // ODYSSEY_LIB_QUANTIZE_HESSIANPRODUCT_H

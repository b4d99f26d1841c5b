//===- RankCorrelation.h - How alike two lists are ordered ------*- C++ -*-===//
//
// Plain C++: odyssey-tune takes it where no compiler is.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_SCHEDULE_RANKCORRELATION_H
#define ODYSSEY_SCHEDULE_RANKCORRELATION_H

#include <vector>

namespace odyssey {

/// Spearman's rank correlation of two lists of the same length: 1 when they
/// order alike, -1 when they order the other way round; equal values share
/// their rank. 0 where a list has no order.
double spearman(const std::vector<double> &a, const std::vector<double> &b);

} // namespace odyssey

#endif // ODYSSEY_SCHEDULE_RANKCORRELATION_H

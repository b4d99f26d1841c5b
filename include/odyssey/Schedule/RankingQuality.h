//===- RankingQuality.h - The cost model against a database -----*- C++ -*-===//
//
// How well the cost model orders the schedules that were measured on a GPU.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_SCHEDULE_RANKINGQUALITY_H
#define ODYSSEY_SCHEDULE_RANKINGQUALITY_H

#include "odyssey/Schedule/TuningDatabase.h"

#include <vector>

namespace odyssey {

/// The model and the measured schedules of a product.
struct RankingQuality {
  ProductShape shape;
  size_t measured;
  /// Spearman's, of predicted and measured times.
  double correlation;
  /// The measured time of the model's first choice over the shortest.
  double loss;
};

/// For each product that the database has two or more schedules of, measured on
/// that GPU.
std::vector<RankingQuality> rankingQuality(mlir::MLIRContext *context,
                                           const TargetDescription &target,
                                           const TuningDatabase &database);

/// The means of `correlation` and `loss`, which are not empty; `measured` is
/// the sum and `shape` means nothing.
RankingQuality meanQuality(const std::vector<RankingQuality> &products);

} // namespace odyssey

#endif // ODYSSEY_SCHEDULE_RANKINGQUALITY_H

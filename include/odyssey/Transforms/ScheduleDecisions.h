//===- ScheduleDecisions.h - Schedules of a function's products -*- C++ -*-===//

#ifndef ODYSSEY_TRANSFORMS_SCHEDULEDECISIONS_H
#define ODYSSEY_TRANSFORMS_SCHEDULEDECISIONS_H

#include "odyssey/Dialect/Odyssey/Odyssey.h"
#include "odyssey/Schedule/ScheduleSelector.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <string>
#include <vector>

namespace odyssey {

/// What was decided about one W4A8 product for one number of tokens.
struct ScheduleDecision {
  graph::MatmulOp op;
  ProductShape shape;
  ScheduleCandidate chosen;
  ScheduleOrigin origin;

  /// For people: "predicted to be the fastest of 1843 legal schedules, ...".
  std::string reason(const ScheduleSelector &selector) const;
};

/// Decides the schedule of every `odyssey.matmul` of `function` for `tokens`
/// tokens (where its size is dynamic). One that the IR has stays. Products that
/// read the same activations get schedules that want them in the same layout.
/// The IR is only read. A product that no schedule can serve, or whose schedule
/// by hand the target cannot run, is an error on it.
mlir::FailureOr<std::vector<ScheduleDecision>>
decideSchedules(mlir::func::FuncOp function, int64_t tokens,
                const ScheduleSelector &selector);

} // namespace odyssey

#endif // ODYSSEY_TRANSFORMS_SCHEDULEDECISIONS_H

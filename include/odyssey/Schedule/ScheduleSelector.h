//===- ScheduleSelector.h - The best schedule that is known -----*- C++ -*-===//
//
// Chooses the schedule of a W4A8 product: the fastest that was measured on that
// GPU, else the one that the cost model predicts to be the fastest. The same
// function serves the pass odyssey-schedule and --explain, so that what is
// explained is what is chosen.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_SCHEDULE_SCHEDULESELECTOR_H
#define ODYSSEY_SCHEDULE_SCHEDULESELECTOR_H

#include "odyssey/Schedule/TuningDatabase.h"

#include <map>
#include <optional>

namespace odyssey {

/// Who chose a schedule.
enum class ScheduleOrigin { Model, Tuning, Hand };
/// "model", "tuning", "IR".
llvm::StringRef originName(ScheduleOrigin origin);

/// A schedule that was considered.
struct ScheduleCandidate {
  fastgemm::ScheduleAttr schedule;
  Prediction prediction;
  /// Measured, where it was.
  std::optional<double> measured;
  /// The database of the measurement.
  std::string source;
  /// Its place in the enumeration.
  int64_t order;

  /// What it is chosen by.
  double seconds() const { return measured.value_or(prediction.seconds); }
};

/// What is known about a product, the best schedule first. Where some schedules
/// were measured, only those stand in front of the others.
struct ScheduleChoices {
  std::vector<ScheduleCandidate> candidates;
  /// How many were legal, and how many of them measured.
  size_t legal = 0, measured = 0;
  Floor floor = {};
  /// Why there are no candidates.
  std::string whyNot;
};

class ScheduleSelector {
public:
  ScheduleSelector(mlir::MLIRContext *context, const TargetDescription &target,
                   TuningDatabase database = {})
      : context(context), gpu(target), database(std::move(database)) {}

  const TargetDescription &target() const { return gpu; }

  /// Remembered, since models have the same product in every layer.
  const ScheduleChoices &choices(const ProductShape &shape) const;

  /// A hand-written schedule as a candidate.
  ScheduleCandidate assess(const ProductShape &shape,
                           fastgemm::ScheduleAttr schedule) const;

private:
  ScheduleChoices makeChoices(const ProductShape &shape) const;

  mlir::MLIRContext *context;
  TargetDescription gpu;
  TuningDatabase database;
  mutable std::map<ProductShape, ScheduleChoices> known;
};

} // namespace odyssey

#endif // ODYSSEY_SCHEDULE_SCHEDULESELECTOR_H

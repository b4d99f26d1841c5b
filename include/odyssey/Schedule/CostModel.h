//===- CostModel.h - The time that a schedule should take -------*- C++ -*-===//
//
// Predicts the time of a W4A8 product's kernel on a GPU from what its CTAs do:
// bytes from memory and L2, tensor core and instruction slots, shared memory
// traffic, what is in flight against the memory's latency, and how CTAs fill
// the GPU in waves. Microseconds of work for a schedule, so that all that are
// legal can be ranked. docs/schedules.md has the formulas.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_SCHEDULE_COSTMODEL_H
#define ODYSSEY_SCHEDULE_COSTMODEL_H

#include "odyssey/Dialect/FastGemm/FastGemm.h"
#include "odyssey/Schedule/Target.h"

#include <vector>

namespace odyssey {

/// A product of `tokens` x [n, k].
struct ProductShape {
  int64_t tokens, n, k;
  layout::WeightFormat weights = {};

  friend auto operator<=>(const ProductShape &, const ProductShape &) = default;
};

/// What a kernel waits for most.
enum class Bound { Memory, Latency, L2, Tensor, Issue, Shared };
/// "memory", "latency", ...
llvm::StringRef boundName(Bound bound);

struct Prediction {
  double seconds;
  Bound bound;
  /// CTAs in the grid, and how many a multiprocessor holds at once.
  int64_t ctas, occupancy;
};

/// The time below which no schedule can be: the bytes that have to move at the
/// memory's bandwidth, or the multiply-adds at the tensor cores' rate,
/// whichever is longer (`byMemory` says which).
struct Floor {
  double seconds;
  bool byMemory;
};
Floor floorOf(const TargetDescription &target, const ProductShape &shape);

/// Registers of a thread, as ptxas will give them (an estimate, within some 15
/// % of what it says).
int64_t estimateRegisters(fastgemm::ScheduleAttr schedule,
                          layout::WeightFormat weights);

/// The time of a schedule that `legalSchedules` lists.
Prediction predict(const TargetDescription &target, const ProductShape &shape,
                   fastgemm::ScheduleAttr schedule);

/// All schedules that the lowering can follow for that shape and that fit the
/// target, for weights packed in panels of `panelChannels`. When there is none,
/// `whyNot` (if given) names the constraint.
std::vector<fastgemm::ScheduleAttr>
legalSchedules(mlir::MLIRContext *context, const TargetDescription &target,
               const ProductShape &shape, int64_t panelChannels,
               std::string *whyNot = nullptr);

struct RankedSchedule {
  fastgemm::ScheduleAttr schedule;
  Prediction prediction;
  /// Its place in the enumeration, which decides between equal times and begins
  /// with the smallest tiles.
  int64_t order;
};

/// The legal schedules, the fastest first.
std::vector<RankedSchedule> rankSchedules(mlir::MLIRContext *context,
                                          const TargetDescription &target,
                                          const ProductShape &shape,
                                          int64_t panelChannels,
                                          std::string *whyNot = nullptr);

/// What of a ranking is worth measuring: at most `count`, the fastest first. Of
/// schedules that differ only in the depth of the pipeline no more than two;
/// and of each path, and way of dividing sums among CTAs on it, the fastest
/// one, as far as there is room, unless it is predicted to be hopeless.
std::vector<RankedSchedule>
pickCandidates(llvm::ArrayRef<RankedSchedule> ranked, int64_t count);

} // namespace odyssey

#endif // ODYSSEY_SCHEDULE_COSTMODEL_H

//===- Occupancy.h - CTAs that a multiprocessor holds -----------*- C++ -*-===//
//
// What fits onto a multiprocessor at once: by the registers that ptxas gave a
// kernel, and by the estimate that its schedule was chosen with.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_SCHEDULE_OCCUPANCY_H
#define ODYSSEY_SCHEDULE_OCCUPANCY_H

#include "odyssey/Dialect/FastGemm/FastGemm.h"
#include "odyssey/Schedule/Target.h"

#include <optional>

namespace odyssey {

/// CTAs that a multiprocessor holds at once, 0 where not even one fits, of
/// `threads` threads with `registers` registers each (1 or more) and of
/// `sharedBytes` bytes of shared memory.
int64_t residentCtas(const TargetDescription &target, int64_t threads,
                     int64_t registers, int64_t sharedBytes);

/// The same by the estimated registers of a schedule, at least 1: what the cost
/// model counts on and a compiled kernel has to allow. `sharedBytes` instead of
/// the schedule's, if given.
int64_t claimedCtas(const TargetDescription &target,
                    fastgemm::ScheduleAttr schedule,
                    layout::WeightFormat weights,
                    std::optional<int64_t> sharedBytes = std::nullopt);

} // namespace odyssey

#endif // ODYSSEY_SCHEDULE_OCCUPANCY_H

//===- Occupancy.cpp - CTAs that a multiprocessor holds -------------------===//

#include "odyssey/Schedule/Occupancy.h"

#include "odyssey/Schedule/CostModel.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace odyssey;

// CUDA C++ Programming Guide, "Technical specifications per compute
// capability": registers are given to warps in units of 256, and the system
// takes 1 KB of shared memory from each resident CTA.
static constexpr int64_t kRegisterUnit = 256 / 32, kReservedSharedBytes = 1024;

int64_t odyssey::residentCtas(const TargetDescription &target, int64_t threads,
                              int64_t registers, int64_t sharedBytes) {
  int64_t perCta =
      threads * static_cast<int64_t>(llvm::alignTo(registers, kRegisterUnit));
  return std::min({target.registers / perCta,
                   target.sharedBytes / (sharedBytes + kReservedSharedBytes),
                   target.maxThreads / threads, target.maxBlocks});
}

int64_t odyssey::claimedCtas(const TargetDescription &target,
                             fastgemm::ScheduleAttr schedule,
                             layout::WeightFormat weights,
                             std::optional<int64_t> sharedBytes) {
  return std::max<int64_t>(
      1, residentCtas(target, schedule.getThreads(),
                      estimateRegisters(schedule, weights),
                      sharedBytes.value_or(schedule.getSharedBytes(weights))));
}

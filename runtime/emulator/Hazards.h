//===- Hazards.h - Checks of what no GPU gives a meaning to -----*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_HAZARDS_H
#define ODYSSEY_RUNTIME_EMULATOR_HAZARDS_H

#include "MemoryOps.h"

namespace odyssey::runtime::emulator {

class HazardChecker {
public:
  explicit HazardChecker(Cta &cta) : cta(cta) {}
  void reset() {}
  void barrierCompleted(const std::vector<LaneMask> &arrived) {}
  void warpSynchronized(Warp &warp, LaneMask lanes) {}
  bool shared(Warp &warp, const Op *op, unsigned lane, Cta &owner,
              uint64_t offset, unsigned bytes, AccessKind kind) {
    return true;
  }
  bool global(Warp &warp, const Op *op, unsigned lane,
              const Allocation &allocation, uint64_t offset, unsigned bytes,
              AccessKind kind) {
    return true;
  }
  void copyIssued(Warp &warp, const PendingCopy &copy, LaneMask lanes) {}
  void copyCompleted(Warp &warp, const PendingCopy &copy, LaneMask lanes) {}

private:
  Cta &cta;
};

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_HAZARDS_H

//===- Hazards.h - Checks of what no GPU gives a meaning to -----*- C++ -*-===//
//
// For each byte of a CTA's shared memory the checker remembers who wrote and
// read it last, and for each warp what it knows of the others of its cluster: a
// vector clock. A warp's own clock advances when it releases something (it
// arrives at a barrier); waiting for a barrier takes over the clocks of all who
// arrived. Two accesses are a race when they come from different threads, one
// is a write, and the second one's warp has not heard of the first.
//
// Inside a warp the same holds with bar.warp.sync: lanes run in no known order
// between two of those.
//
// Another CTA's shared memory exists from its start to its end: an access to it
// has to come after something that this CTA has done, and its end after the
// access.
//
// What is not seen: races through global memory, and order that comes from
// atomics alone.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_HAZARDS_H
#define ODYSSEY_RUNTIME_EMULATOR_HAZARDS_H

#include "MemoryOps.h"

#include <map>

namespace odyssey::runtime::emulator {

/// What arrivers hand over to those who wait: a clock for each warp of the
/// cluster, CTA by CTA, then one for each CTA's asynchronous proxy.
using SyncClock = std::vector<uint32_t>;

class HazardChecker {
public:
  explicit HazardChecker(Cta &cta);
  /// A new CTA begins: nothing is written, nobody knows anything.
  void reset();

  /// An access of one lane to `owner`'s shared memory. False after a fault.
  bool shared(Warp &warp, const Op *op, unsigned lane, Cta &owner,
              uint64_t offset, unsigned bytes, AccessKind kind);
  bool global(Warp &warp, const Op *op, unsigned lane,
              const Allocation &allocation, uint64_t offset, unsigned bytes,
              AccessKind kind);

  /// cp.async: from the issue to the wait nobody may touch the destination;
  /// after it the bytes count as written by the thread that waited.
  void copyIssued(Warp &warp, const PendingCopy &copy, LaneMask lanes);
  void copyCompleted(Warp &warp, const PendingCopy &copy, LaneMask lanes);

  /// cp.async.bulk: the asynchronous proxy writes; who waits for the mbarrier
  /// that it signals may read.
  bool bulkIssued(Warp &warp, unsigned lane, const BulkCopy &copy);
  void bulkLanded(const BulkCopy &copy, SyncClock &clock);

  /// wgmma and bulk stores read shared memory from their issue to their wait.
  /// What ordinary instructions wrote needs a fence.proxy.async before.
  bool asyncRead(Warp &warp, const Op *op, unsigned lane, uint64_t offset,
                 unsigned bytes);
  void asyncReadDone(Warp &warp, const Op *op, uint64_t offset, unsigned bytes);
  void proxyFence(const Warp &warp);

  /// A warp's place in clocks, its own clock, and whether `warp` has heard of
  /// that of the one at another place.
  static uint32_t placeOf(const Warp &warp) {
    return static_cast<uint32_t>(warp.cta->rank * warp.cta->warps.size() +
                                 warp.index);
  }
  static uint32_t clockOf(const Warp &warp) {
    return of(warp).known[placeOf(warp)];
  }
  static bool knows(const Warp &warp, uint32_t place, uint32_t clock) {
    return of(warp).known[place] >= clock;
  }
  /// "warp 3", or, of another CTA than this one, "warp 3 of CTA 1".
  std::string nameOf(uint32_t place) const;

  static void release(const Warp &warp, SyncClock &clock);
  static void acquire(const Warp &warp, const SyncClock &clock);
  /// `warp`, of another CTA, reaches for this one's shared memory. False after
  /// a fault.
  bool reached(Warp &warp, const Op *op, unsigned lane);
  /// The CTA's last thread ends. False after a fault.
  bool ended(Warp &warp, const Op *op);
  void arrived(unsigned barrier, const Warp &warp);
  /// Those who sleep at the barrier take over what the arrivers knew.
  void completed(unsigned barrier);
  static void warpSynchronized(const Warp &warp);

private:
  /// Who accessed a byte, and when.
  struct Stamp {
    uint32_t clock = 0;
    uint32_t epoch = 0;
    uint32_t source = 0;
    /// Number of the access among all of the CTA.
    uint32_t tick = 0;
    /// The warp's place in clocks.
    uint16_t warp = 0;
    /// kSeveral if more than one lane did so in the same epoch.
    uint8_t lane = 0;
    bool valid : 1 = false;
    bool atomic : 1 = false;
  };
  static constexpr uint8_t kSeveral = 0xFF;

  struct Byte {
    Stamp write, read;
    /// Reads by several warps: index + 1 of their clocks in `readClocks`.
    uint32_t readers = 0;
    bool pending = false;
    /// Asynchronous reads that have not been waited for.
    uint16_t asyncReads = 0;
  };

  struct WarpClock {
    SyncClock known;
    uint32_t epoch = 1;
    /// At the last fence.proxy.async: what the warp knew, and the tick.
    SyncClock knownAtFence;
    uint32_t fenceTick = 0;
  };

  static WarpClock &of(const Warp &warp) {
    return warp.cta->hazards->clocks[warp.index];
  }
  /// The warp at a place in clocks; null for an asynchronous proxy.
  const Warp *warpAt(uint32_t place) const;
  static Stamp now(const Warp &warp, const Op *op, unsigned lane);
  /// Whether what `stamp` says came before anything that `warp` does now.
  static bool ordered(const Stamp &stamp, const Warp &warp, unsigned lane);
  /// The same, to this CTA's shared memory.
  bool shared(Warp &warp, const Op *op, unsigned lane, uint64_t offset,
              unsigned bytes, AccessKind kind);
  bool checkByte(Warp &warp, const Op *op, unsigned lane, uint64_t offset,
                 AccessKind kind);
  bool race(Warp &warp, const Op *op, unsigned lane, uint64_t offset,
            const char *what, const Stamp &other, const char *before);
  void noteRead(Byte &byte, const Stamp &stamp);
  void noteWrite(Byte &byte, const Stamp &stamp);

  /// Whether an asynchronous read by `warp` sees an ordinary write.
  bool fenced(const Stamp &write, const Warp &warp) const;

  Cta &cta;
  /// Warps of the cluster, and places in a clock.
  size_t warpCount, places;
  /// The place of this CTA's asynchronous proxy.
  uint16_t proxy = 0;
  uint32_t proxyClock = 0;
  uint32_t tick = 0;
  bool hasEnded = false;
  std::vector<Byte> bytes;
  /// Of this CTA's warps.
  std::vector<WarpClock> clocks;
  /// Warps of other CTAs that reached here last: when, and the line.
  std::map<uint32_t, std::pair<uint32_t, uint32_t>> visitors;
  std::array<SyncClock, kNamedBarriers> barriers;
  std::vector<SyncClock> readClocks;
  std::vector<uint32_t> freeReaders;
};

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_HAZARDS_H

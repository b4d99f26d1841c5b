//===- Hazards.h - Checks of what no GPU gives a meaning to -----*- C++ -*-===//
//
// For each byte of a CTA's shared memory the checker remembers who wrote and
// read it last, and for each warp what it knows of the others: a vector clock.
// A warp's own clock advances when it releases something (it arrives at a
// barrier); waiting for a barrier takes over the clocks of all who arrived.
// Two accesses are a race when they come from different threads, one is a
// write, and the second one's warp has not heard of the first.
//
// Inside a warp the same holds with bar.warp.sync: lanes run in no known order
// between two of those.
//
// What is not seen: races between CTAs, through global memory, and order that
// comes from atomics alone.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_HAZARDS_H
#define ODYSSEY_RUNTIME_EMULATOR_HAZARDS_H

#include "MemoryOps.h"

namespace odyssey::runtime::emulator {

/// What arrivers hand over to those who wait: a clock for each warp.
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

  /// A warp's own clock, and whether `warp` has heard of another one's.
  uint32_t clockOf(const Warp &warp) const {
    return clocks[warp.index].known[warp.index];
  }
  bool knows(const Warp &warp, uint32_t other, uint32_t clock) const {
    return clocks[warp.index].known[other] >= clock;
  }

  void release(const Warp &warp, SyncClock &clock);
  void acquire(const Warp &warp, const SyncClock &clock);
  void arrived(unsigned barrier, const Warp &warp);
  /// Those who sleep at the barrier take over what the arrivers knew.
  void completed(unsigned barrier);
  /// All warps of the CTA (and of its cluster) have arrived at barrier.cluster.
  void clusterCompleted();
  void warpSynchronized(const Warp &warp);

private:
  /// Who accessed a byte, and when.
  struct Stamp {
    uint32_t clock = 0;
    uint32_t epoch = 0;
    uint32_t source = 0;
    /// Number of the access among all of the CTA.
    uint32_t tick = 0;
    uint8_t warp = 0;
    /// kSeveral if more than one lane did so in the same epoch.
    uint8_t lane = 0;
    bool valid = false;
    bool atomic = false;
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
    /// For each warp, and last for the asynchronous proxy.
    SyncClock known;
    uint32_t epoch = 1;
    /// At the last fence.proxy.async: what the warp knew, and the tick.
    SyncClock knownAtFence;
    uint32_t fenceTick = 0;
  };

  Stamp now(const Warp &warp, const Op *op, unsigned lane) const;
  /// Whether what `stamp` says came before anything that `warp` does now.
  bool ordered(const Stamp &stamp, const Warp &warp, unsigned lane) const;
  bool checkByte(Warp &warp, const Op *op, unsigned lane, uint64_t offset,
                 AccessKind kind);
  bool race(Warp &warp, const Op *op, unsigned lane, uint64_t offset,
            const char *what, const Stamp &other, const char *before);
  bool remote(Warp &warp, const Op *op, unsigned lane, uint64_t offset,
              unsigned bytes, AccessKind kind);
  void noteRead(Byte &byte, const Stamp &stamp);
  void noteWrite(Byte &byte, const Stamp &stamp);

  /// Whether an asynchronous read by `warp` sees an ordinary write.
  bool fenced(const Stamp &write, const Warp &warp) const;

  Cta &cta;
  /// The asynchronous proxy's place in a clock.
  uint8_t proxy = 0;
  uint32_t proxyClock = 0;
  mutable uint32_t tick = 0;
  std::vector<Byte> bytes;
  std::vector<WarpClock> clocks;
  std::array<SyncClock, kNamedBarriers> barriers;
  std::vector<SyncClock> readClocks;
  std::vector<uint32_t> freeReaders;
};

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_HAZARDS_H

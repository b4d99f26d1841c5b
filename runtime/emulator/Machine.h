//===- Machine.h - State of a running kernel --------------------*- C++ -*-===//
//
// A launch is a grid of clusters; a cluster (one CTA unless the launch asks for
// more) is run by one host thread, which interleaves the cluster's warps; a
// warp is 32 lanes, split into lane groups while its lanes disagree about what
// to execute next.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_MACHINE_H
#define ODYSSEY_RUNTIME_EMULATOR_MACHINE_H

#include "Memory.h"
#include "Program.h"
#include "odyssey/runtime/Emulator.h"

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

namespace odyssey::runtime::emulator {

class Cta;
class Cluster;
class HazardChecker;

/// What all host threads that run one launch share.
struct Launch {
  const Program *program = nullptr;
  Dim3 grid, block, cluster;
  std::vector<uint8_t> parameters;
  uint32_t dynamicSharedBytes = 0;
  uint32_t sharedBytes = 0;
  const AddressSpace *memory = nullptr;
  const EmulatorOptions *options = nullptr;
  uint64_t gridId = 0;

  /// Set by the first fault; everybody stops soon after.
  std::atomic<bool> faulted = false;
  std::mutex faultMutex;
  Status fault;
  std::atomic<uint64_t> executed = 0;

  uint64_t warpsPerCta() const {
    uint64_t threads = uint64_t(block.x) * block.y * block.z;
    return (threads + kWarpLanes - 1) / kWarpLanes;
  }
};

/// Lanes of a warp that stand at the same instruction with the same callers.
struct LaneGroup {
  enum class State : uint8_t {
    Runnable,
    /// Waits for other lanes of its own warp to reach this instruction.
    WarpSync,
    /// Waits at a barrier of the CTA; `barrier` says which.
    Barrier,
    /// Waits at barrier.cluster.wait.
    ClusterBarrier,
    /// Waits for a phase of an mbarrier.
    Mbarrier,
  };
  const Op *pc = nullptr;
  LaneMask mask = 0;
  State state = State::Runnable;
  uint8_t barrier = 0;
  /// Lanes that an `.aligned` instruction at `pc` has been seen to miss.
  LaneMask awaited = 0;
  std::vector<const Op *> stack;
};

/// A copy that cp.async issued and that has not been written yet.
struct PendingCopy {
  const Op *op = nullptr;
  /// Lanes whose data has not been written yet.
  LaneMask open = 0;
  /// Lanes that have not waited for the copy yet.
  LaneMask waiting = 0;
  /// Lanes whose copy belongs to a committed group, numbered in `group`.
  LaneMask committed = 0;
  uint32_t bytes = 0;
  /// 32 whole copies side by side, on both sides.
  bool contiguous = false;
  std::array<uint32_t, kWarpLanes> group;
  /// The group of all 32 lanes where it is one, else 0: groups count from 1.
  uint32_t uniformGroup = 0;
  /// Offset into the CTA's shared memory.
  std::array<uint32_t, kWarpLanes> destination;
  std::array<uint32_t, kWarpLanes> sourceBytes;
  std::array<const uint8_t *, kWarpLanes> source;
};

/// A copy that cp.async.bulk issued and that has not been written yet.
struct BulkCopy {
  const Op *op = nullptr;
  /// Offset into the shared memory of the CTA that receives it.
  uint32_t destination = 0;
  uint32_t bytes = 0;
  uint32_t mbarrier = 0;
  const uint8_t *source = nullptr;
};

/// A copy from shared to global memory that cp.async.bulk issued.
struct BulkStore {
  unsigned lane = 0;
  /// Number of its group, 0 before the commit.
  uint32_t group = 0;
  uint32_t source = 0;
  uint32_t bytes = 0;
  uint8_t *destination = nullptr;
  const Op *op = nullptr;
};

/// A wgmma.mma_async that has been issued and not computed.
struct PendingMultiply {
  const Op *op = nullptr;
  uint64_t aDescriptor = 0, bDescriptor = 0;
  bool accumulate = true;
  /// Number of its group, 0 before the commit.
  uint32_t group = 0;
};

/// An mbarrier object. Its state is kept here and not in the 8 bytes of shared
/// memory that stand for it, which are opaque to programs.
struct Mbarrier {
  uint32_t expected = 0;
  uint32_t pending = 0;
  int64_t bytes = 0;
  /// Number of the phase that is not complete yet.
  uint64_t phase = 0;
  /// What arrivals of this phase, and of the completed ones, released.
  std::vector<uint32_t> clock, completedClock;
  /// The place of the warp that initialised it, and its clock then (Hazards.h).
  uint32_t initWarp = 0, initClock = 0;
};

/// cp.async.mbarrier.arrive: lanes whose arrival waits for their copies.
struct CopyArrival {
  Warp *warp = nullptr;
  const Op *op = nullptr;
  LaneMask lanes = 0;
  uint32_t mbarrier = 0;
};

/// Which registers the multiplications of wgmma in flight use, and what was
/// touched since the last wgmma.fence. Only when hazards are checked.
class RegisterFlow {
public:
  void reset(const Program &program);
  /// An operation is about to run. False after a fault.
  bool execute(Warp &warp, const Op *op);
  /// A multiplication is issued, or waited for.
  bool issue(Warp &warp, const Op *op);
  void done(Warp &warp, const Op *op);
  void fence() { lastFence = time; }

  /// The kernel has multiplications at all.
  bool active = false;

private:
  struct Row {
    uint64_t touched = 0;
    uint32_t accumulators = 0, operands = 0;
  };
  /// By offset into the warp's registers.
  std::unordered_map<uint32_t, Row> rows;
  uint64_t time = 1, lastFence = 1;
};

class Warp {
public:
  Warp(Cta &cta, unsigned index, LaneMask lanes);

  /// The registers at byte offset `offset`, seen as T: 32 values, or one mask.
  template <typename T> T *row(uint32_t offset) const {
    return reinterpret_cast<T *>(registers + offset);
  }
  LaneMask predicate(uint32_t offset) const { return *row<LaneMask>(offset); }
  void setPredicate(uint32_t offset, LaneMask value, LaneMask mask) {
    LaneMask &row = *this->row<LaneMask>(offset);
    row = (row & ~mask) | (value & mask);
  }

  /// Ends the launch with a fault. `lane` is a lane number, or -1 when the
  /// whole warp is at fault. Returns null, for handlers to return.
  const Op *fault(const Op *op, int lane, const std::string &what);

  /// Where control goes from here; see Handler.
  const Op *jump(const Op *target);
  const Op *branch(const Op *op, const Op *target, LaneMask taken);
  const Op *exit(const Op *op, LaneMask lanes);
  /// True when all live lanes of `members` are among `mask`. Otherwise the
  /// present group has been put to sleep at `op` and the handler returns null.
  bool converged(const Op *op, LaneMask mask, LaneMask members);
  /// The same for an `.aligned` instruction, which all threads of the warp have
  /// to execute: a fault when one of them ends instead.
  bool allMeet(const Op *op, LaneMask mask);
  /// The same for an instruction of a full warp: all 32 threads must be alive.
  bool wholeWarpMeets(const Op *op, LaneMask mask);
  /// Puts the present group to sleep; it continues at `next`.
  const Op *block(const Op *next, LaneGroup::State state, uint8_t barrier = 0);
  /// Lets other groups and warps run before `next`.
  const Op *yield(const Op *next);

  /// Runs until all lanes wait or have exited, or `budget` operations have
  /// been executed; takes what it used from `budget`.
  void run(uint64_t &budget);
  bool done() const { return groups.empty(); }
  bool runnable() const;
  void wake(LaneGroup::State state, uint8_t barrier);
  LaneGroup &group() { return groups[current]; }

  uint8_t *registers = nullptr;
  const Program *program = nullptr;
  Cta *cta = nullptr;
  Launch *launch = nullptr;
  unsigned index = 0;
  /// Lanes that exist and have not exited.
  LaneMask live = 0;
  /// Lanes of the group that runs now.
  LaneMask active = 0;
  std::vector<LaneGroup> groups;
  /// Present group of `groups`.
  size_t current = 0;
  uint8_t *local = nullptr;
  /// The warp gave up its turn; it is only run again when others had theirs.
  bool yielded = false;
  uint64_t randomState = 0;

  std::vector<std::unique_ptr<PendingCopy>> copies;
  /// Those that are done with, for the next ones.
  std::vector<std::unique_ptr<PendingCopy>> spareCopies;
  std::array<uint32_t, kWarpLanes> copyGroups = {};
  std::vector<BulkStore> bulkStores;
  std::array<uint32_t, kWarpLanes> bulkGroups = {};
  std::vector<PendingMultiply> multiplies;
  uint32_t multiplyGroups = 0;
  RegisterFlow registerFlow;
  /// Generation of the cluster's barrier that each lane arrived in.
  std::array<uint64_t, kWarpLanes> clusterPhase = {};

  /// Allocations that memory operations used last, by operation.
  static constexpr unsigned kCacheSlots = 64;
  std::array<const Allocation *, kCacheSlots> allocationCache = {};

private:
  bool choose();
  void merge();

  /// The present group runs until it reaches this operation, where another
  /// group waits to be merged.
  const Op *stop = nullptr;
  bool rotate = false;
  std::vector<uint8_t> registerStorage;
  std::vector<uint8_t> localStorage;
};

inline constexpr unsigned kNamedBarriers = 16;

/// One of the named barriers of a CTA.
struct Barrier {
  /// Threads that have to arrive in this phase (kAllLanes: all of the CTA); 0
  /// before the first arrival.
  uint32_t expected = 0;
  /// bar.red: what the predicates of this phase come to so far, and what those
  /// of the last one came to.
  uint32_t count = 0, lastCount = 0;
  bool all = true, lastAll = true;
  bool any = false, lastAny = false;
  /// For each warp the lanes that arrived.
  std::vector<LaneMask> arrived;

  void beginPhase() {
    lastCount = std::exchange(count, 0);
    lastAll = std::exchange(all, true);
    lastAny = std::exchange(any, false);
    expected = 0;
    arrived.assign(arrived.size(), 0);
  }
};

class Cta {
public:
  Cta(Cluster &cluster, Launch &launch, unsigned rank);
  /// Makes this the CTA at `id`, in its initial state.
  void reset(Dim3 id, Dim3 clusterId);

  /// A group of `warp` arrives at a barrier with `lanes`; `threads` is the
  /// count of the instruction, or 0 for all threads of the CTA. Returns true
  /// when that completes the phase, whose sleepers are then awake.
  bool arrive(Warp &warp, unsigned barrier, LaneMask lanes, uint32_t threads);
  /// Exited lanes no longer count; completes the barriers that waited for them.
  void lanesExited();

  Cluster &cluster;
  Launch &launch;
  unsigned rank = 0;
  Dim3 id;
  uint8_t *shared = nullptr;
  std::vector<std::unique_ptr<Warp>> warps;
  std::array<Barrier, kNamedBarriers> barriers;
  std::unique_ptr<HazardChecker> hazards;
  /// By offset into the shared memory.
  std::map<uint32_t, Mbarrier> mbarriers;
  std::vector<BulkCopy> bulkCopies;
  std::vector<CopyArrival> copyArrivals;

private:
  bool complete(unsigned barrier);
  void fillSpecials(Warp &warp, Dim3 clusterId);

  std::vector<uint8_t> sharedStorage;
};

class Cluster {
public:
  explicit Cluster(Launch &launch);
  ~Cluster();
  /// Makes this the cluster number `index` of the grid.
  void reset(uint64_t index);
  /// Runs for about `budget` operations. True when all threads have exited or
  /// the launch has a fault.
  bool run(uint64_t budget);

  /// barrier.cluster: lanes of `warp` arrive.
  void arrive(Warp &warp, LaneMask lanes);
  /// Completes the barrier if it only waited for lanes that have exited.
  void lanesExited();
  uint64_t barrierPhase() const { return phase; }
  /// barrier.cluster: `warp` goes on behind the last completed phase.
  void passed(const Warp &warp) const;

  Launch &launch;
  std::vector<std::unique_ptr<Cta>> ctas;

private:
  void reportDeadlock();

  uint64_t phase = 0;
  /// For each warp of `warps` the lanes that arrived at the barrier.
  std::vector<LaneMask> arrived;
  /// What arrivals of this phase, and of the completed one, released (see
  /// Hazards.h).
  std::vector<uint32_t> clock, completedClock;
  std::vector<Warp *> warps;

  std::vector<Warp *> order;
  uint64_t randomState = 0;
};

/// Runs all clusters of a launch on `threads` host threads.
Status runGrid(Launch &launch, unsigned threads);

/// A step of the pseudo-random sequence (splitmix64).
inline uint64_t nextRandom(uint64_t &state) {
  uint64_t z = state += 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_MACHINE_H

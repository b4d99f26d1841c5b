//===- Cta.cpp - CTAs, clusters and the grid ------------------------------===//

#include "Hazards.h"
#include "Machine.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <deque>
#include <thread>

namespace odyssey::runtime::emulator {

namespace {
/// Rows of registers begin at multiples of a cache line.
constexpr size_t kRowAlignment = 64;

uint8_t *aligned(std::vector<uint8_t> &storage, size_t bytes,
                 size_t alignment) {
  storage.assign(bytes + alignment, 0);
  auto address = reinterpret_cast<uintptr_t>(storage.data());
  return storage.data() + ((alignment - address % alignment) % alignment);
}

template <typename T> void broadcast(uint8_t *row, T value) {
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    reinterpret_cast<T *>(row)[lane] = value;
}

/// Dim3 of a linear number, x fastest.
Dim3 unflatten(uint64_t linear, Dim3 extent) {
  Dim3 result;
  result.x = static_cast<uint32_t>(linear % extent.x);
  result.y = static_cast<uint32_t>(linear / extent.x % extent.y);
  result.z = static_cast<uint32_t>(linear / extent.x / extent.y);
  return result;
}
} // namespace

Warp::Warp(Cta &cta, unsigned index, LaneMask lanes)
    : program(cta.launch.program), cta(&cta), launch(&cta.launch), index(index),
      live(lanes) {
  registers = aligned(registerStorage, program->registerBytes, kRowAlignment);
  local = aligned(localStorage, size_t(program->localBytes) * kWarpLanes,
                  kRowAlignment);
  for (const ConstantRow &constant : program->constants) {
    uint8_t *row = registers + constant.offset;
    switch (constant.bytes) {
    case 0:
      *reinterpret_cast<LaneMask *>(row) = constant.bits ? kAllLanes : 0;
      break;
    case 2:
      broadcast(row, static_cast<uint16_t>(constant.bits));
      break;
    case 4:
      broadcast(row, static_cast<uint32_t>(constant.bits));
      break;
    default:
      broadcast(row, constant.bits);
    }
  }
}

Cta::Cta(Cluster &cluster, Launch &launch, unsigned rank)
    : cluster(cluster), launch(launch), rank(rank) {
  shared = aligned(sharedStorage, launch.sharedBytes, 1024);
  uint64_t threads = uint64_t(launch.block.x) * launch.block.y * launch.block.z;
  for (unsigned w = 0; w < launch.warpsPerCta(); ++w) {
    uint64_t left = threads - uint64_t(w) * kWarpLanes;
    LaneMask lanes = left >= kWarpLanes ? kAllLanes : (1u << left) - 1;
    warps.push_back(std::make_unique<Warp>(*this, w, lanes));
  }
  for (Barrier &barrier : barriers)
    barrier.arrived.assign(warps.size(), 0);
  if (launch.options->checkHazards)
    hazards = std::make_unique<HazardChecker>(*this);
}

void Cta::fillSpecials(Warp &warp, Dim3 clusterId) {
  const Dim3 &block = launch.block, &grid = launch.grid, &size = launch.cluster;
  Dim3 inCluster = unflatten(rank, size);
  auto value = [&](Special special, unsigned lane) -> uint32_t {
    uint32_t linear = warp.index * kWarpLanes + lane;
    uint32_t bit = 1u << lane;
    switch (special) {
    case Special::TidX:
      return linear % block.x;
    case Special::TidY:
      return linear / block.x % block.y;
    case Special::TidZ:
      return linear / block.x / block.y;
    case Special::NtidX:
      return block.x;
    case Special::NtidY:
      return block.y;
    case Special::NtidZ:
      return block.z;
    case Special::CtaidX:
      return id.x;
    case Special::CtaidY:
      return id.y;
    case Special::CtaidZ:
      return id.z;
    case Special::NctaidX:
      return grid.x;
    case Special::NctaidY:
      return grid.y;
    case Special::NctaidZ:
      return grid.z;
    case Special::LaneId:
      return lane;
    case Special::WarpId:
      return warp.index;
    case Special::NwarpId:
      return static_cast<uint32_t>(warps.size());
    case Special::SmId:
    case Special::Zero:
      return 0;
    case Special::NsmId:
    case Special::IsExplicitCluster:
      return special == Special::NsmId || size.x * size.y * size.z > 1;
    case Special::GridId:
      return static_cast<uint32_t>(launch.gridId);
    case Special::LanemaskEq:
      return bit;
    case Special::LanemaskLe:
      return bit | (bit - 1);
    case Special::LanemaskLt:
      return bit - 1;
    case Special::LanemaskGe:
      return ~(bit - 1);
    case Special::LanemaskGt:
      return ~(bit | (bit - 1));
    case Special::DynamicSharedBytes:
      return launch.dynamicSharedBytes;
    case Special::TotalSharedBytes:
      return launch.sharedBytes;
    case Special::ClusterCtaidX:
      return inCluster.x;
    case Special::ClusterCtaidY:
      return inCluster.y;
    case Special::ClusterCtaidZ:
      return inCluster.z;
    case Special::ClusterNctaidX:
      return size.x;
    case Special::ClusterNctaidY:
      return size.y;
    case Special::ClusterNctaidZ:
      return size.z;
    case Special::ClusterCtaRank:
      return rank;
    case Special::ClusterNctaRank:
      return size.x * size.y * size.z;
    case Special::ClusteridX:
      return clusterId.x;
    case Special::ClusteridY:
      return clusterId.y;
    case Special::ClusteridZ:
      return clusterId.z;
    case Special::NclusteridX:
      return grid.x / size.x;
    case Special::NclusteridY:
      return grid.y / size.y;
    case Special::NclusteridZ:
      return grid.z / size.z;
    }
    return 0;
  };
  for (const SpecialRow &special : launch.program->specials)
    for (unsigned lane = 0; lane < kWarpLanes; ++lane)
      warp.row<uint32_t>(special.offset)[lane] = value(special.value, lane);
}

void Cta::reset(Dim3 newId, Dim3 clusterId) {
  id = newId;
  // What shared memory held before is nobody's business; a fixed pattern makes
  // a kernel that reads it fail alike every time.
  std::memset(shared, 0xFF, launch.sharedBytes);
  for (Barrier &barrier : barriers)
    barrier.beginPhase();
  mbarriers.clear();
  bulkCopies.clear();
  copyArrivals.clear();
  uint64_t threads = uint64_t(launch.block.x) * launch.block.y * launch.block.z;
  for (auto &warp : warps) {
    uint64_t left = threads - uint64_t(warp->index) * kWarpLanes;
    warp->live = left >= kWarpLanes ? kAllLanes : (1u << left) - 1;
    LaneGroup all;
    all.pc = launch.program->ops.data();
    all.mask = warp->live;
    warp->groups.assign(1, all);
    warp->current = 0;
    warp->copies.clear();
    warp->copyGroups = {};
    warp->bulkStores.clear();
    warp->bulkGroups = {};
    warp->multiplies.clear();
    warp->multiplyGroups = 0;
    warp->clusterPhase = {};
    warp->randomState = launch.options->seed ^
                        (uint64_t(id.x) << 40 | uint64_t(id.y) << 20 | id.z) ^
                        (uint64_t(warp->index) << 56);
    if (hazards)
      warp->registerFlow.reset(*launch.program);
    fillSpecials(*warp, clusterId);
  }
  if (hazards)
    hazards->reset();
}

bool Cta::complete(unsigned number) {
  Barrier &barrier = barriers[number];
  uint32_t threads = 0;
  for (size_t w = 0; w < warps.size(); ++w) {
    LaneMask arrived = barrier.arrived[w];
    // A warp counts once all of its lanes that still run have arrived.
    if (arrived && !(warps[w]->live & ~arrived))
      threads += kWarpLanes;
    else if (!arrived && !warps[w]->live && barrier.expected == kAllLanes)
      threads += kWarpLanes;
  }
  uint32_t needed = barrier.expected == kAllLanes
                        ? static_cast<uint32_t>(warps.size()) * kWarpLanes
                        : barrier.expected;
  if (threads < needed)
    return false;
  if (hazards)
    hazards->completed(number);
  barrier.beginPhase();
  for (auto &warp : warps)
    warp->wake(LaneGroup::State::Barrier, static_cast<uint8_t>(number));
  return true;
}

bool Cta::arrive(Warp &warp, unsigned number, LaneMask lanes,
                 uint32_t threads) {
  Barrier &barrier = barriers[number];
  barrier.expected = threads ? threads : kAllLanes;
  barrier.arrived[warp.index] |= lanes;
  if (hazards)
    hazards->arrived(number, warp);
  return complete(number);
}

void Cta::lanesExited() {
  for (unsigned number = 0; number < barriers.size(); ++number)
    if (barriers[number].expected)
      complete(number);
  cluster.lanesExited();
}

Cluster::Cluster(Launch &launch) : launch(launch) {
  unsigned count = launch.cluster.x * launch.cluster.y * launch.cluster.z;
  for (unsigned rank = 0; rank < count; ++rank) {
    ctas.push_back(std::make_unique<Cta>(*this, launch, rank));
    for (auto &warp : ctas.back()->warps)
      warps.push_back(warp.get());
  }
  order = warps;
  arrived.assign(warps.size(), 0);
}

Cluster::~Cluster() = default;

void Cluster::reset(uint64_t index) {
  const Dim3 &size = launch.cluster;
  Dim3 clusters{launch.grid.x / size.x, launch.grid.y / size.y,
                launch.grid.z / size.z};
  Dim3 id = unflatten(index, clusters);
  for (auto &cta : ctas) {
    Dim3 inCluster = unflatten(cta->rank, size);
    cta->reset({id.x * size.x + inCluster.x, id.y * size.y + inCluster.y,
                id.z * size.z + inCluster.z},
               id);
  }
  randomState = launch.options->seed + index;
  order = warps;
  phase = 0;
  arrived.assign(warps.size(), 0);
  clock.clear();
  completedClock.clear();
}

void Cluster::arrive(Warp &warp, LaneMask lanes) {
  size_t index = warp.cta->rank * warp.cta->warps.size() + warp.index;
  arrived[index] |= lanes;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    if (lanes >> lane & 1)
      warp.clusterPhase[lane] = phase;
  if (warp.cta->hazards)
    HazardChecker::release(warp, clock);
  lanesExited();
}

void Cluster::passed(const Warp &warp) const {
  if (!warp.cta->hazards)
    return;
  HazardChecker::acquire(warp, completedClock);
  HazardChecker::warpSynchronized(warp);
}

void Cluster::lanesExited() {
  bool any = false;
  for (size_t i = 0; i < warps.size(); ++i) {
    any |= arrived[i] != 0;
    if (warps[i]->live & ~arrived[i])
      return;
  }
  if (!any)
    return;
  ++phase;
  arrived.assign(warps.size(), 0);
  completedClock = std::exchange(clock, {});
  for (Warp *warp : warps)
    warp->wake(LaneGroup::State::ClusterBarrier, 0);
}

/// Operations after which another warp gets its turn, in the fixed order too.
static constexpr uint64_t kWarpSlice = 1 << 13;

bool Cluster::run(uint64_t budget) {
  bool random = launch.options->seed != 0;
  while (budget > 0) {
    bool allDone = true, progress = false;
    if (random)
      for (size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[nextRandom(randomState) % i]);
    for (Warp *warp : order) {
      if (warp->done())
        continue;
      allDone = false;
      if (!warp->runnable())
        continue;
      progress = true;
      uint64_t slice = std::min(
          random ? 1 + nextRandom(randomState) % 64 : kWarpSlice, budget);
      uint64_t left = slice;
      warp->run(left);
      budget -= slice - left;
      if (launch.faulted.load(std::memory_order_relaxed))
        return true;
      if (budget == 0)
        return false;
    }
    if (allDone)
      return true;
    if (!progress) {
      reportDeadlock();
      return true;
    }
  }
  return false;
}

/// Nobody can run: says where every lane waits.
void Cluster::reportDeadlock() {
  std::string text = "kernel '" + launch.program->name + "': deadlock";
  for (auto &cta : ctas) {
    text += "; CTA (" + std::to_string(cta->id.x) + "," +
            std::to_string(cta->id.y) + "," + std::to_string(cta->id.z) + ")";
    for (auto &warp : cta->warps)
      for (const LaneGroup &group : warp->groups) {
        // A group sleeps behind a barrier, but at any other operation.
        const Op *at =
            group.state == LaneGroup::State::Barrier ? group.pc - 1 : group.pc;
        const Source &source = launch.program->sources[at->source];
        char lanes[16];
        std::snprintf(lanes, sizeof(lanes), "%08x", group.mask);
        text += ", warp " + std::to_string(warp->index) + " lanes " + lanes +
                " wait at line " + std::to_string(source.line) + " '" +
                source.text + "'";
      }
  }
  std::lock_guard<std::mutex> lock(launch.faultMutex);
  if (!launch.faulted.exchange(true))
    launch.fault = deviceFault(text);
}

namespace {

/// Operations after which a cluster lets the next one of the grid begin, for
/// kernels in which a CTA waits for another one.
constexpr uint64_t kClusterSlice = uint64_t(1) << 21;
/// Clusters that one host thread interleaves at most.
constexpr size_t kResidentClusters = 32;

void runWorker(Launch &launch, std::atomic<uint64_t> &next, uint64_t count) {
  std::deque<std::unique_ptr<Cluster>> running;
  std::unique_ptr<Cluster> spare;
  for (;;) {
    if (launch.faulted.load(std::memory_order_relaxed))
      return;
    uint64_t index = count;
    if (running.size() < kResidentClusters)
      index = next.fetch_add(1, std::memory_order_relaxed);
    if (index < count) {
      if (!spare)
        spare = std::make_unique<Cluster>(launch);
      spare->reset(index);
      running.push_front(std::move(spare));
    } else if (running.empty()) {
      return;
    }
    std::unique_ptr<Cluster> cluster = std::move(running.front());
    running.pop_front();
    if (cluster->run(kClusterSlice))
      spare = std::move(cluster);
    else
      running.push_back(std::move(cluster));
  }
}

} // namespace

Status runGrid(Launch &launch, unsigned threads) {
  const Dim3 &size = launch.cluster;
  uint64_t count = uint64_t(launch.grid.x / size.x) * (launch.grid.y / size.y) *
                   (launch.grid.z / size.z);
  std::atomic<uint64_t> next = 0;
  threads = static_cast<unsigned>(std::min<uint64_t>(threads, count));
  if (threads <= 1) {
    runWorker(launch, next, count);
  } else {
    std::vector<std::thread> workers;
    for (unsigned t = 0; t + 1 < threads; ++t)
      workers.emplace_back([&] { runWorker(launch, next, count); });
    runWorker(launch, next, count);
    for (std::thread &worker : workers)
      worker.join();
  }
  return launch.faulted ? launch.fault : Status::success();
}

} // namespace odyssey::runtime::emulator

//===- Warp.cpp - Lane groups and the inner loop of the emulator ----------===//
//
// While its lanes agree a warp is one group and the loop below is all that
// runs. When they part, each side becomes a group with its own program counter.
// The group with the lowest one runs first, up to the next higher one, where
// the two merge: compilers lay code out so that the point where paths meet has
// a higher address than the paths, so lanes come together as early as possible.
//
//===----------------------------------------------------------------------===//

#include "Hazards.h"
#include "Machine.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace odyssey::runtime::emulator {

namespace {
std::string threadName(const Warp &warp, int lane) {
  const Dim3 &block = warp.launch->block;
  uint32_t linear = warp.index * kWarpLanes + lane;
  return "(" + std::to_string(linear % block.x) + "," +
         std::to_string(linear / block.x % block.y) + "," +
         std::to_string(linear / block.x / block.y) + ")";
}
} // namespace

const Op *Warp::fault(const Op *op, int lane, const std::string &what) {
  const Source &source = program->sources[op->source];
  const Dim3 &id = cta->id;
  std::string where =
      "kernel '" + program->name + "': " + what + "; line " +
      std::to_string(source.line) + " '" + source.text + "'" +
      (source.function == program->name ? ""
                                        : " of '" + source.function + "'") +
      ", CTA (" + std::to_string(id.x) + "," + std::to_string(id.y) + "," +
      std::to_string(id.z) + "), " +
      (lane < 0 ? "warp " + std::to_string(index)
                : "thread " + threadName(*this, lane));
  std::lock_guard<std::mutex> lock(launch->faultMutex);
  if (!launch->faulted.exchange(true))
    launch->fault = deviceFault(where);
  return nullptr;
}

const Op *Warp::jump(const Op *target) {
  if (groups.size() == 1)
    return target;
  group().pc = target;
  return nullptr;
}

const Op *Warp::branch(const Op *op, const Op *target, LaneMask taken) {
  if (taken == active)
    return jump(target);
  LaneGroup other = group();
  other.pc = target;
  other.mask = taken;
  group().pc = op + 1;
  group().mask = active & ~taken;
  groups.push_back(std::move(other));
  return nullptr;
}

const Op *Warp::exit(const Op *op, LaneMask lanes) {
  live &= ~lanes;
  group().pc = op + 1;
  group().mask &= ~lanes;
  if (!group().mask)
    groups.erase(groups.begin() + static_cast<ptrdiff_t>(current));
  wake(LaneGroup::State::WarpSync, 0);
  bool ends = std::all_of(cta->warps.begin(), cta->warps.end(),
                          [](const auto &warp) { return !warp->live; });
  if (ends && cta->hazards && !cta->hazards->ended(*this, op))
    return nullptr;
  cta->lanesExited();
  return nullptr;
}

bool Warp::converged(const Op *op, LaneMask mask, LaneMask members) {
  if (!(members & live & ~mask))
    return true;
  block(op, LaneGroup::State::WarpSync);
  return false;
}

bool Warp::allMeet(const Op *op, LaneMask mask) {
  // Lanes that a guard switches off, or that were awaited and have exited.
  LaneMask missing = (group().mask | (group().awaited & ~live)) & ~mask;
  if (missing) {
    fault(op, __builtin_ctz(missing),
          "thread does not execute what all threads of its warp must execute");
    return false;
  }
  if (converged(op, mask, live)) {
    group().awaited = 0;
    return true;
  }
  group().awaited |= live & ~mask;
  return false;
}

bool Warp::wholeWarpMeets(const Op *op, LaneMask mask) {
  if (mask == kAllLanes)
    return true;
  if (allMeet(op, mask))
    fault(
        op, __builtin_ctz(mask),
        "not all 32 threads of the warp are there for a warp-wide instruction");
  return false;
}

const Op *Warp::block(const Op *next, LaneGroup::State state, uint8_t barrier) {
  group().pc = next;
  group().state = state;
  group().barrier = barrier;
  return nullptr;
}

const Op *Warp::yield(const Op *next) {
  group().pc = next;
  yielded = true;
  rotate = true;
  return nullptr;
}

bool Warp::runnable() const {
  for (const LaneGroup &candidate : groups)
    if (candidate.state == LaneGroup::State::Runnable)
      return true;
  return false;
}

void Warp::wake(LaneGroup::State state, uint8_t barrier) {
  for (LaneGroup &sleeper : groups)
    if (sleeper.state == state && sleeper.barrier == barrier) {
      sleeper.state = LaneGroup::State::Runnable;
      sleeper.barrier = 0;
    }
}

/// Merges groups that stand at the same place. Those that sleep at a warp-wide
/// operation wake up by it, as more lanes have arrived.
void Warp::merge() {
  auto open = [](const LaneGroup &g) {
    return g.state == LaneGroup::State::Runnable ||
           g.state == LaneGroup::State::WarpSync;
  };
  for (size_t i = 0; i < groups.size(); ++i) {
    for (size_t j = groups.size(); open(groups[i]) && --j > i;) {
      LaneGroup &one = groups[i], &two = groups[j];
      if (!open(two) || one.pc != two.pc || one.stack != two.stack)
        continue;
      one.mask |= two.mask;
      one.awaited |= two.awaited;
      one.state = LaneGroup::State::Runnable;
      groups.erase(groups.begin() + static_cast<ptrdiff_t>(j));
    }
  }
}

/// Picks the group to run and where it has to stop. False when none can run.
bool Warp::choose() {
  if (groups.size() == 1) {
    current = 0;
    stop = nullptr;
    rotate = false;
    active = groups[0].mask;
    return groups[0].state == LaneGroup::State::Runnable;
  }
  size_t previous = current;
  merge();
  size_t chosen = groups.size();
  for (size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].state != LaneGroup::State::Runnable)
      continue;
    // After a yield the turn goes round, or a loop that waits for lanes
    // further down would never let them run.
    bool better = chosen == groups.size() || groups[i].pc < groups[chosen].pc;
    if (rotate)
      better = chosen == groups.size() || (i > previous && chosen <= previous);
    if (better)
      chosen = i;
  }
  rotate = false;
  if (chosen == groups.size())
    return false;
  current = chosen;
  active = groups[chosen].mask;
  stop = nullptr;
  for (const LaneGroup &other : groups)
    if ((other.state == LaneGroup::State::Runnable ||
         other.state == LaneGroup::State::WarpSync) &&
        other.pc > groups[chosen].pc && (!stop || other.pc < stop))
      stop = other.pc;
  return true;
}

/// Operations after which another lane group gets its turn: the present one may
/// wait in a loop for what only the other can do, like the lanes of a warp that
/// take a lock one after another.
static constexpr uint64_t kGroupSlice = 1024;

void Warp::run(uint64_t &budget) {
  uint64_t total = budget;
  yielded = false;
  while (!groups.empty() && !yielded && choose()) {
    const Op *op = groups[current].pc;
    const Op *end = stop;
    uint64_t slice = groups.size() > 1 ? std::min(total, kGroupSlice) : total;
    uint64_t left = slice;
    while (op != end) {
      if (left == 0) {
        groups[current].pc = op;
        rotate = true;
        op = nullptr;
        break;
      }
      --left;
      LaneMask mask = active & (predicate(op->guard) ^ op->guardFlip);
      if (!mask) {
        ++op;
        continue;
      }
      if (registerFlow.active && !registerFlow.execute(*this, op)) {
        op = nullptr;
        break;
      }
      op = op->run(*this, op, mask);
      if (!op)
        break;
    }
    if (op)
      groups[current].pc = op;
    total -= slice - left;
    if (total == 0 || launch->faulted.load(std::memory_order_relaxed))
      break;
  }
  budget = total;
}

} // namespace odyssey::runtime::emulator

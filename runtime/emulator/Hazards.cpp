//===- Hazards.cpp - Checks of what no GPU gives a meaning to -------------===//

#include "Hazards.h"

#include <algorithm>

namespace odyssey::runtime::emulator {

HazardChecker::HazardChecker(Cta &cta) : cta(cta) {
  const Dim3 &size = cta.launch.cluster;
  size_t ctas = size_t(size.x) * size.y * size.z;
  warpCount = ctas * cta.warps.size();
  places = warpCount + ctas;
  reset();
}

void HazardChecker::reset() {
  proxy = static_cast<uint16_t>(warpCount + cta.rank);
  proxyClock = 0;
  tick = 0;
  hasEnded = false;
  bytes.assign(cta.launch.sharedBytes, Byte());
  WarpClock ignorant;
  ignorant.known.assign(places, 0);
  ignorant.knownAtFence.assign(places, 0);
  clocks.assign(cta.warps.size(), ignorant);
  for (size_t w = 0; w < clocks.size(); ++w)
    clocks[w].known[cta.rank * clocks.size() + w] = 1;
  for (SyncClock &barrier : barriers)
    barrier.assign(places, 0);
  visitors.clear();
  readClocks.clear();
  freeReaders.clear();
}

const Warp *HazardChecker::warpAt(uint32_t place) const {
  if (place >= warpCount)
    return nullptr;
  size_t perCta = cta.warps.size();
  return cta.cluster.ctas[place / perCta]->warps[place % perCta].get();
}

std::string HazardChecker::nameOf(uint32_t place) const {
  const Warp *warp = warpAt(place);
  if (!warp)
    return "an asynchronous copy";
  std::string name = "warp " + std::to_string(warp->index);
  if (warp->cta != &cta)
    name += " of CTA " + std::to_string(warp->cta->rank);
  return name;
}

HazardChecker::Stamp HazardChecker::now(const Warp &warp, const Op *op,
                                        unsigned lane) {
  const WarpClock &clock = of(warp);
  Stamp stamp;
  stamp.clock = clockOf(warp);
  stamp.epoch = clock.epoch;
  stamp.source = op->source;
  stamp.tick = ++warp.cta->hazards->tick;
  stamp.warp = static_cast<uint16_t>(placeOf(warp));
  stamp.lane = static_cast<uint8_t>(lane);
  stamp.valid = true;
  stamp.atomic = (op->flags & kSynchronizing) != 0;
  return stamp;
}

bool HazardChecker::ordered(const Stamp &stamp, const Warp &warp,
                            unsigned lane) {
  const WarpClock &clock = of(warp);
  if (stamp.warp != placeOf(warp))
    return clock.known[stamp.warp] >= stamp.clock;
  return stamp.lane == lane || stamp.epoch < clock.epoch;
}

bool HazardChecker::race(Warp &warp, const Op *op, unsigned lane,
                         uint64_t offset, const char *what, const Stamp &other,
                         const char *before) {
  const Source &source = warp.program->sources[other.source];
  warp.fault(
      op, static_cast<int>(lane),
      std::string("shared memory race: ") + what + " of the byte at " +
          std::to_string(kSharedBase + offset) + " has no order to the " +
          before + " by " + nameOf(other.warp) +
          (other.lane == kSeveral || !warpAt(other.warp)
               ? std::string()
               : " lane " + std::to_string(other.lane)) +
          " in line " + std::to_string(source.line) + " '" + source.text + "'");
  return false;
}

void HazardChecker::noteRead(Byte &byte, const Stamp &stamp) {
  Stamp &last = byte.read;
  if (last.valid && last.warp != stamp.warp && !byte.readers) {
    if (freeReaders.empty()) {
      readClocks.emplace_back(places, 0);
      byte.readers = static_cast<uint32_t>(readClocks.size());
    } else {
      byte.readers = freeReaders.back();
      freeReaders.pop_back();
      readClocks[byte.readers - 1].assign(places, 0);
    }
    readClocks[byte.readers - 1][last.warp] = last.clock;
  }
  if (byte.readers)
    readClocks[byte.readers - 1][stamp.warp] = stamp.clock;
  bool several = last.valid && last.warp == stamp.warp &&
                 last.epoch == stamp.epoch && last.lane != stamp.lane;
  last = stamp;
  if (several)
    last.lane = kSeveral;
}

void HazardChecker::noteWrite(Byte &byte, const Stamp &stamp) {
  byte.write = stamp;
  byte.read = Stamp();
  if (byte.readers) {
    freeReaders.push_back(byte.readers);
    byte.readers = 0;
  }
}

bool HazardChecker::checkByte(Warp &warp, const Op *op, unsigned lane,
                              uint64_t offset, AccessKind kind) {
  Byte &byte = bytes[offset];
  bool writes = kind != AccessKind::Read;
  bool atomic = kind == AccessKind::Atomic || (op->flags & kSynchronizing);
  const char *what = writes ? "write" : "read";
  if (byte.pending) {
    const Source &source = warp.program->sources[byte.write.source];
    warp.fault(op, static_cast<int>(lane),
               std::string(what) + " of the shared byte at " +
                   std::to_string(kSharedBase + offset) +
                   ", which an asynchronous copy still has to write (issued in "
                   "line " +
                   std::to_string(source.line) + " by " +
                   nameOf(byte.write.warp) + ", not waited for)");
    return false;
  }
  if (kind != AccessKind::Write && !byte.write.valid) {
    warp.fault(op, static_cast<int>(lane),
               "read of the shared byte at " +
                   std::to_string(kSharedBase + offset) +
                   ", which nobody has written");
    return false;
  }
  if (writes && byte.asyncReads) {
    warp.fault(op, static_cast<int>(lane),
               "write of the shared byte at " +
                   std::to_string(kSharedBase + offset) +
                   ", which an asynchronous operation still reads");
    return false;
  }
  for (auto &[place, mbarrier] : cta.mbarriers)
    if (offset - place < 8) {
      warp.fault(op, static_cast<int>(lane),
                 std::string(what) + " of a live mbarrier at " +
                     std::to_string(kSharedBase + place));
      return false;
    }
  const Stamp &write = byte.write;
  // Lanes of one warp that write the same place leave one of the values there;
  // that is allowed.
  bool sameWarpWrites = writes && write.warp == placeOf(warp);
  if (write.valid && !(atomic && write.atomic) && !sameWarpWrites &&
      !ordered(write, warp, lane))
    return race(warp, op, lane, offset, what, write, "write");
  if (!writes)
    return true;
  const Stamp &read = byte.read;
  if (read.valid && !(atomic && read.atomic) && !ordered(read, warp, lane))
    return race(warp, op, lane, offset, what, read, "read");
  if (byte.readers && !atomic) {
    const SyncClock &readers = readClocks[byte.readers - 1];
    for (size_t w = 0; w < readers.size(); ++w) {
      if (w == placeOf(warp) || readers[w] <= of(warp).known[w])
        continue;
      Stamp other = read;
      other.warp = static_cast<uint16_t>(w);
      other.lane = kSeveral;
      return race(warp, op, lane, offset, what, other, "read");
    }
  }
  return true;
}

bool HazardChecker::shared(Warp &warp, const Op *op, unsigned lane, Cta &owner,
                           uint64_t offset, unsigned count, AccessKind kind) {
  if (&owner != &cta)
    return owner.hazards->reached(warp, op, lane) &&
           owner.hazards->shared(warp, op, lane, offset, count, kind);
  return shared(warp, op, lane, offset, count, kind);
}

bool HazardChecker::shared(Warp &warp, const Op *op, unsigned lane,
                           uint64_t offset, unsigned count, AccessKind kind) {
  Stamp stamp = now(warp, op, lane);
  stamp.atomic |= kind == AccessKind::Atomic;
  for (uint64_t i = offset; i < offset + count; ++i) {
    if (!checkByte(warp, op, lane, i, kind))
      return false;
    if (kind == AccessKind::Read)
      noteRead(bytes[i], stamp);
    else
      noteWrite(bytes[i], stamp);
  }
  return true;
}

bool HazardChecker::reached(Warp &warp, const Op *op, unsigned lane) {
  const SyncClock &known = of(warp).known;
  size_t first = cta.rank * cta.warps.size();
  bool hasStarted =
      std::any_of(known.begin() + static_cast<ptrdiff_t>(first),
                  known.begin() + static_cast<ptrdiff_t>(first + clocks.size()),
                  [](uint32_t clock) { return clock > 0; });
  if (!hasStarted || hasEnded) {
    warp.fault(op, static_cast<int>(lane),
               "access to the shared memory of CTA " +
                   std::to_string(cta.rank) + " of the cluster, which " +
                   (hasEnded ? "has ended" : "need not have started"));
    return false;
  }
  visitors[placeOf(warp)] = {clockOf(warp), op->source};
  return true;
}

bool HazardChecker::ended(Warp &warp, const Op *op) {
  hasEnded = true;
  for (const auto &[place, visit] : visitors) {
    auto [clock, line] = visit;
    if (std::any_of(clocks.begin(), clocks.end(),
                    [&, place = place, clock = clock](const WarpClock &own) {
                      return own.known[place] >= clock;
                    }))
      continue;
    const Source &source = warp.program->sources[line];
    warp.fault(op, -1,
               "the CTA ends without order to the access to its shared memory "
               "by " +
                   nameOf(place) + " of the cluster in line " +
                   std::to_string(source.line) + " '" + source.text + "'");
    return false;
  }
  return true;
}

bool HazardChecker::global(Warp &warp, const Op *op, unsigned lane,
                           const Allocation &allocation, uint64_t offset,
                           unsigned count, AccessKind kind) {
  if (allocation.written.empty())
    return true;
  // Kernels only add marks, and a mark is one byte, so that host threads need
  // no lock.
  auto *written = const_cast<uint8_t *>(allocation.written.data()) + offset;
  for (unsigned i = 0; kind != AccessKind::Write && i < count; ++i)
    if (!written[i]) {
      warp.fault(op, static_cast<int>(lane),
                 "read of byte " + std::to_string(offset + i) + " of '" +
                     allocation.label + "', which nobody has written");
      return false;
    }
  if (kind != AccessKind::Read)
    std::fill_n(written, count, uint8_t(1));
  return true;
}

void HazardChecker::copyIssued(Warp &warp, const PendingCopy &copy,
                               LaneMask lanes) {
  for (LaneMask left = lanes; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    // That the destination is free was checked like a write when it was
    // resolved, which left the stamp of one.
    for (uint32_t i = 0; i < copy.bytes; ++i)
      bytes[copy.destination[lane] + i].pending = true;
  }
}

void HazardChecker::copyCompleted(Warp &warp, const PendingCopy &copy,
                                  LaneMask lanes) {
  for (LaneMask left = lanes; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    Stamp stamp = now(warp, copy.op, lane);
    for (uint32_t i = 0; i < copy.bytes; ++i) {
      Byte &byte = bytes[copy.destination[lane] + i];
      byte.pending = false;
      byte.write = stamp;
    }
  }
}

void HazardChecker::release(const Warp &warp, SyncClock &clock) {
  SyncClock &known = of(warp).known;
  clock.resize(known.size(), 0);
  for (size_t w = 0; w < known.size(); ++w)
    clock[w] = std::max(clock[w], known[w]);
  ++known[placeOf(warp)];
}

void HazardChecker::acquire(const Warp &warp, const SyncClock &clock) {
  SyncClock &known = of(warp).known;
  for (size_t w = 0; w < clock.size(); ++w)
    if (w != placeOf(warp))
      known[w] = std::max(known[w], clock[w]);
}

void HazardChecker::arrived(unsigned barrier, const Warp &warp) {
  release(warp, barriers[barrier]);
}

void HazardChecker::completed(unsigned barrier) {
  for (auto &warp : cta.warps)
    for (const LaneGroup &group : warp->groups)
      if (group.state == LaneGroup::State::Barrier &&
          group.barrier == barrier) {
        acquire(*warp, barriers[barrier]);
        warpSynchronized(*warp);
        break;
      }
  barriers[barrier].assign(places, 0);
}

bool HazardChecker::bulkIssued(Warp &warp, unsigned lane,
                               const BulkCopy &copy) {
  if (warp.cta != &cta && !reached(warp, copy.op, lane))
    return false;
  Stamp stamp = now(warp, copy.op, lane);
  for (uint32_t i = 0; i < copy.bytes; ++i) {
    uint64_t offset = copy.destination + i;
    if (!checkByte(warp, copy.op, lane, offset, AccessKind::Write))
      return false;
    noteWrite(bytes[offset], stamp);
    bytes[offset].pending = true;
  }
  return true;
}

void HazardChecker::bulkLanded(const BulkCopy &copy, SyncClock &clock) {
  Stamp stamp;
  stamp.clock = ++proxyClock;
  stamp.source = copy.op->source;
  stamp.warp = proxy;
  stamp.valid = true;
  for (uint32_t i = 0; i < copy.bytes; ++i) {
    Byte &byte = bytes[copy.destination + i];
    byte.pending = false;
    byte.write = stamp;
  }
  clock.resize(places, 0);
  clock[proxy] = proxyClock;
}

bool HazardChecker::fenced(const Stamp &write, const Warp &warp) const {
  const Warp *writer = warpAt(write.warp);
  if (!writer || of(*writer).fenceTick > write.tick)
    return true;
  return writer != &warp && of(warp).knownAtFence[write.warp] >= write.clock;
}

bool HazardChecker::asyncRead(Warp &warp, const Op *op, unsigned lane,
                              uint64_t offset, unsigned count) {
  for (uint64_t i = offset; i < offset + count; ++i) {
    if (!checkByte(warp, op, lane, i, AccessKind::Read))
      return false;
    Byte &byte = bytes[i];
    if (!fenced(byte.write, warp)) {
      const Source &source = warp.program->sources[byte.write.source];
      warp.fault(op, static_cast<int>(lane),
                 "asynchronous read of the shared byte at " +
                     std::to_string(kSharedBase + i) +
                     " without fence.proxy.async after the write in line " +
                     std::to_string(source.line) + " '" + source.text + "'");
      return false;
    }
    ++byte.asyncReads;
  }
  return true;
}

void HazardChecker::asyncReadDone(Warp &warp, const Op *op, uint64_t offset,
                                  unsigned count) {
  Stamp stamp = now(warp, op, 0);
  stamp.lane = kSeveral;
  for (uint64_t i = offset; i < offset + count; ++i) {
    --bytes[i].asyncReads;
    noteRead(bytes[i], stamp);
  }
}

void HazardChecker::proxyFence(const Warp &warp) {
  WarpClock &clock = of(warp);
  clock.knownAtFence = clock.known;
  clock.fenceTick = ++tick;
}

void HazardChecker::warpSynchronized(const Warp &warp) { ++of(warp).epoch; }

} // namespace odyssey::runtime::emulator

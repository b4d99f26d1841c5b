//===- Hazards.cpp - Checks of what no GPU gives a meaning to -------------===//

#include "Hazards.h"

#include <algorithm>

namespace odyssey::runtime::emulator {

HazardChecker::HazardChecker(Cta &cta) : cta(cta) { reset(); }

void HazardChecker::reset() {
  size_t warps = cta.warps.size();
  proxy = static_cast<uint8_t>(warps);
  proxyClock = 0;
  tick = 0;
  bytes.assign(cta.launch.sharedBytes, Byte());
  WarpClock ignorant;
  ignorant.known.assign(warps + 1, 0);
  ignorant.knownAtFence.assign(warps + 1, 0);
  clocks.assign(warps, ignorant);
  for (size_t w = 0; w < warps; ++w)
    clocks[w].known[w] = 1;
  for (SyncClock &barrier : barriers)
    barrier.assign(warps + 1, 0);
  readClocks.clear();
  freeReaders.clear();
}

HazardChecker::Stamp HazardChecker::now(const Warp &warp, const Op *op,
                                        unsigned lane) const {
  const WarpClock &clock = clocks[warp.index];
  Stamp stamp;
  stamp.clock = clock.known[warp.index];
  stamp.epoch = clock.epoch;
  stamp.source = op->source;
  stamp.tick = ++tick;
  stamp.warp = static_cast<uint8_t>(warp.index);
  stamp.lane = static_cast<uint8_t>(lane);
  stamp.valid = true;
  stamp.atomic = (op->flags & kSynchronizing) != 0;
  return stamp;
}

bool HazardChecker::ordered(const Stamp &stamp, const Warp &warp,
                            unsigned lane) const {
  const WarpClock &clock = clocks[warp.index];
  if (stamp.warp != warp.index)
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
          before + " by warp " + std::to_string(other.warp) +
          (other.lane == kSeveral ? std::string()
                                  : " lane " + std::to_string(other.lane)) +
          " in line " + std::to_string(source.line) + " '" + source.text + "'");
  return false;
}

void HazardChecker::noteRead(Byte &byte, const Stamp &stamp) {
  Stamp &last = byte.read;
  if (last.valid && last.warp != stamp.warp && !byte.readers) {
    if (freeReaders.empty()) {
      readClocks.emplace_back(cta.warps.size() + 1, 0);
      byte.readers = static_cast<uint32_t>(readClocks.size());
    } else {
      byte.readers = freeReaders.back();
      freeReaders.pop_back();
      readClocks[byte.readers - 1].assign(cta.warps.size() + 1, 0);
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
                   std::to_string(source.line) + " by warp " +
                   std::to_string(byte.write.warp) + ", not waited for)");
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
  bool sameWarpWrites = writes && write.warp == warp.index;
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
      if (w == warp.index || readers[w] <= clocks[warp.index].known[w])
        continue;
      Stamp other = read;
      other.warp = static_cast<uint8_t>(w);
      other.lane = kSeveral;
      return race(warp, op, lane, offset, what, other, "read");
    }
  }
  return true;
}

bool HazardChecker::shared(Warp &warp, const Op *op, unsigned lane, Cta &owner,
                           uint64_t offset, unsigned count, AccessKind kind) {
  if (&owner != &cta)
    return owner.hazards->remote(warp, op, lane, offset, count, kind);
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

/// Another CTA of the cluster. Its warps have no clock here, so only what the
/// bytes are is checked, not the order.
bool HazardChecker::remote(Warp &warp, const Op *op, unsigned lane,
                           uint64_t offset, unsigned count, AccessKind kind) {
  for (uint64_t i = offset; i < offset + count; ++i) {
    Byte &byte = bytes[i];
    if (byte.pending || (kind != AccessKind::Write && !byte.write.valid)) {
      warp.fault(op, static_cast<int>(lane),
                 "access to the shared byte at " +
                     std::to_string(kSharedBase + i) +
                     " of another CTA, which nobody has written");
      return false;
    }
    if (kind != AccessKind::Read) {
      noteWrite(byte, Stamp());
      byte.write.valid = true;
    }
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
  SyncClock &known = clocks[warp.index].known;
  clock.resize(known.size(), 0);
  for (size_t w = 0; w < known.size(); ++w)
    clock[w] = std::max(clock[w], known[w]);
  ++known[warp.index];
}

void HazardChecker::acquire(const Warp &warp, const SyncClock &clock) {
  SyncClock &known = clocks[warp.index].known;
  for (size_t w = 0; w < clock.size(); ++w)
    if (w != warp.index)
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
  barriers[barrier].assign(cta.warps.size() + 1, 0);
}

void HazardChecker::clusterCompleted() {
  SyncClock all;
  for (auto &warp : cta.warps)
    release(*warp, all);
  for (auto &warp : cta.warps) {
    acquire(*warp, all);
    warpSynchronized(*warp);
  }
}

bool HazardChecker::bulkIssued(Warp &warp, unsigned lane,
                               const BulkCopy &copy) {
  bool local = warp.cta == &cta;
  Stamp stamp;
  if (local)
    stamp = now(warp, copy.op, lane);
  for (uint32_t i = 0; i < copy.bytes; ++i) {
    uint64_t offset = copy.destination + i;
    if (local && !checkByte(warp, copy.op, lane, offset, AccessKind::Write))
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
  clock.resize(cta.warps.size() + 1, 0);
  clock[proxy] = proxyClock;
}

bool HazardChecker::fenced(const Stamp &write, const Warp &warp) const {
  if (write.warp == proxy || clocks[write.warp].fenceTick > write.tick)
    return true;
  return write.warp != warp.index &&
         clocks[warp.index].knownAtFence[write.warp] >= write.clock;
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
  WarpClock &clock = clocks[warp.index];
  clock.knownAtFence = clock.known;
  clock.fenceTick = ++tick;
}

void HazardChecker::warpSynchronized(const Warp &warp) {
  ++clocks[warp.index].epoch;
}

} // namespace odyssey::runtime::emulator

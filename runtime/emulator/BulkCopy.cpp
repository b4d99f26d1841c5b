//===- BulkCopy.cpp - cp.async.bulk and cp.async.mbarrier.arrive ----------===//

#include "Hazards.h"
#include "Mbarrier.h"

#include <algorithm>
#include <cstring>

namespace odyssey::runtime::emulator {

namespace {

constexpr uint32_t kBulkAlignment = 16;

bool landsNow(Warp &warp) {
  AsyncCopies when = warp.launch->options->asyncCopies;
  return when == AsyncCopies::Eager ||
         (when == AsyncCopies::Random && nextRandom(warp.randomState) & 1);
}

bool land(Warp &warp, Cta &owner, const BulkCopy &copy) {
  std::memcpy(owner.shared + copy.destination, copy.source, copy.bytes);
  Mbarrier *mbarrier = findMbarrier(warp, copy.op, 0, {&owner, copy.mbarrier});
  if (!mbarrier)
    return false;
  if (owner.hazards)
    owner.hazards->bulkLanded(copy, mbarrier->clock);
  return addBytes(warp, copy.op, 0, {&owner, copy.mbarrier},
                  -int64_t(copy.bytes));
}

bool arriveAfterCopies(const CopyArrival &arrival) {
  Warp &warp = *arrival.warp;
  completeCopies(warp, arrival.lanes);
  return arriveAt(warp, arrival.op,
                  static_cast<unsigned>(__builtin_ctz(arrival.lanes)),
                  {warp.cta, arrival.mbarrier},
                  static_cast<uint32_t>(__builtin_popcount(arrival.lanes)));
}

/// Where a bulk copy reads or writes global memory.
uint8_t *globalRange(Warp &warp, const Op *op, unsigned lane, uint64_t address,
                     uint32_t bytes, bool write) {
  const AddressSpace &memory = *warp.launch->memory;
  const Allocation *allocation = memory.find(address);
  const char *problem = nullptr;
  if (address % kBulkAlignment)
    problem = "misaligned";
  else if (!allocation || !allocation->contains(address, bytes) ||
           (write && allocation->readOnly))
    problem = "illegal";
  if (problem) {
    warp.fault(op, static_cast<int>(lane),
               std::string(problem) + " bulk copy of " + std::to_string(bytes) +
                   " bytes of global memory, " + memory.describe(address));
    return nullptr;
  }
  uint64_t offset = address - allocation->base;
  HazardChecker *hazards = warp.cta->hazards.get();
  if (hazards && !hazards->global(warp, op, lane, *allocation, offset, bytes,
                                  write ? AccessKind::Write : AccessKind::Read))
    return nullptr;
  return allocation->host + offset;
}

// Rows: address of shared memory (a), of global memory (b), bytes (c); for
// loads rows[0] is the mbarrier, rows[1] the mask of CTAs (16 bits) with the
// flag kMulticast.
constexpr uint32_t kMulticast = 1;

bool checkSize(Warp &warp, const Op *op, unsigned lane, uint32_t bytes) {
  if (bytes && bytes % kBulkAlignment == 0)
    return true;
  warp.fault(op, static_cast<int>(lane),
             "size of a bulk copy is " + std::to_string(bytes) +
                 ", no multiple of 16");
  return false;
}

const Op *bulkLoad(Warp &warp, const Op *op, LaneMask mask) {
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  for (LaneMask left = mask; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    uint32_t bytes = warp.row<uint32_t>(op->c)[lane];
    if (!checkSize(warp, op, lane, bytes))
      return nullptr;
    SharedPlace to = sharedPlace(
        warp, op, lane, warp.row<uint64_t>(op->a)[lane], bytes, kBulkAlignment);
    if (!to.owner)
      return nullptr;
    SharedPlace signal =
        sharedPlace(warp, op, lane, warp.row<uint64_t>(rows[0])[lane], 8, 8);
    if (!signal.owner)
      return nullptr;
    uint8_t *from = globalRange(warp, op, lane, warp.row<uint64_t>(op->b)[lane],
                                bytes, false);
    if (!from)
      return nullptr;
    if (signal.owner != to.owner)
      return warp.fault(op, static_cast<int>(lane),
                        "the mbarrier is in another CTA than the destination");
    std::vector<Cta *> receivers = {to.owner};
    if (op->flags & kMulticast) {
      receivers.clear();
      uint32_t members = warp.row<uint16_t>(rows[1])[lane];
      for (auto &cta : warp.cta->cluster.ctas)
        if (members >> cta->rank & 1)
          receivers.push_back(cta.get());
    }
    for (Cta *receiver : receivers) {
      BulkCopy copy{op, to.offset, bytes, signal.offset, from};
      if (!findMbarrier(warp, op, lane, {receiver, signal.offset}))
        return nullptr;
      if (receiver->hazards && !receiver->hazards->bulkIssued(warp, lane, copy))
        return nullptr;
      if (landsNow(warp)) {
        if (!land(warp, *receiver, copy))
          return nullptr;
        continue;
      }
      receiver->bulkCopies.push_back(copy);
      // Whoever waits already can look again.
      for (auto &sleeper : receiver->warps)
        sleeper->wake(LaneGroup::State::Mbarrier, 0);
    }
  }
  return op + 1;
}

/// Changes nothing that a program can see, but what it names has to be there.
const Op *bulkPrefetch(Warp &warp, const Op *op, LaneMask mask) {
  for (LaneMask left = mask; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    uint32_t bytes = warp.row<uint32_t>(op->c)[lane];
    if (!checkSize(warp, op, lane, bytes) ||
        !globalRange(warp, op, lane, warp.row<uint64_t>(op->b)[lane], bytes,
                     false))
      return nullptr;
  }
  return op + 1;
}

const Op *bulkStore(Warp &warp, const Op *op, LaneMask mask) {
  for (LaneMask left = mask; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    uint32_t bytes = warp.row<uint32_t>(op->c)[lane];
    if (!checkSize(warp, op, lane, bytes))
      return nullptr;
    SharedPlace from = sharedPlace(
        warp, op, lane, warp.row<uint64_t>(op->a)[lane], bytes, kBulkAlignment);
    if (!from.owner)
      return nullptr;
    uint8_t *to = globalRange(warp, op, lane, warp.row<uint64_t>(op->b)[lane],
                              bytes, true);
    if (!to)
      return nullptr;
    if (warp.cta->hazards &&
        !warp.cta->hazards->asyncRead(warp, op, lane, from.offset, bytes))
      return nullptr;
    if (landsNow(warp)) {
      std::memcpy(to, warp.cta->shared + from.offset, bytes);
      if (warp.cta->hazards)
        warp.cta->hazards->asyncReadDone(warp, op, from.offset, bytes);
      continue;
    }
    warp.bulkStores.push_back({lane, 0, from.offset, bytes, to, op});
  }
  return op + 1;
}

const Op *bulkCommit(Warp &warp, const Op *op, LaneMask mask) {
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    warp.bulkGroups[lane] += mask >> lane & 1;
  for (BulkStore &store : warp.bulkStores)
    if (!store.group && (mask >> store.lane & 1))
      store.group = warp.bulkGroups[store.lane];
  return op + 1;
}

/// `.read` waits only until the sources are read, which is the same here.
const Op *bulkWait(Warp &warp, const Op *op, LaneMask mask) {
  auto open = static_cast<uint32_t>(op->imm);
  std::erase_if(warp.bulkStores, [&](const BulkStore &store) {
    if (!(mask >> store.lane & 1) || !store.group ||
        store.group + open > warp.bulkGroups[store.lane])
      return false;
    std::memcpy(store.destination, warp.cta->shared + store.source,
                store.bytes);
    if (warp.cta->hazards)
      warp.cta->hazards->asyncReadDone(warp, store.op, store.source,
                                       store.bytes);
    return true;
  });
  return op + 1;
}

/// .shared::cluster.global.mbarrier::complete_tx::bytes{.multicast::cluster}
/// {.L2::cache_hint}
void decodeBulkLoad(InstructionDecoder &in) {
  if (!in.take("global") || !in.take("mbarrier::complete_tx::bytes"))
    return in.unsupportedForm();
  bool multicast = in.take("multicast::cluster");
  bool hint = in.take("L2::cache_hint");
  in.expectOperands(4 + multicast + hint);
  if (in.failed())
    return;
  Op op;
  op.run = bulkLoad;
  op.flags = multicast ? kMulticast : 0;
  op.a = addressRow(in, in.operand(0));
  op.b = addressRow(in, in.operand(1));
  uint32_t signal = addressRow(in, in.operand(3));
  in.alsoUses(op.a);
  in.alsoUses(op.b);
  op.c = in.use(2, PtxType::B32);
  // A policy changes no value, but has to be there.
  if (hint)
    in.use(in.operandCount() - 1, PtxType::B64);
  op.rows = in.addRows(
      {signal, multicast ? in.use(4, PtxType::B16) : in.constant(0, 16)});
  in.emit(op);
}

/// .L2.global{.L2::cache_hint}
void decodeBulkPrefetch(InstructionDecoder &in) {
  if (!in.take("L2") || !in.take("global"))
    return in.unsupportedForm();
  bool hint = in.take("L2::cache_hint");
  in.expectOperands(2 + hint);
  if (in.failed())
    return;
  Op op;
  op.run = bulkPrefetch;
  op.b = addressRow(in, in.operand(0));
  in.alsoUses(op.b);
  op.c = in.use(1, PtxType::B32);
  if (hint)
    in.use(2, PtxType::B64);
  in.emit(op);
}

/// .global.shared::cta.bulk_group
void decodeBulkStore(InstructionDecoder &in) {
  if (!in.take("shared::cta") || !in.take("bulk_group"))
    return in.unsupportedForm();
  in.expectOperands(3);
  if (in.failed())
    return;
  Op op;
  op.run = bulkStore;
  op.b = addressRow(in, in.operand(0));
  op.a = addressRow(in, in.operand(1));
  in.alsoUses(op.b);
  op.c = in.use(2, PtxType::B32);
  in.emit(op);
}

const Op *copyArrival(Warp &warp, const Op *op, LaneMask mask) {
  const uint64_t *address = warp.row<uint64_t>(op->a);
  for (LaneMask left = mask; left;) {
    // Lanes that name the same mbarrier arrive together.
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    LaneMask together = 0;
    for (LaneMask other = left; other; other &= other - 1)
      if (address[__builtin_ctz(other)] == address[lane])
        together |= other & -other;
    left &= ~together;
    SharedPlace place = sharedPlace(warp, op, lane, address[lane], 8, 8);
    if (!place.owner)
      return nullptr;
    Mbarrier *mbarrier = findMbarrier(warp, op, lane, place);
    if (!mbarrier)
      return nullptr;
    // Without `.noinc` the arrival is one more than the phase expected.
    if (!op->flags)
      mbarrier->pending += static_cast<uint32_t>(__builtin_popcount(together));
    CopyArrival arrival{&warp, op, together, place.offset};
    if (landsNow(warp)) {
      if (!arriveAfterCopies(arrival))
        return nullptr;
      continue;
    }
    warp.cta->copyArrivals.push_back(arrival);
    for (auto &sleeper : warp.cta->warps)
      sleeper->wake(LaneGroup::State::Mbarrier, 0);
  }
  return op + 1;
}

} // namespace

bool landCopies(Warp &warp, const Op *op, const SharedPlace &place) {
  Cta &owner = *place.owner;
  Mbarrier *mbarrier = findMbarrier(warp, op, 0, place);
  if (!mbarrier)
    return false;
  uint64_t phase = mbarrier->phase;
  for (size_t i = 0; i < owner.bulkCopies.size() && mbarrier->phase == phase;) {
    if (owner.bulkCopies[i].mbarrier != place.offset) {
      ++i;
      continue;
    }
    BulkCopy copy = owner.bulkCopies[i];
    owner.bulkCopies.erase(owner.bulkCopies.begin() +
                           static_cast<ptrdiff_t>(i));
    if (!land(warp, owner, copy))
      return false;
  }
  for (size_t i = 0;
       i < owner.copyArrivals.size() && mbarrier->phase == phase;) {
    if (owner.copyArrivals[i].mbarrier != place.offset) {
      ++i;
      continue;
    }
    CopyArrival arrival = owner.copyArrivals[i];
    owner.copyArrivals.erase(owner.copyArrivals.begin() +
                             static_cast<ptrdiff_t>(i));
    if (!arriveAfterCopies(arrival))
      return false;
  }
  return true;
}

void decodeBulkCopy(InstructionDecoder &in) {
  Op op;
  if (in.take("shared::cluster") || in.take("shared::cta"))
    return decodeBulkLoad(in);
  if (in.take("global"))
    return decodeBulkStore(in);
  if (in.take("prefetch"))
    return decodeBulkPrefetch(in);
  if (in.take("commit_group")) {
    in.expectOperands(0);
    op.run = bulkCommit;
  } else if (in.take("wait_group")) {
    in.take("read");
    in.expectOperands(1);
    if (in.failed())
      return;
    op.run = bulkWait;
    op.imm = in.integer(in.operand(0));
  } else {
    return in.unsupportedForm();
  }
  in.emit(op);
}

/// cp.async.mbarrier.arrive{.noinc}{.shared}.b64 [address]
void decodeCopyArrival(InstructionDecoder &in) {
  if (!in.take("arrive"))
    return in.unsupportedForm();
  Op op;
  op.flags = in.take("noinc");
  in.take("shared") || in.take("shared::cta");
  if (!in.take("b64"))
    return in.unsupportedForm();
  in.expectOperands(1);
  if (in.failed())
    return;
  op.run = copyArrival;
  op.a = addressRow(in, in.operand(0));
  in.emit(op);
}

} // namespace odyssey::runtime::emulator

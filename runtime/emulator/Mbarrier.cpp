//===- Mbarrier.cpp - mbarrier objects ------------------------------------===//
//
// A phase is complete when no arrival is pending and all expected bytes have
// come. `try_wait` puts the warp to sleep until then, so that a phase that
// never completes is found as a deadlock; `test_wait` only looks.
//
//===----------------------------------------------------------------------===//

#include "Mbarrier.h"
#include "ConvertOps.h"
#include "Hazards.h"
#include "IntegerOps.h"

namespace odyssey::runtime::emulator {

namespace {
constexpr uint32_t kMbarrierBytes = 8;
/// Limits of the PTX ISA.
constexpr uint32_t kMaxCount = (1u << 20) - 1;

std::string placeText(const SharedPlace &place) {
  return "mbarrier at " + std::to_string(kSharedBase + place.offset);
}

/// Completes the phase if nothing is missing any more.
void completePhase(Cta &owner, Mbarrier &mbarrier) {
  if (mbarrier.pending || mbarrier.bytes)
    return;
  ++mbarrier.phase;
  mbarrier.pending = mbarrier.expected;
  mbarrier.completedClock = mbarrier.clock;
  for (auto &cta : owner.cluster.ctas)
    for (auto &warp : cta->warps)
      warp->wake(LaneGroup::State::Mbarrier, 0);
}
} // namespace

SharedPlace sharedPlace(Warp &warp, const Op *op, unsigned lane,
                        uint64_t address, uint32_t bytes, uint32_t alignment) {
  uint64_t offset = address - kSharedWindow < kWindowBytes
                        ? address - kSharedWindow
                        : address;
  Cta *owner = warp.cta;
  if (offset < kWindowBytes && offset >= kClusterStride) {
    uint64_t rank = offset / kClusterStride - 1;
    offset %= kClusterStride;
    owner = rank < owner->cluster.ctas.size() ? owner->cluster.ctas[rank].get()
                                              : nullptr;
  }
  offset -= kSharedBase;
  uint64_t size = warp.launch->sharedBytes;
  if (!owner || offset > size || bytes > size - offset) {
    warp.fault(op, static_cast<int>(lane),
               "illegal shared address " + std::to_string(address) + " of " +
                   std::to_string(bytes) + " bytes");
    return {};
  }
  if (offset % alignment) {
    warp.fault(op, static_cast<int>(lane),
               "shared address " + std::to_string(address) +
                   " is not aligned to " + std::to_string(alignment) +
                   " bytes");
    return {};
  }
  return {owner, static_cast<uint32_t>(offset)};
}

Mbarrier *findMbarrier(Warp &warp, const Op *op, unsigned lane,
                       const SharedPlace &place) {
  auto found = place.owner->mbarriers.find(place.offset);
  if (found == place.owner->mbarriers.end()) {
    warp.fault(op, static_cast<int>(lane),
               placeText(place) + " is not initialised");
    return nullptr;
  }
  Mbarrier &mbarrier = found->second;
  const HazardChecker *hazards = warp.cta->hazards.get();
  if (hazards && mbarrier.initWarp != HazardChecker::placeOf(warp) &&
      !HazardChecker::knows(warp, mbarrier.initWarp, mbarrier.initClock)) {
    warp.fault(op, static_cast<int>(lane),
               placeText(place) +
                   " is used with no order to its initialisation by " +
                   hazards->nameOf(mbarrier.initWarp));
    return nullptr;
  }
  return &mbarrier;
}

bool arriveAt(Warp &warp, const Op *op, unsigned lane, const SharedPlace &place,
              uint32_t count) {
  Mbarrier *mbarrier = findMbarrier(warp, op, lane, place);
  if (!mbarrier)
    return false;
  if (count == 0 || count > mbarrier->pending) {
    warp.fault(op, static_cast<int>(lane),
               std::to_string(count) + " arrivals at " + placeText(place) +
                   ", whose phase waits for " +
                   std::to_string(mbarrier->pending));
    return false;
  }
  mbarrier->pending -= count;
  if (warp.cta->hazards) {
    if (warp.cta != place.owner &&
        !place.owner->hazards->reached(warp, op, lane))
      return false;
    HazardChecker::release(warp, mbarrier->clock);
  }
  completePhase(*place.owner, *mbarrier);
  return true;
}

bool addBytes(Warp &warp, const Op *op, unsigned lane, const SharedPlace &place,
              int64_t bytes) {
  Mbarrier *mbarrier = findMbarrier(warp, op, lane, place);
  if (!mbarrier)
    return false;
  mbarrier->bytes += bytes;
  if (mbarrier->bytes > int64_t(kMaxCount) ||
      mbarrier->bytes < -int64_t(kMaxCount)) {
    warp.fault(op, static_cast<int>(lane),
               "byte count of " + placeText(place) + " leaves its range");
    return false;
  }
  if (bytes < 0)
    completePhase(*place.owner, *mbarrier);
  return true;
}

uint32_t addressRow(InstructionDecoder &in, const Operand &operand) {
  if (operand.kind != Operand::Kind::Address) {
    in.fail("expected an address in brackets");
    return 0;
  }
  const Operand &base = operand.elements[0];
  unsigned bits = 64;
  uint32_t row = base.kind == Operand::Kind::Register
                     ? in.useAny(base, bits)
                     : in.use(base, PtxType::B64);
  if (in.failed())
    return 0;
  auto temporary = [&] {
    return in.builder.addRow({RowInfo::Kind::Register, 8, 0, Special::Zero, 0});
  };
  if (bits == 32) {
    Op widen;
    widen.run = integerConversion(64, 32, false, false, false);
    widen.flags = 32;
    widen.imm = 64;
    widen.a = row;
    row = widen.d = temporary();
    in.alsoDefines(widen.d);
    in.emit(widen);
    in.alsoUses(row);
  } else if (bits != 64) {
    in.fail("an address needs 32 or 64 bits");
  }
  if (operand.offset) {
    Op add;
    add.run = integerHandler(IntegerOp::Add, PtxType::U64);
    add.a = row;
    add.b = in.constant(static_cast<uint64_t>(operand.offset), 64);
    row = add.d = temporary();
    in.alsoDefines(add.d);
    in.emit(add);
    in.alsoUses(row);
  }
  return row;
}

namespace {

// Op::a is the row of the address, b that of a count or of a parity or state, d
// the destination.

template <typename Visit>
const Op *forEachMbarrier(Warp &warp, const Op *op, LaneMask mask,
                          const Visit &visit) {
  const uint64_t *address = warp.row<uint64_t>(op->a);
  for (LaneMask left = mask; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    SharedPlace place = sharedPlace(warp, op, lane, address[lane],
                                    kMbarrierBytes, kMbarrierBytes);
    if (!place.owner || !visit(lane, place))
      return nullptr;
  }
  return op + 1;
}

const Op *initHandler(Warp &warp, const Op *op, LaneMask mask) {
  const uint32_t *count = warp.row<uint32_t>(op->b);
  return forEachMbarrier(
      warp, op, mask, [&](unsigned lane, const SharedPlace &place) {
        if (count[lane] == 0 || count[lane] > kMaxCount) {
          warp.fault(op, static_cast<int>(lane),
                     "mbarrier count " + std::to_string(count[lane]));
          return false;
        }
        Mbarrier mbarrier;
        mbarrier.expected = mbarrier.pending = count[lane];
        mbarrier.initWarp = HazardChecker::placeOf(warp);
        if (warp.cta->hazards)
          mbarrier.initClock = HazardChecker::clockOf(warp);
        place.owner->mbarriers[place.offset] = mbarrier;
        return true;
      });
}

const Op *invalidateHandler(Warp &warp, const Op *op, LaneMask mask) {
  return forEachMbarrier(warp, op, mask,
                         [&](unsigned lane, const SharedPlace &place) {
                           if (!findMbarrier(warp, op, lane, place))
                             return false;
                           place.owner->mbarriers.erase(place.offset);
                           return true;
                         });
}

// Op::flags of an arrival.
constexpr uint32_t kExpectBytes = 1;
constexpr uint32_t kArrive = 2;
constexpr uint32_t kReturnsState = 4;

const Op *arriveHandler(Warp &warp, const Op *op, LaneMask mask) {
  const uint32_t *operand = warp.row<uint32_t>(op->b);
  return forEachMbarrier(
      warp, op, mask, [&](unsigned lane, const SharedPlace &place) {
        Mbarrier *mbarrier = findMbarrier(warp, op, lane, place);
        if (!mbarrier)
          return false;
        if (op->flags & kReturnsState)
          warp.row<uint64_t>(op->d)[lane] = mbarrier->phase;
        bool expects = op->flags & kExpectBytes;
        if (expects && !addBytes(warp, op, lane, place, operand[lane]))
          return false;
        return !(op->flags & kArrive) ||
               arriveAt(warp, op, lane, place, expects ? 1 : operand[lane]);
      });
}

// Op::flags of a wait.
constexpr uint32_t kParity = 1;
constexpr uint32_t kBlocking = 2;

const Op *waitHandler(Warp &warp, const Op *op, LaneMask mask) {
  LaneMask ready = 0;
  const Op *next = forEachMbarrier(
      warp, op, mask, [&](unsigned lane, const SharedPlace &place) {
        Mbarrier *mbarrier = findMbarrier(warp, op, lane, place);
        if (!mbarrier)
          return false;
        if (place.owner != warp.cta) {
          warp.fault(op, static_cast<int>(lane),
                     "wait at the mbarrier of another CTA");
          return false;
        }
        uint64_t phase = op->flags & kParity ? warp.row<uint32_t>(op->b)[lane]
                                             : warp.row<uint64_t>(op->b)[lane];
        auto complete = [&] {
          return op->flags & kParity ? (mbarrier->phase & 1) != (phase & 1)
                                     : mbarrier->phase != phase;
        };
        if (!complete() && !landCopies(warp, op, place))
          return false;
        if (!complete())
          return true;
        ready |= 1u << lane;
        if (warp.cta->hazards)
          HazardChecker::acquire(warp, mbarrier->completedClock);
        return true;
      });
  if (!next)
    return nullptr;
  if (!ready && (op->flags & kBlocking) && mask == warp.group().mask)
    return warp.block(op, LaneGroup::State::Mbarrier);
  if (ready && warp.cta->hazards)
    warp.cta->hazards->warpSynchronized(warp);
  warp.setPredicate(op->d, ready, mask);
  return ready ? next : warp.yield(next);
}

/// {.sem}{.scope}
void takeOrder(InstructionDecoder &in) {
  if (in.take("release") || in.take("acquire") || in.take("relaxed"))
    if (!in.take("cta") && !in.take("cluster"))
      in.fail("expected a scope");
}

void takeSharedSpace(InstructionDecoder &in) {
  in.take("shared") || in.take("shared::cta") || in.take("shared::cluster");
}

void decodeArrive(InstructionDecoder &in, uint32_t flags) {
  takeOrder(in);
  takeSharedSpace(in);
  if (!in.take("b64"))
    return in.unsupportedForm();
  bool expects = flags & kExpectBytes, arrives = flags & kArrive;
  size_t first = arrives ? 1 : 0;
  // The state may be left out where the mbarrier may be a remote one.
  if (arrives && in.operandCount() > 0 &&
      in.operand(0).kind == Operand::Kind::Address)
    first = 0;
  in.expectOperands(first + (expects ? 2 : 1), first + 2);
  if (in.failed())
    return;
  Op op;
  op.a = addressRow(in, in.operand(first));
  op.run = arriveHandler;
  op.flags = flags;
  if (first && in.operand(0).kind != Operand::Kind::Sink) {
    op.flags |= kReturnsState;
    op.d = in.def(0, PtxType::B64);
  }
  op.b = in.operandCount() > first + 1 ? in.use(first + 1, PtxType::B32)
                                       : in.constant(1, 32);
  in.emit(op);
}

void decodeWait(InstructionDecoder &in, bool blocking) {
  bool parity = in.take("parity");
  takeOrder(in);
  takeSharedSpace(in);
  if (!in.take("b64"))
    return in.unsupportedForm();
  in.expectOperands(3, blocking ? 4 : 3);
  if (in.failed())
    return;
  Op op;
  op.a = addressRow(in, in.operand(1));
  op.run = waitHandler;
  op.flags = (parity ? kParity : 0) | (blocking ? kBlocking : 0);
  op.d = in.def(0, PtxType::Pred);
  op.b = in.use(2, parity ? PtxType::B32 : PtxType::B64);
  // The time limit of try_wait has no meaning here.
  if (in.operandCount() == 4)
    in.use(3, PtxType::B32);
  in.emit(op);
}

void decodeMbarrier(InstructionDecoder &in) {
  if (in.take("test_wait"))
    return decodeWait(in, false);
  if (in.take("try_wait"))
    return decodeWait(in, true);
  if (in.take("arrive")) {
    bool expects = in.take("expect_tx");
    return decodeArrive(in, kArrive | (expects ? kExpectBytes : 0));
  }
  if (in.take("expect_tx"))
    return decodeArrive(in, kExpectBytes);
  bool init = in.take("init");
  if (!init && !in.take("inval"))
    return in.unsupportedForm();
  takeSharedSpace(in);
  if (!in.take("b64"))
    return in.unsupportedForm();
  in.expectOperands(init ? 2 : 1);
  if (in.failed())
    return;
  Op op;
  op.a = addressRow(in, in.operand(0));
  op.run = init ? initHandler : invalidateHandler;
  if (init)
    op.b = in.use(1, PtxType::B32);
  in.emit(op);
}

} // namespace

void addMbarrier(DecodeTable &table) { table["mbarrier"] = decodeMbarrier; }

} // namespace odyssey::runtime::emulator

//===- AsyncCopy.cpp - cp.async -------------------------------------------===//
//
// A copy is resolved and checked when it is issued. When it writes depends on
// EmulatorOptions::asyncCopies; in the latest case that is the wait that covers
// it, so that a kernel that forgets the wait reads old data.
//
//===----------------------------------------------------------------------===//

#include "Hazards.h"
#include "Mbarrier.h"
#include "MemoryOps.h"

#include <algorithm>
#include <cstring>

namespace odyssey::runtime::emulator {

namespace {

/// Writes the lanes of `mask`, filling up with zeros behind the source.
void land(Warp &warp, PendingCopy &copy, LaneMask mask) {
  copy.open &= ~mask;
  if (mask == kAllLanes && copy.contiguous) {
    std::memcpy(warp.cta->shared + copy.destination[0], copy.source[0],
                size_t(copy.bytes) * kWarpLanes);
    return;
  }
  for (LaneMask left = mask; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    uint8_t *to = warp.cta->shared + copy.destination[lane];
    uint32_t bytes = copy.sourceBytes[lane];
    if (bytes == 16 && copy.bytes == 16) {
      std::memcpy(to, copy.source[lane], 16);
      continue;
    }
    if (bytes)
      std::memcpy(to, copy.source[lane], bytes);
    std::memset(to + bytes, 0, copy.bytes - bytes);
  }
}

/// The number of groups that every lane has committed, or 0 where they differ.
uint32_t uniformGroups(const Warp &warp) {
  uint32_t difference = 0;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    difference |= warp.copyGroups[lane] ^ warp.copyGroups[0];
  return difference ? 0 : warp.copyGroups[0];
}

PendingCopy &addCopy(Warp &warp) {
  if (warp.spareCopies.empty()) {
    warp.copies.push_back(std::make_unique<PendingCopy>());
  } else {
    warp.copies.push_back(std::move(warp.spareCopies.back()));
    warp.spareCopies.pop_back();
  }
  PendingCopy &copy = *warp.copies.back();
  copy.committed = 0;
  copy.contiguous = false;
  copy.uniformGroup = 0;
  return copy;
}

/// Completes the copies of `mask`'s lanes up to those groups that leave
/// `pending` groups open; `all` includes what is not committed.
void complete(Warp &warp, LaneMask mask, uint32_t pending, bool all) {
  HazardChecker *hazards = warp.cta->hazards.get();
  uint32_t groups = uniformGroups(warp);
  bool someDone = false;
  for (const std::unique_ptr<PendingCopy> &pointer : warp.copies) {
    PendingCopy &copy = *pointer;
    LaneMask done = copy.committed & mask;
    if (pending && groups && copy.uniformGroup) {
      if (copy.uniformGroup + pending > groups)
        done = 0;
    } else if (pending) {
      LaneMask old = 0;
      for (unsigned lane = 0; lane < kWarpLanes; ++lane)
        old |= LaneMask(copy.group[lane] + pending <= warp.copyGroups[lane])
               << lane;
      done &= old;
    }
    if (all)
      done = mask;
    done &= copy.waiting;
    if (!done)
      continue;
    copy.waiting &= ~done;
    someDone |= copy.waiting == 0;
    land(warp, copy, done & copy.open);
    if (hazards)
      hazards->copyCompleted(warp, copy, done);
  }
  if (!someDone)
    return;
  std::erase_if(warp.copies, [&](std::unique_ptr<PendingCopy> &copy) {
    if (copy->waiting)
      return false;
    warp.spareCopies.push_back(std::move(copy));
    return true;
  });
}

const Op *issueHandler(Warp &warp, const Op *op, LaneMask mask) {
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  uint32_t bytes = op->flags >> 16;
  Access to, from;
  Op source = *op;
  source.a = op->b;
  source.imm = *warp.row<int64_t>(op->c);
  source.flags = static_cast<uint32_t>(Space::Global);
  if (!resolve(warp, op, mask, bytes, AccessKind::Write, to))
    return nullptr;

  PendingCopy &copy = addCopy(warp);
  copy.op = op;
  copy.bytes = bytes;
  copy.open = copy.waiting = mask;
  LaneMask whole = mask, partial = 0;
  const uint32_t *sizes = warp.row<uint32_t>(rows[0]);
  for (LaneMask left = mask; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    copy.sourceBytes[lane] = sizes[lane];
    copy.source[lane] = nullptr;
    if (sizes[lane] > bytes)
      return warp.fault(op, static_cast<int>(lane),
                        "cp.async source size " + std::to_string(sizes[lane]) +
                            " is greater than the copy");
    if (sizes[lane] != bytes) {
      whole &= ~(1u << lane);
      partial |= sizes[lane] ? 1u << lane : 0;
    }
    copy.destination[lane] =
        static_cast<uint32_t>(to.pointer(lane) - warp.cta->shared);
  }
  if (whole && !resolve(warp, &source, whole, bytes, AccessKind::Read, from))
    return nullptr;
  for (LaneMask left = whole; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    copy.source[lane] = from.pointer(lane);
  }
  copy.contiguous = whole == kAllLanes &&
                    to.shape == Access::Shape::Contiguous &&
                    from.shape == Access::Shape::Contiguous;
  // A shorter source is checked byte by byte: only those are read.
  for (LaneMask left = partial; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    for (uint32_t i = copy.sourceBytes[lane]; i-- > 0;) {
      Op byte = source;
      byte.imm += i;
      if (!resolve(warp, &byte, 1u << lane, 1, AccessKind::Read, from))
        return nullptr;
      copy.source[lane] = from.pointer(lane);
    }
  }
  if (HazardChecker *hazards = warp.cta->hazards.get())
    hazards->copyIssued(warp, copy, mask);
  AsyncCopies when = warp.launch->options->asyncCopies;
  if (when == AsyncCopies::Eager ||
      (when == AsyncCopies::Random && nextRandom(warp.randomState) & 1))
    land(warp, copy, mask);
  return op + 1;
}

const Op *commitHandler(Warp &warp, const Op *op, LaneMask mask) {
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    warp.copyGroups[lane] += mask >> lane & 1;
  uint32_t groups = uniformGroups(warp);
  for (const std::unique_ptr<PendingCopy> &pointer : warp.copies) {
    PendingCopy &copy = *pointer;
    LaneMask fresh = copy.waiting & ~copy.committed & mask;
    if (!fresh)
      continue;
    copy.committed |= fresh;
    if (fresh == kAllLanes)
      copy.uniformGroup = groups;
    for (unsigned lane = 0; lane < kWarpLanes; ++lane)
      if (fresh >> lane & 1)
        copy.group[lane] = warp.copyGroups[lane];
  }
  return op + 1;
}

const Op *waitHandler(Warp &warp, const Op *op, LaneMask mask) {
  complete(warp, mask, static_cast<uint32_t>(op->imm), false);
  return op + 1;
}

const Op *waitAllHandler(Warp &warp, const Op *op, LaneMask mask) {
  complete(warp, mask, 0, true);
  return op + 1;
}

/// cp.async.{ca,cg}.shared.global [to], [from], bytes{, source bytes}
void decodeIssue(InstructionDecoder &in) {
  bool cg = in.take("cg");
  if (!cg && !in.take("ca"))
    return in.unsupportedForm();
  if ((!in.take("shared") && !in.take("shared::cta")) || !in.take("global"))
    return in.unsupportedForm();
  in.take("L2::64B") || in.take("L2::128B") || in.take("L2::256B");
  in.expectOperands(3, 4);
  if (in.failed())
    return;
  int64_t bytes = in.integer(in.operand(2));
  if (bytes != 16 && (cg || (bytes != 4 && bytes != 8)))
    return in.fail("cp.async copies 4, 8 or 16 bytes, '.cg' 16");
  Op op;
  op.run = issueHandler;
  op.flags = static_cast<uint32_t>(Space::Shared);
  decodeAddress(in, in.operand(0), op);
  Op source;
  decodeAddress(in, in.operand(1), source);
  if (source.flags & kAddress32)
    in.fail("a global address has 64 bits");
  op.b = source.a;
  op.c = in.constant(static_cast<uint64_t>(source.imm), 64);
  op.flags |= static_cast<uint32_t>(bytes) << 16;
  if (in.operandCount() == 4 && in.operand(3).kind == Operand::Kind::Register &&
      in.builder.registerType(in.operand(3).index) == PtxType::Pred)
    return in.fail("unsupported ignore-src predicate");
  op.rows = in.addRows({in.operandCount() == 4
                            ? in.use(3, PtxType::U32)
                            : in.constant(static_cast<uint64_t>(bytes), 32)});
  in.emit(op);
}

void decodeCopy(InstructionDecoder &in) {
  if (!in.take("async"))
    return in.unsupportedForm();
  if (in.take("bulk"))
    return decodeBulkCopy(in);
  if (in.take("mbarrier"))
    return decodeCopyArrival(in);
  Op op;
  if (in.take("commit_group")) {
    in.expectOperands(0);
    op.run = commitHandler;
  } else if (in.take("wait_all")) {
    in.expectOperands(0);
    op.run = waitAllHandler;
  } else if (in.take("wait_group")) {
    in.expectOperands(1);
    if (in.failed())
      return;
    op.run = waitHandler;
    op.imm = in.integer(in.operand(0));
  } else {
    return decodeIssue(in);
  }
  in.emit(op);
}

} // namespace

void completeCopies(Warp &warp, LaneMask lanes) {
  complete(warp, lanes, 0, true);
}

void addAsync(DecodeTable &table) { table["cp"] = decodeCopy; }

} // namespace odyssey::runtime::emulator

//===- DecodeControl.cpp - Branches, calls, barriers, exits ---------------===//

#include "Decoder.h"
#include "Hazards.h"
#include "Machine.h"

#include <cstring>

namespace odyssey::runtime::emulator {

namespace {

const Op *branchHandler(Warp &warp, const Op *op, LaneMask mask) {
  return warp.branch(op, warp.program->ops.data() + op->imm, mask);
}

void decodeBranch(InstructionDecoder &in) {
  in.take("uni");
  in.expectOperands(1);
  if (in.failed())
    return;
  if (in.operand(0).kind != Operand::Kind::Label)
    return in.fail("expected a label");
  Op op;
  op.run = branchHandler;
  uint32_t label = in.operand(0).index;
  in.builder.patchLabel(static_cast<uint32_t>(in.builder.program->ops.size()),
                        label);
  in.emit(op);
}

/// One group for each distinct target.
const Op *indexedBranch(Warp &warp, const Op *op, LaneMask mask) {
  const std::vector<uint32_t> &table = warp.program->branchTables[op->flags];
  const uint32_t *index = warp.row<uint32_t>(op->a);
  const Op *ops = warp.program->ops.data();
  LaneGroup &group = warp.group();
  LaneMask fallThrough = group.mask & ~mask;
  std::vector<LaneGroup> parts;
  for (LaneMask left = mask; left;) {
    unsigned first = static_cast<unsigned>(__builtin_ctz(left));
    if (index[first] >= table.size())
      return warp.fault(op, static_cast<int>(first),
                        "brx.idx index " + std::to_string(index[first]) +
                            " is outside its table of " +
                            std::to_string(table.size()));
    LaneGroup part = group;
    part.mask = 0;
    for (unsigned lane = first; lane < kWarpLanes; ++lane)
      if (left >> lane & 1 && index[lane] == index[first])
        part.mask |= 1u << lane;
    part.pc = ops + table[index[first]];
    left &= ~part.mask;
    parts.push_back(std::move(part));
  }
  if (fallThrough) {
    LaneGroup part = group;
    part.mask = fallThrough;
    part.pc = op + 1;
    parts.push_back(std::move(part));
  }
  if (parts.size() == 1)
    return warp.jump(parts[0].pc);
  group = std::move(parts[0]);
  for (size_t i = 1; i < parts.size(); ++i)
    warp.groups.push_back(std::move(parts[i]));
  return nullptr;
}

void decodeIndexedBranch(InstructionDecoder &in) {
  if (!in.take("idx"))
    in.unsupportedForm();
  in.take("uni");
  in.expectOperands(2);
  if (in.failed())
    return;
  const Function &function = *in.builder.function;
  auto targets = function.branchTargets.end();
  if (in.operand(1).kind == Operand::Kind::Label)
    targets = function.branchTargets.find(in.operand(1).index);
  if (targets == function.branchTargets.end())
    return in.fail("expected a .branchtargets list");
  Op op;
  op.run = indexedBranch;
  op.a = in.use(0, PtxType::U32);
  Program &program = *in.builder.program;
  op.flags = static_cast<uint32_t>(program.branchTables.size());
  program.branchTables.emplace_back();
  in.builder.patchTable(op.flags, targets->second);
  in.emit(op);
}

/// Parameter objects are 32 copies of `bytes` bytes, one for each lane.
void copyObjects(Warp &warp, const std::vector<ParamCopy> &copies,
                 LaneMask mask) {
  for (const ParamCopy &copy : copies)
    for (unsigned lane = 0; lane < kWarpLanes; ++lane)
      if (mask >> lane & 1)
        std::memcpy(warp.registers + copy.to + size_t(lane) * copy.bytes,
                    warp.registers + copy.from + size_t(lane) * copy.bytes,
                    copy.bytes);
}

const Op *callHandler(Warp &warp, const Op *op, LaneMask mask) {
  const CallSite &call = warp.program->calls[op->flags];
  copyObjects(warp, call.arguments, mask);
  const Op *target = warp.program->ops.data() + call.target;
  LaneGroup &group = warp.group();
  if (mask == group.mask) {
    group.stack.push_back(op);
    return warp.jump(target);
  }
  // A guarded call: the lanes that do not take part go on behind it.
  LaneGroup callers = group;
  callers.mask = mask;
  callers.pc = target;
  callers.stack.push_back(op);
  group.mask &= ~mask;
  group.pc = op + 1;
  warp.groups.push_back(std::move(callers));
  return nullptr;
}

const Op *returnHandler(Warp &warp, const Op *op, LaneMask mask) {
  LaneGroup &group = warp.group();
  if (group.stack.empty())
    return warp.exit(op, mask);
  const Op *call = group.stack.back();
  copyObjects(warp, warp.program->calls[call->flags].results, mask);
  if (mask == group.mask) {
    group.stack.pop_back();
    return warp.jump(call + 1);
  }
  LaneGroup returning = group;
  returning.mask = mask;
  returning.pc = call + 1;
  returning.stack.pop_back();
  group.mask &= ~mask;
  group.pc = op + 1;
  warp.groups.push_back(std::move(returning));
  return nullptr;
}

const Op *exitHandler(Warp &warp, const Op *op, LaneMask mask) {
  return warp.exit(op, mask);
}

const Op *trapHandler(Warp &warp, const Op *op, LaneMask mask) {
  return warp.fault(op, __builtin_ctz(mask), "trap");
}

const Op *nothing(Warp &, const Op *op, LaneMask) { return op + 1; }

template <Handler Run> void decodePlain(InstructionDecoder &in) {
  in.expectOperands(0);
  Op op;
  op.run = Run;
  in.emit(op);
}

void decodeReturn(InstructionDecoder &in) {
  in.take("uni");
  decodePlain<returnHandler>(in);
}

/// Pairs the objects of a call with those of the callee.
void pairObjects(InstructionDecoder &in, const Operand &list,
                 const std::vector<const Variable *> &formals, bool arguments,
                 std::vector<ParamCopy> &copies) {
  if (list.elements.size() != formals.size())
    return in.fail("the call has another number of parameters");
  for (size_t i = 0; i < formals.size(); ++i) {
    const Operand &actual = list.elements[i];
    if (actual.kind != Operand::Kind::Variable ||
        actual.variable->space != Space::Param)
      return in.fail("parameters of a call must be .param variables");
    if (actual.variable->size != formals[i]->size)
      return in.fail("parameter '" + actual.name + "' has another size");
    uint32_t outer = in.builder.objectRow(actual.variable);
    uint32_t inner = in.builder.objectRow(formals[i]);
    copies.push_back({arguments ? outer : inner, arguments ? inner : outer,
                      static_cast<uint32_t>(formals[i]->size)});
  }
}

/// call{.uni} (results), name, (arguments)
void decodeCall(InstructionDecoder &in) {
  in.take("uni");
  in.expectOperands(1, 3);
  if (in.failed())
    return;
  static const Operand kNone = [] {
    Operand none;
    none.kind = Operand::Kind::List;
    return none;
  }();
  size_t at = 0;
  const Operand *results = &kNone, *arguments = &kNone;
  if (in.operand(at).kind == Operand::Kind::List)
    results = &in.operand(at++);
  if (at >= in.operandCount() || in.operand(at).kind != Operand::Kind::Symbol)
    return in.fail("only direct calls are supported");
  const std::string &name = in.operand(at++).name;
  if (at < in.operandCount())
    arguments = &in.operand(at);
  if (arguments->kind != Operand::Kind::List)
    return in.fail("only direct calls are supported");
  Result<const Function *> callee = in.builder.callee(name);
  if (!callee.ok())
    return in.fail(callee.status().message());
  CallSite call;
  pairObjects(in, *arguments, (*callee)->parameters, true, call.arguments);
  pairObjects(in, *results, (*callee)->returns, false, call.results);
  Program &program = *in.builder.program;
  Op op;
  op.run = callHandler;
  op.flags = static_cast<uint32_t>(program.calls.size());
  program.calls.push_back(std::move(call));
  in.builder.patchCall(op.flags, *callee);
  in.emit(op);
}

// Barriers of the CTA. Op::flags says whether the form is aligned, row a holds
// the barrier's number, row b the number of threads (0: all).

constexpr uint32_t kAligned = 1;
constexpr uint32_t kArriveOnly = 2;

const Op *barrierHandler(Warp &warp, const Op *op, LaneMask mask) {
  if (op->flags & kAligned && !warp.allMeet(op, mask))
    return nullptr;
  unsigned lane = static_cast<unsigned>(__builtin_ctz(mask));
  uint32_t number = warp.row<uint32_t>(op->a)[lane];
  uint32_t threads = warp.row<uint32_t>(op->b)[lane];
  if (number >= warp.cta->barriers.size())
    return warp.fault(op, static_cast<int>(lane),
                      "there is no barrier " + std::to_string(number));
  if (threads % kWarpLanes)
    return warp.fault(op, static_cast<int>(lane),
                      "the thread count of a barrier must be a multiple of 32");
  if (op->flags & kArriveOnly) {
    warp.cta->arrive(warp, number, mask, threads);
    return op + 1;
  }
  LaneGroup &group = warp.group();
  if (mask != group.mask) {
    // Lanes that a guard switches off go on; they are another group now.
    LaneGroup others = group;
    others.mask &= ~mask;
    others.pc = op + 1;
    group.mask = mask;
    warp.groups.push_back(std::move(others));
  }
  warp.block(op + 1, LaneGroup::State::Barrier, static_cast<uint8_t>(number));
  warp.cta->arrive(warp, number, mask, threads);
  return nullptr;
}

/// Adds the group's predicates to the barrier before it arrives there.
const Op *collectPredicate(Warp &warp, const Op *op, LaneMask mask) {
  LaneMask p = warp.predicate(op->c) ^ static_cast<LaneMask>(op->imm);
  uint32_t number =
      warp.row<uint32_t>(op->a)[__builtin_ctz(mask)] % kNamedBarriers;
  Barrier &barrier = warp.cta->barriers[number];
  barrier.count += static_cast<uint32_t>(__builtin_popcount(p & mask));
  barrier.all &= (~p & mask) == 0;
  barrier.any |= (p & mask) != 0;
  return op + 1;
}

enum class Reduction : uint8_t { And, Or, Popc };

template <Reduction Kind>
const Op *readReduction(Warp &warp, const Op *op, LaneMask mask) {
  uint32_t number =
      warp.row<uint32_t>(op->a)[__builtin_ctz(mask)] % kNamedBarriers;
  const Barrier &barrier = warp.cta->barriers[number];
  switch (Kind) {
  case Reduction::And:
    warp.setPredicate(op->d, barrier.lastAll ? kAllLanes : 0, mask);
    break;
  case Reduction::Or:
    warp.setPredicate(op->d, barrier.lastAny ? kAllLanes : 0, mask);
    break;
  case Reduction::Popc: {
    uint32_t *d = warp.row<uint32_t>(op->d);
    for (unsigned lane = 0; lane < kWarpLanes; ++lane)
      if (mask >> lane & 1)
        d[lane] = barrier.lastCount;
  }
  }
  return op + 1;
}

/// bar.red and barrier.red: collect, wait, read the result.
void decodeBarrierReduction(InstructionDecoder &in, bool aligned) {
  Reduction kind = Reduction::Popc;
  if (in.take("popc")) {
    if (!in.take("u32"))
      in.unsupportedForm();
  } else {
    kind = in.take("and") ? Reduction::And : Reduction::Or;
    if ((kind == Reduction::Or && !in.take("or")) || !in.take("pred"))
      in.unsupportedForm();
  }
  in.expectOperands(3, 4);
  if (in.failed())
    return;
  Op op;
  op.a = in.use(1, PtxType::U32);
  op.b = in.operandCount() == 4 ? in.use(2, PtxType::U32) : in.constant(0, 32);
  Op collect = op;
  collect.run = collectPredicate;
  uint32_t flip = 0;
  collect.c = in.usePredicate(in.operand(in.operandCount() - 1), flip);
  collect.imm = flip;
  in.emit(collect);
  Op wait = op;
  wait.run = barrierHandler;
  wait.flags = aligned ? kAligned : 0;
  in.alsoUses(op.a);
  in.alsoUses(op.b);
  in.emit(wait);
  Op read = op;
  read.run = kind == Reduction::And  ? readReduction<Reduction::And>
             : kind == Reduction::Or ? readReduction<Reduction::Or>
                                     : readReduction<Reduction::Popc>;
  in.alsoUses(op.a);
  in.alsoUses(op.b);
  read.d = in.def(0, kind == Reduction::Popc ? PtxType::U32 : PtxType::Pred);
  in.emit(read);
}

/// bar.warp.sync: lanes of the mask meet here.
const Op *warpBarrier(Warp &warp, const Op *op, LaneMask mask) {
  unsigned lane = static_cast<unsigned>(__builtin_ctz(mask));
  LaneMask members = warp.row<uint32_t>(op->a)[lane];
  if (mask & ~members)
    return warp.fault(op, __builtin_ctz(mask & ~members),
                      "thread is not in the mask of bar.warp.sync");
  if (!warp.converged(op, mask, members))
    return nullptr;
  if (warp.cta->hazards)
    warp.cta->hazards->warpSynchronized(warp);
  return op + 1;
}

void decodeBarrierForms(InstructionDecoder &in, bool aligned) {
  if (in.take("red"))
    return decodeBarrierReduction(in, aligned);
  Op op;
  if (in.take("arrive"))
    op.flags |= kArriveOnly;
  else if (!in.take("sync"))
    return in.unsupportedForm();
  aligned |= in.take("aligned");
  in.expectOperands(op.flags & kArriveOnly ? 2 : 1, 2);
  if (in.failed())
    return;
  op.run = barrierHandler;
  op.flags |= aligned ? kAligned : 0;
  op.a = in.use(0, PtxType::U32);
  op.b = in.operandCount() == 2 ? in.use(1, PtxType::U32) : in.constant(0, 32);
  in.emit(op);
}

/// bar is barrier.aligned.
void decodeBar(InstructionDecoder &in) {
  if (in.take("warp")) {
    if (!in.take("sync"))
      in.unsupportedForm();
    in.expectOperands(1);
    Op op;
    op.run = warpBarrier;
    op.a = in.use(0, PtxType::U32);
    in.emit(op);
    return;
  }
  in.take("cta");
  decodeBarrierForms(in, true);
}

void decodeBarrier(InstructionDecoder &in) {
  if (in.peek() == "cluster")
    return decodeClusterBarrier(in);
  in.take("cta");
  decodeBarrierForms(in, false);
}

const Op *fenceHandler(Warp &, const Op *op, LaneMask) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return op + 1;
}

void decodeFence(InstructionDecoder &in) {
  if (in.peek() == "proxy" || in.peek() == "mbarrier_init")
    return decodeProxyFence(in);
  in.take("sc") || in.take("acq_rel") || in.take("acquire") ||
      in.take("release");
  if (!in.take("cta") && !in.take("gpu") && !in.take("sys") &&
      !in.take("cluster"))
    return in.unsupportedForm();
  decodePlain<fenceHandler>(in);
}

void decodeMembar(InstructionDecoder &in) {
  if (!in.take("gl") && !in.take("cta") && !in.take("sys"))
    return in.unsupportedForm();
  decodePlain<fenceHandler>(in);
}

const Op *sleepHandler(Warp &warp, const Op *op, LaneMask) {
  return warp.yield(op + 1);
}

void decodeSleep(InstructionDecoder &in) {
  in.take("u32");
  in.expectOperands(1);
  Op op;
  op.run = sleepHandler;
  op.a = in.use(0, PtxType::U32);
  in.emit(op);
}

/// Hints that change nothing that a program can see.
void decodePrefetch(InstructionDecoder &in) {
  in.take("global");
  if (!in.take("L1") && !in.take("L2"))
    return in.unsupportedForm();
  in.expectOperands(1);
  Op op;
  op.run = nothing;
  in.emit(op);
}

/// createpolicy.fractional.L2::<priority>.b64 policy{, fraction}. What a policy
/// looks like is nobody's business.
const Op *createPolicy(Warp &warp, const Op *op, LaneMask mask) {
  constexpr uint64_t opaque = 0x9E3779B97F4A7C15;
  uint64_t *policy = warp.row<uint64_t>(op->d);
  for (LaneMask left = mask; left; left &= left - 1)
    policy[__builtin_ctz(left)] = opaque;
  return op + 1;
}

void decodeCreatePolicy(InstructionDecoder &in) {
  if (!in.take("fractional") ||
      (!in.take("L2::evict_first") && !in.take("L2::evict_last") &&
       !in.take("L2::evict_normal") && !in.take("L2::evict_unchanged")) ||
      !in.take("b64"))
    return in.unsupportedForm();
  in.expectOperands(1, 2);
  if (in.failed())
    return;
  Op op;
  op.run = createPolicy;
  op.d = in.def(0, PtxType::B64);
  if (in.operandCount() == 2)
    in.use(1, PtxType::F32);
  in.emit(op);
}

} // namespace

void addControl(DecodeTable &table) {
  table["bra"] = decodeBranch;
  table["brx"] = decodeIndexedBranch;
  table["call"] = decodeCall;
  table["ret"] = decodeReturn;
  table["exit"] = decodePlain<exitHandler>;
  table["trap"] = decodePlain<trapHandler>;
  table["bar"] = decodeBar;
  table["barrier"] = decodeBarrier;
  table["fence"] = decodeFence;
  table["membar"] = decodeMembar;
  table["nanosleep"] = decodeSleep;
  table["prefetch"] = decodePrefetch;
  table["createpolicy"] = decodeCreatePolicy;
}

} // namespace odyssey::runtime::emulator

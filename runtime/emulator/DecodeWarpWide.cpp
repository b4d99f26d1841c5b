//===- DecodeWarpWide.cpp - shfl, vote, redux, match, elect ---------------===//

#include "Decoder.h"
#include "Machine.h"

#include <algorithm>

namespace odyssey::runtime::emulator {

namespace {

/// The rules that all `.sync` instructions share: each executing lane must be a
/// member, and all live members take part. True when the handler may go on;
/// otherwise it returns null.
bool membersMeet(Warp &warp, const Op *op, LaneMask mask, uint32_t maskRow,
                 LaneMask &members) {
  const uint32_t *rows = warp.row<uint32_t>(maskRow);
  members = rows[__builtin_ctz(mask)];
  for (LaneMask left = mask; left; left &= left - 1) {
    int lane = __builtin_ctz(left);
    if (!(rows[lane] >> lane & 1)) {
      warp.fault(op, lane, "thread is not in the member mask");
      return false;
    }
    if (rows[lane] != members) {
      warp.fault(op, lane, "threads give different member masks");
      return false;
    }
  }
  return warp.converged(op, mask, members);
}

enum class Shuffle : uint8_t { Up, Down, Butterfly, Index };

/// shfl.sync: row b is the lane operand, c the clamp and segment mask, rows[0]
/// the member mask, rows[1] the predicate.
template <Shuffle Mode>
const Op *shuffleHandler(Warp &warp, const Op *op, LaneMask mask) {
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  LaneMask members = 0;
  if (!membersMeet(warp, op, mask, rows[0], members))
    return nullptr;
  const uint32_t *a = warp.row<uint32_t>(op->a), *b = warp.row<uint32_t>(op->b),
                 *c = warp.row<uint32_t>(op->c);
  uint32_t result[kWarpLanes];
  LaneMask valid = 0;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    int value = static_cast<int>(b[lane] & 31);
    int clamp = static_cast<int>(c[lane] & 31);
    int segment = static_cast<int>(c[lane] >> 8 & 31);
    int self = static_cast<int>(lane);
    int last = (self & segment) | (clamp & ~segment);
    int first = self & segment;
    int from = 0;
    bool inRange = false;
    switch (Mode) {
    case Shuffle::Up:
      from = self - value;
      inRange = from >= last;
      break;
    case Shuffle::Down:
      from = self + value;
      inRange = from <= last;
      break;
    case Shuffle::Butterfly:
      from = self ^ value;
      inRange = from <= last;
      break;
    case Shuffle::Index:
      from = first | (value & ~segment);
      inRange = from <= last;
      break;
    }
    if (!inRange)
      from = self;
    valid |= LaneMask(inRange) << lane;
    result[lane] = a[from & 31];
  }
  uint32_t *d = warp.row<uint32_t>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    d[lane] = mask >> lane & 1 ? result[lane] : d[lane];
  warp.setPredicate(rows[1], valid, mask);
  return op + 1;
}

void decodeShuffle(InstructionDecoder &in) {
  if (!in.take("sync"))
    in.unsupportedForm();
  Op op;
  if (in.take("up"))
    op.run = shuffleHandler<Shuffle::Up>;
  else if (in.take("down"))
    op.run = shuffleHandler<Shuffle::Down>;
  else if (in.take("bfly"))
    op.run = shuffleHandler<Shuffle::Butterfly>;
  else if (in.take("idx"))
    op.run = shuffleHandler<Shuffle::Index>;
  else
    in.unsupportedForm();
  if (!in.take("b32"))
    in.unsupportedForm();
  in.expectOperands(5);
  if (in.failed())
    return;
  Operand nobody;
  const Operand &first = in.operand(0);
  op.d = in.def(first, PtxType::B32);
  const Operand &predicate =
      first.elements.empty() ? nobody : first.elements[0];
  op.a = in.use(1, PtxType::B32);
  op.b = in.use(2, PtxType::B32);
  op.c = in.use(3, PtxType::B32);
  op.rows =
      in.addRows({in.use(4, PtxType::B32), in.def(predicate, PtxType::Pred)});
  in.emit(op);
}

enum class Vote : uint8_t { All, Any, Uniform, Ballot };

template <Vote Mode>
const Op *voteHandler(Warp &warp, const Op *op, LaneMask mask) {
  LaneMask members = 0;
  if (!membersMeet(warp, op, mask, op->b, members))
    return nullptr;
  LaneMask taking = mask & members;
  LaneMask votes = (warp.predicate(op->a) ^ op->flags) & taking;
  if (Mode == Vote::Ballot) {
    uint32_t *d = warp.row<uint32_t>(op->d);
    for (unsigned lane = 0; lane < kWarpLanes; ++lane)
      d[lane] = mask >> lane & 1 ? votes : d[lane];
    return op + 1;
  }
  bool result = Mode == Vote::All   ? votes == taking
                : Mode == Vote::Any ? votes != 0
                                    : votes == 0 || votes == taking;
  warp.setPredicate(op->d, result ? kAllLanes : 0, mask);
  return op + 1;
}

void decodeVote(InstructionDecoder &in) {
  if (!in.take("sync"))
    in.unsupportedForm();
  Op op;
  PtxType type = PtxType::Pred;
  if (in.take("all"))
    op.run = voteHandler<Vote::All>;
  else if (in.take("any"))
    op.run = voteHandler<Vote::Any>;
  else if (in.take("uni"))
    op.run = voteHandler<Vote::Uniform>;
  else if (in.take("ballot"))
    op.run = voteHandler<Vote::Ballot>, type = PtxType::B32;
  else
    in.unsupportedForm();
  if (!in.take(typeName(type)))
    in.unsupportedForm();
  in.expectOperands(3);
  if (in.failed())
    return;
  op.d = in.def(0, type);
  op.a = in.usePredicate(in.operand(1), op.flags);
  op.b = in.use(2, PtxType::B32);
  in.emit(op);
}

enum class Redux : uint8_t { Add, Min, Max, And, Or, Xor };

template <Redux Mode, typename T>
const Op *reduxHandler(Warp &warp, const Op *op, LaneMask mask) {
  LaneMask members = 0;
  if (!membersMeet(warp, op, mask, op->b, members))
    return nullptr;
  const T *a = warp.row<T>(op->a);
  T result = a[__builtin_ctz(mask)];
  for (LaneMask left = mask & (mask - 1); left; left &= left - 1) {
    T value = a[__builtin_ctz(left)];
    switch (Mode) {
    case Redux::Add:
      result = static_cast<T>(uint32_t(result) + uint32_t(value));
      break;
    case Redux::Min:
      result = std::min(result, value);
      break;
    case Redux::Max:
      result = std::max(result, value);
      break;
    case Redux::And:
      result &= value;
      break;
    case Redux::Or:
      result |= value;
      break;
    case Redux::Xor:
      result ^= value;
      break;
    }
  }
  T *d = warp.row<T>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    d[lane] = mask >> lane & 1 ? result : d[lane];
  return op + 1;
}

void decodeRedux(InstructionDecoder &in) {
  if (!in.take("sync"))
    in.unsupportedForm();
  std::string_view name = in.takeAny();
  PtxType type = in.takeType();
  in.expectOperands(3);
  Op op;
  bool bitwise = type == PtxType::B32, isSignedType = type == PtxType::S32;
  bool arithmetic = isSignedType || type == PtxType::U32;
  if (name == "add" && arithmetic)
    op.run = reduxHandler<Redux::Add, uint32_t>;
  else if (name == "min" && arithmetic)
    op.run = isSignedType ? reduxHandler<Redux::Min, int32_t>
                          : reduxHandler<Redux::Min, uint32_t>;
  else if (name == "max" && arithmetic)
    op.run = isSignedType ? reduxHandler<Redux::Max, int32_t>
                          : reduxHandler<Redux::Max, uint32_t>;
  else if (name == "and" && bitwise)
    op.run = reduxHandler<Redux::And, uint32_t>;
  else if (name == "or" && bitwise)
    op.run = reduxHandler<Redux::Or, uint32_t>;
  else if (name == "xor" && bitwise)
    op.run = reduxHandler<Redux::Xor, uint32_t>;
  else
    in.fail("unsupported form of redux");
  op.d = in.def(0, type);
  op.a = in.use(1, type);
  op.b = in.use(2, PtxType::B32);
  in.emit(op);
}

/// match.any: the lanes that have the same value. match.all: all lanes if they
/// all agree, else none; rows[0] is its predicate.
template <typename T, bool All>
const Op *matchHandler(Warp &warp, const Op *op, LaneMask mask) {
  LaneMask members = 0;
  if (!membersMeet(warp, op, mask, op->b, members))
    return nullptr;
  const T *a = warp.row<T>(op->a);
  uint32_t result[kWarpLanes] = {};
  for (LaneMask left = mask; left; left &= left - 1) {
    int lane = __builtin_ctz(left);
    LaneMask same = 0;
    for (LaneMask other = mask; other; other &= other - 1)
      if (a[__builtin_ctz(other)] == a[lane])
        same |= other & -other;
    result[lane] = All ? (same == mask ? mask : 0) : same;
  }
  if (All)
    warp.setPredicate(warp.program->rows[op->rows],
                      result[__builtin_ctz(mask)] ? kAllLanes : 0, mask);
  uint32_t *d = warp.row<uint32_t>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    d[lane] = mask >> lane & 1 ? result[lane] : d[lane];
  return op + 1;
}

void decodeMatch(InstructionDecoder &in) {
  bool all = in.take("all");
  if ((!all && !in.take("any")) || !in.take("sync"))
    in.unsupportedForm();
  PtxType type = in.takeType();
  in.expectOperands(3);
  if (in.failed())
    return;
  Op op;
  if (type == PtxType::B32)
    op.run = all ? matchHandler<uint32_t, true> : matchHandler<uint32_t, false>;
  else if (type == PtxType::B64)
    op.run = all ? matchHandler<uint64_t, true> : matchHandler<uint64_t, false>;
  else
    in.fail("unsupported type of match");
  Operand nobody;
  const Operand &first = in.operand(0);
  op.d = in.def(first, PtxType::B32);
  op.rows = in.addRows({in.def(
      first.elements.empty() ? nobody : first.elements[0], PtxType::Pred)});
  op.a = in.use(1, type);
  op.b = in.use(2, PtxType::B32);
  in.emit(op);
}

const Op *activeMask(Warp &warp, const Op *op, LaneMask mask) {
  uint32_t *d = warp.row<uint32_t>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    d[lane] = mask >> lane & 1 ? mask : d[lane];
  return op + 1;
}

void decodeActiveMask(InstructionDecoder &in) {
  if (!in.take("b32"))
    in.unsupportedForm();
  in.expectOperands(1);
  Op op;
  op.run = activeMask;
  op.d = in.def(0, PtxType::B32);
  in.emit(op);
}

/// The leader is the lowest member; PTX leaves the choice open.
const Op *electHandler(Warp &warp, const Op *op, LaneMask mask) {
  LaneMask members = 0;
  if (!membersMeet(warp, op, mask, op->b, members))
    return nullptr;
  LaneMask leader = mask & -mask;
  uint32_t *d = warp.row<uint32_t>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    if (mask >> lane & 1)
      d[lane] = static_cast<uint32_t>(__builtin_ctz(leader));
  warp.setPredicate(warp.program->rows[op->rows], leader, mask);
  return op + 1;
}

void decodeElect(InstructionDecoder &in) {
  if (!in.take("sync"))
    in.unsupportedForm();
  in.expectOperands(2);
  if (in.failed())
    return;
  const Operand &first = in.operand(0);
  if (first.elements.empty())
    return in.fail("expected d|p");
  Op op;
  op.run = electHandler;
  op.d = in.def(first, PtxType::B32);
  op.rows = in.addRows({in.def(first.elements[0], PtxType::Pred)});
  op.b = in.use(1, PtxType::B32);
  in.emit(op);
}

} // namespace

void addWarpWide(DecodeTable &table) {
  table["shfl"] = decodeShuffle;
  table["vote"] = decodeVote;
  table["redux"] = decodeRedux;
  table["match"] = decodeMatch;
  table["activemask"] = decodeActiveMask;
  table["elect"] = decodeElect;
}

} // namespace odyssey::runtime::emulator

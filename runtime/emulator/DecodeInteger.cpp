//===- DecodeInteger.cpp - Integer arithmetic, logic and moves ------------===//

#include "Decoder.h"
#include "FloatOps.h"
#include "IntegerOps.h"
#include "Machine.h"

namespace odyssey::runtime::emulator {

namespace {

/// Emits `op` with its destination and one to three sources of `type`.
void emitInteger(InstructionDecoder &in, IntegerOp op, PtxType type,
                 size_t sources) {
  in.expectOperands(sources + 1);
  Op result;
  result.run = integerHandler(op, type);
  if (!result.run)
    in.fail(std::string("no such operation on type '") + typeName(type) + "'");
  result.d = in.def(0, type);
  result.a = in.use(1, type);
  if (sources > 1)
    result.b = in.use(2, type);
  if (sources > 2)
    result.c = in.use(3, type);
  in.emit(result);
}

bool isInteger16Up(PtxType type) {
  return isInteger(type) && bitWidth(type) >= 16;
}

PtxType takeInteger(InstructionDecoder &in) {
  PtxType type = in.takeType();
  if (!isInteger16Up(type))
    in.fail(std::string("unsupported type '") + typeName(type) + "'");
  return type;
}

/// Arithmetic that is an integer one if the opcode's last modifier is an
/// integer type.
bool isIntegerInstruction(const InstructionDecoder &in) {
  const std::vector<std::string> &modifiers = in.instruction.modifiers;
  if (modifiers.empty())
    return false;
  std::optional<PtxType> type = parseType(modifiers.back());
  return type && isInteger(*type);
}

template <IntegerOp Plain, IntegerOp Saturated>
void decodeAddSub(InstructionDecoder &in) {
  if (!isIntegerInstruction(in))
    return decodeFloatArithmetic(in);
  bool saturate = in.take("sat");
  PtxType type = takeInteger(in);
  if (saturate && type != PtxType::S32)
    in.fail("'.sat' needs type s32");
  emitInteger(in, saturate ? Saturated : Plain, type, 2);
}

template <IntegerOp Op> void decodeUnary(InstructionDecoder &in) {
  if (!isIntegerInstruction(in))
    return decodeFloatArithmetic(in);
  emitInteger(in, Op, takeInteger(in), 1);
}

template <IntegerOp Op> void decodeBinary(InstructionDecoder &in) {
  if (!isIntegerInstruction(in))
    return decodeFloatArithmetic(in);
  emitInteger(in, Op, takeInteger(in), 2);
}

PtxType widerType(PtxType type) {
  switch (type) {
  case PtxType::U16:
    return PtxType::U32;
  case PtxType::S16:
    return PtxType::S32;
  case PtxType::U32:
    return PtxType::U64;
  case PtxType::S32:
    return PtxType::S64;
  default:
    return PtxType::None;
  }
}

/// mul and mad: `.lo`, `.hi` and `.wide`.
template <bool Mad> void decodeMultiply(InstructionDecoder &in) {
  if (!isIntegerInstruction(in))
    return decodeFloatArithmetic(in);
  bool wide = in.take("wide"), high = !wide && in.take("hi");
  if (!wide && !high && !in.take("lo"))
    in.unsupportedForm();
  PtxType type = takeInteger(in);
  if (!wide)
    return emitInteger(in,
                       high  ? (Mad ? IntegerOp::MadHi : IntegerOp::MulHi)
                       : Mad ? IntegerOp::MadLo
                             : IntegerOp::MulLo,
                       type, Mad ? 3 : 2);
  PtxType result = widerType(type);
  if (result == PtxType::None)
    return in.fail("'.wide' needs 16 or 32 bits");
  in.expectOperands(Mad ? 4 : 3);
  Op op;
  op.run = integerHandler(Mad ? IntegerOp::MadWide : IntegerOp::MulWide, type);
  op.d = in.def(0, result);
  op.a = in.use(1, type);
  op.b = in.use(2, type);
  if (Mad)
    op.c = in.use(3, result);
  in.emit(op);
}

void decodeMul24(InstructionDecoder &in) {
  if (!in.take("lo"))
    in.unsupportedForm();
  emitInteger(in, IntegerOp::Mul24Lo, takeInteger(in), 2);
}

/// and, or, xor, not also work on predicates.
enum class PredicateOp { And, Or, Xor, Not, Mov };

template <PredicateOp Kind>
const Op *predicateLogic(Warp &warp, const Op *op, LaneMask mask);

template <IntegerOp Integer, PredicateOp Predicate>
void decodeLogic(InstructionDecoder &in) {
  constexpr bool kUnary =
      Predicate == PredicateOp::Not || Predicate == PredicateOp::Mov;
  PtxType type = in.takeType();
  if (type != PtxType::Pred) {
    if (isFloat(type) && Integer != IntegerOp::Mov)
      return in.fail("logic on a floating-point type");
    return emitInteger(in, Integer, type, kUnary ? 1 : 2);
  }
  in.expectOperands(kUnary ? 2 : 3);
  if (in.failed())
    return;
  Op op;
  op.run = predicateLogic<Predicate>;
  uint32_t flipA = 0, flipB = 0;
  op.d = in.def(0, PtxType::Pred);
  op.a = in.usePredicate(in.operand(1), flipA);
  if (!kUnary)
    op.b = in.usePredicate(in.operand(2), flipB);
  op.flags = flipA;
  op.imm = flipB;
  in.emit(op);
}

template <IntegerOp Kind> void decodeShift(InstructionDecoder &in) {
  PtxType type = takeInteger(in);
  in.expectOperands(3);
  Op op;
  op.run = integerHandler(Kind, type);
  op.d = in.def(0, type);
  op.a = in.use(1, type);
  op.b = in.use(2, PtxType::U32);
  in.emit(op);
}

void decodeFunnelShift(InstructionDecoder &in) {
  bool left = in.take("l");
  if (!left && !in.take("r"))
    in.unsupportedForm();
  bool wrap = in.take("wrap");
  if (!wrap && !in.take("clamp"))
    in.unsupportedForm();
  if (!in.take("b32"))
    in.unsupportedForm();
  emitInteger(in,
              left
                  ? (wrap ? IntegerOp::ShfLeftWrap : IntegerOp::ShfLeftClamp)
                  : (wrap ? IntegerOp::ShfRightWrap : IntegerOp::ShfRightClamp),
              PtxType::B32, 3);
}

void decodeBitFieldExtract(InstructionDecoder &in) {
  PtxType type = takeInteger(in);
  in.expectOperands(4);
  Op op;
  op.run = integerHandler(IntegerOp::Bfe, type);
  if (!op.run)
    in.fail("bfe needs 32 or 64 bits");
  op.d = in.def(0, type);
  op.a = in.use(1, type);
  op.b = in.use(2, PtxType::U32);
  op.c = in.use(3, PtxType::U32);
  in.emit(op);
}

void decodeBitFieldInsert(InstructionDecoder &in) {
  PtxType type = takeInteger(in);
  in.expectOperands(5);
  Op op;
  op.run = integerHandler(IntegerOp::Bfi, type);
  if (!op.run)
    in.fail("bfi needs 32 or 64 bits");
  op.d = in.def(0, type);
  op.a = in.use(1, type);
  op.b = in.use(2, type);
  op.c = in.use(3, PtxType::U32);
  op.rows = in.addRows({in.use(4, PtxType::U32)});
  in.emit(op);
}

/// Operations whose result is a bit number or a count: always 32 bits.
template <IntegerOp Kind> void decodeCount(InstructionDecoder &in) {
  bool shift = Kind == IntegerOp::Bfind && in.take("shiftamt");
  PtxType type = takeInteger(in);
  in.expectOperands(2);
  Op op;
  op.run = integerHandler(shift ? IntegerOp::BfindShift : Kind, type);
  if (!op.run)
    in.fail("the operation needs 32 or 64 bits");
  op.d = in.def(0, PtxType::U32);
  op.a = in.use(1, type);
  in.emit(op);
}

void decodePermute(InstructionDecoder &in) {
  if (!in.take("b32"))
    in.unsupportedForm();
  uint32_t mode = 0;
  static constexpr std::string_view kModes[] = {"f4e", "b4e", "rc8",
                                                "ecl", "ecr", "rc16"};
  for (uint32_t i = 0; i < std::size(kModes); ++i)
    if (in.take(kModes[i]))
      mode = i + 1;
  in.expectOperands(4);
  Op op;
  op.run = mode ? permuteModeHandler()
                : integerHandler(IntegerOp::Prmt, PtxType::B32);
  op.flags = mode;
  op.d = in.def(0, PtxType::B32);
  op.a = in.use(1, PtxType::B32);
  op.b = in.use(2, PtxType::B32);
  op.c = in.use(3, PtxType::B32);
  in.emit(op);
}

void decodeLogic3(InstructionDecoder &in) {
  if (!in.take("b32"))
    in.unsupportedForm();
  in.expectOperands(5);
  if (in.failed())
    return;
  Op op;
  op.run = integerHandler(IntegerOp::Lop3, PtxType::B32);
  op.flags = static_cast<uint32_t>(in.integer(in.operand(4))) & 0xFF;
  op.d = in.def(0, PtxType::B32);
  op.a = in.use(1, PtxType::B32);
  op.b = in.use(2, PtxType::B32);
  op.c = in.use(3, PtxType::B32);
  in.emit(op);
}

/// dp4a.atype.btype and dp2a.{lo,hi}.atype.btype.
template <bool Four> void decodeDot(InstructionDecoder &in) {
  bool high = !Four && in.take("hi");
  if (!Four && !high && !in.take("lo"))
    in.unsupportedForm();
  PtxType a = in.takeType(), b = in.takeType();
  if ((a != PtxType::U32 && a != PtxType::S32) ||
      (b != PtxType::U32 && b != PtxType::S32))
    in.fail("dot products need types u32 and s32");
  bool isSignedB = b == PtxType::S32;
  IntegerOp kind =
      Four   ? (isSignedB ? IntegerOp::Dp4aS32 : IntegerOp::Dp4aU32)
      : high ? (isSignedB ? IntegerOp::Dp2aHiS32 : IntegerOp::Dp2aHiU32)
             : (isSignedB ? IntegerOp::Dp2aLoS32 : IntegerOp::Dp2aLoU32);
  emitInteger(in, kind, a, 3);
}

void decodeSad(InstructionDecoder &in) {
  emitInteger(in, IntegerOp::Sad, takeInteger(in), 3);
}

template <PredicateOp Kind>
const Op *predicateLogic(Warp &warp, const Op *op, LaneMask mask) {
  LaneMask a = warp.predicate(op->a) ^ op->flags;
  LaneMask b = warp.predicate(op->b) ^ static_cast<LaneMask>(op->imm);
  LaneMask result = 0;
  switch (Kind) {
  case PredicateOp::And:
    result = a & b;
    break;
  case PredicateOp::Or:
    result = a | b;
    break;
  case PredicateOp::Xor:
    result = a ^ b;
    break;
  case PredicateOp::Not:
    result = ~a;
    break;
  case PredicateOp::Mov:
    result = a;
    break;
  }
  warp.setPredicate(op->d, result, mask);
  return op + 1;
}

/// mov.b32/b64 between a register and a vector of its parts. The parts lie in
/// `rows`, `a` or `d` is the whole; `flags` is the number of parts.
template <typename Whole, typename Part>
const Op *packHandler(Warp &warp, const Op *op, LaneMask mask) {
  constexpr unsigned kParts = sizeof(Whole) / sizeof(Part);
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  Whole result[kWarpLanes] = {};
  for (unsigned part = 0; part < kParts; ++part) {
    const Part *from = warp.row<Part>(rows[part]);
    for (unsigned lane = 0; lane < kWarpLanes; ++lane)
      result[lane] |= static_cast<Whole>(from[lane])
                      << (part * sizeof(Part) * 8);
  }
  Whole *d = warp.row<Whole>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    d[lane] = mask >> lane & 1 ? result[lane] : d[lane];
  return op + 1;
}

template <typename Whole, typename Part>
const Op *unpackHandler(Warp &warp, const Op *op, LaneMask mask) {
  constexpr unsigned kParts = sizeof(Whole) / sizeof(Part);
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  const Whole *from = warp.row<Whole>(op->a);
  for (unsigned part = 0; part < kParts; ++part) {
    Part *d = warp.row<Part>(rows[part]);
    for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
      Part value = static_cast<Part>(from[lane] >> (part * sizeof(Part) * 8));
      d[lane] = mask >> lane & 1 ? value : d[lane];
    }
  }
  return op + 1;
}

void decodeVectorMove(InstructionDecoder &in, PtxType type) {
  in.expectOperands(2);
  if (in.failed())
    return;
  bool pack = in.operand(1).kind == Operand::Kind::Vector;
  const std::vector<Operand> &parts = in.operand(pack ? 1 : 0).elements;
  unsigned width = bitWidth(type);
  if ((width != 32 && width != 64) || (parts.size() != 2 && parts.size() != 4))
    return in.fail("unsupported vector move");
  unsigned partWidth = width / static_cast<unsigned>(parts.size());
  if (partWidth != 16 && partWidth != 32)
    return in.fail("unsupported vector move");
  PtxType partType = partWidth == 16 ? PtxType::B16 : PtxType::B32;
  Op op;
  std::vector<uint32_t> rows;
  if (pack) {
    op.d = in.def(0, type);
    for (const Operand &part : parts)
      rows.push_back(in.use(part, partType));
  } else {
    op.a = in.use(1, type);
    for (const Operand &part : parts)
      rows.push_back(in.def(part, partType));
  }
  op.rows = in.addRows(rows);
  if (width == 32)
    op.run = pack ? packHandler<uint32_t, uint16_t>
                  : unpackHandler<uint32_t, uint16_t>;
  else if (partWidth == 16)
    op.run = pack ? packHandler<uint64_t, uint16_t>
                  : unpackHandler<uint64_t, uint16_t>;
  else
    op.run = pack ? packHandler<uint64_t, uint32_t>
                  : unpackHandler<uint64_t, uint32_t>;
  in.emit(op);
}

PtxType untyped(PtxType type) {
  switch (bitWidth(type)) {
  case 16:
    return PtxType::B16;
  case 32:
    return PtxType::B32;
  default:
    return PtxType::B64;
  }
}

void decodeMove(InstructionDecoder &in) {
  std::optional<PtxType> type = parseType(in.peek());
  if (!type)
    return in.unsupportedForm();
  if (*type == PtxType::Pred)
    return decodeLogic<IntegerOp::Mov, PredicateOp::Mov>(in);
  in.takeAny();
  if (bitWidth(*type) < 16)
    return in.fail("unsupported type of mov");
  if (in.operandCount() == 2 && (in.operand(0).kind == Operand::Kind::Vector ||
                                 in.operand(1).kind == Operand::Kind::Vector))
    return decodeVectorMove(in, *type);
  if (in.operandCount() == 2 && decodeClockMove(in, *type))
    return;
  in.expectOperands(2);
  if (in.failed())
    return;
  Op op;
  op.run = integerHandler(IntegerOp::Mov, untyped(*type));
  op.d = in.def(0, *type);
  op.a = in.use(1, *type);
  in.emit(op);
}

} // namespace

void addInteger(DecodeTable &table) {
  table["add"] = decodeAddSub<IntegerOp::Add, IntegerOp::AddSat>;
  table["sub"] = decodeAddSub<IntegerOp::Sub, IntegerOp::SubSat>;
  table["mul"] = decodeMultiply<false>;
  table["mad"] = decodeMultiply<true>;
  table["mul24"] = decodeMul24;
  table["div"] = decodeBinary<IntegerOp::Div>;
  table["rem"] = decodeBinary<IntegerOp::Rem>;
  table["min"] = decodeBinary<IntegerOp::Min>;
  table["max"] = decodeBinary<IntegerOp::Max>;
  table["abs"] = decodeUnary<IntegerOp::Abs>;
  table["neg"] = decodeUnary<IntegerOp::Neg>;
  table["and"] = decodeLogic<IntegerOp::And, PredicateOp::And>;
  table["or"] = decodeLogic<IntegerOp::Or, PredicateOp::Or>;
  table["xor"] = decodeLogic<IntegerOp::Xor, PredicateOp::Xor>;
  table["not"] = decodeLogic<IntegerOp::Not, PredicateOp::Not>;
  table["cnot"] = decodeUnary<IntegerOp::Cnot>;
  table["shl"] = decodeShift<IntegerOp::Shl>;
  table["shr"] = decodeShift<IntegerOp::Shr>;
  table["shf"] = decodeFunnelShift;
  table["bfe"] = decodeBitFieldExtract;
  table["bfi"] = decodeBitFieldInsert;
  table["bfind"] = decodeCount<IntegerOp::Bfind>;
  table["clz"] = decodeCount<IntegerOp::Clz>;
  table["popc"] = decodeCount<IntegerOp::Popc>;
  table["brev"] = decodeUnary<IntegerOp::Brev>;
  table["prmt"] = decodePermute;
  table["lop3"] = decodeLogic3;
  table["dp4a"] = decodeDot<true>;
  table["dp2a"] = decodeDot<false>;
  table["sad"] = decodeSad;
  table["mov"] = decodeMove;
}

} // namespace odyssey::runtime::emulator

//===- DecodeConvert.cpp - cvt, cvta and isspacep -------------------------===//

#include "ConvertOps.h"
#include "IntegerOps.h"
#include "Machine.h"

namespace odyssey::runtime::emulator {

namespace {

struct ConversionModifiers {
  bool hasRounding = false;
  bool integral = false;
  Rounding rounding = Rounding::Nearest;
  FloatMode mode;
};

void takeModifiers(InstructionDecoder &in, ConversionModifiers &out) {
  static constexpr struct {
    std::string_view name;
    Rounding rounding;
    bool integral;
  } kRoundings[] = {
      {"rn", Rounding::Nearest, false}, {"rz", Rounding::Zero, false},
      {"rm", Rounding::Down, false},    {"rp", Rounding::Up, false},
      {"rni", Rounding::Nearest, true}, {"rzi", Rounding::Zero, true},
      {"rmi", Rounding::Down, true},    {"rpi", Rounding::Up, true},
  };
  for (auto &candidate : kRoundings)
    if (in.take(candidate.name)) {
      out.hasRounding = true;
      out.integral = candidate.integral;
      out.rounding = candidate.rounding;
      break;
    }
  out.mode.ftz = in.take("ftz");
  out.mode.saturate = in.take("sat");
  out.mode.relu = in.take("relu");
}

void convertIntegers(InstructionDecoder &in, const ConversionModifiers &how,
                     PtxType to, PtxType from) {
  in.expectOperands(2);
  if (in.failed())
    return;
  if (how.hasRounding || how.mode.ftz || how.mode.relu)
    return in.fail("rounding between integers");
  unsigned toBits = std::max(16u, bitWidth(to));
  unsigned fromBits = std::max(16u, bitWidth(from));
  Op op;
  op.d = in.defAny(in.operand(0), toBits);
  op.a = in.useAny(in.operand(1), fromBits);
  if (toBits < bitWidth(to) || fromBits < bitWidth(from))
    return in.fail("register is narrower than its type");
  op.run = integerConversion(toBits, fromBits, isSigned(to), isSigned(from),
                             how.mode.saturate);
  op.flags = bitWidth(from);
  op.imm = bitWidth(to);
  if (how.mode.saturate) {
    op.flags |= isSigned(from) ? 128 : 0;
    op.imm |= isSigned(to) ? 128 : 0;
  }
  in.emit(op);
}

void convertToFloat(InstructionDecoder &in, const ConversionModifiers &how,
                    PtxType to, PtxType from) {
  in.expectOperands(2);
  if (in.failed())
    return;
  if (!how.hasRounding || how.integral || how.rounding != Rounding::Nearest ||
      how.mode.saturate || how.mode.relu)
    return in.fail("integers are converted to floats with '.rn' only");
  unsigned fromBits = std::max(16u, bitWidth(from));
  Op op;
  op.d = in.def(0, to);
  op.a = in.useAny(in.operand(1), fromBits);
  op.run = fromBits < bitWidth(from)
               ? nullptr
               : integerToFloat(to, fromBits, isSigned(from));
  if (!op.run)
    return in.fail("unsupported conversion");
  op.flags = bitWidth(from);
  in.emit(op);
}

void convertToInteger(InstructionDecoder &in, const ConversionModifiers &how,
                      PtxType to, PtxType from) {
  in.expectOperands(2);
  if (in.failed())
    return;
  if (!how.integral || how.mode.relu)
    return in.fail("floats are converted to integers with '.r?i' only");
  unsigned toBits = std::max(16u, bitWidth(to));
  Op op;
  op.d = in.defAny(in.operand(0), toBits);
  op.a = in.use(1, from);
  if (toBits < bitWidth(to))
    return in.fail("register is narrower than its type");
  op.run =
      floatToInteger(from, toBits, isSigned(to), how.rounding, how.mode.ftz);
  if (!op.run)
    return in.fail("unsupported conversion");
  op.flags = bitWidth(to);
  if (from == PtxType::F64 || bitWidth(to) == 64)
    op.flags |= kNanToMinimum;
  in.emit(op);
}

void convertFloats(InstructionDecoder &in, const ConversionModifiers &how,
                   PtxType to, PtxType from) {
  bool pair = to == PtxType::F16x2 || to == PtxType::BF16x2;
  in.expectOperands(pair ? 3 : 2);
  if (in.failed())
    return;
  Op op;
  if (pair) {
    bool known =
        how.rounding == Rounding::Nearest || how.rounding == Rounding::Zero;
    if (from != PtxType::F32 || !how.hasRounding || how.integral || !known ||
        how.mode.ftz || how.mode.saturate)
      return in.fail("unsupported conversion");
    op.run = pairConversion(to, how.rounding, how.mode.relu);
  } else {
    bool narrows = bitWidth(to) < bitWidth(from);
    if (narrows != (how.hasRounding && !how.integral))
      return in.fail("a conversion has a rounding where it loses bits, and "
                     "only there");
    op.run = floatConversion(to, from, how.rounding, how.integral, how.mode);
  }
  if (!op.run)
    return in.fail("unsupported conversion");
  op.d = in.def(0, to);
  op.a = in.use(1, from);
  if (pair)
    op.b = in.use(2, from);
  in.emit(op);
}

void decodeConvert(InstructionDecoder &in) {
  ConversionModifiers how;
  takeModifiers(in, how);
  PtxType to = in.takeType();
  PtxType from = in.takeType();
  if (in.failed())
    return;
  if (isFloat(to))
    return isFloat(from) ? convertFloats(in, how, to, from)
                         : convertToFloat(in, how, to, from);
  return isFloat(from) ? convertToInteger(in, how, to, from)
                       : convertIntegers(in, how, to, from);
}

/// cvta{.to}.space.u64: the generic address is the window's base plus the
/// address in the space; global and constant memory have no window.
void decodeAddressConversion(InstructionDecoder &in) {
  bool to = in.take("to");
  uint64_t base = 0;
  if (in.take("shared") || in.take("shared::cta") ||
      in.take("shared::cluster")) {
    base = kSharedWindow;
  } else if (in.take("local")) {
    base = kLocalWindow;
  } else if (!in.take("global") && !in.take("const") && !in.take("param")) {
    return in.unsupportedForm();
  }
  PtxType type = in.takeType();
  in.expectOperands(2);
  if (type != PtxType::U64)
    in.fail("cvta needs type u64");
  if (in.failed())
    return;
  Op op;
  op.d = in.def(0, PtxType::U64);
  op.a = in.use(1, PtxType::U64);
  op.b = in.constant(base, 64);
  op.run = integerHandler(to ? IntegerOp::Sub : IntegerOp::Add, PtxType::U64);
  in.emit(op);
}

template <uint64_t Base, uint64_t Bytes>
const Op *isInWindow(Warp &warp, const Op *op, LaneMask mask) {
  const uint64_t *a = warp.row<uint64_t>(op->a);
  LaneMask result = 0;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    result |= LaneMask(a[lane] - Base < Bytes) << lane;
  warp.setPredicate(op->d, result, mask);
  return op + 1;
}

void decodeIsSpace(InstructionDecoder &in) {
  Op op;
  if (in.take("shared") || in.take("shared::cta"))
    op.run = isInWindow<kSharedWindow, kWindowBytes>;
  else if (in.take("local"))
    op.run = isInWindow<kLocalWindow, kWindowBytes>;
  else if (in.take("global"))
    op.run = isInWindow<kGlobalBase, kSharedWindow - kGlobalBase>;
  else
    return in.unsupportedForm();
  in.expectOperands(2);
  op.d = in.def(0, PtxType::Pred);
  op.a = in.use(1, PtxType::U64);
  in.emit(op);
}

} // namespace

void addConvert(DecodeTable &table) {
  table["cvt"] = decodeConvert;
  table["cvta"] = decodeAddressConversion;
  table["isspacep"] = decodeIsSpace;
}

} // namespace odyssey::runtime::emulator

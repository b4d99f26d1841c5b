//===- DecodeFloat.cpp - Floating-point arithmetic ------------------------===//

#include "FloatOps.h"
#include "Machine.h"

#include <chrono>

namespace odyssey::runtime::emulator {

namespace {

bool takeRounding(InstructionDecoder &in, Rounding &rounding) {
  static constexpr std::pair<std::string_view, Rounding> kNames[] = {
      {"rn", Rounding::Nearest},
      {"rz", Rounding::Zero},
      {"rm", Rounding::Down},
      {"rp", Rounding::Up}};
  for (auto &[name, value] : kNames)
    if (in.take(name)) {
      rounding = value;
      return true;
    }
  return false;
}

void emitFloat(InstructionDecoder &in, Handler handler, PtxType type,
               size_t sources) {
  in.expectOperands(sources + 1);
  Op op;
  op.run = handler;
  if (!handler)
    in.fail("unsupported form of floating-point arithmetic");
  op.d = in.def(0, type);
  op.a = in.use(1, type);
  if (sources > 1)
    op.b = in.use(2, type);
  if (sources > 2)
    op.c = in.use(3, type);
  in.emit(op);
}

PtxType takeFloat(InstructionDecoder &in) {
  PtxType type = in.takeType();
  if (!isFloat(type))
    in.fail(std::string("unsupported type '") + typeName(type) + "'");
  return type;
}

/// add, sub, mul, fma: [.rnd]{.ftz}{.sat}{.relu}.type. Without `.rn` ptxas may
/// contract mul and add, so that the text has no single meaning; it is refused
/// for f32 and f64.
void decodeRounded(InstructionDecoder &in, FloatOp op, size_t sources) {
  FloatMode mode;
  bool explicitRounding = takeRounding(in, mode.rounding);
  mode.ftz = in.take("ftz");
  mode.saturate = in.take("sat");
  mode.relu = op == FloatOp::Fma && in.take("relu");
  PtxType type = takeFloat(in);
  if (!explicitRounding)
    in.fail("no rounding: it may be contracted, write '.rn'");
  if (type == PtxType::F64 && (mode.ftz || mode.saturate))
    in.fail("'.ftz' and '.sat' do not exist for f64");
  if (mode.relu && (type == PtxType::F32 || type == PtxType::F64))
    in.fail("'.relu' needs a 16-bit type");
  emitFloat(in, floatHandler(op, type, mode), type, sources);
}

void decodeMinMax(InstructionDecoder &in, bool isMin) {
  FloatMode mode;
  mode.ftz = in.take("ftz");
  bool nan = in.take("NaN");
  PtxType type = takeFloat(in);
  if (type == PtxType::F64 && (mode.ftz || nan))
    in.fail("'.ftz' and '.NaN' do not exist for f64");
  FloatOp op = isMin ? (nan ? FloatOp::MinNan : FloatOp::Min)
                     : (nan ? FloatOp::MaxNan : FloatOp::Max);
  emitFloat(in, floatHandler(op, type, mode), type, 2);
}

void decodeSign(InstructionDecoder &in, FloatOp op) {
  FloatMode mode;
  mode.ftz = in.take("ftz");
  PtxType type = takeFloat(in);
  emitFloat(in, floatHandler(op, type, mode), type, 1);
}

/// div, rcp, sqrt: `.approx`, `.full` or a rounding.
void decodeDivideLike(InstructionDecoder &in, FloatOp op, size_t sources) {
  FloatMode mode;
  bool approximate =
      in.take("approx") || (op == FloatOp::Div && in.take("full"));
  if (!approximate && !takeRounding(in, mode.rounding))
    in.unsupportedForm();
  mode.ftz = in.take("ftz");
  PtxType type = takeFloat(in);
  if (type != PtxType::F32 && (type != PtxType::F64 || approximate))
    in.fail(std::string("unsupported type '") + typeName(type) + "'");
  bool perturb = in.builder.options.perturbApproximations;
  emitFloat(in,
            approximate ? approximateHandler(op, type, mode.ftz, perturb)
                        : floatHandler(op, type, mode),
            type, sources);
}

template <FloatOp Kind> void decodeApproximate(InstructionDecoder &in) {
  if (!in.take("approx"))
    in.unsupportedForm();
  bool ftz = in.take("ftz");
  PtxType type = takeFloat(in);
  emitFloat(in,
            approximateHandler(Kind, type, ftz,
                               in.builder.options.perturbApproximations),
            type, 1);
}

void decodeCopySign(InstructionDecoder &in) {
  PtxType type = takeFloat(in);
  emitFloat(in, floatHandler(FloatOp::CopySign, type, {}), type, 2);
}

void decodeRcp(InstructionDecoder &in) {
  decodeDivideLike(in, FloatOp::Rcp, 1);
}
void decodeSqrt(InstructionDecoder &in) {
  decodeDivideLike(in, FloatOp::Sqrt, 1);
}
void decodeFma(InstructionDecoder &in) { decodeRounded(in, FloatOp::Fma, 3); }

/// %clock counts executed time, not cycles: PTX promises only that it grows.
template <typename T, bool Nanoseconds, bool High>
const Op *readClock(Warp &warp, const Op *op, LaneMask mask) {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  auto ticks = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  T *d = warp.row<T>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    if (mask >> lane & 1)
      d[lane] = static_cast<T>(High ? ticks >> 32 : ticks);
  return op + 1;
}

} // namespace

void decodeFloatArithmetic(InstructionDecoder &in) {
  const std::string &opcode = in.instruction.opcode;
  if (opcode == "add")
    return decodeRounded(in, FloatOp::Add, 2);
  if (opcode == "sub")
    return decodeRounded(in, FloatOp::Sub, 2);
  if (opcode == "mul")
    return decodeRounded(in, FloatOp::Mul, 2);
  if (opcode == "mad")
    return decodeRounded(in, FloatOp::Fma, 3);
  if (opcode == "min" || opcode == "max")
    return decodeMinMax(in, opcode == "min");
  if (opcode == "neg" || opcode == "abs")
    return decodeSign(in, opcode == "neg" ? FloatOp::Neg : FloatOp::Abs);
  if (opcode == "div")
    return decodeDivideLike(in, FloatOp::Div, 2);
  in.unsupportedForm();
}

bool decodeClockMove(InstructionDecoder &in, PtxType type) {
  const std::string &name = in.operand(1).name;
  if (in.operand(1).kind != Operand::Kind::Symbol)
    return false;
  Op op;
  PtxType expected = PtxType::U32;
  if (name == "%clock")
    op.run = readClock<uint32_t, false, false>;
  else if (name == "%clock_hi")
    op.run = readClock<uint32_t, false, true>;
  else if (name == "%globaltimer_lo")
    op.run = readClock<uint32_t, true, false>;
  else if (name == "%globaltimer_hi")
    op.run = readClock<uint32_t, true, true>;
  else if (name == "%clock64" || name == "%globaltimer") {
    op.run = readClock<uint64_t, true, false>;
    expected = PtxType::U64;
  } else
    return false;
  in.expectOperands(2);
  if (bitWidth(type) != bitWidth(expected))
    in.fail("'" + name + "' has another width");
  op.d = in.def(0, expected);
  in.emit(op);
  return true;
}

void addFloat(DecodeTable &table) {
  table["fma"] = decodeFma;
  table["rcp"] = decodeRcp;
  table["sqrt"] = decodeSqrt;
  table["rsqrt"] = decodeApproximate<FloatOp::Rsqrt>;
  table["ex2"] = decodeApproximate<FloatOp::Ex2>;
  table["lg2"] = decodeApproximate<FloatOp::Lg2>;
  table["sin"] = decodeApproximate<FloatOp::Sin>;
  table["cos"] = decodeApproximate<FloatOp::Cos>;
  table["tanh"] = decodeApproximate<FloatOp::Tanh>;
  table["copysign"] = decodeCopySign;
}

} // namespace odyssey::runtime::emulator

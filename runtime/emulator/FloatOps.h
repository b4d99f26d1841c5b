//===- FloatOps.h - Floating-point arithmetic -------------------*- C++ -*-===//
//
// f32, f64, f16 and bf16 arithmetic as the PTX ISA defines it: every result
// rounded once, NaN results of types below 64 bits canonical, `.ftz` flushing
// operands and results to zero of the same sign.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_FLOATOPS_H
#define ODYSSEY_RUNTIME_EMULATOR_FLOATOPS_H

#include "Decoder.h"

namespace odyssey::runtime::emulator {

enum class FloatOp : uint8_t {
  Add,
  Sub,
  Mul,
  Fma,
  Div,
  Rcp,
  Sqrt,
  Rsqrt,
  Ex2,
  Lg2,
  Sin,
  Cos,
  Tanh,
  Min,
  Max,
  MinNan,
  MaxNan,
  Neg,
  Abs,
  CopySign,
};

enum class Rounding : uint8_t { Nearest, Zero, Down, Up };

/// What an operation does beside its arithmetic.
struct FloatMode {
  bool ftz = false;
  bool saturate = false;
  /// fma.relu: negative results become +0.
  bool relu = false;
  Rounding rounding = Rounding::Nearest;
};

/// The handler of an operation, or null where there is none.
Handler floatHandler(FloatOp op, PtxType type, const FloatMode &mode);
/// The handler of an operation whose error PTX only bounds. It rounds
/// correctly, or moves results within the bound if `perturb` is set.
Handler approximateHandler(FloatOp op, PtxType type, bool ftz, bool perturb);

/// Decodes the floating-point forms of an opcode that has integer ones too.
void decodeFloatArithmetic(InstructionDecoder &in);
/// mov from a clock; false if the source is none.
bool decodeClockMove(InstructionDecoder &in, PtxType type);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_FLOATOPS_H

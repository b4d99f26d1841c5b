//===- CompareOps.h - Comparisons and selection -----------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_COMPAREOPS_H
#define ODYSSEY_RUNTIME_EMULATOR_COMPAREOPS_H

#include "Program.h"

namespace odyssey::runtime::emulator {

enum class Comparison : uint8_t {
  Eq,
  Ne,
  Lt,
  Le,
  Gt,
  Ge,
  // The same, but true where an operand is NaN.
  Equ,
  Neu,
  Ltu,
  Leu,
  Gtu,
  Geu,
  /// Both operands are numbers; one is NaN.
  Num,
  Nan,
};

/// How the result of a comparison combines with the predicate in row c.
enum class BoolOp : uint8_t { None, And, Or, Xor };

/// setp on scalars: d = (a cmp b) op c; the complement goes to the row in
/// `rows`. Op::flags is the mask that flips c, Op::imm the BoolOp.
Handler compareHandler(Comparison comparison, PtxType type, bool ftz);
/// selp: d = c ? a : b. Op::flags flips c.
Handler selectHandler(unsigned bits);
/// slct on the sign of c, which is s32 or f32.
Handler signSelectHandler(unsigned bits, bool floatCondition);
/// d = c ? imm (in lanes' width) : 0.
Handler setHandler(unsigned bits);
/// testp.<property> of f32 and f64.
enum class FloatClass : uint8_t {
  Finite,
  Infinite,
  Number,
  NotANumber,
  Normal,
  Subnormal,
};
Handler testHandler(FloatClass property, PtxType type);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_COMPAREOPS_H

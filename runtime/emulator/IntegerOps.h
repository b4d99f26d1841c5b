//===- IntegerOps.h - Integer arithmetic and logic --------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_INTEGEROPS_H
#define ODYSSEY_RUNTIME_EMULATOR_INTEGEROPS_H

#include "Program.h"

namespace odyssey::runtime::emulator {

enum class IntegerOp : uint8_t {
  Mov,
  Add,
  Sub,
  AddSat,
  SubSat,
  MulLo,
  MulHi,
  MulWide,
  Mul24Lo,
  MadLo,
  MadHi,
  MadWide,
  Div,
  Rem,
  Min,
  Max,
  Abs,
  Neg,
  And,
  Or,
  Xor,
  Not,
  Cnot,
  Shl,
  Shr,
  Bfe,
  Bfi,
  Bfind,
  BfindShift,
  Brev,
  Clz,
  Popc,
  Prmt,
  Lop3,
  ShfLeftWrap,
  ShfLeftClamp,
  ShfRightWrap,
  ShfRightClamp,
  Sad,
  /// dp4a and dp2a: the type is that of the first operand.
  Dp4aU32,
  Dp4aS32,
  Dp2aLoU32,
  Dp2aLoS32,
  Dp2aHiU32,
  Dp2aHiS32,
  Slct,
};

/// The handler of an operation on operands of `type`, or null where PTX has no
/// such form. Operands are in d, a, b, c; Bfi's fourth one is in
/// `rows`, Lop3's table in `flags`.
Handler integerHandler(IntegerOp op, PtxType type);
/// prmt with one of its special modes, whose number plus one is in `flags`.
Handler permuteModeHandler();

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_INTEGEROPS_H

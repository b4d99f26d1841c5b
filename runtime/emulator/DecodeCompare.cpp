//===- DecodeCompare.cpp - setp, set, selp, slct, testp -------------------===//

#include "CompareOps.h"
#include "Decoder.h"

namespace odyssey::runtime::emulator {

namespace {

bool takeComparison(InstructionDecoder &in, Comparison &out) {
  static constexpr std::pair<std::string_view, Comparison> kNames[] = {
      {"eq", Comparison::Eq},
      {"ne", Comparison::Ne},
      {"lt", Comparison::Lt},
      {"le", Comparison::Le},
      {"gt", Comparison::Gt},
      {"ge", Comparison::Ge},
      {"equ", Comparison::Equ},
      {"neu", Comparison::Neu},
      {"ltu", Comparison::Ltu},
      {"leu", Comparison::Leu},
      {"gtu", Comparison::Gtu},
      {"geu", Comparison::Geu},
      {"num", Comparison::Num},
      {"nan", Comparison::Nan},
      // Unsigned spellings; the type says it already.
      {"lo", Comparison::Lt},
      {"ls", Comparison::Le},
      {"hi", Comparison::Gt},
      {"hs", Comparison::Ge},
  };
  for (auto &[name, value] : kNames)
    if (in.take(name)) {
      out = value;
      return true;
    }
  in.unsupportedForm();
  return false;
}

BoolOp takeBoolOp(InstructionDecoder &in) {
  return in.take("and")   ? BoolOp::And
         : in.take("or")  ? BoolOp::Or
         : in.take("xor") ? BoolOp::Xor
                          : BoolOp::None;
}

/// The part of setp and set from the comparison to the combined predicate.
/// `first` is the index of the first source.
Op comparisonOp(InstructionDecoder &in, Comparison comparison, BoolOp boolOp,
                bool ftz, PtxType type, size_t first) {
  Op op;
  op.run = compareHandler(comparison, type, ftz);
  if (!op.run)
    in.fail(std::string("no such comparison on type '") + typeName(type) + "'");
  op.a = in.use(first, type);
  op.b = in.use(first + 1, type);
  op.imm = static_cast<int64_t>(boolOp);
  if (boolOp != BoolOp::None && !in.failed())
    op.c = in.usePredicate(in.operand(first + 2), op.flags);
  return op;
}

void decodeSetPredicate(InstructionDecoder &in) {
  Comparison comparison = Comparison::Eq;
  takeComparison(in, comparison);
  BoolOp boolOp = takeBoolOp(in);
  bool ftz = in.take("ftz");
  PtxType type = in.takeType();
  in.expectOperands(boolOp == BoolOp::None ? 3 : 4);
  if (in.failed())
    return;
  Op op = comparisonOp(in, comparison, boolOp, ftz, type, 1);
  const Operand &first = in.operand(0);
  op.d = in.def(first, PtxType::Pred);
  Operand nobody;
  const Operand &second = first.elements.empty() ? nobody : first.elements[0];
  op.rows = in.addRows({in.def(second, PtxType::Pred)});
  in.emit(op);
}

/// set: as setp, but the result is all ones or 1.0 in a register.
void decodeSet(InstructionDecoder &in) {
  Comparison comparison = Comparison::Eq;
  takeComparison(in, comparison);
  BoolOp boolOp = takeBoolOp(in);
  bool ftz = in.take("ftz");
  PtxType to = in.takeType(), type = in.takeType();
  in.expectOperands(boolOp == BoolOp::None ? 3 : 4);
  if (in.failed())
    return;
  if (type == PtxType::F16x2 || type == PtxType::BF16x2)
    return in.fail("unsupported type of set");
  int64_t yes = 0;
  switch (to) {
  case PtxType::U32:
  case PtxType::S32:
  case PtxType::U16:
  case PtxType::S16:
    yes = -1;
    break;
  case PtxType::F32:
    yes = 0x3F800000;
    break;
  case PtxType::F16:
    yes = 0x3C00;
    break;
  case PtxType::BF16:
    yes = 0x3F80;
    break;
  default:
    return in.fail("unsupported type of set");
  }
  Op op = comparisonOp(in, comparison, boolOp, ftz, type, 1);
  Operand nobody;
  op.d = in.def(nobody, PtxType::Pred);
  op.rows = in.addRows({in.def(nobody, PtxType::Pred)});
  uint32_t result = op.d;
  in.emit(op);
  Op write;
  write.run = setHandler(bitWidth(to));
  write.d = in.def(0, to);
  write.c = result;
  write.imm = yes;
  in.emit(write);
}

void decodeSelect(InstructionDecoder &in) {
  PtxType type = in.takeType();
  in.expectOperands(4);
  if (in.failed())
    return;
  if (bitWidth(type) < 16)
    return in.fail("unsupported type of selp");
  Op op;
  op.run = selectHandler(bitWidth(type));
  op.d = in.def(0, type);
  op.a = in.use(1, type);
  op.b = in.use(2, type);
  op.c = in.usePredicate(in.operand(3), op.flags);
  in.emit(op);
}

void decodeSignSelect(InstructionDecoder &in) {
  in.take("ftz"); // flushing a subnormal condition does not change its sign
  PtxType type = in.takeType(), condition = in.takeType();
  in.expectOperands(4);
  if (bitWidth(type) < 16 ||
      (condition != PtxType::S32 && condition != PtxType::F32))
    in.fail("unsupported types of slct");
  if (in.failed())
    return;
  Op op;
  op.run = signSelectHandler(bitWidth(type), condition == PtxType::F32);
  op.d = in.def(0, type);
  op.a = in.use(1, type);
  op.b = in.use(2, type);
  op.c = in.use(3, condition);
  in.emit(op);
}

void decodeTest(InstructionDecoder &in) {
  static constexpr std::pair<std::string_view, FloatClass> kNames[] = {
      {"finite", FloatClass::Finite}, {"infinite", FloatClass::Infinite},
      {"number", FloatClass::Number}, {"notanumber", FloatClass::NotANumber},
      {"normal", FloatClass::Normal}, {"subnormal", FloatClass::Subnormal}};
  std::string_view name = in.takeAny();
  PtxType type = in.takeType();
  in.expectOperands(2);
  Op op;
  for (auto &[candidate, property] : kNames)
    if (candidate == name)
      op.run = testHandler(property, type);
  if (!op.run)
    in.fail("unsupported form of testp");
  op.d = in.def(0, PtxType::Pred);
  op.a = in.use(1, type);
  in.emit(op);
}

} // namespace

void addCompare(DecodeTable &table) {
  table["setp"] = decodeSetPredicate;
  table["set"] = decodeSet;
  table["selp"] = decodeSelect;
  table["slct"] = decodeSignSelect;
  table["testp"] = decodeTest;
}

} // namespace odyssey::runtime::emulator

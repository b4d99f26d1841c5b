//===- CompareOps.cpp - Comparisons and selection -------------------------===//

#include "CompareOps.h"
#include "FloatOps.h"
#include "Machine.h"
#include "Targets.h"

namespace odyssey::runtime::emulator {

#define ODYSSEY_HANDLERS "CompareOps.inc"
#include "Targets.inc"

namespace {

template <typename T>
const Op *setByPredicate(Warp &warp, const Op *op, LaneMask mask) {
  LaneMask c = warp.predicate(op->c);
  T *d = warp.row<T>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    if (mask >> lane & 1)
      d[lane] = c >> lane & 1 ? static_cast<T>(op->imm) : T(0);
  return op + 1;
}

/// Exponent and mantissa decide; `Infinity` is the pattern without its sign.
template <FloatClass Property, typename U, U Infinity, U LeastNormal>
const Op *testFloat(Warp &warp, const Op *op, LaneMask mask) {
  const U *a = warp.row<U>(op->a);
  LaneMask result = 0;
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    U magnitude = U(a[lane] << 1) >> 1;
    bool holds = false;
    switch (Property) {
    case FloatClass::Finite:
      holds = magnitude < Infinity;
      break;
    case FloatClass::Infinite:
      holds = magnitude == Infinity;
      break;
    case FloatClass::Number:
      holds = magnitude <= Infinity;
      break;
    case FloatClass::NotANumber:
      holds = magnitude > Infinity;
      break;
    case FloatClass::Normal:
      holds = magnitude >= LeastNormal && magnitude < Infinity;
      break;
    case FloatClass::Subnormal:
      holds = magnitude != 0 && magnitude < LeastNormal;
      break;
    }
    result |= LaneMask(holds) << lane;
  }
  warp.setPredicate(op->d, result, mask);
  return op + 1;
}

template <FloatClass Property> Handler testOf(PtxType type) {
  if (type == PtxType::F32)
    return testFloat<Property, uint32_t, 0x7F800000u, 0x00800000u>;
  if (type == PtxType::F64)
    return testFloat<Property, uint64_t, 0x7FF0000000000000ull,
                     0x0010000000000000ull>;
  return nullptr;
}

} // namespace

Handler compareHandler(Comparison comparison, PtxType type, bool ftz) {
  return ODYSSEY_SELECT(select(comparison, type, ftz));
}

Handler selectHandler(unsigned bits) {
  return ODYSSEY_SELECT(selectSelect(bits));
}

Handler signSelectHandler(unsigned bits, bool floatCondition) {
  using namespace portable;
  if (floatCondition)
    return bits == 16   ? selectBySign<uint16_t, float>
           : bits == 32 ? selectBySign<uint32_t, float>
                        : selectBySign<uint64_t, float>;
  return bits == 16   ? selectBySign<uint16_t, int32_t>
         : bits == 32 ? selectBySign<uint32_t, int32_t>
                      : selectBySign<uint64_t, int32_t>;
}

Handler setHandler(unsigned bits) {
  return bits == 16 ? setByPredicate<uint16_t> : setByPredicate<uint32_t>;
}

Handler testHandler(FloatClass property, PtxType type) {
  switch (property) {
  case FloatClass::Finite:
    return testOf<FloatClass::Finite>(type);
  case FloatClass::Infinite:
    return testOf<FloatClass::Infinite>(type);
  case FloatClass::Number:
    return testOf<FloatClass::Number>(type);
  case FloatClass::NotANumber:
    return testOf<FloatClass::NotANumber>(type);
  case FloatClass::Normal:
    return testOf<FloatClass::Normal>(type);
  case FloatClass::Subnormal:
    return testOf<FloatClass::Subnormal>(type);
  }
  return nullptr;
}

} // namespace odyssey::runtime::emulator

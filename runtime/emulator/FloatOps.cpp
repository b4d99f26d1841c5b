//===- FloatOps.cpp - Floating-point arithmetic ---------------------------===//

#include "FloatOps.h"
#include "Machine.h"
#include "Targets.h"

#include <cfenv>
#include <cmath>

namespace odyssey::runtime::emulator {

#define ODYSSEY_HANDLERS "FloatOps.inc"
#include "Targets.inc"

namespace {

using namespace portable;

template <FloatOp Kind, typename T> T compute(T a, T b, T c) {
  switch (Kind) {
  case FloatOp::Add:
    return a + b;
  case FloatOp::Sub:
    return a - b;
  case FloatOp::Mul:
    return a * b;
  case FloatOp::Fma:
    return fusedMultiplyAdd(a, b, c);
  case FloatOp::Div:
    return a / b;
  case FloatOp::Rcp:
    return T(1) / a;
  default:
    return squareRoot(a);
  }
}

/// Arithmetic with a directed rounding, by the host's rounding mode. The
/// volatile accesses keep the arithmetic between the two changes of mode.
template <FloatOp Kind, typename T, bool Ftz, int Mode>
const Op *directed(Warp &warp, const Op *op, LaneMask mask) {
  const volatile T *a = warp.row<T>(op->a), *b = warp.row<T>(op->b),
                   *c = warp.row<T>(op->c);
  volatile T *d = warp.row<T>(op->d);
  int before = std::fegetround();
  std::fesetround(Mode);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (!(mask >> lane & 1))
      continue;
    T x = flush<Ftz, T>(a[lane]), y = T(0), z = T(0);
    if (Kind != FloatOp::Rcp && Kind != FloatOp::Sqrt)
      y = flush<Ftz, T>(b[lane]);
    if (Kind == FloatOp::Fma)
      z = flush<Ftz, T>(c[lane]);
    d[lane] = finish<Ftz, false, T>(compute<Kind, T>(x, y, z));
  }
  std::fesetround(before);
  return op + 1;
}

template <FloatOp Kind, typename T, bool Ftz>
Handler directedHandler(Rounding rounding) {
  switch (rounding) {
  case Rounding::Zero:
    return directed<Kind, T, Ftz, FE_TOWARDZERO>;
  case Rounding::Down:
    return directed<Kind, T, Ftz, FE_DOWNWARD>;
  case Rounding::Up:
    return directed<Kind, T, Ftz, FE_UPWARD>;
  default:
    return nullptr;
  }
}

template <typename T, bool Ftz>
Handler directedHandler(FloatOp op, Rounding rounding) {
  switch (op) {
  case FloatOp::Add:
    return directedHandler<FloatOp::Add, T, Ftz>(rounding);
  case FloatOp::Sub:
    return directedHandler<FloatOp::Sub, T, Ftz>(rounding);
  case FloatOp::Mul:
    return directedHandler<FloatOp::Mul, T, Ftz>(rounding);
  case FloatOp::Fma:
    return directedHandler<FloatOp::Fma, T, Ftz>(rounding);
  case FloatOp::Div:
    return directedHandler<FloatOp::Div, T, Ftz>(rounding);
  case FloatOp::Rcp:
    return directedHandler<FloatOp::Rcp, T, Ftz>(rounding);
  case FloatOp::Sqrt:
    return directedHandler<FloatOp::Sqrt, T, Ftz>(rounding);
  default:
    return nullptr;
  }
}

double reference(FloatOp op, double a, double b) {
  switch (op) {
  case FloatOp::Ex2:
    return exp2Double(a);
  case FloatOp::Lg2:
    return std::log2(a);
  case FloatOp::Sin:
    return std::sin(a);
  case FloatOp::Cos:
    return std::cos(a);
  case FloatOp::Tanh:
    return std::tanh(a);
  case FloatOp::Rsqrt:
    return 1 / std::sqrt(a);
  case FloatOp::Rcp:
    return 1 / a;
  case FloatOp::Sqrt:
    return std::sqrt(a);
  default:
    return a / b;
  }
}

/// The largest error that the PTX ISA allows, as a distance from `exact`.
double errorBound(FloatOp op, double a, double exact) {
  double magnitude = std::fabs(exact);
  double ulp = std::ldexp(1.0, std::max(std::ilogb(magnitude), -126) - 23);
  switch (op) {
  case FloatOp::Lg2:
    return a > 0.5 && a < 2 ? 0x1p-22 : magnitude * 0x1p-22;
  case FloatOp::Sin:
  case FloatOp::Cos:
    return std::exp2(-20.5);
  case FloatOp::Tanh:
    return magnitude * 0x1p-11;
  case FloatOp::Rsqrt:
    return magnitude * std::exp2(-22.9);
  case FloatOp::Sqrt:
    return magnitude * 0x1p-23;
  case FloatOp::Rcp:
    return ulp;
  default: // ex2 and both divisions
    return 2 * ulp;
  }
}

/// A result somewhere within the bound, the same for the same operands.
float perturbed(FloatOp op, float a, float b, double exact) {
  if (!std::isfinite(exact) || exact == 0 || std::fabs(exact) < 0x1p-126)
    return static_cast<float>(exact);
  double room = errorBound(op, a, exact) -
                std::ldexp(1.0, std::ilogb(exact) - 24); // the last rounding
  if (room <= 0)
    return static_cast<float>(exact);
  uint64_t state = (uint64_t(asBits(a)) << 32 | asBits(b)) +
                   static_cast<uint64_t>(op) * 0x9e3779b9u;
  double unit = static_cast<double>(nextRandom(state) >> 11) * 0x1p-52 - 1;
  return static_cast<float>(exact + unit * room);
}

template <FloatOp Kind, bool Ftz, bool Perturb>
float approximate(float a, float b) {
  float x = flush<Ftz>(a), y = flush<Ftz>(b);
  double exact = reference(Kind, x, y);
  float result =
      Perturb ? perturbed(Kind, x, y, exact) : static_cast<float>(exact);
  return finish<Ftz, false>(result);
}

template <FloatOp Kind, bool Ftz, bool Perturb>
const Op *scalarApproximation(Warp &warp, const Op *op, LaneMask mask) {
  const float *a = warp.row<float>(op->a), *b = warp.row<float>(op->b);
  float *d = warp.row<float>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane)
    if (mask >> lane & 1)
      d[lane] = approximate<Kind, Ftz, Perturb>(
          a[lane], Kind == FloatOp::Div ? b[lane] : 0);
  return op + 1;
}

/// ex2 and tanh of f16 and bf16. Their bounds (2^-9.9, 2^-10.987 and wider)
/// are perturbed by no more than the rounding already does.
template <FloatOp Kind, bool Bf, unsigned Parts>
const Op *halfApproximation(Warp &warp, const Op *op, LaneMask mask) {
  const uint16_t *a = warp.row<uint16_t>(op->a);
  uint16_t *d = warp.row<uint16_t>(op->d);
  for (unsigned i = 0; i < kWarpLanes * Parts; ++i)
    if (mask >> (i / Parts) & 1)
      d[i] = narrow<Bf>(narrowToOdd(reference(Kind, widen<Bf>(a[i]), 0)));
  return op + 1;
}

template <FloatOp Kind> Handler scalarHandler(bool ftz, bool perturb) {
  if (perturb)
    return ftz ? scalarApproximation<Kind, true, true>
               : scalarApproximation<Kind, false, true>;
  return ftz ? scalarApproximation<Kind, true, false>
             : scalarApproximation<Kind, false, false>;
}

const Op *rsqrtDouble(Warp &warp, const Op *op, LaneMask mask) {
  forLanes<[](double a) { return 1 / __builtin_sqrt(a); }>(
      warp.row<double>(op->d), mask, warp.row<double>(op->a));
  return op + 1;
}

} // namespace

Handler floatHandler(FloatOp op, PtxType type, const FloatMode &mode) {
  if (mode.rounding != Rounding::Nearest) {
    if (mode.saturate || mode.relu)
      return nullptr;
    if (type == PtxType::F64)
      return directedHandler<double, false>(op, mode.rounding);
    if (type == PtxType::F32)
      return mode.ftz ? directedHandler<float, true>(op, mode.rounding)
                      : directedHandler<float, false>(op, mode.rounding);
    return nullptr;
  }
  return ODYSSEY_SELECT(select(op, type, mode));
}

Handler approximateHandler(FloatOp op, PtxType type, bool ftz, bool perturb) {
  switch (type) {
  case PtxType::F16:
    return op == FloatOp::Ex2    ? halfApproximation<FloatOp::Ex2, false, 1>
           : op == FloatOp::Tanh ? halfApproximation<FloatOp::Tanh, false, 1>
                                 : nullptr;
  case PtxType::F16x2:
    return op == FloatOp::Ex2    ? halfApproximation<FloatOp::Ex2, false, 2>
           : op == FloatOp::Tanh ? halfApproximation<FloatOp::Tanh, false, 2>
                                 : nullptr;
  case PtxType::BF16:
    return op == FloatOp::Ex2    ? halfApproximation<FloatOp::Ex2, true, 1>
           : op == FloatOp::Tanh ? halfApproximation<FloatOp::Tanh, true, 1>
                                 : nullptr;
  case PtxType::BF16x2:
    return op == FloatOp::Ex2    ? halfApproximation<FloatOp::Ex2, true, 2>
           : op == FloatOp::Tanh ? halfApproximation<FloatOp::Tanh, true, 2>
                                 : nullptr;
  case PtxType::F64:
    return op == FloatOp::Rsqrt && !ftz ? rsqrtDouble : nullptr;
  case PtxType::F32:
    break;
  default:
    return nullptr;
  }
  if (!perturb) {
    if (Handler fast = ODYSSEY_SELECT(selectApproximate(op, ftz)))
      return fast;
  }
  switch (op) {
  case FloatOp::Ex2:
    return scalarHandler<FloatOp::Ex2>(ftz, perturb);
  case FloatOp::Lg2:
    return scalarHandler<FloatOp::Lg2>(ftz, perturb);
  case FloatOp::Sin:
    return scalarHandler<FloatOp::Sin>(ftz, perturb);
  case FloatOp::Cos:
    return scalarHandler<FloatOp::Cos>(ftz, perturb);
  case FloatOp::Tanh:
    return scalarHandler<FloatOp::Tanh>(ftz, perturb);
  case FloatOp::Rsqrt:
    return scalarHandler<FloatOp::Rsqrt>(ftz, perturb);
  case FloatOp::Rcp:
    return scalarHandler<FloatOp::Rcp>(ftz, perturb);
  case FloatOp::Sqrt:
    return scalarHandler<FloatOp::Sqrt>(ftz, perturb);
  case FloatOp::Div:
    return scalarHandler<FloatOp::Div>(ftz, perturb);
  default:
    return nullptr;
  }
}

} // namespace odyssey::runtime::emulator

//===- ConvertOps.h - Conversions between types -----------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_CONVERTOPS_H
#define ODYSSEY_RUNTIME_EMULATOR_CONVERTOPS_H

#include "FloatOps.h"

namespace odyssey::runtime::emulator {

/// int -> int; registers of `destinationBits` and `sourceBits`, which may be
/// wider than the types. Op::flags is the source's width, Op::imm the
/// destination's.
Handler integerConversion(unsigned destinationBits, unsigned sourceBits,
                          bool destinationSigned, bool sourceSigned,
                          bool saturate);

/// int -> float, to nearest even. Op::flags is the source's width.
Handler integerToFloat(PtxType destination, unsigned sourceBits,
                       bool sourceSigned);
/// float -> int with clamping. Op::flags is the destination's width, with
/// kNanToMinimum where NaN does not become 0.
inline constexpr uint32_t kNanToMinimum = 256;
Handler floatToInteger(PtxType source, unsigned destinationBits,
                       bool destinationSigned, Rounding rounding, bool ftz);
/// float -> float. `integral` rounds to an integer value by `rounding`.
Handler floatConversion(PtxType destination, PtxType source, Rounding rounding,
                        bool integral, const FloatMode &mode);
/// d = {high: a, low: b}, two f32 to one pair of 16-bit floats.
Handler pairConversion(PtxType destination, Rounding rounding, bool relu);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_CONVERTOPS_H

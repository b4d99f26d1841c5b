//===- ConvertOps.cpp - Conversions between types -------------------------===//

#include "ConvertOps.h"
#include "Machine.h"
#include "Targets.h"

namespace odyssey::runtime::emulator {

#define ODYSSEY_HANDLERS "ConvertOps.inc"
#include "Targets.inc"

namespace {

__extension__ using Wide = __int128;

/// int -> int with clamping, for registers of D and S.
template <typename D, typename S>
const Op *saturateInteger(Warp &warp, const Op *op, LaneMask mask) {
  // Widths and signs: 7 bits and 1.
  unsigned sourceBits = op->flags & 127, bits = op->imm & 127;
  bool sourceSigned = op->flags & 128, isSigned = op->imm & 128;
  Wide greatest = (Wide(1) << (isSigned ? bits - 1 : bits)) - 1;
  Wide least = isSigned ? -(Wide(1) << (bits - 1)) : 0;
  const S *a = warp.row<S>(op->a);
  D *d = warp.row<D>(op->d);
  for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
    if (!(mask >> lane & 1))
      continue;
    uint64_t raw = uint64_t(a[lane]) << (64 - sourceBits);
    Wide value = sourceSigned ? Wide(int64_t(raw) >> (64 - sourceBits))
                              : Wide(raw >> (64 - sourceBits));
    value = value > greatest ? greatest : value < least ? least : value;
    d[lane] = static_cast<D>(value);
  }
  return op + 1;
}

template <typename D> Handler saturating(unsigned sourceBits) {
  return sourceBits == 16   ? saturateInteger<D, uint16_t>
         : sourceBits == 32 ? saturateInteger<D, uint32_t>
                            : saturateInteger<D, uint64_t>;
}

} // namespace

Handler integerConversion(unsigned destinationBits, unsigned sourceBits,
                          bool destinationSigned, bool sourceSigned,
                          bool saturate) {
  if (saturate)
    return destinationBits == 16   ? saturating<uint16_t>(sourceBits)
           : destinationBits == 32 ? saturating<uint32_t>(sourceBits)
                                   : saturating<uint64_t>(sourceBits);
  return ODYSSEY_SELECT(integerConversion(destinationBits, sourceBits,
                                          destinationSigned, sourceSigned));
}

Handler integerToFloat(PtxType destination, unsigned sourceBits,
                       bool sourceSigned) {
  return ODYSSEY_SELECT(selectToFloat(destination, sourceBits, sourceSigned));
}

Handler floatToInteger(PtxType source, unsigned destinationBits,
                       bool destinationSigned, Rounding rounding, bool ftz) {
  return ODYSSEY_SELECT(selectToInteger(source, destinationBits,
                                        destinationSigned, rounding, ftz));
}

Handler floatConversion(PtxType destination, PtxType source, Rounding rounding,
                        bool integral, const FloatMode &mode) {
  bool relu = mode.relu;
  if (mode.ftz && mode.saturate)
    return ODYSSEY_SELECT(selectConversion<true, true>(
        destination, source, rounding, integral, relu));
  if (mode.ftz)
    return ODYSSEY_SELECT(selectConversion<true, false>(
        destination, source, rounding, integral, relu));
  if (mode.saturate)
    return ODYSSEY_SELECT(selectConversion<false, true>(
        destination, source, rounding, integral, relu));
  return ODYSSEY_SELECT(selectConversion<false, false>(
      destination, source, rounding, integral, relu));
}

Handler pairConversion(PtxType destination, Rounding rounding, bool relu) {
  bool bf = destination == PtxType::BF16x2;
  return ODYSSEY_SELECT(selectPair(bf, relu, rounding == Rounding::Zero));
}

} // namespace odyssey::runtime::emulator

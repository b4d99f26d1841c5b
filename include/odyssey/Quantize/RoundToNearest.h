//===- RoundToNearest.h - The plainest quantization -------------*- C++ -*-===//

#ifndef ODYSSEY_QUANTIZE_ROUNDTONEAREST_H
#define ODYSSEY_QUANTIZE_ROUNDTONEAREST_H

#include <cstdint>
#include <span>

namespace odyssey {

/// The scale that puts the largest magnitude of an output channel at the
/// largest integer of `bits` bits, 4 or 8: max|w| / 7 or max|w| / 127 in fp32.
/// 0 for a channel of zeros, and for one so small that the quotient is no
/// normal fp32: such a channel is taken as zeros.
float channelScale(std::span<const float> channel, int64_t bits = 4);

/// quantized[i] = clamp(round_half_even(channel[i] / scale), -8, 7), or of 8
/// bits from -127 to 127; all zeros where `scale` is 0. The spans have the same
/// size.
void quantizeChannel(std::span<const float> channel, float scale,
                     std::span<int8_t> quantized, int64_t bits = 4);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_ROUNDTONEAREST_H

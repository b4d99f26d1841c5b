//===- RoundToNearest.h - The plainest 4-bit quantization -------*- C++ -*-===//

#ifndef ODYSSEY_QUANTIZE_ROUNDTONEAREST_H
#define ODYSSEY_QUANTIZE_ROUNDTONEAREST_H

#include <cstdint>
#include <span>

namespace odyssey {

/// The scale that puts the largest magnitude of an output channel at 7:
/// max|w| / 7 in fp32. 0 for a channel of zeros, and for one so small that the
/// quotient is no normal fp32: such a channel is taken as zeros.
float channelScale(std::span<const float> channel);

/// quantized[i] = clamp(round_half_even(channel[i] / scale), -8, 7); all zeros
/// where `scale` is 0. The spans have the same size.
void quantizeChannel(std::span<const float> channel, float scale,
                     std::span<int8_t> quantized);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_ROUNDTONEAREST_H

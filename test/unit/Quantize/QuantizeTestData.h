//===- QuantizeTestData.h - Random layers -----------------------*- C++ -*-===//

#ifndef ODYSSEY_TEST_UNIT_QUANTIZE_QUANTIZETESTDATA_H
#define ODYSSEY_TEST_UNIT_QUANTIZE_QUANTIZETESTDATA_H

#include "odyssey/Quantize/InputStatistics.h"

#include <cstdint>
#include <span>
#include <vector>

namespace odyssey::testing {

/// n output channels of k weights, near to normally distributed, with some
/// large ones that are worth clipping.
std::vector<float> randomWeights(int64_t n, int64_t k);

/// Inputs of k channels that have much in common, and very different sizes.
reference::Matrix correlatedInputs(int64_t k, int64_t tokens);

/// The statistics of `correlatedInputs`.
InputStatistics correlatedStatistics(int64_t k, int64_t tokens);

/// e H e^T of one output channel, e = weight - scale * integers, written down
/// in doubles.
double outputError(std::span<const float> weight,
                   std::span<const int8_t> integers, float scale,
                   const InputStatistics &statistics);

/// 0 .. count - 1 in an order without order.
std::vector<int64_t> shuffledIndices(int64_t count);

} // namespace odyssey::testing

#endif // ODYSSEY_TEST_UNIT_QUANTIZE_QUANTIZETESTDATA_H

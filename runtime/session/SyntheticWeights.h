//===- SyntheticWeights.h - Weights for measurements ------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_SESSION_SYNTHETICWEIGHTS_H
#define ODYSSEY_RUNTIME_SESSION_SYNTHETICWEIGHTS_H

#include "DeviceBuffer.h"
#include "odyssey/runtime/Tensor.h"

#include <vector>

namespace odyssey::runtime {

/// Makes weights of the given types on a device: random bytes for packed ones,
/// and numbers with which hidden states stay finite through any number of
/// layers: with integer weights of 8 bits (`weightBits`), which are 16 times as
/// large as those of 4 bits, scales are a sixteenth. The same on every call.
/// ResourceExhausted when they do not fit.
Result<std::vector<DeviceBuffer>>
makeSyntheticWeights(Device &device, const std::vector<TensorType> &weights,
                     int64_t weightBits = 4);

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_SYNTHETICWEIGHTS_H

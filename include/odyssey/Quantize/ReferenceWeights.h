//===- ReferenceWeights.h - Checkpoints for the reference model -*- C++ -*-===//

#ifndef ODYSSEY_QUANTIZE_REFERENCEWEIGHTS_H
#define ODYSSEY_QUANTIZE_REFERENCEWEIGHTS_H

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Reference/ReferenceModel.h"

namespace odyssey {

/// All weights in fp32. Fails on weights that are not finite.
llvm::Expected<reference::Fp32Weights>
loadFp32Weights(const Checkpoint &checkpoint);

/// The linears point into `checkpoint`, which must outlive them.
reference::W4A8Weights viewW4A8Weights(const QuantizedCheckpoint &checkpoint);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_REFERENCEWEIGHTS_H

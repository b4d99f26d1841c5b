//===- Passes.h - Passes on the tensor level --------------------*- C++ -*-===//

#ifndef ODYSSEY_TRANSFORMS_PASSES_H
#define ODYSSEY_TRANSFORMS_PASSES_H

#include "odyssey/Dialect/Odyssey/Odyssey.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/Pass.h"

namespace odyssey {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "odyssey/Dialect/Passes/Transforms.h.inc"

} // namespace odyssey

#endif // ODYSSEY_TRANSFORMS_PASSES_H

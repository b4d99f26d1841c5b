//===- Passes.h - Passes that lower kernels ---------------------*- C++ -*-===//

#ifndef ODYSSEY_CONVERSION_PASSES_H
#define ODYSSEY_CONVERSION_PASSES_H

#include "odyssey/Dialect/Odyssey/Odyssey.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/Pass.h"

namespace odyssey {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "odyssey/Dialect/Passes/Conversion.h.inc"

} // namespace odyssey

#endif // ODYSSEY_CONVERSION_PASSES_H

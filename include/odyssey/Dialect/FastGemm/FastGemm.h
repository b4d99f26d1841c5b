//===- FastGemm.h - The kernel-level dialect --------------------*- C++ -*-===//

#ifndef ODYSSEY_DIALECT_FASTGEMM_FASTGEMM_H
#define ODYSSEY_DIALECT_FASTGEMM_FASTGEMM_H

#include "odyssey/Layout/WeightFormat.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Attributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/TensorEncoding.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "odyssey/Dialect/FastGemm/Dialect.h.inc"
#include "odyssey/Dialect/FastGemm/Enums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "odyssey/Dialect/FastGemm/Attrs.h.inc"

#define GET_OP_CLASSES
#include "odyssey/Dialect/FastGemm/Ops.h.inc"

namespace odyssey::fastgemm {
/// The name of the `#fastgemm.launch` that stands on a lowered kernel.
inline constexpr llvm::StringLiteral kLaunchAttrName = "fastgemm.launch";
/// Stands on a kernel, from outlining on, that may be launched before the one
/// in front of it has ended, and waits for that itself.
inline constexpr llvm::StringLiteral kDependentLaunchAttrName =
    "fastgemm.dependent_launch";

/// Whether the integer `wgmma` has a shape of this many tokens: 8, 24, or a
/// multiple of 16 up to 256 (PTX ISA, "wgmma.mma_async").
bool isWgmmaWidth(int64_t tokens);
} // namespace odyssey::fastgemm

#endif // ODYSSEY_DIALECT_FASTGEMM_FASTGEMM_H

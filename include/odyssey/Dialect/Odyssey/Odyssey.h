//===- Odyssey.h - The tensor-level dialect ---------------------*- C++ -*-===//

#ifndef ODYSSEY_DIALECT_ODYSSEY_ODYSSEY_H
#define ODYSSEY_DIALECT_ODYSSEY_ODYSSEY_H

#include "odyssey/Dialect/FastGemm/FastGemm.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/CallInterfaces.h"
#include "mlir/Interfaces/ControlFlowInterfaces.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "odyssey/Dialect/Odyssey/Dialect.h.inc"

#define GET_OP_CLASSES
#include "odyssey/Dialect/Odyssey/Ops.h.inc"

namespace odyssey::graph {

/// Function attributes that `odyssey-schedule` sets: the function that a clone
/// was made from, and the largest token count that it serves.
inline constexpr llvm::StringLiteral kFunctionAttrName = "odyssey.function";
inline constexpr llvm::StringLiteral kBucketAttrName = "odyssey.bucket";
/// Attribute of a product: the operation that quantizes its activations belongs
/// into its kernel.
inline constexpr llvm::StringLiteral kPrologueAttrName = "odyssey.prologue";
/// Attribute of a product of the path wgmma: how many stages of weights, behind
/// those of its ring, each CTA asks the L2 cache for when it begins.
inline constexpr llvm::StringLiteral kPrefetchAttrName = "odyssey.prefetch";
/// Argument and result attribute: the name of an input, output or state.
inline constexpr llvm::StringLiteral kNameAttrName = "odyssey.name";
/// The `gpu.module` that holds all kernels.
inline constexpr llvm::StringLiteral kKernelModuleName = "kernels";

/// Attention computes so many positions for themselves before it merges them
/// with those before (docs/numerics.md, N22): four pages of the KV cache.
inline constexpr int64_t kAttentionChunk = 256;

/// Columns of a row that are added for themselves before their sums are added
/// (docs/numerics.md, N15).
inline constexpr int64_t kRowSegment = 32;

/// Bytes of the scale of a token's keys (or values) of one head in a KV cache.
inline constexpr int64_t kCacheScaleBytes = 4;
/// The head dimension of a KV cache (docs/bundle.md).
int64_t cacheHeadDim(mlir::MemRefType cache);
/// Chunks of kAttentionChunk positions in the pages that a page table has for
/// one sequence.
int64_t chunksOfSequence(mlir::Value pageTable, mlir::MemRefType cache);

} // namespace odyssey::graph

#endif // ODYSSEY_DIALECT_ODYSSEY_ODYSSEY_H

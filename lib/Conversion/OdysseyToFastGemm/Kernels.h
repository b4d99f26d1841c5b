//===- Kernels.h - The kernels that the compiler can write ------*- C++ -*-===//
//
// One function per operation of the graph. Each writes the body of the kernel
// whose single operation it is given and calls KernelBuilder::finish; failure
// means that it has emitted an error.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_KERNELS_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_KERNELS_H

#include "KernelBuilder.h"

namespace odyssey::conversion {

/// Bytes between the rows of 8-bit activations: their encoding's stride, or K
/// where the type has none.
int64_t rowStride(mlir::Value activations);

/// The columns of token 0 that a CTA needs: from `first` (a multiple of 128)
/// on, at most `most`, and `end`, i32.
struct OwnColumns {
  Val first, end;
  int64_t most;
};

/// Quantizes token 0 in the first `workers` threads of a CTA, in front of the
/// rest of a kernel, once the kernel in front has ended: `producer` is the
/// operation that gives the 8-bit activations, whose operands are the kernel's
/// first. Eight bytes from element `first` of the row on are stored at
/// `addressOf(first)` where they are among `own`. `scratch` is free shared
/// memory, `barrier` a barrier of the threads. Returns the token's scale.
Val emitQuantizedRow(KernelBuilder &k, mlir::Operation *producer,
                     int64_t workers, int64_t scratch,
                     llvm::function_ref<void()> barrier,
                     llvm::function_ref<Val(Val)> addressOf,
                     const OwnColumns &own);
/// The bytes of shared memory that this takes.
int64_t quantizedRowScratchBytes(mlir::Operation *producer);

mlir::LogicalResult emitMatmul(KernelBuilder &k, graph::MatmulOp op);
/// emitMatmul for a schedule of the path wgmma.
mlir::LogicalResult emitMatmulWgmma(KernelBuilder &k, graph::MatmulOp op,
                                    fastgemm::PackedAttr packed);
mlir::LogicalResult emitLinear(KernelBuilder &k, graph::LinearOp op);
mlir::LogicalResult emitAttention(KernelBuilder &k, graph::AttentionOp op);
mlir::LogicalResult emitAttentionChunks(KernelBuilder &k,
                                        graph::AttentionChunksOp op);
mlir::LogicalResult emitAttentionMerge(KernelBuilder &k,
                                       graph::AttentionMergeOp op);
mlir::LogicalResult
emitAttentionMergeQuantize(KernelBuilder &k,
                           graph::AttentionMergeQuantizeOp op);
mlir::LogicalResult emitDecodeAttention(KernelBuilder &k,
                                        graph::DecodeAttentionOp op);
mlir::LogicalResult emitRopeAppend(KernelBuilder &k, graph::RopeAppendOp op);
mlir::LogicalResult emitEmbedding(KernelBuilder &k, graph::EmbeddingOp op);
mlir::LogicalResult emitStoreRows(KernelBuilder &k, graph::StoreRowsOp op);
mlir::LogicalResult emitGatherRows(KernelBuilder &k, graph::GatherRowsOp op);
mlir::LogicalResult emitAdd(KernelBuilder &k, graph::AddOp op);
mlir::LogicalResult emitRmsNorm(KernelBuilder &k, graph::RmsNormOp op);
mlir::LogicalResult emitRmsNormQuantize(KernelBuilder &k,
                                        graph::RmsNormQuantizeOp op);
mlir::LogicalResult emitQuantize(KernelBuilder &k, graph::QuantizeOp op);
mlir::LogicalResult emitSiluMul(KernelBuilder &k, graph::SiluMulOp op);
mlir::LogicalResult emitSiluMulQuantize(KernelBuilder &k,
                                        graph::SiluMulQuantizeOp op);
mlir::LogicalResult emitArgmax(KernelBuilder &k, graph::ArgmaxOp op);

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_KERNELS_H

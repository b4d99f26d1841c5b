//===- ConvertOdysseyToFastGemm.cpp - Kernels as loops and fragments ------===//
//
// Replaces each odyssey.kernel by the gpu.func that its operation's emitter
// writes. One file beside this one per family of kernels.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "odyssey/Conversion/Passes.h"

#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/TypeSwitch.h"

namespace odyssey {
#define GEN_PASS_DEF_CONVERTODYSSEYTOFASTGEMM
#include "odyssey/Dialect/Passes/Conversion.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

static LogicalResult emitKernel(graph::KernelOp kernel) {
  // What stands in front of it is part of it.
  Operation *op = kernel.getBody().front().getTerminator()->getPrevNode();
  // The body is read while the function is written; the builder erases it last.
  KernelBuilder k(kernel);
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](graph::MatmulOp op) { return emitMatmul(k, op); })
      .Case([&](graph::LinearOp op) { return emitLinear(k, op); })
      .Case([&](graph::AttentionOp op) { return emitAttention(k, op); })
      .Case([&](graph::AttentionChunksOp op) {
        return emitAttentionChunks(k, op);
      })
      .Case(
          [&](graph::AttentionMergeOp op) { return emitAttentionMerge(k, op); })
      .Case([&](graph::AttentionMergeQuantizeOp op) {
        return emitAttentionMergeQuantize(k, op);
      })
      .Case([&](graph::DecodeAttentionOp op) {
        return emitDecodeAttention(k, op);
      })
      .Case([&](graph::RopeAppendOp op) { return emitRopeAppend(k, op); })
      .Case([&](graph::EmbeddingOp op) { return emitEmbedding(k, op); })
      .Case([&](graph::StoreRowsOp op) { return emitStoreRows(k, op); })
      .Case([&](graph::GatherRowsOp op) { return emitGatherRows(k, op); })
      .Case([&](graph::AddOp op) { return emitAdd(k, op); })
      .Case([&](graph::RmsNormOp op) { return emitRmsNorm(k, op); })
      .Case([&](graph::RmsNormQuantizeOp op) {
        return emitRmsNormQuantize(k, op);
      })
      .Case([&](graph::QuantizeOp op) { return emitQuantize(k, op); })
      .Case([&](graph::SiluMulOp op) { return emitSiluMul(k, op); })
      .Case([&](graph::SiluMulQuantizeOp op) {
        return emitSiluMulQuantize(k, op);
      })
      .Case([&](graph::ArgmaxOp op) { return emitArgmax(k, op); })
      .Default(
          [](Operation *op) { return op->emitOpError() << "has no kernel"; });
}

namespace {
struct ConvertOdysseyToFastGemm
    : odyssey::impl::ConvertOdysseyToFastGemmBase<ConvertOdysseyToFastGemm> {
  void runOnOperation() override {
    SmallVector<graph::KernelOp> kernels(
        getOperation().getOps<graph::KernelOp>());
    for (graph::KernelOp kernel : kernels)
      if (failed(emitKernel(kernel)))
        return signalPassFailure();
  }
};
} // namespace

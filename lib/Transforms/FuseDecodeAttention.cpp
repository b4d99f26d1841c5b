//===- FuseDecodeAttention.cpp - Attention of decode in one kernel --------===//

#include "odyssey/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"

namespace odyssey {
#define GEN_PASS_DEF_FUSEDECODEATTENTION
#include "odyssey/Dialect/Passes/Transforms.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

struct FuseDecodeAttention
    : odyssey::impl::FuseDecodeAttentionBase<FuseDecodeAttention> {
  using FuseDecodeAttentionBase::FuseDecodeAttentionBase;

  void runOnOperation() override {
    if (maxSplits < 1) {
      getOperation().emitError()
          << "expects max-splits of at least 1, got " << maxSplits.getValue();
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      auto bucket =
          function->getAttrOfType<IntegerAttr>(graph::kBucketAttrName);
      // Two tokens of one sequence would have to wait for each other.
      if (!bucket || bucket.getInt() != 1)
        continue;
      SmallVector<graph::AttentionOp> attentions;
      function.walk([&](graph::AttentionOp op) { attentions.push_back(op); });
      for (graph::AttentionOp op : attentions)
        if (graph::RopeAppendOp rope = rotationOf(op))
          fuse(rope, op);
    }
  }

  /// What rotates the queries of `op` for it alone and appends to the same
  /// cache, or null.
  static graph::RopeAppendOp rotationOf(graph::AttentionOp op) {
    auto rope = op.getQueries().getDefiningOp<graph::RopeAppendOp>();
    if (!rope || !rope.getQueries().hasOneUse() ||
        rope->getBlock() != op->getBlock() ||
        rope.getPositions() != op.getPositions() ||
        rope.getSequences() != op.getSequences() ||
        rope.getPageTable() != op.getPageTable() ||
        rope.getCache() != op.getCache() || rope.getLayer() != op.getLayer() ||
        rope.getHeads() != op.getHeads())
      return {};
    int64_t kvHeads = cast<MemRefType>(op.getCache().getType()).getDimSize(3);
    if (op.getHeads() / kvHeads > graph::DecodeAttentionOp::kMaxGroup)
      return {};
    // Nobody else may see the cache in between.
    for (Operation *between = rope->getNextNode(); between != op;
         between = between->getNextNode())
      if (!isMemoryEffectFree(between))
        return {};
    return rope;
  }

  void fuse(graph::RopeAppendOp rope, graph::AttentionOp op) {
    IRRewriter rewriter(op);
    auto cache = cast<MemRefType>(op.getCache().getType());
    int64_t chunks = graph::chunksOfSequence(op.getPageTable(), cache);
    auto maxima = RankedTensorType::get(
        {op.getResult().getType().getDimSize(0), cache.getDimSize(3)},
        rewriter.getF32Type());
    auto fused = graph::DecodeAttentionOp::create(
        rewriter, op.getLoc(), op.getType(), maxima, rope.getInputs(),
        rope.getTable(), op.getPositions(), op.getSequences(),
        op.getPageTable(), op.getCache(), op.getLayer(), rope.getQueryNorm(),
        rope.getKeyNorm(), op.getHeadsAttr(), op.getScaleAttr(),
        rewriter.getI32IntegerAttr(std::min<int64_t>(chunks, maxSplits)),
        rope.getEpsilonAttr());
    rewriter.replaceOp(op, fused.getResult());
    rewriter.eraseOp(rope);
    ++this->fused;
  }
};

} // namespace

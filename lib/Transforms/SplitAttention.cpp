//===- SplitAttention.cpp - Attention of few tokens over the KV length ----===//

#include "odyssey/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/PatternMatch.h"

namespace odyssey {
#define GEN_PASS_DEF_SPLITATTENTION
#include "odyssey/Dialect/Passes/Transforms.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

/// Every token reads its pages for itself: with more tokens, tiles that share
/// them read less.
constexpr int64_t kMaxTokens = 64;
constexpr int64_t kMaxWorkspaceBytes = int64_t(256) << 20;

struct SplitAttention : odyssey::impl::SplitAttentionBase<SplitAttention> {
  using SplitAttentionBase::SplitAttentionBase;

  void runOnOperation() override {
    if (maxSplits < 1) {
      getOperation().emitError()
          << "expects max-splits of at least 1, got " << maxSplits.getValue();
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      auto bucket =
          function->getAttrOfType<IntegerAttr>(graph::kBucketAttrName);
      if (!bucket)
        continue;
      SmallVector<graph::AttentionOp> attentions;
      function.walk([&](graph::AttentionOp op) { attentions.push_back(op); });
      for (graph::AttentionOp op : attentions)
        splitOne(op, bucket.getInt());
    }
  }

  void splitOne(graph::AttentionOp op, int64_t bucketTokens) {
    int64_t staticTokens = op.getQueries().getType().getDimSize(0);
    int64_t tokens =
        ShapedType::isDynamic(staticTokens) ? bucketTokens : staticTokens;
    auto cache = cast<MemRefType>(op.getCache().getType());
    int64_t chunks = graph::chunksOfSequence(op.getPageTable(), cache);
    int64_t heads = op.getHeads(), d = graph::cacheHeadDim(cache);
    if (chunks < 2 || tokens > kMaxTokens ||
        tokens * heads * chunks * (d + 2) * 4 > kMaxWorkspaceBytes)
      return;

    IRRewriter rewriter(op);
    Location loc = op.getLoc();
    auto type = [&](int64_t numbers) {
      return RankedTensorType::get({staticTokens, heads, chunks, numbers},
                                   rewriter.getF32Type());
    };
    auto parts = graph::AttentionChunksOp::create(
        rewriter, loc, type(d), type(2), op.getQueries(), op.getPositions(),
        op.getSequences(), op.getPageTable(), op.getCache(), op.getLayer(),
        op.getHeadsAttr(), op.getScaleAttr(),
        rewriter.getI32IntegerAttr(std::min<int64_t>(chunks, maxSplits)));
    ++split;
    if (op->hasOneUse())
      if (auto quantize =
              dyn_cast<graph::QuantizeOp>(*op->getUsers().begin())) {
        rewriter.setInsertionPoint(quantize);
        rewriter.replaceOpWithNewOp<graph::AttentionMergeQuantizeOp>(
            quantize, quantize.getResultTypes(), parts.getChunkValues(),
            parts.getStats(), op.getPositions());
        rewriter.eraseOp(op);
        return;
      }
    rewriter.replaceOpWithNewOp<graph::AttentionMergeOp>(
        op, op.getType(), parts.getChunkValues(), parts.getStats(),
        op.getPositions());
  }
};

} // namespace

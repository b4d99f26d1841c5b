//===- QuantizeLinears.cpp - 16-bit products to W4A8 products -------------===//

#include "odyssey/Transforms/Passes.h"

#include "mlir/IR/PatternMatch.h"

namespace odyssey {
#define GEN_PASS_DEF_QUANTIZELINEARS
#include "odyssey/Dialect/Passes/Transforms.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

struct QuantizeLinears : odyssey::impl::QuantizeLinearsBase<QuantizeLinears> {
  void runOnOperation() override {
    SmallVector<graph::LinearOp> linears;
    getOperation().walk([&](graph::LinearOp op) {
      if (!op.getKeep() && op.getResult().getType().getElementType().isF16() &&
          op.getWeights().getDefiningOp<graph::WeightOp>())
        linears.push_back(op);
    });
    for (graph::LinearOp op : linears)
      quantize(op);
  }

  void quantize(graph::LinearOp op) {
    IRRewriter rewriter(op);
    Location loc = op.getLoc();
    auto weight = op.getWeights().getDefiningOp<graph::WeightOp>();
    int64_t n = op.getWeights().getType().getDimSize(0);
    int64_t k = op.getWeights().getType().getDimSize(1);

    SmallVector<Attribute> scaleNames;
    for (auto name : weight.getNames().getAsRange<StringAttr>())
      scaleNames.push_back(rewriter.getStringAttr(name.getValue() + "_scale"));
    Value values = graph::WeightOp::create(
        rewriter, loc,
        RankedTensorType::get({n, k}, rewriter.getIntegerType(4)),
        weight.getNames());
    Value scales = graph::WeightOp::create(
        rewriter, loc, RankedTensorType::get({n}, rewriter.getF32Type()),
        rewriter.getArrayAttr(scaleNames));
    graph::QuantizeOp input = quantizedInput(rewriter, op);
    rewriter.replaceOpWithNewOp<graph::MatmulOp>(
        op, op.getType(), input.getValues(), input.getScales(), values, scales,
        op.getBias(), /*residual=*/Value(), op.getScheduleAttr());
    if (weight->use_empty())
      rewriter.eraseOp(weight);
    ++quantized;
  }

  /// The quantization of the op's input, made once per input.
  graph::QuantizeOp quantizedInput(IRRewriter &rewriter, graph::LinearOp op) {
    for (Operation *user : op.getX().getUsers())
      if (auto existing = dyn_cast<graph::QuantizeOp>(user);
          existing && existing->getBlock() == op->getBlock() &&
          existing->isBeforeInBlock(op))
        return existing;
    OpBuilder::InsertionGuard guard(rewriter);
    rewriter.setInsertionPointAfterValue(op.getX());
    auto type = op.getX().getType();
    return graph::QuantizeOp::create(
        rewriter, op.getLoc(), type.clone(rewriter.getI8Type()),
        RankedTensorType::get({type.getDimSize(0)}, rewriter.getF32Type()),
        op.getX());
  }
};

} // namespace

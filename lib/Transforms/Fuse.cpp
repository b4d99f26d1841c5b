//===- Fuse.cpp - Products of one input, and what follows a product -------===//

#include "odyssey/Transforms/Passes.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace odyssey {
#define GEN_PASS_DEF_FUSE
#include "odyssey/Dialect/Passes/Transforms.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

/// The weights `name` of all products, concatenated, or null when one of them
/// is not an odyssey.weight of its own.
Value concatenate(PatternRewriter &rewriter, Location loc,
                  ArrayRef<Value> weights) {
  SmallVector<Attribute> names;
  int64_t size = 0;
  for (Value value : weights) {
    auto weight = value.getDefiningOp<graph::WeightOp>();
    names.append(weight.getNames().begin(), weight.getNames().end());
    size += cast<ShapedType>(value.getType()).getDimSize(0);
  }
  auto type = cast<RankedTensorType>(weights[0].getType());
  SmallVector<int64_t> shape(type.getShape());
  shape[0] = size;
  return graph::WeightOp::create(rewriter, loc, type.clone(shape),
                                 rewriter.getArrayAttr(names));
}

/// %a = matmul %x, %wa   %b = matmul %x, %wb   use(%a, %b)
///   -> %ab = matmul %x, concat(%wa, %wb)      use(%ab)
template <typename OpTy> struct FuseProducts : OpRewritePattern<OpTy> {
  FuseProducts(MLIRContext *context, Pass::Statistic &count)
      : OpRewritePattern<OpTy>(context), count(count) {}

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    if (op.getInputs().size() < 2)
      return rewriter.notifyMatchFailure(op, "already one tensor");
    SmallVector<graph::MatmulOp> products;
    for (Value input : op.getInputs()) {
      auto product = input.getDefiningOp<graph::MatmulOp>();
      if (!product || !product->hasOneUse() || product.getSchedule() ||
          product.getResidual() ||
          !product.getWeights().getDefiningOp<graph::WeightOp>() ||
          !product.getWeightScales().getDefiningOp<graph::WeightOp>())
        return rewriter.notifyMatchFailure(op, "an input is no product of its "
                                               "own with weights by name");
      if (!products.empty() &&
          (product.getX() != products[0].getX() ||
           product.getXScales() != products[0].getXScales() ||
           static_cast<bool>(product.getBias()) !=
               static_cast<bool>(products[0].getBias())))
        return rewriter.notifyMatchFailure(op, "products of different inputs");
      if (product.getBias() &&
          !product.getBias().template getDefiningOp<graph::WeightOp>())
        return rewriter.notifyMatchFailure(op, "a bias is no weight by name");
      products.push_back(product);
    }

    Location loc = op.getLoc();
    SmallVector<Value> weights, scales, biases;
    int64_t n = 0;
    for (graph::MatmulOp product : products) {
      weights.push_back(product.getWeights());
      scales.push_back(product.getWeightScales());
      if (product.getBias())
        biases.push_back(product.getBias());
      n += product.getN();
    }
    graph::MatmulOp first = products[0];
    auto type = first.getType();
    Value fused = graph::MatmulOp::create(
        rewriter, loc, type.clone({type.getDimSize(0), n}), first.getX(),
        first.getXScales(), concatenate(rewriter, loc, weights),
        concatenate(rewriter, loc, scales),
        biases.empty() ? Value() : concatenate(rewriter, loc, biases),
        /*residual=*/Value(), fastgemm::ScheduleAttr());
    rewriter.modifyOpInPlace(
        op, [&] { op.getInputsMutable().assign(ValueRange{fused}); });
    for (graph::MatmulOp product : products)
      rewriter.eraseOp(product);
    count += products.size() - 1;
    return success();
  }

  Pass::Statistic &count;
};

/// %h = rms_norm %x, %w   %q, %s = quantize %h
///   -> %q, %s = rms_norm_quantize %x, %w      (and likewise for silu_mul)
struct FuseQuantize : OpRewritePattern<graph::QuantizeOp> {
  FuseQuantize(MLIRContext *context, Pass::Statistic &count)
      : OpRewritePattern(context), count(count) {}

  LogicalResult matchAndRewrite(graph::QuantizeOp op,
                                PatternRewriter &rewriter) const override {
    Operation *producer = op.getX().getDefiningOp();
    if (!producer || !producer->hasOneUse())
      return rewriter.notifyMatchFailure(op, "the input has other uses");
    if (auto norm = dyn_cast<graph::RmsNormOp>(producer)) {
      rewriter.replaceOpWithNewOp<graph::RmsNormQuantizeOp>(
          op, op.getResultTypes(), norm.getX(), norm.getWeight(),
          norm.getEpsilonAttr());
    } else if (auto silu = dyn_cast<graph::SiluMulOp>(producer)) {
      rewriter.replaceOpWithNewOp<graph::SiluMulQuantizeOp>(
          op, op.getResultTypes(), silu.getInputs());
    } else {
      return rewriter.notifyMatchFailure(op, "no norm and no activation");
    }
    rewriter.eraseOp(producer);
    ++count;
    return success();
  }

  Pass::Statistic &count;
};

/// %y = matmul %x, %w   %z = add %y, %r
///   -> %z = matmul %x, %w residual %r
struct FuseResidual : OpRewritePattern<graph::AddOp> {
  FuseResidual(MLIRContext *context, Pass::Statistic &count)
      : OpRewritePattern(context), count(count) {}

  LogicalResult matchAndRewrite(graph::AddOp op,
                                PatternRewriter &rewriter) const override {
    // The sum of two fp32 numbers does not depend on their order.
    for (auto [value, residual] : {std::pair(op.getLhs(), op.getRhs()),
                                   std::pair(op.getRhs(), op.getLhs())}) {
      auto product = value.getDefiningOp<graph::MatmulOp>();
      if (!product || !product->hasOneUse() || product.getResidual())
        continue;
      rewriter.replaceOpWithNewOp<graph::MatmulOp>(
          op, op.getType(), product.getX(), product.getXScales(),
          product.getWeights(), product.getWeightScales(), product.getBias(),
          residual, product.getScheduleAttr());
      rewriter.eraseOp(product);
      ++count;
      return success();
    }
    return rewriter.notifyMatchFailure(
        op, "no operand is a product without residual and other uses");
  }

  Pass::Statistic &count;
};

struct Fuse : odyssey::impl::FuseBase<Fuse> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns
        .add<FuseProducts<graph::RopeAppendOp>, FuseProducts<graph::SiluMulOp>,
             FuseProducts<graph::SiluMulQuantizeOp>>(&getContext(),
                                                     fusedProducts);
    patterns.add<FuseQuantize>(&getContext(), fusedQuantizations);
    patterns.add<FuseResidual>(&getContext(), fusedResiduals);
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

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

/// The weights of all products, which are odyssey.weight, as one: concatenated,
/// or concatenated and then interleaved.
Value concatenate(PatternRewriter &rewriter, Location loc,
                  ArrayRef<Value> weights, bool interleaved) {
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
                                 rewriter.getArrayAttr(names), interleaved);
}

/// Whether `value` is a weight by name whose rows stand in the file's order.
bool isPlainWeight(Value value) {
  auto weight = value.getDefiningOp<graph::WeightOp>();
  return weight && !weight.getInterleaved();
}

/// The products that make the inputs of `op`, where they can become one:
/// nothing else uses them, and they read the same activations.
LogicalResult findProducts(Operation *op, PatternRewriter &rewriter,
                           SmallVectorImpl<graph::MatmulOp> &products,
                           ValueRange inputs) {
  if (inputs.size() < 2)
    return rewriter.notifyMatchFailure(op, "already one tensor");
  for (Value input : inputs) {
    auto product = input.getDefiningOp<graph::MatmulOp>();
    if (!product || !product->hasOneUse() || product.getSchedule() ||
        product.getResidual() || product.getSiluMul() ||
        !isPlainWeight(product.getWeights()) ||
        !isPlainWeight(product.getWeightScales()) ||
        (product.getMultipliers() && !isPlainWeight(product.getMultipliers())))
      return rewriter.notifyMatchFailure(op, "an input is no product of its "
                                             "own with weights by name");
    if (!products.empty() &&
        (product.getX() != products[0].getX() ||
         product.getXScales() != products[0].getXScales() ||
         static_cast<bool>(product.getBias()) !=
             static_cast<bool>(products[0].getBias())))
      return rewriter.notifyMatchFailure(op, "products of different inputs");
    if (!products.empty() &&
        product.getGroupSize() != products[0].getGroupSize())
      return rewriter.notifyMatchFailure(op, "products of different groups");
    if (!products.empty() &&
        product.getWeightFormat().bits != products[0].getWeightFormat().bits)
      return rewriter.notifyMatchFailure(op, "weights of different widths");
    if (product.getBias() && !isPlainWeight(product.getBias()))
      return rewriter.notifyMatchFailure(op, "a bias is no weight by name");
    products.push_back(product);
  }
  return success();
}

/// One product instead of several, with the channels of all of them; or, with
/// `siluMul`, of gate and up interleaved, with the activation of their
/// channels.
graph::MatmulOp mergeProducts(PatternRewriter &rewriter, Location loc,
                              ArrayRef<graph::MatmulOp> products,
                              bool siluMul) {
  SmallVector<Value> weights, scales, biases, multipliers;
  int64_t n = 0;
  for (graph::MatmulOp product : products) {
    weights.push_back(product.getWeights());
    scales.push_back(product.getWeightScales());
    if (product.getBias())
      biases.push_back(product.getBias());
    if (product.getMultipliers())
      multipliers.push_back(product.getMultipliers());
    n += product.getN();
  }
  auto merge = [&](ArrayRef<Value> parts) {
    return parts.empty() ? Value() : concatenate(rewriter, loc, parts, siluMul);
  };
  graph::MatmulOp first = products[0];
  auto type = first.getResult().getType();
  return graph::MatmulOp::create(
      rewriter, loc, type.clone({type.getDimSize(0), siluMul ? n / 2 : n}),
      first.getX(), first.getXScales(), merge(weights), merge(scales),
      merge(biases), /*residual=*/Value(), merge(multipliers),
      first.getGroupSizeAttr(), fastgemm::ScheduleAttr(), siluMul);
}

/// %a = matmul %x, %wa   %b = matmul %x, %wb   use(%a, %b)
///   -> %ab = matmul %x, concat(%wa, %wb)      use(%ab)
template <typename OpTy> struct FuseProducts : OpRewritePattern<OpTy> {
  FuseProducts(MLIRContext *context, Pass::Statistic &count)
      : OpRewritePattern<OpTy>(context), count(count) {}

  LogicalResult matchAndRewrite(OpTy op,
                                PatternRewriter &rewriter) const override {
    SmallVector<graph::MatmulOp> products;
    if (failed(findProducts(op, rewriter, products, op.getInputs())))
      return failure();
    Value fused =
        mergeProducts(rewriter, op.getLoc(), products, /*siluMul=*/false)
            .getResult();
    rewriter.modifyOpInPlace(
        op, [&] { op.getInputsMutable().assign(ValueRange{fused}); });
    for (graph::MatmulOp product : products)
      rewriter.eraseOp(product);
    count += products.size() - 1;
    return success();
  }

  Pass::Statistic &count;
};

/// %g = matmul %x, %wg   %u = matmul %x, %wu   silu_mul %g, %u
///   -> matmul %x, interleaved(%wg, %wu) silu_mul
struct FuseSiluMul : OpRewritePattern<graph::SiluMulOp> {
  FuseSiluMul(MLIRContext *context, Pass::Statistic &count)
      : OpRewritePattern(context, /*benefit=*/2), count(count) {}

  LogicalResult matchAndRewrite(graph::SiluMulOp op,
                                PatternRewriter &rewriter) const override {
    if (op.getType().getDimSize(1) % 2 != 0)
      return rewriter.notifyMatchFailure(op, "an odd number of channels");
    SmallVector<graph::MatmulOp> products;
    if (failed(findProducts(op, rewriter, products, op.getInputs())))
      return failure();
    rewriter.replaceOp(
        op, mergeProducts(rewriter, op.getLoc(), products, /*siluMul=*/true));
    for (graph::MatmulOp product : products)
      rewriter.eraseOp(product);
    ++count;
    return success();
  }

  Pass::Statistic &count;
};

/// %h = silu_mul %g, %u   %q, %s = quantize %h
///   -> %q, %s = silu_mul_quantize %g, %u
struct FuseQuantize : OpRewritePattern<graph::QuantizeOp> {
  FuseQuantize(MLIRContext *context, Pass::Statistic &count)
      : OpRewritePattern(context), count(count) {}

  LogicalResult matchAndRewrite(graph::QuantizeOp op,
                                PatternRewriter &rewriter) const override {
    auto silu = op.getX().getDefiningOp<graph::SiluMulOp>();
    if (!silu || !silu->hasOneUse())
      return rewriter.notifyMatchFailure(op,
                                         "no activation without other uses");
    rewriter.replaceOpWithNewOp<graph::SiluMulQuantizeOp>(
        op, op.getResultTypes(), silu.getInputs());
    rewriter.eraseOp(silu);
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
      if (!product || !product->hasOneUse() || product.getResidual() ||
          product.getSiluMul())
        continue;
      rewriter.replaceOpWithNewOp<graph::MatmulOp>(
          op, op.getType(), product.getX(), product.getXScales(),
          product.getWeights(), product.getWeightScales(), product.getBias(),
          residual, product.getMultipliers(), product.getGroupSizeAttr(),
          product.getScheduleAttr());
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
    // Products first: an activation that has been fused with its quantization
    // could no longer go into the product.
    if (failed(apply([&](RewritePatternSet &patterns, MLIRContext *context) {
          patterns.add<FuseProducts<graph::RopeAppendOp>,
                       FuseProducts<graph::SiluMulOp>,
                       FuseProducts<graph::SiluMulQuantizeOp>>(context,
                                                               fusedProducts);
          patterns.add<FuseSiluMul>(context, fusedActivations);
        })) ||
        failed(apply([&](RewritePatternSet &patterns, MLIRContext *context) {
          patterns.add<FuseQuantize>(context, fusedQuantizations);
          patterns.add<FuseResidual>(context, fusedResiduals);
        })))
      signalPassFailure();
  }

  LogicalResult
  apply(llvm::function_ref<void(RewritePatternSet &, MLIRContext *)> populate) {
    RewritePatternSet patterns(&getContext());
    populate(patterns, &getContext());
    return applyPatternsGreedily(getOperation(), std::move(patterns));
  }
};

} // namespace

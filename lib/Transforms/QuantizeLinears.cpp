//===- QuantizeLinears.cpp - 16-bit products to integer products ----------===//

#include "odyssey/Layout/PackedMultipliers.h"
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
  using QuantizeLinearsBase::QuantizeLinearsBase;

  void runOnOperation() override {
    if (groupSize != 0 && !layout::isGroupSize(groupSize)) {
      getOperation().emitError()
          << "expects a group size of 32, 64 or 128, or 0 for none, got "
          << static_cast<int64_t>(groupSize);
      return signalPassFailure();
    }
    if (!layout::isWeightWidth(weightBits) ||
        (weightBits == 8 && groupSize != 0)) {
      getOperation().emitError()
          << "expects weights of 4 bits, or of 8 bits without groups, got "
          << static_cast<int64_t>(weightBits) << " bits";
      return signalPassFailure();
    }
    SmallVector<graph::LinearOp> linears;
    getOperation().walk([&](graph::LinearOp op) {
      if (!op.getKeep() && op.getResult().getType().getElementType().isF16() &&
          op.getWeights().getDefiningOp<graph::WeightOp>())
        linears.push_back(op);
    });
    SmallPtrSet<Operation *, 16> toQuantize(linears.begin(), linears.end());
    SmallVector<graph::RmsNormOp> norms;
    getOperation().walk([&](graph::RmsNormOp norm) {
      if (!norm->use_empty() &&
          llvm::all_of(norm->getUsers(), [&](Operation *user) {
            return toQuantize.contains(user) &&
                   user->getBlock() == norm->getBlock();
          }))
        norms.push_back(norm);
    });
    DenseMap<Value, QuantizedInput> normalized;
    for (graph::RmsNormOp norm : norms)
      normalized[norm.getResult()] = quantizeNorm(norm);
    for (graph::LinearOp op : linears) {
      auto known = normalized.find(op.getX());
      quantize(op,
               known == normalized.end() ? quantizedInput(op) : known->second);
    }
    for (graph::RmsNormOp norm : norms)
      norm.erase();
  }

  /// 8-bit activations and their scales.
  struct QuantizedInput {
    Value values, scales;
  };

  void quantize(graph::LinearOp op, QuantizedInput input) {
    IRRewriter rewriter(op);
    Location loc = op.getLoc();
    auto weight = op.getWeights().getDefiningOp<graph::WeightOp>();
    int64_t n = op.getWeights().getType().getDimSize(0);
    int64_t k = op.getWeights().getType().getDimSize(1);

    auto named = [&](StringRef suffix, ArrayRef<int64_t> shape, Type element) {
      SmallVector<Attribute> names;
      for (auto name : weight.getNames().getAsRange<StringAttr>())
        names.push_back(rewriter.getStringAttr(name.getValue() + suffix));
      return graph::WeightOp::create(rewriter, loc,
                                     RankedTensorType::get(shape, element),
                                     rewriter.getArrayAttr(names));
    };
    Value values = graph::WeightOp::create(
        rewriter, loc,
        RankedTensorType::get({n, k}, rewriter.getIntegerType(weightBits)),
        weight.getNames());
    Value scales = named(groupSize == 0 ? "_scale" : "_channel_scale", {n},
                         rewriter.getF32Type());
    Value multipliers;
    IntegerAttr size;
    if (groupSize != 0) {
      multipliers = named("_multiplier", {n, layout::groupCount(k, groupSize)},
                          rewriter.getI8Type());
      size = rewriter.getI32IntegerAttr(groupSize);
    }
    rewriter.replaceOpWithNewOp<graph::MatmulOp>(
        op, op.getType(), input.values, input.scales, values, scales,
        op.getBias(), /*residual=*/Value(), multipliers, size,
        op.getScheduleAttr());
    if (weight->use_empty())
      rewriter.eraseOp(weight);
    ++quantized;
  }

  /// The norm and its quantization as one, for linears that alone read it.
  static QuantizedInput quantizeNorm(graph::RmsNormOp norm) {
    IRRewriter rewriter(norm);
    auto quantized = graph::RmsNormQuantizeOp::create(
        rewriter, norm.getLoc(), valuesType(norm.getX()),
        scalesType(norm.getX()), norm.getX(), norm.getWeight(),
        /*statistics=*/Value(), norm.getEpsilonAttr());
    return {quantized.getValues(), quantized.getScales()};
  }

  /// The quantization of the op's input, made once per input.
  static QuantizedInput quantizedInput(graph::LinearOp op) {
    for (Operation *user : op.getX().getUsers())
      if (auto existing = dyn_cast<graph::QuantizeOp>(user);
          existing && existing->getBlock() == op->getBlock() &&
          existing->isBeforeInBlock(op))
        return {existing.getValues(), existing.getScales()};
    IRRewriter rewriter(op);
    rewriter.setInsertionPointAfterValue(op.getX());
    auto quantized =
        graph::QuantizeOp::create(rewriter, op.getLoc(), valuesType(op.getX()),
                                  scalesType(op.getX()), op.getX());
    return {quantized.getValues(), quantized.getScales()};
  }

  static Type valuesType(Value x) {
    auto type = cast<RankedTensorType>(x.getType());
    return type.clone(IntegerType::get(type.getContext(), 8));
  }
  static Type scalesType(Value x) {
    auto type = cast<RankedTensorType>(x.getType());
    return RankedTensorType::get({type.getDimSize(0)},
                                 Float32Type::get(type.getContext()));
  }
};

} // namespace

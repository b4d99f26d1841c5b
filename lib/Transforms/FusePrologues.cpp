//===- FusePrologues.cpp - Products that quantize their token -------------===//

#include "odyssey/Schedule/ScheduleChoice.h"
#include "odyssey/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace odyssey {
#define GEN_PASS_DEF_FUSEPROLOGUES
#include "odyssey/Dialect/Passes/Transforms.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

struct FusePrologues : odyssey::impl::FuseProloguesBase<FusePrologues> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      auto bucket =
          function->getAttrOfType<IntegerAttr>(graph::kBucketAttrName);
      if (!bucket || bucket.getInt() != 1)
        continue;
      SmallVector<graph::MatmulOp> matmuls;
      function.walk([&](graph::MatmulOp matmul) { matmuls.push_back(matmul); });
      // From the last one on: asking for maxima replaces the product in front.
      for (graph::MatmulOp matmul : llvm::reverse(matmuls)) {
        if (!isFusible(matmul))
          continue;
        matmul->setAttr(graph::kPrologueAttrName, UnitAttr::get(&getContext()));
        ++fused;
        askForStatistics(matmul.getX().getDefiningOp(), matmuls);
      }
    }
  }

  /// Lets `quantizing` know its row's greatest magnitude and, if it is a norm,
  /// its sum of squares from what makes the row, where that can tell.
  static void askForStatistics(Operation *quantizing,
                               MutableArrayRef<graph::MatmulOp> matmuls) {
    if (auto quantize = dyn_cast<graph::QuantizeOp>(quantizing);
        quantize && !quantize.getMaxima()) {
      if (Value maxima = maximaOf(quantize.getX(), Value(), matmuls))
        quantize.getMaximaMutable().assign(maxima);
    } else if (auto norm = dyn_cast<graph::RmsNormQuantizeOp>(quantizing);
               norm && !norm.getStatistics()) {
      if (Value statistics = maximaOf(norm.getX(), norm.getWeight(), matmuls))
        norm.getStatisticsMutable().assign(statistics);
    }
  }

  /// `maxima` of what makes the row `x`, with the weights of a norm or without;
  /// null where it cannot tell. A product in `matmuls` that is asked for them
  /// is replaced there as well.
  static Value maximaOf(Value x, Value norm,
                        MutableArrayRef<graph::MatmulOp> matmuls) {
    if (auto attention = x.getDefiningOp<graph::DecodeAttentionOp>())
      return norm ? Value() : attention.getMaxima();
    auto product = x.getDefiningOp<graph::MatmulOp>();
    if (!product)
      return {};
    if (product.getMaxima())
      return product.getNorm() == norm ? product.getMaxima() : Value();
    std::optional<fastgemm::ScheduleAttr> schedule = product.getSchedule();
    if (!schedule || schedule->getPath() != fastgemm::Path::Wgmma ||
        schedule->getCtas() > 0 || schedule->getStreamK() > 0 ||
        schedule->getMulticast() > 1 || product.getN() % 4 != 0)
      return {};
    if (norm && (product.getSiluMul() || !isKnownBefore(norm, product)))
      return {};
    IRRewriter rewriter(product);
    SmallVector<int64_t> shape = {product.getResult().getType().getDimSize(0),
                                  product.getMaximaColumns()};
    if (norm)
      shape.push_back(2);
    auto withMaxima = graph::MatmulOp::create(
        rewriter, product.getLoc(), product.getResult().getType(),
        RankedTensorType::get(shape, rewriter.getF32Type()), product.getX(),
        product.getXScales(), product.getWeights(), product.getWeightScales(),
        product.getBias(), product.getResidual(), product.getMultipliers(),
        norm, product.getGroupSizeAttr(), product.getScheduleAttr(),
        product.getSiluMul());
    withMaxima->setDiscardableAttrs(product->getDiscardableAttrDictionary());
    llvm::replace(matmuls, product, withMaxima);
    rewriter.replaceAllUsesWith(product.getResult(), withMaxima.getResult());
    rewriter.eraseOp(product);
    return withMaxima.getMaxima();
  }

  /// Whether `value` can be read by `op`; a weight is moved there for it.
  static bool isKnownBefore(Value value, Operation *op) {
    Operation *definition = value.getDefiningOp();
    if (!definition)
      return true;
    if (definition->getBlock() != op->getBlock())
      return false;
    if (definition->isBeforeInBlock(op))
      return true;
    if (!isa<graph::WeightOp>(definition))
      return false;
    definition->moveBefore(op);
    return true;
  }

  static bool isFusible(graph::MatmulOp matmul) {
    std::optional<fastgemm::ScheduleAttr> schedule = matmul.getSchedule();
    if (!schedule ||
        !canQuantizeToken(*schedule, matmul.getK(), matmul.getWeightFormat()))
      return false;
    Operation *producer = matmul.getX().getDefiningOp();
    if (!isa_and_nonnull<graph::QuantizeOp, graph::RmsNormQuantizeOp,
                         graph::SiluMulQuantizeOp,
                         graph::AttentionMergeQuantizeOp>(producer))
      return false;
    return matmul.getXScales().getDefiningOp() == producer &&
           llvm::all_of(producer->getResults(),
                        [](Value value) { return value.hasOneUse(); });
  }
};

} // namespace

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
        if (auto quantize = matmul.getX().getDefiningOp<graph::QuantizeOp>();
            quantize && !quantize.getMaxima())
          if (Value maxima = maximaOf(quantize.getX(), matmuls))
            quantize.getMaximaMutable().assign(maxima);
      }
    }
  }

  /// Numbers of which the greatest is that of the row's magnitudes, from what
  /// makes the row `x`; null where it cannot tell. A product in `matmuls` that
  /// is asked for them is replaced there as well.
  static Value maximaOf(Value x, MutableArrayRef<graph::MatmulOp> matmuls) {
    if (auto attention = x.getDefiningOp<graph::DecodeAttentionOp>())
      return attention.getMaxima();
    auto product = x.getDefiningOp<graph::MatmulOp>();
    if (!product)
      return {};
    if (product.getMaxima())
      return product.getMaxima();
    std::optional<fastgemm::ScheduleAttr> schedule = product.getSchedule();
    if (!schedule || schedule->getPath() != fastgemm::Path::Wgmma ||
        schedule->getCtas() > 0 || schedule->getStreamK() > 0 ||
        product.getN() % 4 != 0)
      return {};
    IRRewriter rewriter(product);
    auto maxima =
        RankedTensorType::get({product.getResult().getType().getDimSize(0),
                               product.getMaximaColumns()},
                              rewriter.getF32Type());
    auto withMaxima = graph::MatmulOp::create(
        rewriter, product.getLoc(),
        TypeRange{product.getResult().getType(), maxima},
        product->getOperands(), product->getAttrs());
    llvm::replace(matmuls, product, withMaxima);
    rewriter.replaceAllUsesWith(product.getResult(), withMaxima.getResult());
    rewriter.eraseOp(product);
    return withMaxima.getMaxima();
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

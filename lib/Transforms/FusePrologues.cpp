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
      function.walk([&](graph::MatmulOp matmul) {
        if (!isFusible(matmul))
          return;
        matmul->setAttr(graph::kPrologueAttrName, UnitAttr::get(&getContext()));
        ++fused;
      });
    }
  }

  static bool isFusible(graph::MatmulOp matmul) {
    std::optional<fastgemm::ScheduleAttr> schedule = matmul.getSchedule();
    if (!schedule || !canQuantizeToken(*schedule, matmul.getK()))
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

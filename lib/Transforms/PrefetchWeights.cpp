//===- PrefetchWeights.cpp - Weights on their way to the L2 cache ---------===//

#include "odyssey/Schedule/Target.h"
#include "odyssey/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace odyssey {
#define GEN_PASS_DEF_PREFETCHWEIGHTS
#include "odyssey/Dialect/Passes/Transforms.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

/// With more tokens, products are not bound by their weights' way from memory.
constexpr int64_t kMaxTokens = 64;

struct PrefetchWeights : odyssey::impl::PrefetchWeightsBase<PrefetchWeights> {
  using PrefetchWeightsBase::PrefetchWeightsBase;

  void runOnOperation() override {
    std::optional<TargetDescription> description = findTarget(target, gpu);
    if (!description || percent < 0 || percent > 100) {
      if (description)
        getOperation().emitError()
            << "expects percent-of-l2 of 0 to 100, got " << percent.getValue();
      else
        getOperation().emitError()
            << "expects a target with that GPU, got target '" << target
            << "' and gpu '" << gpu << "'";
      return signalPassFailure();
    }
    int64_t budget = description->l2Bytes / 100 * percent;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      auto bucket =
          function->getAttrOfType<IntegerAttr>(graph::kBucketAttrName);
      if (!bucket || bucket.getInt() < 1 || bucket.getInt() > kMaxTokens)
        continue;
      function.walk([&](graph::MatmulOp matmul) {
        int64_t stages = stagesAhead(matmul, budget);
        if (stages == 0 || matmul->hasAttr(graph::kPrefetchAttrName))
          return;
        matmul->setAttr(graph::kPrefetchAttrName,
                        Builder(&getContext()).getI64IntegerAttr(stages));
        ++prefetching;
      });
    }
  }

  /// Stages behind those of the ring that each CTA asks for, so that all CTAs
  /// together stay within `budget` bytes.
  static int64_t stagesAhead(graph::MatmulOp matmul, int64_t budget) {
    std::optional<fastgemm::ScheduleAttr> schedule = matmul.getSchedule();
    if (!schedule || schedule->getPath() != fastgemm::Path::Wgmma ||
        schedule->getCtas() > 0 || schedule->getStreamK() > 0)
      return 0;
    int64_t tilesAlongK = fastgemm::SwizzledAttr::getTilesAlongK(matmul.getK());
    int64_t ofCta =
        (tilesAlongK + schedule->getSplitK() - 1) / schedule->getSplitK();
    int64_t ctas = (matmul.getN() + schedule->getChannels() - 1) /
                   schedule->getChannels() * schedule->getSplitK();
    int64_t weightBytes = schedule->getWeightBytes(matmul.getWeightFormat());
    return std::clamp<int64_t>(
        budget / (ctas * weightBytes), 0,
        std::max<int64_t>(ofCta - schedule->getStages(), 0));
  }
};

} // namespace

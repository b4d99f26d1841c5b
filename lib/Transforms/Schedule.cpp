//===- Schedule.cpp - A schedule for every product, per token bucket ------===//

#include "odyssey/Schedule/ScheduleChoice.h"
#include "odyssey/Transforms/Passes.h"
#include "odyssey/Transforms/ScheduleDecisions.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace odyssey {
#define GEN_PASS_DEF_SCHEDULE
#include "odyssey/Dialect/Passes/Transforms.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

/// Whether any tensor of the function's signature has a dynamic size.
bool isDynamic(func::FuncOp function) {
  auto dynamic = [](Type type) {
    auto shaped = dyn_cast<ShapedType>(type);
    return shaped && !shaped.hasStaticShape();
  };
  return llvm::any_of(function.getArgumentTypes(), dynamic) ||
         llvm::any_of(function.getResultTypes(), dynamic);
}

struct Schedule : odyssey::impl::ScheduleBase<Schedule> {
  using ScheduleBase::ScheduleBase;

  void runOnOperation() override {
    std::optional<TargetDescription> description = findTarget(target, gpu);
    if (!description) {
      if (gpuNames(target).empty())
        getOperation().emitError() << "expects a target of " << targetNames()
                                   << ", got '" << target << "'";
      else
        getOperation().emitError() << "expects a GPU of " << gpuNames(target)
                                   << ", got '" << gpu << "'";
      return signalPassFailure();
    }
    auto database = TuningDatabase::load(
        std::vector<std::string>(tuning.begin(), tuning.end()), *description,
        [&](const Twine &message) { getOperation().emitWarning() << message; });
    if (!database) {
      getOperation().emitError() << llvm::toString(database.takeError());
      return signalPassFailure();
    }
    ScheduleSelector selector(&getContext(), *description,
                              std::move(*database));
    SmallVector<int64_t> tokenCounts(buckets.begin(), buckets.end());
    if (tokenCounts.empty())
      tokenCounts = {1, 8, 16, 32, 64, 128};
    if (!llvm::is_sorted(tokenCounts, std::less_equal<int64_t>()) ||
        tokenCounts.front() < 1) {
      getOperation().emitError()
          << "expects buckets to be positive and ascending";
      return signalPassFailure();
    }
    SmallVector<func::FuncOp> functions(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions) {
      if (function.isDeclaration() || function->hasAttr(graph::kBucketAttrName))
        continue;
      if (!isDynamic(function)) {
        if (failed(specialize(function, function.getName(), 0, selector)))
          return signalPassFailure();
        continue;
      }
      for (int64_t tokens : tokenCounts) {
        OpBuilder builder(function);
        auto clone = cast<func::FuncOp>(builder.clone(*function));
        clone.setName((function.getName() + "_t" + Twine(tokens)).str());
        if (failed(specialize(clone, function.getName(), tokens, selector)))
          return signalPassFailure();
      }
      function.erase();
    }
  }

  LogicalResult specialize(func::FuncOp function, StringRef name,
                           int64_t tokens, const ScheduleSelector &selector) {
    MLIRContext *context = &getContext();
    const TargetDescription &description = selector.target();
    Builder builder(context);
    function->setAttr(graph::kFunctionAttrName, builder.getStringAttr(name));
    function->setAttr(graph::kBucketAttrName,
                      builder.getI64IntegerAttr(tokens));
    auto tokensOf = [&](Value value) {
      int64_t size = cast<ShapedType>(value.getType()).getDimSize(0);
      return ShapedType::isDynamic(size) ? tokens : size;
    };
    auto decisions = decideSchedules(function, tokens, selector);
    if (failed(decisions))
      return failure();
    for (ScheduleDecision &decision : *decisions)
      decision.op.setScheduleAttr(decision.chosen.schedule);
    scheduled += decisions->size();
    function.walk([&](Operation *op) {
      if (auto linear = dyn_cast<graph::LinearOp>(op)) {
        auto shape = linear.getWeights().getType();
        if (!linear.getSchedule())
          linear.setScheduleAttr(chooseLinearSchedule(
              context, description, shape.getDimSize(0), shape.getDimSize(1),
              tokensOf(linear.getX())));
        ++scheduled;
      } else if (auto attention = dyn_cast<graph::AttentionOp>(op)) {
        auto cache = cast<ShapedType>(attention.getCache().getType());
        if (!attention.getTileTokens())
          attention.setTileTokens(chooseAttentionTokens(
              tokensOf(attention.getQueries()),
              attention.getHeads() / cache.getDimSize(3)));
      }
    });
    return success();
  }
};

} // namespace

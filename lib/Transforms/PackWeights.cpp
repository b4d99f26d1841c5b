//===- PackWeights.cpp - The layouts that kernels read --------------------===//

#include "odyssey/Layout/PackedWeights.h"
#include "odyssey/Schedule/ScheduleChoice.h"
#include "odyssey/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace odyssey {
#define GEN_PASS_DEF_PACKWEIGHTS
#include "odyssey/Dialect/Passes/Transforms.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

/// Whether this is a matrix of a product's weights that has no layout yet. Of 8
/// bits there are other matrices, too.
bool isUnpacked(graph::WeightOp weight) {
  auto type = dyn_cast<RankedTensorType>(weight.getType());
  if (!type || type.getRank() != 2 || type.getEncoding())
    return false;
  if (!type.getElementType().isInteger(8))
    return type.getElementType().isInteger(4);
  return llvm::any_of(weight->getUsers(), [&](Operation *user) {
    auto matmul = dyn_cast<graph::MatmulOp>(user);
    return matmul && matmul.getWeights() == weight.getResult();
  });
}

struct PackWeights : odyssey::impl::PackWeightsBase<PackWeights> {
  void runOnOperation() override {
    WalkResult result = getOperation().walk([&](graph::WeightOp weight) {
      return isUnpacked(weight) && failed(choosePanel(weight))
                 ? WalkResult::interrupt()
                 : WalkResult::advance();
    });
    if (result.wasInterrupted())
      return signalPassFailure();
    result = getOperation().walk([&](Operation *op) {
      if (auto weight = dyn_cast<graph::WeightOp>(op)) {
        if (isUnpacked(weight))
          packWeight(weight);
        return WalkResult::advance();
      }
      for (Value value : op->getResults())
        if (failed(padRows(value)))
          return WalkResult::interrupt();
      if (auto matmul = dyn_cast<graph::MatmulOp>(op)) {
        if (failed(packMultipliers(matmul)))
          return WalkResult::interrupt();
        return checkActivations(matmul);
      }
      return WalkResult::advance();
    });
    if (result.wasInterrupted())
      signalPassFailure();
  }

  /// The same weights of all buckets, which are stored once.
  using Weights = std::pair<Attribute, Type>;
  static Weights weightsOf(graph::WeightOp weight) {
    return {weight->getAttrDictionary(), weight.getType()};
  }

  /// Widens the panel of these weights as far as the products of `weight` ask.
  LogicalResult choosePanel(graph::WeightOp weight) {
    // On the path wgmma a warpgroup has a panel of its own.
    constexpr int64_t wgmmaPanel = 128;
    auto type = cast<RankedTensorType>(weight.getType());
    int64_t n = type.getDimSize(0);
    int64_t &panel =
        panels
            .try_emplace(weightsOf(weight),
                         choosePanelChannels(n, type.getDimSize(1)))
            .first->second;
    std::optional<bool> grouped;
    for (Operation *user : weight->getUsers()) {
      auto matmul = dyn_cast<graph::MatmulOp>(user);
      if (!matmul || matmul.getWeights() != weight.getResult())
        return weight.emitOpError()
               << "of " << type.getElementTypeBitWidth()
               << " bits is used by something else than a product";
      bool hasGroups = static_cast<bool>(matmul.getMultipliers());
      if (grouped.value_or(hasGroups) != hasGroups)
        return weight.emitOpError() << "of 4 bits is used by products with and "
                                       "without groups";
      grouped = hasGroups;
      std::optional<fastgemm::ScheduleAttr> schedule = matmul.getSchedule();
      if (!schedule)
        continue;
      // Tiles of mma_sync cross panels, but a schedule written by hand may ask
      // for more padding than the default panels have.
      if (schedule->getPath() == fastgemm::Path::Wgmma)
        panel = std::max(panel, wgmmaPanel);
      else if (layout::roundUp(n, panel) % schedule->getChannels() != 0)
        panel = std::max(panel, schedule->getChannels());
    }
    return success();
  }

  void packWeight(graph::WeightOp weight) {
    auto type = cast<RankedTensorType>(weight.getType());
    int64_t panel = panels.at(weightsOf(weight));
    // All users are products, all with groups or all without.
    bool grouped = llvm::any_of(weight->getUsers(), [](Operation *user) {
      return static_cast<bool>(cast<graph::MatmulOp>(user).getMultipliers());
    });
    weight.getResult().setType(RankedTensorType::get(
        type.getShape(), type.getElementType(),
        fastgemm::PackedAttr::get(&getContext(), panel, grouped ? 8 : 0)));
    ++packed;
  }

  /// Multipliers of packed weights get the layout of their panels.
  LogicalResult packMultipliers(graph::MatmulOp matmul) {
    auto weights = dyn_cast_or_null<fastgemm::PackedAttr>(
        matmul.getWeights().getType().getEncoding());
    if (!matmul.getMultipliers() || !weights)
      return success();
    auto type = matmul.getMultipliers().getType();
    auto encoding = fastgemm::MultipliersAttr::get(
        &getContext(), weights.getChannels(), *matmul.getGroupSize());
    if (type.getEncoding() == encoding)
      return success();
    auto multipliers = matmul.getMultipliers().getDefiningOp<graph::WeightOp>();
    if (!multipliers)
      return matmul.emitOpError() << "expects multipliers by name";
    if (type.getEncoding())
      return matmul.emitOpError()
             << "expects multipliers for groups of " << *matmul.getGroupSize()
             << " in panels of " << weights.getChannels() << " channels, got "
             << type.getEncoding();
    multipliers.getResult().setType(RankedTensorType::get(
        type.getShape(), type.getElementType(), encoding));
    return success();
  }

  /// 8-bit activations that an operation makes get padded rows, or the order of
  /// wgmma where that reads them.
  LogicalResult padRows(Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    if (!type || type.getRank() != 2 || !type.getElementType().isInteger(8) ||
        type.getEncoding())
      return success();
    if (std::optional<int64_t> tokens = swizzledTokens(value)) {
      value.setType(RankedTensorType::get(
          type.getShape(), type.getElementType(),
          fastgemm::SwizzledAttr::get(&getContext(), *tokens)));
      return success();
    }
    int64_t stride = layout::roundUp(type.getDimSize(1), layout::kBlockK);
    // What a function returns keeps the plain layout.
    if (llvm::any_of(value.getUsers(), llvm::IsaPred<func::ReturnOp>)) {
      if (stride == type.getDimSize(1))
        return success();
      return value.getDefiningOp()->emitOpError()
             << "expects 8-bit activations that a function returns to have "
                "columns divisible by "
             << layout::kBlockK << ", got " << type.getDimSize(1);
    }
    value.setType(
        RankedTensorType::get(type.getShape(), type.getElementType(),
                              fastgemm::RowsAttr::get(&getContext(), stride)));
    return success();
  }

  /// The tokens of a tile where a product of the path wgmma reads `value`. The
  /// lowering refuses a second product that needs another layout.
  static std::optional<int64_t> swizzledTokens(Value value) {
    for (Operation *user : value.getUsers())
      if (auto matmul = dyn_cast<graph::MatmulOp>(user))
        if (std::optional<fastgemm::ScheduleAttr> schedule =
                matmul.getSchedule();
            schedule && schedule->getPath() == fastgemm::Path::Wgmma)
          return schedule->getTokens();
    return std::nullopt;
  }

  /// Activations that come from outside are rows without padding.
  WalkResult checkActivations(graph::MatmulOp matmul) {
    auto type = matmul.getX().getType();
    if (!type.getEncoding() && type.getDimSize(1) % layout::kBlockK != 0)
      return matmul.emitOpError()
             << "expects activations that are a function's argument to have K "
                "divisible by "
             << layout::kBlockK << ", got " << type.getDimSize(1);
    return WalkResult::advance();
  }

  llvm::DenseMap<Weights, int64_t> panels;
};

} // namespace

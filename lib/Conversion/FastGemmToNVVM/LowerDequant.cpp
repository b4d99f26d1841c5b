//===- LowerDequant.cpp - Unpack 4-bit weights in registers ---------------===//

#include "odyssey/Conversion/Passes.h"

#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace odyssey {
#define GEN_PASS_DEF_LOWERDEQUANT
#include "odyssey/Dialect/Passes/Conversion.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

/// Word 2s + h of a lane's 16 bytes holds, of k32 step s and k16 half h, row g
/// in the high nibbles and row g + 8 in the low ones: registers a(2h) and a(2h
/// + 1) of the step's A fragment.
struct DequantPattern : OpRewritePattern<fastgemm::DequantOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(fastgemm::DequantOp op,
                                PatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto constant = [&](uint32_t value) -> Value {
      return arith::ConstantOp::create(
          rewriter, loc,
          rewriter.getI32IntegerAttr(static_cast<int32_t>(value)));
    };
    Value mask = constant(0xF0F0F0F0), four = constant(4);
    SmallVector<Value> steps;
    for (int64_t s = 0; s < 2; ++s) {
      SmallVector<Value> registers;
      for (int64_t h = 0; h < 2; ++h) {
        Value word =
            vector::ExtractOp::create(rewriter, loc, op.getPacked(), 2 * s + h);
        Value shifted = arith::ShLIOp::create(rewriter, loc, word, four);
        registers.push_back(arith::AndIOp::create(rewriter, loc, word, mask));
        registers.push_back(
            arith::AndIOp::create(rewriter, loc, shifted, mask));
      }
      steps.push_back(vector::FromElementsOp::create(
          rewriter, loc, cast<VectorType>(op.getLow().getType()), registers));
    }
    rewriter.replaceOp(op, steps);
    return success();
  }
};

struct LowerDequant : odyssey::impl::LowerDequantBase<LowerDequant> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<DequantPattern>(&getContext());
    walkAndApply(std::move(patterns));
  }
  void walkAndApply(RewritePatternSet patterns) {
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

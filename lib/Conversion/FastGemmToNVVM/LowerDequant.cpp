//===- LowerDequant.cpp - Unpack 4-bit weights in registers ---------------===//

#include "odyssey/Conversion/Passes.h"

#include "mlir/IR/ImplicitLocOpBuilder.h"
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

/// With u = q + 8 in a nibble, u m + (128 - 8 m) = q m + 128 is an unsigned
/// byte for every m from 0 to 15, so one 32-bit multiplication and addition
/// does four weights without a carry between them; flipping each byte's sign
/// bit takes the 128 away.
struct DequantGroupsPattern : OpRewritePattern<fastgemm::DequantGroupsOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(fastgemm::DequantGroupsOp op,
                                PatternRewriter &rewriter) const override {
    ImplicitLocOpBuilder b(op.getLoc(), rewriter);
    auto constant = [&](uint32_t value) -> Value {
      return arith::ConstantOp::create(
          b, b.getI32IntegerAttr(static_cast<int32_t>(value)));
    };
    Value signs = constant(0x80808080), eights = constant(-0x08080808U);
    Value mask = constant(0x0F0F0F0F), four = constant(4);
    auto scale = [&](Value word, Value multiplier, Value addend) -> Value {
      Value nibbles = arith::AndIOp::create(b, word, mask);
      Value product = arith::MulIOp::create(b, nibbles, multiplier);
      Value sum = arith::AddIOp::create(b, product, addend);
      return arith::XOrIOp::create(b, sum, signs);
    };
    SmallVector<Value> steps;
    for (int64_t s = 0; s < 2; ++s) {
      Value m[2], addend[2];
      for (int64_t p = 0; p < 2; ++p) {
        m[p] = vector::ExtractOp::create(b, op.getMultipliers(), 2 * s + p);
        Value product = arith::MulIOp::create(b, m[p], eights);
        addend[p] = arith::AddIOp::create(b, product, signs);
      }
      SmallVector<Value> registers;
      for (int64_t h = 0; h < 2; ++h) {
        Value word = vector::ExtractOp::create(b, op.getPacked(), 2 * s + h);
        Value shifted = arith::ShRUIOp::create(b, word, four);
        registers.push_back(scale(shifted, m[0], addend[0]));
        registers.push_back(scale(word, m[1], addend[1]));
      }
      steps.push_back(vector::FromElementsOp::create(
          b, cast<VectorType>(op.getLow().getType()), registers));
    }
    rewriter.replaceOp(op, steps);
    return success();
  }
};

struct LowerDequant : odyssey::impl::LowerDequantBase<LowerDequant> {
  void runOnOperation() override {
    RewritePatternSet patterns(&getContext());
    patterns.add<DequantPattern, DequantGroupsPattern>(&getContext());
    walkAndApply(std::move(patterns));
  }
  void walkAndApply(RewritePatternSet patterns) {
    if (failed(applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

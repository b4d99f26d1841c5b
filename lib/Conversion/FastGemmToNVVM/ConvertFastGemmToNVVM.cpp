//===- ConvertFastGemmToNVVM.cpp - Fragments and copies to NVVM -----------===//
//
// One pattern per operation of the fastgemm dialect. Vectors of registers
// become the scalars or structs that the NVVM operations take.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Conversion/Passes.h"

#include "mlir/Transforms/DialectConversion.h"

namespace odyssey {
#define GEN_PASS_DEF_CONVERTFASTGEMMTONVVM
#include "odyssey/Dialect/Passes/Conversion.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

/// The elements of a vector of registers.
SmallVector<Value> unpack(OpBuilder &builder, Location loc, Value vector) {
  SmallVector<Value> elements;
  int64_t count = cast<VectorType>(vector.getType()).getNumElements();
  for (int64_t i = 0; i < count; ++i)
    elements.push_back(vector::ExtractOp::create(builder, loc, vector, i));
  return elements;
}

/// A struct of registers, or the one register, as a vector.
Value packStruct(OpBuilder &builder, Location loc, Value value,
                 VectorType type) {
  SmallVector<Value> elements;
  if (auto structType = dyn_cast<LLVM::LLVMStructType>(value.getType()))
    for (int64_t i = 0, e = structType.getBody().size(); i < e; ++i)
      elements.push_back(LLVM::ExtractValueOp::create(builder, loc, value, i));
  else
    elements.push_back(value);
  return vector::FromElementsOp::create(builder, loc, type, elements);
}

struct AsyncCopyPattern : OpConversionPattern<fastgemm::AsyncCopyOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::AsyncCopyOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    // .cg (past L1) exists for 16 bytes only.
    auto modifier = op.getBytes() == 16 ? NVVM::LoadCacheModifierKind::CG
                                        : NVVM::LoadCacheModifierKind::CA;
    rewriter.replaceOpWithNewOp<NVVM::CpAsyncOp>(
        op, adaptor.getDestination(), adaptor.getSource(), op.getBytes(),
        modifier, adaptor.getValid());
    return success();
  }
};

struct AsyncCommitPattern : OpConversionPattern<fastgemm::AsyncCommitOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::AsyncCommitOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<NVVM::CpAsyncCommitGroupOp>(op);
    return success();
  }
};

struct AsyncWaitPattern : OpConversionPattern<fastgemm::AsyncWaitOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::AsyncWaitOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<NVVM::CpAsyncWaitGroupOp>(op, op.getPending());
    return success();
  }
};

struct LoadMatrixPattern : OpConversionPattern<fastgemm::LoadMatrixOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::LoadMatrixOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto type = cast<VectorType>(op.getMatrices().getType());
    int64_t count = type.getNumElements();
    Type i32 = rewriter.getI32Type();
    Type resultType = count == 1
                          ? i32
                          : LLVM::LLVMStructType::getLiteral(
                                getContext(), SmallVector<Type>(count, i32));
    auto layout =
        op.getTranspose() ? NVVM::MMALayout::col : NVVM::MMALayout::row;
    auto shape = NVVM::LdStMatrixShapeAttr::get(getContext(), 8, 8);
    Value loaded = NVVM::LdMatrixOp::create(
        rewriter, loc, resultType, adaptor.getAddress(), count, layout, shape,
        NVVM::LdStMatrixEltType::B16);
    rewriter.replaceOp(op, packStruct(rewriter, loc, loaded, type));
    return success();
  }
};

struct MmaS8Pattern : OpConversionPattern<fastgemm::MmaS8Op> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::MmaS8Op op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    Type i32 = rewriter.getI32Type();
    auto structType = LLVM::LLVMStructType::getLiteral(
        getContext(), SmallVector<Type>(4, i32));
    Value result = NVVM::MmaOp::create(
        rewriter, loc, structType, unpack(rewriter, loc, adaptor.getA()),
        unpack(rewriter, loc, adaptor.getB()),
        unpack(rewriter, loc, adaptor.getAccumulator()),
        ArrayRef<int64_t>{16, 8, 32}, std::nullopt,
        NVVM::MMAIntOverflow::wrapped,
        std::array{NVVM::MMATypes::s8, NVVM::MMATypes::s8},
        std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
    rewriter.replaceOp(
        op, packStruct(rewriter, loc, result, cast<VectorType>(op.getType())));
    return success();
  }
};

struct MmaF16Pattern : OpConversionPattern<fastgemm::MmaF16Op> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::MmaF16Op op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    auto pair = VectorType::get({2}, rewriter.getF16Type());
    auto halves = [&](Value fragment) {
      SmallVector<Value> registers = unpack(rewriter, loc, fragment);
      for (Value &value : registers)
        value = LLVM::BitcastOp::create(rewriter, loc, pair, value);
      return registers;
    };
    auto structType = LLVM::LLVMStructType::getLiteral(
        getContext(), SmallVector<Type>(4, rewriter.getF32Type()));
    Value result = NVVM::MmaOp::create(
        rewriter, loc, structType, halves(adaptor.getA()),
        halves(adaptor.getB()), unpack(rewriter, loc, adaptor.getAccumulator()),
        ArrayRef<int64_t>{16, 8, 16}, std::nullopt, std::nullopt,
        std::array{NVVM::MMATypes::f16, NVVM::MMATypes::f16},
        std::array{NVVM::MMALayout::row, NVVM::MMALayout::col});
    rewriter.replaceOp(
        op, packStruct(rewriter, loc, result, cast<VectorType>(op.getType())));
    return success();
  }
};

struct ConvertFastGemmToNVVM
    : odyssey::impl::ConvertFastGemmToNVVMBase<ConvertFastGemmToNVVM> {
  void runOnOperation() override {
    MLIRContext *context = &getContext();
    ConversionTarget target(*context);
    target.addIllegalDialect<fastgemm::FastGemmDialect>();
    target.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    RewritePatternSet patterns(context);
    patterns.add<AsyncCopyPattern, AsyncCommitPattern, AsyncWaitPattern,
                 LoadMatrixPattern, MmaS8Pattern, MmaF16Pattern>(context);
    if (failed(applyPartialConversion(getOperation(), target,
                                      std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

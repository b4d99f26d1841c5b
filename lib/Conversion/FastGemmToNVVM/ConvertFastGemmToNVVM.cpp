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

/// Inline PTX with side effects on memory and a struct of `registers` results
/// of 32 bits, if any.
LLVM::InlineAsmOp inlinePtx(OpBuilder &builder, Location loc, int64_t registers,
                            ValueRange operands, StringRef text,
                            StringRef constraints) {
  MLIRContext *context = builder.getContext();
  Type result;
  if (registers > 0)
    result = LLVM::LLVMStructType::getLiteral(
        context, SmallVector<Type>(registers, builder.getI32Type()));
  else
    result = LLVM::LLVMVoidType::get(context);
  return LLVM::InlineAsmOp::create(
      builder, loc, result, operands, text, constraints,
      /*has_side_effects=*/true, /*is_align_stack=*/false,
      LLVM::TailCallKind::None,
      LLVM::AsmDialectAttr::get(context, LLVM::AsmDialect::AD_ATT),
      /*operand_attrs=*/ArrayAttr());
}

struct EvictFirstPolicyPattern
    : OpConversionPattern<fastgemm::EvictFirstPolicyOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::EvictFirstPolicyOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<LLVM::InlineAsmOp>(
        op, op.getType(), ValueRange(),
        "createpolicy.fractional.L2::evict_first.b64 $0, 1.0;", "=l",
        /*has_side_effects=*/false, /*is_align_stack=*/false,
        LLVM::TailCallKind::None,
        LLVM::AsmDialectAttr::get(getContext(), LLVM::AsmDialect::AD_ATT),
        /*operand_attrs=*/ArrayAttr());
    return success();
  }
};

/// The loop stands in the text: `nvvm` has it too, but without the clobber that
/// keeps reads of what was waited for behind it.
struct BarrierWaitPattern : OpConversionPattern<fastgemm::BarrierWaitOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::BarrierWaitOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    // Without a scope, what other threads of the CTA have released is seen.
    StringRef scope = op.getCluster() ? ".acquire.cluster" : "";
    std::string text = ("{\n"
                        ".reg .pred ended;\n"
                        "WAIT:\n"
                        "mbarrier.try_wait.parity" +
                        scope +
                        ".shared::cta.b64 ended, [$0], $1;\n"
                        "@ended bra DONE;\n"
                        "bra WAIT;\n"
                        "DONE:\n"
                        "}")
                           .str();
    inlinePtx(rewriter, op.getLoc(), 0,
              {adaptor.getBarrier(), adaptor.getParity()}, text,
              "r,r,~{memory}");
    rewriter.eraseOp(op);
    return success();
  }
};

/// All registers of some accumulators, in order.
SmallVector<Value> unpackAll(OpBuilder &builder, Location loc,
                             ValueRange vectors) {
  SmallVector<Value> elements;
  for (Value vector : vectors)
    elements.append(unpack(builder, loc, vector));
  return elements;
}

/// The inverse of unpackAll for the results of inline PTX.
SmallVector<Value> packAll(OpBuilder &builder, Location loc, Value registers,
                           TypeRange types) {
  SmallVector<Value> vectors;
  int64_t next = 0;
  for (Type type : types) {
    auto vectorType = cast<VectorType>(type);
    SmallVector<Value> elements;
    for (int64_t i = 0, e = vectorType.getNumElements(); i < e; ++i)
      elements.push_back(
          LLVM::ExtractValueOp::create(builder, loc, registers, next++));
    vectors.push_back(
        vector::FromElementsOp::create(builder, loc, vectorType, elements));
  }
  return vectors;
}

/// "=r" for each result, and for as many operands "the register of result i".
std::string tiedConstraints(int64_t count) {
  std::string constraints;
  for (int64_t i = 0; i < count; ++i)
    constraints += "=r,";
  for (int64_t i = 0; i < count; ++i)
    constraints += std::to_string(i) + ",";
  return constraints;
}

/// `nvvm.wgmma.mma_async` takes A from shared memory only.
struct WgmmaPattern : OpConversionPattern<fastgemm::WgmmaOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::WgmmaOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    Location loc = op.getLoc();
    SmallVector<Value> operands =
        unpackAll(rewriter, loc, adaptor.getAccumulators());
    int64_t count = operands.size();
    operands.append(unpack(rewriter, loc, adaptor.getA()));
    operands.push_back(adaptor.getDescriptor());
    std::string text = "{\n.reg .pred add;\nsetp.eq.u32 add, 0, 0;\n"
                       "wgmma.mma_async.sync.aligned.m64n" +
                       std::to_string(op.getTokens()) + "k32.s32.s8.s8\n\t{";
    for (int64_t i = 0; i < count; ++i)
      text += (i ? ", $" : "$") + std::to_string(i);
    text += "},\n\t{";
    for (int64_t i = 0; i < 4; ++i)
      text += (i ? ", $" : "$") + std::to_string(2 * count + i);
    text += "}, $" + std::to_string(2 * count + 4) + ", add;\n}";
    auto inlined = inlinePtx(rewriter, loc, count, operands, text,
                             tiedConstraints(count) + "r,r,r,r,l,~{memory}");
    rewriter.replaceOp(
        op, packAll(rewriter, loc, inlined.getResult(0), op.getResultTypes()));
    return success();
  }
};

/// An instruction without operands that registers pass through.
template <typename OpTy>
LogicalResult passThrough(OpTy op, ValueRange registers, const Twine &text,
                          ConversionPatternRewriter &rewriter) {
  Location loc = op.getLoc();
  SmallVector<Value> operands = unpackAll(rewriter, loc, registers);
  int64_t count = operands.size();
  auto inlined = inlinePtx(rewriter, loc, count, operands, text.str(),
                           tiedConstraints(count) + "~{memory}");
  rewriter.replaceOp(
      op, packAll(rewriter, loc, inlined.getResult(0), op.getResultTypes()));
  return success();
}

struct WgmmaFencePattern : OpConversionPattern<fastgemm::WgmmaFenceOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::WgmmaFenceOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    return passThrough(op, adaptor.getRegisters(), "wgmma.fence.sync.aligned;",
                       rewriter);
  }
};

struct WgmmaWaitPattern : OpConversionPattern<fastgemm::WgmmaWaitOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(fastgemm::WgmmaWaitOp op, OpAdaptor adaptor,
                  ConversionPatternRewriter &rewriter) const override {
    return passThrough(op, adaptor.getAccumulators(),
                       "wgmma.wait_group.sync.aligned " +
                           Twine(op.getPending()) + ";",
                       rewriter);
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
                 LoadMatrixPattern, MmaS8Pattern, MmaF16Pattern,
                 EvictFirstPolicyPattern, BarrierWaitPattern, WgmmaPattern,
                 WgmmaFencePattern, WgmmaWaitPattern>(context);
    if (failed(applyPartialConversion(getOperation(), target,
                                      std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

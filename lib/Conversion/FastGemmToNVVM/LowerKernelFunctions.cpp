//===- LowerKernelFunctions.cpp - gpu.func to llvm.func -------------------===//
//
// Kernels take nothing but pointers and scalars, so the function itself needs
// no type conversion. Upstream's convert-gpu-to-nvvm is not used because it
// turns LLVM's math intrinsics (fabs, sqrt, roundeven) into calls of libdevice,
// which are neither needed nor correctly rounded by contract.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Conversion/Passes.h"

#include "mlir/IR/PatternMatch.h"

namespace odyssey {
#define GEN_PASS_DEF_LOWERKERNELFUNCTIONS
#include "odyssey/Dialect/Passes/Conversion.h.inc"
} // namespace odyssey

using namespace mlir;
using namespace odyssey;

namespace {

struct LowerKernelFunctions
    : odyssey::impl::LowerKernelFunctionsBase<LowerKernelFunctions> {
  void runOnOperation() override {
    IRRewriter rewriter(&getContext());
    for (auto func :
         llvm::make_early_inc_range(getOperation().getOps<gpu::GPUFuncOp>()))
      if (failed(lower(func, rewriter)))
        return signalPassFailure();
  }

  LogicalResult lower(gpu::GPUFuncOp func, IRRewriter &rewriter) {
    auto launch =
        func->getAttrOfType<fastgemm::LaunchAttr>(fastgemm::kLaunchAttrName);
    if (!launch)
      return func.emitOpError()
             << "expects the attribute " << fastgemm::kLaunchAttrName;
    rewriter.setInsertionPoint(func);
    auto type = LLVM::LLVMFunctionType::get(
        LLVM::LLVMVoidType::get(&getContext()), func.getArgumentTypes());
    auto lowered =
        LLVM::LLVMFuncOp::create(rewriter, func.getLoc(), func.getName(), type);
    lowered->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(),
                     rewriter.getUnitAttr());
    lowered->setAttr(NVVM::NVVMDialect::getReqntidAttrName(),
                     rewriter.getDenseI32ArrayAttr(
                         {static_cast<int32_t>(launch.getBlock()), 1, 1}));
    // Without it ptxas may spill to reach an occupancy that nobody asked for.
    lowered->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(),
                     rewriter.getI32IntegerAttr(1));
    // What the bundle writer needs after the gpu.func is gone.
    lowered->setAttr(fastgemm::kLaunchAttrName, launch);
    lowered->setAttr("kind", func->getAttr("kind"));
    if (Attribute attribute = func->getAttr(fastgemm::kDependentLaunchAttrName))
      lowered->setAttr(fastgemm::kDependentLaunchAttrName, attribute);
    rewriter.inlineRegionBefore(func.getBody(), lowered.getBody(),
                                lowered.end());
    lowered.walk([&](Operation *op) {
      rewriter.setInsertionPoint(op);
      if (isa<gpu::ReturnOp>(op))
        rewriter.replaceOpWithNewOp<LLVM::ReturnOp>(op, ValueRange());
      else if (isa<gpu::BarrierOp>(op))
        rewriter.replaceOpWithNewOp<NVVM::Barrier0Op>(op);
    });
    rewriter.eraseOp(func);
    return success();
  }
};

} // namespace

//===- Pipelines.cpp - The way down as named pipelines --------------------===//

#include "odyssey/Target/Pipelines.h"

#include "odyssey/Conversion/Passes.h"
#include "odyssey/Transforms/Passes.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Pass/PassOptions.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace odyssey;

void odyssey::buildFusionPipeline(OpPassManager &manager,
                                  layout::WeightFormat weights) {
  QuantizeLinearsOptions quantize;
  quantize.weightBits = weights.bits;
  quantize.groupSize = weights.groupSize;
  manager.addPass(createQuantizeLinears(std::move(quantize)));
  manager.addPass(createFuse());
}

void odyssey::buildKernelPipeline(OpPassManager &manager,
                                  const PipelineOptions &options) {
  ScheduleOptions schedule;
  schedule.target = options.target;
  schedule.gpu = options.gpu;
  schedule.tuning.assign(options.tuning.begin(), options.tuning.end());
  schedule.buckets.assign(options.buckets.begin(), options.buckets.end());
  manager.addPass(createSchedule(std::move(schedule)));
  manager.addPass(createFuseDecodeAttention());
  manager.addPass(createSplitAttention());
  manager.addPass(createPackWeights());
  manager.addPass(createFusePrologues());
  PrefetchWeightsOptions prefetch;
  prefetch.target = options.target;
  prefetch.gpu = options.gpu;
  prefetch.percent = options.prefetchPercent;
  manager.addPass(createPrefetchWeights(std::move(prefetch)));
  // An unknown target is an error of odyssey-schedule.
  std::optional<TargetDescription> target = findTarget(options.target);
  OutlineKernelsOptions outline;
  outline.dependentLaunch = target && target->hasDependentLaunch();
  manager.addPass(createOutlineKernels(outline));
}

void odyssey::buildGraphPipeline(OpPassManager &manager,
                                 const PipelineOptions &options) {
  buildFusionPipeline(manager, options.weights);
  buildKernelPipeline(manager, options);
}

void odyssey::buildFragmentPipeline(OpPassManager &manager) {
  manager.addNestedPass<gpu::GPUModuleOp>(createConvertOdysseyToFastGemm());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void odyssey::buildNvvmPipeline(OpPassManager &manager) {
  OpPassManager &kernels = manager.nest<gpu::GPUModuleOp>();
  kernels.addPass(createLowerDequant());
  kernels.addPass(createConvertFastGemmToNVVM());
  kernels.addPass(createCSEPass());
  kernels.addPass(createSCFToControlFlowPass());
  kernels.addPass(createLowerKernelFunctions());
  kernels.addPass(createConvertToLLVMPass());
  kernels.addPass(createReconcileUnrealizedCastsPass());
  kernels.addPass(createCSEPass());
}

void odyssey::registerPipelineInterfaces(DialectRegistry &registry) {
  arith::registerConvertArithToLLVMInterface(registry);
  cf::registerConvertControlFlowToLLVMInterface(registry);
  vector::registerConvertVectorToLLVMInterface(registry);
}

namespace {
struct CommandLineOptions : PassPipelineOptions<CommandLineOptions> {
  Option<std::string> target{*this, "target",
                             llvm::cl::desc("GPU that the kernels are for"),
                             llvm::cl::init("sm_80")};
  ListOption<int64_t> buckets{*this, "buckets",
                              llvm::cl::desc("Token counts to specialize for")};
  Option<int64_t> groupSize{
      *this, "group-size",
      llvm::cl::desc("Input channels that share a multiplier: 32, 64 or 128; 0 "
                     "for one scale per output channel"),
      llvm::cl::init(0)};
  Option<int64_t> weightBits{*this, "weight-bits",
                             llvm::cl::desc("Bits of a weight: 4 or 8"),
                             llvm::cl::init(4)};

  PipelineOptions get() const {
    PipelineOptions options;
    options.target = target;
    options.buckets.assign(buckets.begin(), buckets.end());
    options.weights = {weightBits, groupSize};
    return options;
  }
};
} // namespace

void odyssey::registerPassesAndPipelines() {
  registerOdysseyTransformsPasses();
  registerOdysseyConversionPasses();
  PassPipelineRegistration<CommandLineOptions>(
      "odyssey-to-kernels", "graph to scheduled, packed and outlined kernels",
      [](OpPassManager &manager, const CommandLineOptions &options) {
        buildGraphPipeline(manager, options.get());
      });
  PassPipelineRegistration<CommandLineOptions>(
      "odyssey-to-fragments", "graph to loops over register fragments",
      [](OpPassManager &manager, const CommandLineOptions &options) {
        buildGraphPipeline(manager, options.get());
        buildFragmentPipeline(manager);
      });
  PassPipelineRegistration<CommandLineOptions>(
      "odyssey-to-nvvm", "graph to the LLVM and NVVM dialects",
      [](OpPassManager &manager, const CommandLineOptions &options) {
        buildGraphPipeline(manager, options.get());
        buildFragmentPipeline(manager);
        buildNvvmPipeline(manager);
      });
}

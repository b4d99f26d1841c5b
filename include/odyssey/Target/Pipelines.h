//===- Pipelines.h - The way down as named pipelines ------------*- C++ -*-===//

#ifndef ODYSSEY_TARGET_PIPELINES_H
#define ODYSSEY_TARGET_PIPELINES_H

#include "odyssey/Schedule/ScheduleChoice.h"

#include "mlir/Pass/PassManager.h"

namespace odyssey {

/// What a pipeline needs to know beside the IR.
struct PipelineOptions {
  std::string target = "sm_80";
  /// Token buckets, ascending; empty for the default of odyssey-schedule.
  llvm::SmallVector<int64_t> buckets;
  /// A GPU of the target; empty for its first.
  std::string gpu;
  /// Databases of measured schedules, beside those of the compiler.
  std::vector<std::string> tuning;
  /// What 16-bit weights become.
  layout::WeightFormat weights = {};
  /// Most of the L2 cache, in percent, that a product asks for in advance.
  int64_t prefetchPercent = 40;
};

/// Graph of 16-bit products to a graph of fused integer products:
/// odyssey-quantize-linears, odyssey-fuse.
void buildFusionPipeline(mlir::OpPassManager &manager,
                         layout::WeightFormat weights);

/// Fused graph to launches of outlined kernels: odyssey-schedule,
/// odyssey-fuse-decode-attention, odyssey-split-attention,
/// odyssey-pack-weights, odyssey-fuse-prologues, odyssey-prefetch-weights,
/// odyssey-outline-kernels.
void buildKernelPipeline(mlir::OpPassManager &manager,
                         const PipelineOptions &options);

/// Both of them.
void buildGraphPipeline(mlir::OpPassManager &manager,
                        const PipelineOptions &options);

/// Outlined kernels to fragments: convert-odyssey-to-fastgemm.
void buildFragmentPipeline(mlir::OpPassManager &manager);

/// Fragments to the LLVM and NVVM dialects.
void buildNvvmPipeline(mlir::OpPassManager &manager);

/// Registers the dialect interfaces that buildNvvmPipeline relies on; a context
/// that runs it needs them.
void registerPipelineInterfaces(mlir::DialectRegistry &registry);

/// Registers all passes of Odyssey, and the pipelines as `odyssey-to-kernels`,
/// `odyssey-to-fragments` and `odyssey-to-nvvm` (each from the graph).
void registerPassesAndPipelines();

} // namespace odyssey

#endif // ODYSSEY_TARGET_PIPELINES_H

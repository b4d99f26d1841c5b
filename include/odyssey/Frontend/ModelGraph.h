//===- ModelGraph.h - A decoder as graph IR ---------------------*- C++ -*-===//

#ifndef ODYSSEY_FRONTEND_MODELGRAPH_H
#define ODYSSEY_FRONTEND_MODELGRAPH_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace odyssey {

/// Tokens of a page of the KV cache, and of a block of the online softmax.
inline constexpr int64_t kPageTokens = 64;

/// What keys and values are kept as (docs/numerics.md, N21).
enum class KvCacheType { F16, I8 };

/// The sizes for which a model is compiled.
struct ModelLimits {
  /// Longest sequence, in tokens.
  int64_t maxContext;
  /// Sequences that share a step.
  int64_t maxBatch;
  /// Most tokens of one step: rows of the state `hidden`.
  int64_t maxStepTokens;
  KvCacheType kvCache = KvCacheType::F16;

  int64_t pagesPerSequence() const {
    return (maxContext + kPageTokens - 1) / kPageTokens;
  }
};

/// The functions `forward` and `logits` of docs/bundle.md, in the operations of
/// the odyssey dialect with 16-bit products. Weights have the names of Hugging
/// Face checkpoints.
mlir::OwningOpRef<mlir::ModuleOp> buildModelGraph(mlir::MLIRContext *context,
                                                  const ModelConfig &config,
                                                  const ModelLimits &limits);

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_MODELGRAPH_H

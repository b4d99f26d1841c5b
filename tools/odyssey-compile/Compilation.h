//===- Compilation.h - One run of odyssey-compile ---------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYCOMPILE_COMPILATION_H
#define ODYSSEY_TOOLS_ODYSSEYCOMPILE_COMPILATION_H

#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Frontend/ModelGraph.h"
#include "odyssey/Target/BundleWriter.h"
#include "odyssey/Target/Pipelines.h"
#include "odyssey/Target/Ptx.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace odyssey::compile {

/// How far down to go.
enum class Emit { Mlir, Nvvm, Ptx, Cubin, Bundle };

struct Options {
  /// A quantized checkpoint folder, or an IR file.
  std::string input;
  std::string output;
  Emit emit = Emit::Bundle;
  std::string target = "sm_80";
  /// Safetensors file with the weights that an IR file names; "none" for a
  /// bundle without weights.
  std::string weights;
  /// 0: what the model was made for.
  int64_t maxContext = 0;
  int64_t maxBatch = 1;
  bool quiet = false;
};

/// What the summary prints.
struct Summary {
  std::vector<KernelResources> kernels;
  bool assembled = false;
  size_t ptxBytes = 0;
  uint64_t outputBytes = 0;
  double seconds = 0;
};

/// Compiles `options.input` to `options.output`. IR errors have been printed
/// where they belong; the returned error says what could not be done.
llvm::Expected<Summary> run(const Options &options);

/// The token counts that kernels are specialized for: 1, 8, 16, 32, ... , and the
/// first that holds a step of `maxStepTokens`.
llvm::SmallVector<int64_t> tokenBuckets(int64_t maxStepTokens);

/// A table of kernels with their registers and shared memory, then totals.
void print(llvm::raw_ostream &stream, const Summary &summary,
           const Options &options);

} // namespace odyssey::compile

#endif // ODYSSEY_TOOLS_ODYSSEYCOMPILE_COMPILATION_H

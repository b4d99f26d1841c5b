//===- Compilation.h - From checkpoint or IR to a file ----------*- C++ -*-===//
//
// One compilation from end to end, as odyssey-compile and tests run it.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_COMPILER_COMPILATION_H
#define ODYSSEY_COMPILER_COMPILATION_H

#include "odyssey/Frontend/ModelGraph.h"
#include "odyssey/Target/Ptx.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

#include <string>
#include <vector>

namespace odyssey::compiler {

/// How far down to go. Packs are made by writePack (Pack.h), the others by run.
enum class Emit { Mlir, Nvvm, Ptx, Cubin, Bundle, Pack };

struct Options {
  /// A quantized checkpoint folder, an IR file, the name of a model shape
  /// (odyssey/Frontend/ModelShapes.h) or, with `weightBits`, a trained
  /// checkpoint (a GGUF file or a Hugging Face folder).
  std::string input;
  /// Empty to write nothing, which is of use with `explain` and `report`.
  std::string output;
  Emit emit = Emit::Bundle;
  std::string target = "sm_80";
  /// Short name of one of the target's GPUs; empty for its first.
  std::string gpu;
  /// Safetensors file with the weights that an IR file names; "none" for a
  /// bundle without weights.
  std::string weights;
  /// 0: what the model was made for.
  int64_t maxContext = 0;
  int64_t maxBatch = 1;
  KvCacheType kvCache = KvCacheType::F16;
  /// Input channels that share a multiplier in what is quantized: 32, 64 or
  /// 128, or 0. A checkpoint folder has its own.
  int64_t groupSize = 0;
  /// Most of the L2 cache, in percent, that a product of few tokens may fill
  /// with weights before its turn (odyssey-prefetch-weights).
  int64_t prefetchPercent = 40;
  /// Bits, 4 or 8, of the weights of what is quantized: of a model shape or IR
  /// file, or of a trained checkpoint, which is rounded to nearest. 0 where
  /// that was not asked for: 4 then. A quantized folder has its own.
  int64_t weightBits = 0;
  /// Add machine code by ptxas to a bundle, where ptxas is installed.
  bool assemble = true;
  /// Databases of measured schedules, beside those of the compiler.
  std::vector<std::string> tuning;
  /// Where to print why products have their schedules; null for nowhere.
  llvm::raw_ostream *explain = nullptr;
  /// Where to print what kernels take and what bounds them (Report.h); null for
  /// nowhere. For bundles.
  llvm::raw_ostream *report = nullptr;
  /// Folder of compiled kernels (KernelCompiler.h); empty for none.
  std::string cache;
  /// Threads that compile kernels; 0 takes all cores.
  unsigned jobs = 0;
  bool quiet = false;
  /// Obey MLIR's command line options (--mlir-print-ir-after-all, ...), which
  /// the program has registered.
  bool usePassManagerOptions = false;
};

/// What the summary prints.
struct Summary {
  std::vector<KernelResources> kernels;
  bool assembled = false;
  /// Kernels that the cache had.
  size_t cachedKernels = 0;
  uint64_t outputBytes = 0;
  double seconds = 0;
};

/// That there is no such target, or no such GPU of it.
llvm::Error unknownTarget(llvm::StringRef target, llvm::StringRef gpu);

/// Compiles `options.input` to `options.output`. IR errors have been printed
/// where they belong; the returned error says what could not be done.
llvm::Expected<Summary> run(const Options &options);

/// The token counts that kernels are specialized for: 1, 8, 16, 32, ... , and
/// the first that holds a step of `maxStepTokens`.
llvm::SmallVector<int64_t> tokenBuckets(int64_t maxStepTokens);

} // namespace odyssey::compiler

#endif // ODYSSEY_COMPILER_COMPILATION_H

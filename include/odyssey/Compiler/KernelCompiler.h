//===- KernelCompiler.h - Kernels to machine code, in parallel --*- C++ -*-===//
//
// Outlined kernels (odyssey.kernel) do not know of each other, so each is
// lowered, written as PTX and assembled alone: on as many threads as asked for,
// each with an MLIR context of its own, and only when the cache does not have
// the result already.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_COMPILER_KERNELCOMPILER_H
#define ODYSSEY_COMPILER_KERNELCOMPILER_H

#include "odyssey/Dialect/Odyssey/Odyssey.h"
#include "odyssey/Target/Ptx.h"

#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace odyssey::compiler {

struct KernelCompilerOptions {
  TargetDescription target;
  /// Path of ptxas; empty leaves kernels as PTX.
  std::string ptxas;
  /// Folder of the cache; empty for none.
  std::string cache;
  /// Threads; 0 takes all cores.
  unsigned jobs = 0;
  /// Obey MLIR's command line options, which the program has registered.
  bool usePassManagerOptions = false;
};

/// What became of one odyssey.kernel.
struct CompiledKernel {
  /// Attributes that the lowering left for the plan, as a dictionary:
  /// `fastgemm.launch` and others with that prefix.
  std::string attributes;
  std::string ptx;
  /// Empty without ptxas.
  std::string cubin;
  KernelResources resources;
  bool fromCache = false;
};

/// Compiles each kernel. The results stand in the order of `kernels`, with an
/// error for each that cannot be compiled: its diagnostics, or what ptxas
/// printed. The IR is only read.
std::vector<llvm::Expected<CompiledKernel>>
compileKernels(llvm::ArrayRef<graph::KernelOp> kernels,
               const KernelCompilerOptions &options);

/// Puts what the lowering left for the plan onto the kernel.
void attach(graph::KernelOp kernel, const CompiledKernel &compiled);

/// $XDG_CACHE_HOME/odyssey/kernels, else ~/.cache/odyssey/kernels; empty where
/// the environment names neither.
std::string defaultCacheFolder();

} // namespace odyssey::compiler

#endif // ODYSSEY_COMPILER_KERNELCOMPILER_H

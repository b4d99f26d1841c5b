//===- KernelCache.h - Compiled kernels by content --------------*- C++ -*-===//
//
// A folder with one file per kernel that has been compiled before. The name of
// a file is a hash of everything that its content depends on: the kernel's IR,
// the target, the assembler and the compiler itself. A file appears under its
// name only when complete (llvm/Support/Caching.h), so that any number of
// compilers may share a folder, and one that is killed leaves nothing wrong
// behind; each file carries a hash of its content, and one that does not match
// is compiled again.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_COMPILER_KERNELCACHE_H
#define ODYSSEY_LIB_COMPILER_KERNELCACHE_H

#include "odyssey/Compiler/KernelCompiler.h"

#include <mutex>
#include <optional>

namespace odyssey::compiler {

/// Used by many threads at once.
class KernelCache {
public:
  /// A cache that is switched off when `folder` is empty.
  KernelCache(std::string folder, const KernelCompilerOptions &options);

  /// The key of a kernel, given its text without locations.
  std::string key(llvm::StringRef kernelText) const;

  /// The kernel that `store` was given with that key, or nothing.
  std::optional<CompiledKernel> find(llvm::StringRef key);

  /// A cache that cannot be written is a warning, once.
  void store(llvm::StringRef key, const CompiledKernel &kernel);

  /// Removes what was not used for long when the folder has grown large.
  void prune() const;

private:
  std::string folder;
  /// What all keys have in common.
  std::string common;
  std::once_flag warned;
};

} // namespace odyssey::compiler

#endif // ODYSSEY_LIB_COMPILER_KERNELCACHE_H

//===- Summary.h - What odyssey-compile says that it did --------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYCOMPILE_SUMMARY_H
#define ODYSSEY_TOOLS_ODYSSEYCOMPILE_SUMMARY_H

#include "odyssey/Compiler/Compilation.h"
#include "odyssey/Compiler/Pack.h"

#include "llvm/Support/raw_ostream.h"

namespace odyssey::compiler {

/// A table of kernels with their registers, then totals.
void print(llvm::raw_ostream &stream, const Summary &summary,
           const Options &options);

/// What is in a pack, and what had to be left out.
void print(llvm::raw_ostream &stream, const PackSummary &summary,
           const PackOptions &options);

} // namespace odyssey::compiler

#endif // ODYSSEY_TOOLS_ODYSSEYCOMPILE_SUMMARY_H

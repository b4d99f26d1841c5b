//===- Report.h - What kernels take, and what bounds them -------*- C++ -*-===//

#ifndef ODYSSEY_COMPILER_REPORT_H
#define ODYSSEY_COMPILER_REPORT_H

#include "odyssey/Target/Ptx.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace odyssey::compiler {

/// Prints a line for each kernel of a compiled module (outlined kernels with
/// what the lowering left on them): registers, shared memory, spills, stack,
/// how many CTAs a multiprocessor holds; and for the largest bucket that
/// launches it bytes, operations, the roofline floor and what binds. Without
/// `assembled`, `resources` have shared memory only.
void reportKernels(mlir::ModuleOp module, const TargetDescription &target,
                   llvm::ArrayRef<KernelResources> resources, bool assembled,
                   llvm::raw_ostream &stream);

/// The kernels of which a multiprocessor holds fewer CTAs than their schedule
/// was chosen with, as "kernel 'k' ..." each; empty where all is as claimed.
std::vector<std::string>
checkOccupancy(mlir::ModuleOp module, const TargetDescription &target,
               llvm::ArrayRef<KernelResources> resources);

} // namespace odyssey::compiler

#endif // ODYSSEY_COMPILER_REPORT_H

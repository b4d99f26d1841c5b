//===- Ptx.h - PTX and cubin from a lowered module --------------*- C++ -*-===//

#ifndef ODYSSEY_TARGET_PTX_H
#define ODYSSEY_TARGET_PTX_H

#include "odyssey/Schedule/ScheduleChoice.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace odyssey {

/// PTX text of all kernels of a gpu.module in the LLVM and NVVM dialects, by
/// LLVM's NVPTX back end.
llvm::Expected<std::string> emitPtx(mlir::gpu::GPUModuleOp kernels,
                                    const TargetDescription &target);

/// What ptxas says of one kernel.
struct KernelResources {
  std::string name;
  int registers = 0;
  int spillBytes = 0;
  int stackBytes = 0;
  /// Shared memory of a CTA in bytes: static, as ptxas sees it.
  int sharedBytes = 0;
};

struct Cubin {
  std::string image;
  std::vector<KernelResources> kernels;
};

/// The path of ptxas: $ODYSSEY_PTXAS, else the first in $PATH, else empty.
std::string findPtxas();

/// Assembles `ptx`. An error carries what ptxas printed. Spills, stack
/// frames and warnings that wgmma is serialized are errors too.
llvm::Expected<Cubin> assemble(llvm::StringRef ptxas, llvm::StringRef ptx,
                               const TargetDescription &target);

} // namespace odyssey

#endif // ODYSSEY_TARGET_PTX_H

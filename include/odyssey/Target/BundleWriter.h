//===- BundleWriter.h - Writes the file that the runtime loads --*- C++ -*-===//

#ifndef ODYSSEY_TARGET_BUNDLEWRITER_H
#define ODYSSEY_TARGET_BUNDLEWRITER_H

#include "odyssey/Target/Plan.h"

#include "llvm/ADT/STLFunctionalExtras.h"

namespace odyssey {

/// A section that is already in memory.
struct BundleSection {
  std::string name;
  llvm::StringRef content;
};

/// Writes a bundle to `path`: the sections, then, with `withConstants`, the
/// constants' safetensors section. `weights` is null where no constant names a
/// tensor. The file appears under its name only when
/// complete; a full disk is an error and leaves nothing. `progress` is called
/// with the number of weight bytes written and their total.
llvm::Expected<uint64_t>
writeBundle(llvm::StringRef path, llvm::ArrayRef<BundleSection> sections,
            llvm::ArrayRef<BundleConstant> constants, bool withConstants,
            const TensorSource *weights,
            llvm::function_ref<void(uint64_t, uint64_t)> progress);

} // namespace odyssey

#endif // ODYSSEY_TARGET_BUNDLEWRITER_H

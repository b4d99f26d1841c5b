//===- MappedPages.h - Mapped files and their memory ------------*- C++ -*-===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_MAPPEDPAGES_H
#define ODYSSEY_FRONTEND_CHECKPOINT_MAPPEDPAGES_H

#include "llvm/Support/MemoryBuffer.h"

namespace odyssey {

/// Lets go of the pages of a mapped file that were read; they come back when
/// read again. Nothing where `buffer` is no mapped file.
void releasePages(const llvm::MemoryBuffer &buffer);

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_MAPPEDPAGES_H

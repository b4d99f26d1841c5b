//===- MappedPages.cpp - Mapped files and their memory --------------------===//

#include "odyssey/Frontend/Checkpoint/MappedPages.h"

#include "llvm/Support/MathExtras.h"
#include "llvm/Support/Process.h"

#include <sys/mman.h>

using namespace odyssey;

// MemoryBuffer::dontNeedIfMmap goes through posix_madvise, which glibc makes
// nothing of. The mapping is read-only, so that no page has a change to lose.
void odyssey::releasePages(const llvm::MemoryBuffer &buffer) {
  if (buffer.getBufferKind() != llvm::MemoryBuffer::MemoryBuffer_MMap)
    return;
  auto begin = reinterpret_cast<uintptr_t>(buffer.getBufferStart());
  auto end = reinterpret_cast<uintptr_t>(buffer.getBufferEnd());
  begin = llvm::alignDown(begin, llvm::sys::Process::getPageSizeEstimate());
  ::madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED);
}

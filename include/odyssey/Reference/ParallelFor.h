//===- ParallelFor.h - Loops over threads -----------------------*- C++ -*-===//

#ifndef ODYSSEY_REFERENCE_PARALLELFOR_H
#define ODYSSEY_REFERENCE_PARALLELFOR_H

#include <cstdint>
#include <functional>

namespace odyssey::reference {

/// Splits [0, count) into at most `threads` ranges of the same size, but for
/// the last, and calls `body(begin, end)` for all of them at once. `threads` 0
/// means as many as the machine has cores. `workPerItem`, in multiplications,
/// keeps ranges that are not worth a thread together.
void parallelFor(int64_t count, int64_t workPerItem, unsigned threads,
                 const std::function<void(int64_t begin, int64_t end)> &body);

} // namespace odyssey::reference

#endif // ODYSSEY_REFERENCE_PARALLELFOR_H

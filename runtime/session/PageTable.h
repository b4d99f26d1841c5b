//===- PageTable.h - Who owns which page of the KV cache --------*- C++ -*-===//
//
// The KV cache is a pool of pages of a fixed number of tokens. A sequence gets
// pages as it grows, so that memory goes to the sequences that use it; the
// table says which page holds which stretch of a sequence, and the attention
// kernels read it.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_SESSION_PAGETABLE_H
#define ODYSSEY_RUNTIME_SESSION_PAGETABLE_H

#include <cstdint>
#include <span>
#include <vector>

namespace odyssey::runtime {

class PageTable {
public:
  PageTable(int64_t sequences, int64_t pagesPerSequence, int64_t pages,
            int64_t pageTokens);

  /// Pages that a sequence needs beyond those it has to hold `length` tokens.
  int64_t missingPages(int64_t sequence, int64_t length) const;
  int64_t freePages() const { return static_cast<int64_t>(freeList.size()); }

  /// Gives a sequence pages for `length` tokens. There must be enough free
  /// ones.
  void grow(int64_t sequence, int64_t length);
  /// Takes back the pages beyond those for `length` tokens.
  void shrink(int64_t sequence, int64_t length);

  /// i32 [sequences, pagesPerSequence]; 0 for what is not in use.
  std::span<const int32_t> table() const { return entries; }

  /// Whether the table has changed since `markUploaded`.
  bool isChanged() const { return changed; }
  void markUploaded() { changed = false; }

private:
  int64_t pagesFor(int64_t length) const {
    return (length + pageTokens - 1) / pageTokens;
  }
  int32_t &entry(int64_t sequence, int64_t index) {
    return entries[static_cast<size_t>(sequence * pagesPerSequence + index)];
  }

  int64_t pagesPerSequence;
  int64_t pageTokens;
  std::vector<int32_t> entries;
  /// Pages of each sequence.
  std::vector<int64_t> used;
  /// The next page to give out is the last one.
  std::vector<int32_t> freeList;
  bool changed = true;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_PAGETABLE_H

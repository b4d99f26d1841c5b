//===- PageTable.cpp - Who owns which page of the KV cache ----------------===//

#include "PageTable.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace odyssey::runtime {

PageTable::PageTable(int64_t sequences, int64_t pagesPerSequence, int64_t pages,
                     int64_t pageTokens)
    : pagesPerSequence(pagesPerSequence), pageTokens(pageTokens),
      entries(static_cast<size_t>(sequences * pagesPerSequence)),
      used(static_cast<size_t>(sequences)) {
  for (int64_t page = pages; page > 0; --page)
    freeList.push_back(static_cast<int32_t>(page - 1));
}

int64_t PageTable::missingPages(int64_t sequence, int64_t length) const {
  return std::max<int64_t>(
      pagesFor(length) - used[static_cast<size_t>(sequence)], 0);
}

void PageTable::grow(int64_t sequence, int64_t length) {
  assert(missingPages(sequence, length) <= freePages() && "not enough pages");
  assert(pagesFor(length) <= pagesPerSequence && "the table has no such row");
  int64_t &count = used[static_cast<size_t>(sequence)];
  while (count < pagesFor(length)) {
    entry(sequence, count++) = freeList.back();
    freeList.pop_back();
    changed = true;
  }
}

void PageTable::shrink(int64_t sequence, int64_t length) {
  int64_t &count = used[static_cast<size_t>(sequence)];
  while (count > pagesFor(length)) {
    freeList.push_back(std::exchange(entry(sequence, --count), 0));
    changed = true;
  }
}

} // namespace odyssey::runtime

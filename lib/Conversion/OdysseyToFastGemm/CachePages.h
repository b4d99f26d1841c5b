//===- CachePages.h - Where keys and values live ----------------*- C++ -*-===//
//
// The KV cache is [layers, pages, 2 (keys, values), KV heads, page tokens, head
// dimension] of fp16: one head's keys of one page are contiguous rows.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_CACHEPAGES_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_CACHEPAGES_H

#include "mlir/IR/BuiltinTypes.h"

namespace odyssey::conversion {

struct CachePages {
  explicit CachePages(mlir::MemRefType type)
      : layers(type.getDimSize(0)), pages(type.getDimSize(1)),
        kvHeads(type.getDimSize(3)), pageTokens(type.getDimSize(4)),
        headDim(type.getDimSize(5)) {}

  /// Bytes of one token's keys of one head.
  int64_t rowBytes() const { return headDim * 2; }
  int64_t headBytes() const { return pageTokens * rowBytes(); }
  /// From a page's keys to its values.
  int64_t valueOffset() const { return kvHeads * headBytes(); }
  int64_t pageBytes() const { return 2 * valueOffset(); }
  int64_t layerBytes() const { return pages * pageBytes(); }

  int64_t layers, pages, kvHeads, pageTokens, headDim;
};

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_CACHEPAGES_H

//===- CachePages.h - Where keys and values live ----------------*- C++ -*-===//
//
// The KV cache is [layers, pages, 2 (keys, values), KV heads, page tokens, head
// dimension] of integers, which are kept as fp16 or in 8 bits
// (docs/numerics.md, N21): one head's keys of one page are contiguous rows,
// which are followed by the fp32 scale of each row.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_CACHEPAGES_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_CACHEPAGES_H

#include "odyssey/Dialect/Odyssey/Odyssey.h"

namespace odyssey::conversion {

struct CachePages {
  explicit CachePages(mlir::MemRefType type)
      : layers(type.getDimSize(0)), pages(type.getDimSize(1)),
        kvHeads(type.getDimSize(3)), pageTokens(type.getDimSize(4)),
        headDim(graph::cacheHeadDim(type)),
        isInt8(type.getElementType().isInteger(8)) {}

  /// Bytes of one token's keys of one head.
  int64_t rowBytes() const { return isInt8 ? headDim : headDim * 2; }
  /// From a head's first row to its scales.
  int64_t scaleOffset() const { return pageTokens * rowBytes(); }
  int64_t headBytes() const {
    return scaleOffset() + pageTokens * graph::kCacheScaleBytes;
  }
  /// From a page's keys to its values.
  int64_t valueOffset() const { return kvHeads * headBytes(); }
  int64_t pageBytes() const { return 2 * valueOffset(); }
  int64_t layerBytes() const { return pages * pageBytes(); }

  int64_t layers, pages, kvHeads, pageTokens, headDim;
  bool isInt8;
};

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_CACHEPAGES_H

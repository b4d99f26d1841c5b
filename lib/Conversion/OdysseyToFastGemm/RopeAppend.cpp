//===- RopeAppend.cpp - Rotary embedding and the KV cache -----------------===//
//
// Some CTAs a token, so many that a thread has little to do: in decode a step
// waits for this kernel in every layer. A head belongs to one warp: lane i
// holds the pairs i, i + 32, ... of it, so that the sum of squares is a
// butterfly whose order depends on the head dimension alone, and it and the
// greatest element are known before anything is stored. Keys and values go to
// the page of the token's position.
//
//===----------------------------------------------------------------------===//

#include "CachePages.h"
#include "Kernels.h"
#include "RotaryHead.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

LogicalResult conversion::emitRopeAppend(KernelBuilder &k,
                                         graph::RopeAppendOp op) {
  CachePages cache(cast<MemRefType>(op.getCache().getType()));
  int64_t heads = op.getHeads(), d = cache.headDim, half = d / 2;
  unsigned inputs = op.getInputs().size();
  bool fused = inputs == 1;
  int64_t queryWidth = heads * d, keyWidth = cache.kvHeads * d;
  int64_t rowWidth = queryWidth + 2 * keyWidth;

  Val token = k.blockIndex(0);
  auto inputRow = [&](unsigned i, int64_t width, int64_t start) {
    if (fused)
      return k.offset(k.row(k.operand(0), token, rowWidth * 2), start * 2);
    return k.row(k.operand(i), token, width * 2);
  };
  Val queries = inputRow(0, queryWidth, 0);
  Val keys = inputRow(1, keyWidth, queryWidth);
  Val values = inputRow(2, keyWidth, queryWidth + keyWidth);
  Val table = k.operand(inputs), positions = k.operand(inputs + 1);
  Val sequences = k.operand(inputs + 2), pageTable = k.operand(inputs + 3);
  Val cacheBase = k.operand(inputs + 4);

  // Position -1 is a row without a token: it appends nothing.
  Val given = k.load(k.i32(), k.offset(positions, token << 2));
  Val isToken = k.signedLess(k.constant(-1), given);
  Val position = k.select(isToken, given, k.constant(0));
  Val sequence = k.load(k.i32(), k.offset(sequences, token << 2));
  int64_t pagesPerSequence =
      cast<ShapedType>(op.getPageTable().getType()).getDimSize(1);
  Val page = k.load(
      k.i32(),
      k.offset(pageTable,
               (sequence * pagesPerSequence + position / cache.pageTokens)
                   << 2));
  Val inPage = position % cache.pageTokens;
  Val angles = k.row(table, position, d * 4);
  Val newQueries = k.row(k.result(0), token, queryWidth * 2);
  Val layerBase = k.row(cacheBase, k.operand(inputs + 5), cache.layerBytes());
  Val pageBase = k.row(layerBase, page, cache.pageBytes());

  bool hasNorms = static_cast<bool>(op.getQueryNorm());
  int64_t threads = std::min<int64_t>(256, (heads + cache.kvHeads) * 32);
  constexpr int64_t mostSlices = 16;
  int64_t slices = std::clamp<int64_t>(heads * 32 / threads, 1, mostSlices);
  // The thread among those of all of the token's CTAs.
  Val thread = k.threadIndex() + k.blockIndex(1) * threads;
  threads *= slices;

  /// Runs `body` for each of `count` heads at `source`, one to a warp.
  auto forEachHead = [&](Val source, int64_t count,
                         llvm::function_ref<void(WarpHead &, Val)> body) {
    k.loop(thread >> 5, k.constant(count), k.constant(threads / 32), {},
           [&](Val head, ArrayRef<Val>) {
             WarpHead values(k, half);
             values.load(k.offset(source, head * (d * 2)));
             body(values, head);
             return SmallVector<Val>();
           });
  };
  /// Rotates a head; `norm` is the operand with the weight of its norm, if it
  /// has one.
  auto rotate = [&](WarpHead &head, unsigned norm) {
    if (hasNorms)
      head.normalize(k.operand(norm), op.getEpsilon()->convertToFloat());
    head.rotate(angles);
  };
  CacheRow rowOf = {cache, pageBase, inPage};
  forEachHead(queries, heads, [&](WarpHead &head, Val index) {
    rotate(head, inputs + 6);
    head.roundQuery();
    head.storeF16(k.offset(newQueries, index * (d * 2)));
  });
  k.ifThen(isToken, [&] {
    forEachHead(keys, cache.kvHeads, [&](WarpHead &head, Val index) {
      rotate(head, inputs + 7);
      rowOf.store(k, head, index, /*isValue=*/false);
    });
    forEachHead(values, cache.kvHeads, [&](WarpHead &head, Val index) {
      rowOf.store(k, head, index, /*isValue=*/true);
    });
  });
  k.finish({1, slices, 1}, {1, 0, 0}, threads / slices, 0);
  return success();
}

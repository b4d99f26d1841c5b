//===- RopeAppend.cpp - Rotary embedding and the KV cache -----------------===//
//
// One CTA a token. Its threads walk the pairs (i, i + d/2) of all query and key
// heads and rotate them, then copy the values. Keys and values go to the page
// of the token's position.
//
//===----------------------------------------------------------------------===//

#include "CachePages.h"
#include "Kernels.h"

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

  int64_t threads =
      std::min<int64_t>(256, ((heads + cache.kvHeads) * half + 31) / 32 * 32);
  Val thread = k.threadIndex();

  /// Rotates `count` heads from `source`; `address` places a head's row.
  auto rotate = [&](Val source, int64_t count,
                    llvm::function_ref<Val(Val)> address) {
    k.loop(thread, k.constant(count * half), k.constant(threads), {},
           [&](Val pair, ArrayRef<Val>) {
             Val head = pair / half, i = pair % half;
             Val from = k.offset(source, (head * d + i) << 1);
             Val to = k.offset(address(head), i << 1);
             Val angle = k.offset(angles, i << 2);
             Val cosine = k.load(k.f32(), angle);
             Val sine = k.load(k.f32(), k.offset(angle, half * 4));
             Val low = k.toF32(k.load(k.f16(), from));
             Val high = k.toF32(k.load(k.f16(), k.offset(from, half * 2)));
             k.store(k.toF16(low * cosine - high * sine), to);
             k.store(k.toF16(high * cosine + low * sine),
                     k.offset(to, half * 2));
             return SmallVector<Val>();
           });
  };
  auto cacheRow = [&](Val head, bool isValue) {
    return k.offset(pageBase, head * cache.headBytes() +
                                  inPage * cache.rowBytes() +
                                  (isValue ? cache.valueOffset() : 0));
  };
  rotate(queries, heads,
         [&](Val head) { return k.offset(newQueries, head * (d * 2)); });
  k.ifThen(isToken, [&] {
    rotate(keys, cache.kvHeads,
           [&](Val head) { return cacheRow(head, false); });
    k.loop(thread, k.constant(keyWidth), k.constant(threads), {},
           [&](Val i, ArrayRef<Val>) {
             Val to = k.offset(cacheRow(i / d, true), (i % d) << 1);
             k.store(k.load(k.f16(), k.offset(values, i << 1)), to);
             return SmallVector<Val>();
           });
  });
  k.finish({1, 1, 1}, {1, 0, 0}, threads, 0);
  return success();
}

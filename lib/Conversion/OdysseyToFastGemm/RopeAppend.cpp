//===- RopeAppend.cpp - Rotary embedding and the KV cache -----------------===//
//
// Some CTAs a token, so many that a thread has little to do: in decode a step
// waits for this kernel in every layer. Their threads walk the pairs (i, i +
// d/2) of all query and key heads and rotate them, then copy the values. Keys
// and values go to the page of the token's position.
//
// With norms, and for a cache of 8-bit integers, a head belongs to one warp:
// lane i holds the pairs i, i + 32, ... of it, so that the sum of squares is a
// butterfly whose order depends on the head dimension alone, and the greatest
// element is known before anything is stored.
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
  bool byWarps = hasNorms || cache.isInt8;
  int64_t lanes = byWarps ? 32 : half;
  int64_t threads =
      std::min<int64_t>(256, ((heads + cache.kvHeads) * lanes + 31) / 32 * 32);
  constexpr int64_t mostSlices = 16;
  int64_t slices = std::clamp<int64_t>(heads * lanes / threads, 1, mostSlices);
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
  /// Rotates heads; `norm` is the operand with the weight of their norm, if
  /// they have one.
  auto rotateInWarp = [&](WarpHead &values, unsigned norm) {
    if (hasNorms)
      values.normalize(k.operand(norm), op.getEpsilon()->convertToFloat());
    values.rotate(angles);
  };
  /// Rotates `count` heads from `source`; `address` places a head's row.
  auto rotate = [&](Val source, int64_t count, unsigned norm,
                    llvm::function_ref<Val(Val)> address) {
    if (byWarps)
      return forEachHead(source, count, [&](WarpHead &values, Val head) {
        rotateInWarp(values, norm);
        values.storeF16(address(head));
      });
    k.loop(thread, k.constant(count * half), k.constant(threads), {},
           [&](Val pair, ArrayRef<Val>) {
             Val head = pair / half, i = pair % half;
             Val from = k.offset(source, (head * d + i) << 1);
             Val low = k.toF32(k.load(k.f16(), from));
             Val high = k.toF32(k.load(k.f16(), k.offset(from, half * 2)));
             storePair(k, rotated(k, {low, high}, i, angles, half), i,
                       address(head), half);
             return SmallVector<Val>();
           });
  };
  auto cacheHead = [&](Val head, bool isValue) {
    return k.offset(pageBase, head * cache.headBytes() +
                                  (isValue ? cache.valueOffset() : 0));
  };
  auto cacheRow = [&](Val head, bool isValue) {
    return k.offset(cacheHead(head, isValue), inPage * cache.rowBytes());
  };
  auto storeInt8 = [&](WarpHead &values, Val head, bool isValue) {
    values.storeInt8(cacheRow(head, isValue),
                     k.offset(cacheHead(head, isValue),
                              (inPage << 2) + cache.scaleOffset()));
  };
  auto appendF16 = [&] {
    rotate(keys, cache.kvHeads, inputs + 7,
           [&](Val head) { return cacheRow(head, false); });
    k.loop(thread, k.constant(keyWidth), k.constant(threads), {},
           [&](Val i, ArrayRef<Val>) {
             Val to = k.offset(cacheRow(i / d, true), (i % d) << 1);
             k.store(k.load(k.f16(), k.offset(values, i << 1)), to);
             return SmallVector<Val>();
           });
  };
  auto appendInt8 = [&] {
    forEachHead(keys, cache.kvHeads, [&](WarpHead &head, Val index) {
      rotateInWarp(head, inputs + 7);
      storeInt8(head, index, false);
    });
    forEachHead(values, cache.kvHeads, [&](WarpHead &head, Val index) {
      storeInt8(head, index, true);
    });
  };
  rotate(queries, heads, inputs + 6,
         [&](Val head) { return k.offset(newQueries, head * (d * 2)); });
  k.ifThen(isToken, [&] {
    if (cache.isInt8)
      appendInt8();
    else
      appendF16();
  });
  k.finish({1, slices, 1}, {1, 0, 0}, threads / slices, 0);
  return success();
}

//===- RopeAppend.cpp - Rotary embedding and the KV cache -----------------===//
//
// One CTA a token. Its threads walk the pairs (i, i + d/2) of all query and key
// heads and rotate them, then copy the values. Keys and values go to the page
// of the token's position.
//
// With norms a head belongs to one warp: lane i holds the pairs i, i + 32, ...
// of it, so that the sum of squares is a butterfly whose order depends on the
// head dimension alone.
//
//===----------------------------------------------------------------------===//

#include "CachePages.h"
#include "Kernels.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

namespace {

/// One pair of a head: elements i and i + d/2, widened.
struct Pair {
  Val low, high;
};

/// Rotates the pair `index` by the angle that stands at `angles`, the token's
/// row of the table, and stores it to the head at `to`.
void storeRotated(KernelBuilder &k, Pair pair, Val index, Val angles, Val to,
                  int64_t half) {
  Val angle = k.offset(angles, index << 2);
  Val cosine = k.load(k.f32(), angle);
  Val sine = k.load(k.f32(), k.offset(angle, half * 4));
  Val target = k.offset(to, index << 1);
  k.store(k.toF16(pair.low * cosine - pair.high * sine), target);
  k.store(k.toF16(pair.high * cosine + pair.low * sine),
          k.offset(target, half * 2));
}

/// Normalizes and rotates one head of 2 * `half` elements by one warp.
void normalizeAndRotate(KernelBuilder &k, Val from, Val weight, float epsilon,
                        Val angles, Val to, int64_t half) {
  Val lane = k.threadIndex() & 31;
  auto inHead = [&](Val index, int64_t round, llvm::function_ref<Val()> value) {
    if ((round + 1) * 32 <= half)
      return value();
    return k.ifElse(index < half, value, [&] { return k.constantF32(0.0f); });
  };
  SmallVector<Pair> pairs;
  Val sum = k.constantF32(0.0f);
  for (int64_t round = 0; round * 32 < half; ++round) {
    Val index = lane + round * 32;
    auto element = [&](int64_t offset) {
      return inHead(index, round, [&] {
        return k.toF32(k.load(k.f16(), k.offset(from, (index << 1) + offset)));
      });
    };
    Pair pair{element(0), element(half * 2)};
    sum = sum + pair.low * pair.low;
    sum = sum + pair.high * pair.high;
    pairs.push_back(pair);
  }
  Val mean = k.warpReduce(sum, Reduction::Sum) /
             k.constantF32(static_cast<float>(2 * half));
  Val r = k.constantF32(1.0f) / k.sqrt(mean + k.constantF32(epsilon));
  for (auto [round, pair] : llvm::enumerate(pairs)) {
    Val index = lane + round * 32;
    auto normalized = [&](Val x, int64_t offset) {
      Val w = k.toF32(k.load(k.f16(), k.offset(weight, (index << 1) + offset)));
      // As if it had been stored in between.
      return k.toF32(k.toF16(x * r * w));
    };
    auto store = [&, pair = pair] {
      storeRotated(k,
                   {normalized(pair.low, 0), normalized(pair.high, half * 2)},
                   index, angles, to, half);
    };
    if ((static_cast<int64_t>(round) + 1) * 32 <= half)
      store();
    else
      k.ifThen(index < half, store);
  }
}

} // namespace

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
  int64_t lanes = hasNorms ? 32 : half;
  int64_t threads =
      std::min<int64_t>(256, ((heads + cache.kvHeads) * lanes + 31) / 32 * 32);
  Val thread = k.threadIndex();

  /// Rotates `count` heads from `source`; `address` places a head's row.
  /// `norm` is the operand with the weight of their norm, if they have one.
  auto rotate = [&](Val source, int64_t count, unsigned norm,
                    llvm::function_ref<Val(Val)> address) {
    if (hasNorms) {
      k.loop(thread >> 5, k.constant(count), k.constant(threads / 32), {},
             [&](Val head, ArrayRef<Val>) {
               normalizeAndRotate(k, k.offset(source, head * (d * 2)),
                                  k.operand(norm),
                                  op.getEpsilon()->convertToFloat(), angles,
                                  address(head), half);
               return SmallVector<Val>();
             });
      return;
    }
    k.loop(thread, k.constant(count * half), k.constant(threads), {},
           [&](Val pair, ArrayRef<Val>) {
             Val head = pair / half, i = pair % half;
             Val from = k.offset(source, (head * d + i) << 1);
             Val low = k.toF32(k.load(k.f16(), from));
             Val high = k.toF32(k.load(k.f16(), k.offset(from, half * 2)));
             storeRotated(k, {low, high}, i, angles, address(head), half);
             return SmallVector<Val>();
           });
  };
  auto cacheRow = [&](Val head, bool isValue) {
    return k.offset(pageBase, head * cache.headBytes() +
                                  inPage * cache.rowBytes() +
                                  (isValue ? cache.valueOffset() : 0));
  };
  rotate(queries, heads, inputs + 6,
         [&](Val head) { return k.offset(newQueries, head * (d * 2)); });
  k.ifThen(isToken, [&] {
    rotate(keys, cache.kvHeads, inputs + 7,
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

//===- AttentionPages.cpp - Pages of the KV cache in shared memory --------===//

#include "AttentionPages.h"

#include <limits>

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

Val AttentionPages::headBase(Val base, Val layer, Val kvHead) {
  return k.offset(k.row(base, layer, cache.layerBytes()),
                  kvHead * cache.headBytes());
}

/// Pieces are swizzled so that 8 rows that ldmatrix reads together fall into
/// different bank groups: rows of 128 bytes and more rotate by row, shorter
/// ones by the 128-byte line. Everything known at compile time comes last, as
/// one XOR and one offset: with addresses made from few registers there are
/// enough for two sets of accumulators.
Val AttentionPages::address(const Place &place) {
  int64_t mask = std::min<int64_t>(pieces() & -pieces(), 8) - 1;
  int64_t rowBytes = cache.headDim * 2;
  Val at = place.base + place.row * rowBytes;
  if (mask > 0) {
    Val swizzle = (place.row / (8 / (mask + 1))) & mask;
    // Rows are multiples of (mask + 1) pieces: the low bits of `at` are free.
    at = (at + (swizzle << 4)) ^ ((place.piece & mask) << 4);
    at = at ^ ((place.morePieces & mask) * 16);
  }
  Val high = place.piece - (place.piece & mask);
  int64_t more = place.moreRows * rowBytes + (place.morePieces & ~mask) * 16;
  return k.offset(k.offset(k.shared(), at + (high << 4)), more);
}

/// Runs `body` for each of `count` items, shared by the CTA's threads.
static void forEachItem(KernelBuilder &k, int64_t count, int64_t threads,
                        llvm::function_ref<void(Val)> body) {
  for (int64_t first = 0; first < count; first += threads) {
    Val index = k.threadIndex() + first;
    if (first + threads > count)
      k.ifThen(index < count, [&] { body(index); });
    else
      body(index);
  }
}

void AttentionPages::start(Val slot, Val base, Val page) {
  Val source = k.row(base, page, cache.pageBytes());
  if (cache.isInt8)
    startBytes(slot, source);
  else
    startRows(slot, source);
}

void AttentionPages::startRows(Val slot, Val source) {
  forEachItem(k, kPage * pieces(), threads, [&](Val index) {
    Val row = index / pieces(), piece = index % pieces();
    for (int part = 0; part < 2; ++part) {
      Val from = k.offset(source, index * 16 + part * cache.valueOffset());
      Val to = address({slot + part * halfBytes(), row, piece});
      k.create<fastgemm::AsyncCopyOp>(to.value, from.value,
                                      k.getI32IntegerAttr(16), Value());
    }
  });
}

/// Keys, their scales, values, their scales, as they lie.
void AttentionPages::startBytes(Val slot, Val source) {
  forEachItem(k, cache.headBytes() / 16, threads, [&](Val index) {
    for (int part = 0; part < 2; ++part) {
      Val from = k.offset(source, index * 16 + part * cache.valueOffset());
      Val to =
          k.offset(k.shared(), slot + (index * 16 + part * cache.headBytes()));
      k.create<fastgemm::AsyncCopyOp>(to.value, from.value,
                                      k.getI32IntegerAttr(16), Value());
    }
  });
}

Val AttentionPages::finish(Val slot, int64_t count) {
  if (!cache.isInt8)
    return slot;
  Val page = k.constant(widenedPage(count));
  widen(slot, page);
  k.barrier();
  return page;
}

/// fp16(q * s) of every element (N22), 8 at a time.
void AttentionPages::widen(Val slot, Val page) {
  forEachItem(k, kPage * pieces(), threads, [&](Val index) {
    Val row = index / pieces(), piece = index % pieces();
    for (int part = 0; part < 2; ++part) {
      Val head = k.offset(k.shared(), slot + part * cache.headBytes());
      Val scale =
          k.load(k.f32(), k.offset(head, (row << 2) + cache.scaleOffset()));
      Val integers = k.load(k.vec(2, k.i32()), k.offset(head, index << 3));
      SmallVector<Val> pairs;
      for (int64_t word = 0; word < 2; ++word)
        for (int64_t byte = 0; byte < 4; byte += 2) {
          auto element = [&](int64_t i) {
            Val high = k.extract(integers, word) << (24 - 8 * i);
            Val value = k.val(
                k.create<arith::ShRSIOp>(high.value, k.constant(24).value));
            return k.toF16(k.intToF32(value) * scale);
          };
          pairs.push_back(k.packHalves(element(byte), element(byte + 1)));
        }
      k.store(k.vectorOf(pairs),
              address({page + part * halfBytes(), row, piece}));
    }
  });
}

Val AttentionPages::keyFragment(Val slot, Val position, int64_t more,
                                int64_t step) {
  Val lane = k.threadIndex() & 31;
  // b0 = 8 positions x k 0-7, b1 = x k 8-15.
  bool odd = 2 * step + 1 >= pieces();
  Val half = odd ? k.constant(0) : (lane >> 3) & 1;
  Val from = address({slot, position + (lane & 7), half, more, 2 * step});
  Val b = k.val(k.create<fastgemm::LoadMatrixOp>(k.vec(odd ? 1 : 2, k.i32()),
                                                 from.value, UnitAttr()));
  return odd ? k.vectorOf({k.extract(b, 0), k.constant(0)}) : b;
}

Val AttentionPages::valueFragment(Val slot, int64_t position, Val piece,
                                  int64_t more) {
  // k is the position: transposed 8x8 blocks, positions 0-7 and 8-15.
  Val row = k.threadIndex() & 15;
  Val from = address({slot + halfBytes(), row, piece, position, more});
  return k.val(k.create<fastgemm::LoadMatrixOp>(k.vec(2, k.i32()), from.value,
                                                k.getUnitAttr()));
}

Val AttentionPages::ones() {
  constexpr int64_t twoOnes = 0x3c003c00;
  return k.vectorOf({k.constant(twoOnes), k.constant(twoOnes)});
}

MergedPiece MergedPiece::none(KernelBuilder &k) {
  Val zeros = k.zeros(k.vec(4, k.f32()));
  return {zeros, zeros, k.constantF32(-std::numeric_limits<float>::infinity()),
          k.constantF32(0.0f)};
}

MergedPiece MergedPiece::with(KernelBuilder &k, Val chunkLow, Val chunkHigh,
                              Val stats) const {
  ChunkMerge factors = mergeFactors(k, maximum, k.extract(stats, 0));
  auto spread = [&](Val factor) {
    return k.val(
        k.create<vector::BroadcastOp>(k.vec(4, k.f32()), factor.value));
  };
  Val ofTotal = spread(factors.total), ofChunk = spread(factors.chunk);
  return {low * ofTotal + chunkLow * ofChunk,
          high * ofTotal + chunkHigh * ofChunk, factors.maximum,
          sum * factors.total + k.extract(stats, 1) * factors.chunk};
}

SmallVector<Val> MergedPiece::finish(KernelBuilder &k) const {
  SmallVector<Val> result;
  for (int64_t i = 0; i < 8; ++i)
    result.push_back(k.toF16(k.extract(i < 4 ? low : high, i % 4) / sum));
  return result;
}

ChunkMerge conversion::mergeFactors(KernelBuilder &k, Val total, Val chunk) {
  Val maximum = k.maxF(total, chunk);
  return {k.exp(total - maximum), k.exp(chunk - maximum), maximum};
}

PageSoftmax conversion::pageSoftmax(KernelBuilder &k, ArrayRef<Val> scores,
                                    Val before, Val maximum) {
  // While a row has seen nothing its maximum is -inf; any finite number in its
  // place makes all factors 0.
  Val minusInfinity = k.constantF32(-std::numeric_limits<float>::infinity());
  Val reference =
      k.select(maximum == minusInfinity, k.constantF32(0.0f), maximum);
  PageSoftmax result;
  for (Val score : scores)
    result.numerators.push_back(k.toF16(k.exp(score - reference)));
  result.factor = k.exp(before - reference);
  return result;
}

Val conversion::scaleRows(KernelBuilder &k, Val accumulator, Val factor,
                          Val factor8) {
  // Elements 0 and 1 are of row g, 2 and 3 of row g + 8.
  for (int64_t e = 0; e < 4; ++e)
    accumulator = k.insert(
        k.extract(accumulator, e) * (e < 2 ? factor : factor8), accumulator, e);
  return accumulator;
}

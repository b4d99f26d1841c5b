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
  auto copy = [&](Val to, Val from) {
    k.create<fastgemm::AsyncCopyOp>(to.value, from.value,
                                    k.getI32IntegerAttr(16), Value());
  };
  Val rows = slot * rowsBytes();
  forEachItem(k, kPage * pieces(), threads, [&](Val index) {
    Val row = index / pieces(), piece = index % pieces();
    for (int part = 0; part < 2; ++part)
      copy(address({rows + part * halfBytes(), row, piece}),
           k.offset(source, index * 16 + part * cache.valueOffset()));
  });
  // A part's scales follow its rows.
  constexpr int64_t partBytes = kPage * graph::kCacheScaleBytes;
  Val scales = scalesOf(slot);
  forEachItem(k, partBytes / 16, threads, [&](Val index) {
    for (int part = 0; part < 2; ++part)
      copy(k.offset(k.shared(), scales + (index << 4) + part * partBytes),
           k.offset(source, (index << 4) + (part * cache.valueOffset() +
                                            cache.scaleOffset())));
  });
}

/// Keys, their scales, values, their scales, as they lie.
void AttentionPages::startBytes(Val slot, Val source) {
  forEachItem(k, cache.headBytes() / 16, threads, [&](Val index) {
    for (int part = 0; part < 2; ++part) {
      Val from = k.offset(source, index * 16 + part * cache.valueOffset());
      Val to = k.offset(k.shared(), slot * slotBytes() + (index << 4) +
                                        part * cache.headBytes());
      k.create<fastgemm::AsyncCopyOp>(to.value, from.value,
                                      k.getI32IntegerAttr(16), Value());
    }
  });
}

PagePlace AttentionPages::finish(Val slot) {
  if (!cache.isInt8) {
    Val scales = scalesOf(slot);
    return {slot * rowsBytes(), scales,
            scales + kPage * graph::kCacheScaleBytes};
  }
  Val rows = k.constant(widenedPage());
  widen(slot, rows);
  k.barrier();
  Val scales = slot * slotBytes() + cache.scaleOffset();
  return {rows, scales, scales + cache.headBytes()};
}

/// The integers as fp16, 8 at a time.
void AttentionPages::widen(Val slot, Val rows) {
  forEachItem(k, kPage * pieces(), threads, [&](Val index) {
    Val row = index / pieces(), piece = index % pieces();
    for (int part = 0; part < 2; ++part) {
      Val integers =
          k.load(k.vec(2, k.i32()),
                 k.offset(k.shared(), slot * slotBytes() + (index << 3) +
                                          part * cache.headBytes()));
      SmallVector<Val> pairs;
      for (int64_t word = 0; word < 2; ++word)
        for (int64_t byte = 0; byte < 4; byte += 2) {
          auto element = [&](int64_t i) {
            Val high = k.extract(integers, word) << (24 - 8 * i);
            Val value = k.val(
                k.create<arith::ShRSIOp>(high.value, k.constant(24).value));
            return k.toF16(k.intToF32(value));
          };
          pairs.push_back(k.packHalves(element(byte), element(byte + 1)));
        }
      k.store(k.vectorOf(pairs),
              address({rows + part * halfBytes(), row, piece}));
    }
  });
}

Val AttentionPages::keyFragment(const PagePlace &page, Val position,
                                int64_t more, int64_t step) {
  Val lane = k.threadIndex() & 31;
  // b0 = 8 positions x k 0-7, b1 = x k 8-15.
  bool odd = 2 * step + 1 >= pieces();
  Val half = odd ? k.constant(0) : (lane >> 3) & 1;
  Val from = address({page.rows, position + (lane & 7), half, more, 2 * step});
  Val b = k.val(k.create<fastgemm::LoadMatrixOp>(k.vec(odd ? 1 : 2, k.i32()),
                                                 from.value, UnitAttr()));
  return odd ? k.vectorOf({k.extract(b, 0), k.constant(0)}) : b;
}

Val AttentionPages::valueFragment(const PagePlace &page, int64_t position,
                                  Val piece, int64_t more) {
  // k is the position: transposed 8x8 blocks, positions 0-7 and 8-15.
  Val row = k.threadIndex() & 15;
  Val from = address({page.rows + halfBytes(), row, piece, position, more});
  return k.val(k.create<fastgemm::LoadMatrixOp>(k.vec(2, k.i32()), from.value,
                                                k.getUnitAttr()));
}

Val AttentionPages::columnScales(Val scales, Val position) {
  Val column = position + ((k.threadIndex() & 3) << 1);
  return k.loadHere(k.vec(2, k.f32()),
                    k.offset(k.shared(), scales + (column << 2)));
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
  Val inverse = k.constantF32(1.0f) / sum;
  SmallVector<Val> result;
  for (int64_t i = 0; i < 8; ++i)
    result.push_back(k.toF16(k.extract(i < 4 ? low : high, i % 4) * inverse));
  return result;
}

ChunkMerge conversion::mergeFactors(KernelBuilder &k, Val total, Val chunk) {
  Val maximum = k.maxF(total, chunk);
  return {k.exp2(total - maximum), k.exp2(chunk - maximum), maximum};
}

Val conversion::scoreFactor(KernelBuilder &k, float scale) {
  constexpr double log2e = 1.4426950408889634;
  return k.constantF32(static_cast<float>(static_cast<double>(scale) * log2e));
}

/// While a row has seen nothing its maximum is -inf; any finite number in its
/// place makes all exponentials 0.
static Val finite(KernelBuilder &k, Val maximum) {
  Val minusInfinity = k.constantF32(-std::numeric_limits<float>::infinity());
  return k.select(maximum == minusInfinity, k.constantF32(0.0f), maximum);
}

BlockWeights conversion::blockWeights(KernelBuilder &k, ArrayRef<Val> scores,
                                      ArrayRef<Val> valueScales, Val maximum) {
  Val reference = finite(k, maximum);
  BlockWeights result;
  for (auto [score, scale] : llvm::zip_equal(scores, valueScales)) {
    Val exponential = k.exp2(score - reference);
    Val product = exponential * scale;
    bool isFirst = result.products.empty();
    result.exponentials =
        isFirst ? exponential : result.exponentials + exponential;
    result.sum = isFirst ? product : result.sum + product;
    result.products.push_back(product);
  }
  return result;
}

PageFactors conversion::addPage(KernelBuilder &k, RowState &state, Val maximum,
                                Val exponentials, Val products) {
  exponentials = k.warpReduce(exponentials, Reduction::Sum, 4);
  products = k.warpReduce(products, Reduction::Sum, 4);
  // Weights add up to 2^13 to 2^14: a power of two, from the sum's exponent.
  // Both factors are normal numbers where that is at least -100.
  constexpr int64_t exponentMask = 0x7F800000, bias = 127, exponentBits = 23;
  constexpr int64_t logOfSum = 13;
  Val sum = k.maxF(products, k.constantF32(0x1p-100f));
  Val exponent = k.bitcast(sum, k.i32()) & exponentMask;
  Val weights = k.bitcast(
      k.constant(((2 * bias + logOfSum) << exponentBits) - (int64_t(1) << 32)) -
          exponent,
      k.f32());
  Val inverse = k.bitcast(exponent - (logOfSum << exponentBits), k.f32());

  Val greatest = k.maxF(state.maximum, maximum);
  Val reference = finite(k, greatest);
  Val before = k.exp2(state.maximum - reference);
  Val page = k.exp2(maximum - reference);
  state.sum = k.fma(exponentials, page, state.sum * before);
  state.maximum = greatest;
  return {weights, before, page * inverse};
}

SmallVector<Val> conversion::roundWeights(KernelBuilder &k,
                                          ArrayRef<Val> products,
                                          const PageFactors &factors) {
  Val toInteger = k.constantF32(0x1.8p23f);
  SmallVector<Val> weights;
  for (Val product : products)
    weights.push_back(
        k.toF16(k.fma(product, factors.weights, toInteger) - toInteger));
  return weights;
}

Val conversion::addToRows(KernelBuilder &k, Val before, Val page,
                          const PageFactors (&rows)[2]) {
  // Elements 0 and 1 are of row g, 2 and 3 of row g + 8.
  SmallVector<Val> elements;
  for (int64_t e = 0; e < 4; ++e) {
    const PageFactors &row = rows[e / 2];
    elements.push_back(
        k.fma(k.extract(page, e), row.page, k.extract(before, e) * row.before));
  }
  return k.vectorOf(elements);
}

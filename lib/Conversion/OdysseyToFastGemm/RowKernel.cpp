//===- RowKernel.cpp - Kernels that need a whole row ----------------------===//

#include "RowKernel.h"

#include "Kernels.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

/// Where the 8-bit activations of one token are written: padded rows, or tiles
/// in the order of wgmma.
class conversion::ActivationLayout {
public:
  ActivationLayout(KernelBuilder &k, Value activations, Val pointer, Val token)
      : k(k), token(token) {
    auto type = cast<RankedTensorType>(activations.getType());
    int64_t columnsOfType = type.getDimSize(1);
    swizzled = dyn_cast_or_null<fastgemm::SwizzledAttr>(type.getEncoding());
    if (!swizzled) {
      padded = rowStride(activations);
      row = k.row(pointer, token, padded);
      return;
    }
    int64_t tiles = swizzled.getTilesAlongK(columnsOfType);
    padded = tiles * swizzled.kTileK;
    Val group = token / swizzled.getTokens();
    row = k.offset(k.row(pointer, group, swizzled.getTokens() * padded),
                   token % swizzled.getTokens() * swizzled.kTileK);
  }

  /// Columns with their padding.
  int64_t columns() const { return padded; }
  /// Rows that stand together, padding included.
  int64_t rowsTogether() const { return swizzled ? swizzled.getTokens() : 1; }
  /// Of column `column`; neighbours of the same 16 columns follow each other.
  Val address(Val column) const {
    if (!swizzled)
      return k.offset(row, column);
    Val tile = column / swizzled.kTileK;
    Val piece = (column >> 4 ^ token) & 7;
    return k.offset(row, tile * (swizzled.getTokens() * swizzled.kTileK) +
                             (piece << 4) + (column & 15));
  }

private:
  KernelBuilder &k;
  Val token, row;
  fastgemm::SwizzledAttr swizzled;
  int64_t padded = 0;
};

RowStatistics conversion::addSegments(KernelBuilder &k, Val pairs,
                                      int64_t count) {
  Val lane = k.threadIndex() & 31;
  SmallVector<Val> loaded;
  for (int64_t i = 0; i < count; i += 32) {
    Val segment = lane + i;
    if (i + 32 > count)
      segment = k.min(segment, k.constant(count - 1));
    loaded.push_back(
        k.load(k.vec(2, k.f32()), k.offset(pairs, segment * kPairBytes)));
  }
  RowStatistics total;
  for (auto [i, pair] : llvm::enumerate(loaded)) {
    Val largest = k.extract(pair, 0), squares = k.extract(pair, 1);
    int64_t first = 32 * static_cast<int64_t>(i);
    if (first + 32 > count)
      squares = k.select(lane < count - first, squares, k.constantF32(0.0f));
    total.largest = i == 0 ? largest : k.maxF(total.largest, largest);
    total.squares = i == 0 ? squares : total.squares + squares;
  }
  return {k.warpReduce(total.largest, Reduction::Max),
          k.warpReduce(total.squares, Reduction::Sum)};
}

void RowKernel::forEach(llvm::function_ref<void(int64_t, Val)> body) {
  for (int64_t piece = 0; piece < parts() * tiling.rounds; ++piece) {
    Val first = element(piece);
    if (mayBeOutside(piece))
      k.ifThen(isInside(piece, first), [&] { body(piece, first); });
    else
      body(piece, first);
  }
}

RowValues RowKernel::map(llvm::function_ref<Val(int64_t, Val)> body) {
  RowValues values;
  for (int64_t piece = 0; piece < parts() * tiling.rounds; ++piece) {
    Val first = element(piece);
    if (mayBeOutside(piece))
      values.push_back(k.ifElse(
          isInside(piece, first), [&] { return body(piece, first); },
          [&] { return zero(); }));
    else
      values.push_back(body(piece, first));
  }
  return values;
}

RowValues
RowKernel::mapTogether(llvm::function_ref<RowValues(ArrayRef<Val>)> body) {
  SmallVector<Val> firsts, inside(parts() * tiling.rounds);
  for (auto [piece, isIn] : llvm::enumerate(inside)) {
    Val first = element(piece);
    if (mayBeOutside(piece)) {
      isIn = isInside(piece, first);
      first = k.select(isIn, first, k.constant(0));
    }
    firsts.push_back(first);
  }
  RowValues values = body(firsts);
  for (auto [value, isIn] : llvm::zip_equal(values, inside))
    if (isIn.value)
      value = k.select(isIn, value, zero());
  return values;
}

RowValues RowKernel::load(Val pointer, int64_t strideElements) {
  Val row = rowOf(pointer, strideElements, 0);
  return map([&](int64_t, Val first) { return loadPiece(row, first); });
}

Val RowKernel::reduceParts(ArrayRef<Val> parts, Reduction kind) {
  int64_t scratch = scratchBytes, warps = tiling.threads / 32;
  scratchBytes += warps * 4;
  if (!barrier)
    return k.blockReduce(parts[0], kind, tiling.threads, scratch);
  for (auto [part, value] : llvm::enumerate(parts)) {
    Val total = k.warpReduce(value, kind);
    Val thread = threadOf(part);
    Val first = (k.threadIndex() & 31) == 0;
    if (partMayBeIdle(part))
      first = k.land(first, thread < tiling.threads);
    k.ifThen(first, [&, total = total] {
      k.store(total, k.offset(k.shared(scratch), (thread >> 5) << 2));
    });
  }
  barrier();
  Val total = k.load(k.f32(), k.shared(scratch));
  for (int64_t warp = 1; warp < warps; ++warp)
    total =
        k.reduce(total, k.load(k.f32(), k.shared(scratch + 4 * warp)), kind);
  return total;
}

Val RowKernel::largest(const RowValues &values) {
  SmallVector<Val> totals(parts());
  for (auto [piece, vector] : llvm::enumerate(values)) {
    Val &total = totals[piece / tiling.rounds];
    for (int64_t i = 0; i < tiling.width; ++i) {
      Val term = k.absF(k.extract(vector, i));
      total = total.value ? k.maxF(total, term) : term;
    }
  }
  return reduceParts(totals, Reduction::Max);
}

/// The terms, two to the power of something, reduced as a tree, neighbours
/// first.
static Val reduceTree(KernelBuilder &k, SmallVector<Val> terms,
                      Reduction kind) {
  for (; terms.size() > 1; terms.resize(terms.size() / 2))
    for (size_t i = 0; i < terms.size() / 2; ++i)
      terms[i] = k.reduce(terms[2 * i], terms[2 * i + 1], kind);
  return terms[0];
}

RowStatistics RowKernel::statistics(const RowValues &x,
                                    const RowValues &products) {
  int64_t scratch = scratchBytes;
  int64_t segments = segmentsOf(tiling.columns);
  scratchBytes += segments * kPairBytes;
  for (int64_t piece = 0; piece < parts() * tiling.rounds; ++piece) {
    SmallVector<Val> squares, magnitudes;
    for (int64_t i = 0; i < tiling.width; ++i) {
      Val element = k.extract(x[piece], i);
      squares.push_back(element * element);
      magnitudes.push_back(k.absF(k.extract(products[piece], i)));
    }
    Val sum = reduceTree(k, squares, Reduction::Sum);
    Val largest = reduceTree(k, magnitudes, Reduction::Max);
    // The lanes that hold the segment's other elements.
    for (int64_t mask = 1; mask < graph::kRowSegment / tiling.width;
         mask *= 2) {
      sum = sum + k.shuffleXor(sum, mask);
      largest = k.maxF(largest, k.shuffleXor(largest, mask));
    }
    Val first = element(piece);
    Val tells = (first & (graph::kRowSegment - 1)) == 0;
    if (mayBeOutside(piece))
      tells = k.land(tells, isInside(piece, first));
    k.ifThen(tells, [&] {
      k.store(
          k.vectorOf({largest, sum}),
          k.offset(k.shared(scratch), first / graph::kRowSegment * kPairBytes));
    });
  }
  synchronize();
  return addSegments(k, k.shared(scratch), segments);
}

void RowKernel::storeF16(const RowValues &values, Val pointer) {
  Val row = k.row(pointer, token, tiling.columns * 2);
  forEach([&](int64_t round, Val first) {
    k.store(k.toF16(values[round]), k.offset(row, first << 1));
  });
}

SmallVector<Val> conversion::quantizedWords(KernelBuilder &k, Val elements,
                                            Val factor) {
  SmallVector<Val> words;
  int64_t width = cast<VectorType>(elements.type()).getNumElements();
  for (int64_t w = 0; w < width; w += 4) {
    Val word;
    for (int64_t j = 0; j < 4; ++j) {
      Val byte = k.roundToI8(k.extract(elements, w + j) * factor) & 255;
      word = j == 0 ? byte : word | byte << (8 * j);
    }
    words.push_back(word);
  }
  return words;
}

void RowKernel::quantize(const RowToQuantize &row, StorePiece store) {
  Val factor = row.scale.factor;
  forEach([&](int64_t piece, Val first) {
    if (tiling.width > 1)
      return store(quantizedWords(k, row.values[piece], factor), first);
    Val quantized = k.roundToI8(k.extract(row.values[piece], 0) * factor);
    store(k.val(k.create<arith::TruncIOp>(k.i8(), quantized.value)), first);
  });
}

void conversion::storeWords(KernelBuilder &k, ArrayRef<Val> words,
                            Val address) {
  k.store(words.size() == 1 ? words[0] : k.vectorOf(words), address);
}

/// Zeros from column `first` on.
void RowKernel::storePadding(const ActivationLayout &layout, int64_t first) {
  // Both ends are multiples of 8 where a row is swizzled from column 0 on.
  int64_t bytes = first % 8 == 0 && layout.columns() % 8 == 0 ? 8 : 1;
  int64_t pieces = (layout.columns() - first) / bytes;
  if (pieces == 0)
    return;
  Val zero = bytes == 8 ? k.zeros(k.vec(2, k.i32())) : k.constant(0, k.i8());
  k.loop(k.threadIndex(), k.constant(pieces), k.constant(tiling.threads), {},
         [&](Val i, ArrayRef<Val>) {
           k.store(zero, layout.address(i * bytes + first));
           return SmallVector<Val>();
         });
}

void RowKernel::storeQuantized(llvm::function_ref<RowToQuantize()> row,
                               Value output, Val pointer, Val scales) {
  ActivationLayout layout(k, output, pointer, token);
  rowsTogether = layout.rowsTogether();
  auto storeRow = [&] {
    RowToQuantize quantized = row();
    quantize(quantized, [&](ArrayRef<Val> words, Val first) {
      storeWords(k, words, layout.address(first));
    });
    storePadding(layout, tiling.columns);
    k.ifThen(k.threadIndex() == 0, [&] {
      k.store(quantized.scale.scale(), k.offset(scales, token << 2));
    });
  };
  if (rowsTogether == 1)
    storeRow();
  else
    k.ifThenElse(token < k.tokens(), storeRow,
                 [&] { storePadding(layout, 0); });
}

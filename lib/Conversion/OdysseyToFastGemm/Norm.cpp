//===- Norm.cpp - Norms, activations and quantization ---------------------===//
//
// Kernels that need a whole row: one CTA a token, the row held in registers.
// A thread owns pieces of `width` neighbouring elements, piece p belonging to
// thread p mod threads. How many threads there are, hence the order of every
// sum, depends on the row's length alone.
//
// A product of one token can do the same in front of its own work, with the
// threads that it has: each then plays several of those of this row, so that
// sums keep their order.
//
//===----------------------------------------------------------------------===//

#include "AttentionPages.h"
#include "Kernels.h"

#include "odyssey/Layout/PackedWeights.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

namespace {

/// How the threads of a CTA divide a row.
struct RowTiling {
  explicit RowTiling(int64_t columns) : columns(columns) {
    width = columns % 8 == 0 ? 8 : columns % 4 == 0 ? 4 : 1;
    int64_t pieces = columns / width;
    threads = std::min<int64_t>(1024, (pieces + 31) / 32 * 32);
    // Long rows in registers: prefer 256 threads while they hold 4 pieces each.
    if (pieces <= 1024)
      threads = std::min<int64_t>(threads, 256);
    rounds = (pieces + threads - 1) / threads;
  }
  bool whole() const { return rounds * threads * width == columns; }

  int64_t columns, width, threads, rounds;
};

/// Where the 8-bit activations of one token are written: padded rows, or tiles
/// in the order of wgmma.
class ActivationLayout {
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

/// The elements of a row that one thread holds, as fp32 vectors, one per round;
/// zeros behind the row's end.
using RowValues = SmallVector<Val>;

class RowKernel {
public:
  /// A kernel of its own: a CTA a token.
  RowKernel(KernelBuilder &k, int64_t columns)
      : k(k), tiling(columns), token(k.blockIndex(0)), workers(tiling.threads) {
  }
  /// Part of a kernel, in `workers` threads, from 0 on, for token 0. `scratch`
  /// is free shared memory, `barrier` one of these threads.
  RowKernel(KernelBuilder &k, int64_t columns, int64_t workers, int64_t scratch,
            llvm::function_ref<void()> barrier)
      : k(k), tiling(columns), token(k.constant(0)), workers(workers),
        scratchBytes(scratch), barrier(barrier) {}

  /// Runs `body` for each piece of the thread with its first element; pieces
  /// behind the row's end give zeros.
  RowValues map(llvm::function_ref<Val(int64_t, Val)> body);
  /// The same for all pieces at once: `body` gets their first elements, where
  /// the first one of the row stands for pieces behind its end.
  RowValues mapTogether(llvm::function_ref<RowValues(ArrayRef<Val>)> body);
  RowValues load(Val pointer, int64_t strideElements);
  /// Element `firstElement` of this CTA's row.
  Val rowOf(Val pointer, int64_t strideElements, int64_t firstElement) {
    return k.offset(k.row(pointer, token, strideElements * 2),
                    firstElement * 2);
  }
  /// A piece of fp16 from element `first` on, widened.
  Val loadPiece(Val row, Val first) {
    return k.toF32(
        k.load(k.vec(tiling.width, k.f16()), k.offset(row, first << 1)));
  }
  /// Runs `body` where the piece is inside the row.
  void forEach(llvm::function_ref<void(int64_t, Val)> body);

  /// Sum of squares, or greatest magnitude, over the whole row.
  Val reduceRow(const RowValues &values, Reduction kind);
  void storeF16(const RowValues &values, Val pointer);
  /// Hands out the 8-bit integers of a piece, as words of four or as one byte,
  /// and the piece's first element.
  using StorePiece = llvm::function_ref<void(ArrayRef<Val> words, Val first)>;
  /// Quantizes the row; returns its scale.
  Val quantize(const RowValues &values, StorePiece store);
  /// Writes the row `values` as 8-bit integers, in the layout of `output`'s
  /// type and padded with zeros as that says, and its scale.
  void storeQuantized(llvm::function_ref<RowValues()> values, Value output,
                      Val pointer, Val scales);
  LogicalResult finish() {
    k.finish({rowsTogether, 1, 1}, {rowsTogether, 0, 0}, tiling.threads,
             scratchBytes);
    return success();
  }

  Val tokenIndex() const { return token; }

  /// Each value rounded to fp16 and back, as if it had been stored.
  RowValues rounded(const RowValues &values) {
    RowValues result;
    for (Val value : values)
      result.push_back(k.toF32(k.toF16(value)));
    return result;
  }

private:
  /// How many of the row's threads one thread plays.
  int64_t parts() const { return (tiling.threads + workers - 1) / workers; }
  /// The row's thread that this one plays in part `part`.
  Val threadOf(int64_t part) { return k.threadIndex() + part * workers; }
  /// Part p's round r is piece p * rounds + r of a thread.
  Val element(int64_t piece) {
    return (threadOf(piece / tiling.rounds) +
            piece % tiling.rounds * tiling.threads) *
           tiling.width;
  }
  /// Whether the piece may be none of the row.
  bool mayBeOutside(int64_t piece) const {
    return !tiling.whole() || partMayBeIdle(piece / tiling.rounds);
  }
  bool partMayBeIdle(int64_t part) const {
    return (part + 1) * workers > tiling.threads;
  }
  Val isInside(int64_t piece, Val first) {
    Val inside = first < tiling.columns;
    int64_t part = piece / tiling.rounds;
    return partMayBeIdle(part) ? k.land(threadOf(part) < tiling.threads, inside)
                               : inside;
  }
  Val zero() { return k.zeros(k.vec(tiling.width, k.f32())); }
  /// As KernelBuilder::blockReduce, of one value per part.
  Val reduceParts(ArrayRef<Val> parts, Reduction kind);

  void storePadding(const ActivationLayout &layout, int64_t first);

  KernelBuilder &k;
  RowTiling tiling;
  Val token;
  /// Threads that there are.
  int64_t workers;
  int64_t scratchBytes = 0;
  llvm::function_ref<void()> barrier;
  /// Rows up to a multiple of this are written, with zeros behind M.
  int64_t rowsTogether = 1;
};

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

Val RowKernel::reduceRow(const RowValues &values, Reduction kind) {
  SmallVector<Val> totals(parts());
  for (auto [piece, vector] : llvm::enumerate(values)) {
    Val &total = totals[piece / tiling.rounds];
    for (int64_t i = 0; i < tiling.width; ++i) {
      Val x = k.extract(vector, i);
      Val term = kind == Reduction::Sum ? x * x : k.absF(x);
      total = total.value ? k.reduce(total, term, kind) : term;
    }
  }
  return reduceParts(totals, kind);
}

void RowKernel::storeF16(const RowValues &values, Val pointer) {
  Val row = k.row(pointer, token, tiling.columns * 2);
  forEach([&](int64_t round, Val first) {
    k.store(k.toF16(values[round]), k.offset(row, first << 1));
  });
}

/// How a row with the greatest magnitude `largest` is quantized (N7).
struct RowScale {
  RowScale(KernelBuilder &k, Val largest)
      : k(k), largest(largest),
        factor(k.select(largest == k.constantF32(0.0f), k.constantF32(0.0f),
                        k.constantF32(127.0f) / largest)) {}
  Val scale() const { return largest / k.constantF32(127.0f); }

  KernelBuilder &k;
  Val largest, factor;
};

/// The 8-bit integers of fp32 elements, four to a word.
SmallVector<Val> quantizedWords(KernelBuilder &k, Val elements, Val factor) {
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

Val RowKernel::quantize(const RowValues &values, StorePiece store) {
  RowScale scale(k, reduceRow(values, Reduction::Max));
  forEach([&](int64_t piece, Val first) {
    if (tiling.width > 1)
      return store(quantizedWords(k, values[piece], scale.factor), first);
    Val quantized = k.roundToI8(k.extract(values[piece], 0) * scale.factor);
    store(k.val(k.create<arith::TruncIOp>(k.i8(), quantized.value)), first);
  });
  return scale.scale();
}

/// Stores the words of a piece, or its one byte, side by side.
void storeWords(KernelBuilder &k, ArrayRef<Val> words, Val address) {
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

void RowKernel::storeQuantized(llvm::function_ref<RowValues()> values,
                               Value output, Val pointer, Val scales) {
  ActivationLayout layout(k, output, pointer, token);
  rowsTogether = layout.rowsTogether();
  auto storeRow = [&] {
    Val scale = quantize(values(), [&](ArrayRef<Val> words, Val first) {
      storeWords(k, words, layout.address(first));
    });
    storePadding(layout, tiling.columns);
    k.ifThen(k.threadIndex() == 0,
             [&] { k.store(scale, k.offset(scales, token << 2)); });
  };
  if (rowsTogether == 1)
    storeRow();
  else
    k.ifThenElse(token < k.tokens(), storeRow,
                 [&] { storePadding(layout, 0); });
}

/// fp16((x * r) * weight), widened again. Weights are loaded before the wait
/// for the kernel in front.
RowValues normalize(KernelBuilder &k, RowKernel &row, int64_t columns,
                    Val weight, float epsilon) {
  RowValues weights =
      row.map([&](int64_t, Val first) { return row.loadPiece(weight, first); });
  k.waitForPrevious();
  RowValues x = row.load(k.operand(0), columns);
  Val sum = row.reduceRow(x, Reduction::Sum);
  Val mean = sum / k.constantF32(static_cast<float>(columns));
  Val r = k.constantF32(1.0f) / k.sqrt(mean + k.constantF32(epsilon));
  RowValues normalized;
  for (auto [value, w] : llvm::zip_equal(x, weights)) {
    Val broadcast = k.val(
        k.create<vector::BroadcastOp>(cast<VectorType>(value.type()), r.value));
    normalized.push_back(value * broadcast * w);
  }
  return row.rounded(normalized);
}

/// fp16((gate / (1 + exp(-gate))) * up), widened again. One round after the
/// other, so that of a long row only the results stay in registers.
RowValues siluMul(KernelBuilder &k, RowKernel &row, OperandRange inputs,
                  int64_t columns) {
  bool fused = inputs.size() == 1;
  int64_t stride = fused ? 2 * columns : columns;
  Val gateRow = row.rowOf(k.operand(0), stride, 0);
  Val upRow = row.rowOf(k.operand(fused ? 0 : 1), stride, fused ? columns : 0);
  RowValues result = row.map([&](int64_t, Val first) {
    Val gate = row.loadPiece(gateRow, first);
    Val up = row.loadPiece(upRow, first);
    SmallVector<Val> elements;
    int64_t width = cast<VectorType>(gate.type()).getNumElements();
    for (int64_t i = 0; i < width; ++i) {
      Val x = k.extract(gate, i);
      Val denominator = k.constantF32(1.0f) + k.exp(k.constantF32(0.0f) - x);
      elements.push_back(x / denominator * k.extract(up, i));
    }
    return k.vectorOf(elements);
  });
  return row.rounded(result);
}

/// Attention from the chunks of N22, in ascending order, as fp16 and widened
/// again; zeros where there is no token. Operands are the chunks' values [M,
/// heads, chunks, d], their maxima and sums [M, heads, chunks, 2], and the
/// positions.
RowValues mergeChunks(KernelBuilder &k, RowKernel &row, Value chunkValues) {
  ArrayRef<int64_t> shape = cast<ShapedType>(chunkValues.getType()).getShape();
  int64_t heads = shape[1], chunks = shape[2], d = shape[3];
  Val token = row.tokenIndex();
  Val length = k.load(k.i32(), k.offset(k.operand(2), token << 2)) + 1;
  Val count = (length + (graph::kAttentionChunk - 1)) / graph::kAttentionChunk;
  Val values = k.row(k.operand(0), token, heads * chunks * d * 4);
  Val stats = k.row(k.operand(1), token, heads * chunks * 8);
  VectorType four = k.vec(4, k.f32());
  auto mergeOne = [&](const MergedPiece &total, Val first, Val chunk) {
    Val head = first / d;
    Val place = head * chunks + chunk;
    Val pair = k.load(k.vec(2, k.f32()), k.offset(stats, place << 3));
    Val from = k.offset(values, place * (d * 4) + first % d * 4);
    return total.with(k, k.load(four, from), k.load(four, k.offset(from, 16)),
                      pair);
  };
  // All pieces go through the chunks together, so that none waits for the loads
  // of another.
  return row.mapTogether([&](ArrayRef<Val> firsts) {
    SmallVector<Val> init;
    for (size_t i = 0; i < firsts.size(); ++i)
      llvm::append_range(init, MergedPiece::none(k).flat());
    auto piece = [](ArrayRef<Val> all, size_t i) {
      return MergedPiece::fromFlat(
          all.slice(i * MergedPiece::kValues, MergedPiece::kValues));
    };
    SmallVector<Val> merged =
        k.loop(k.constant(0), count, k.constant(1), init,
               [&](Val chunk, ArrayRef<Val> totals) {
                 SmallVector<Val> next;
                 for (auto [i, first] : llvm::enumerate(firsts))
                   llvm::append_range(
                       next, mergeOne(piece(totals, i), first, chunk).flat());
                 return next;
               });
    Val isToken = k.constant(0) < count;
    RowValues result;
    for (size_t i = 0; i < firsts.size(); ++i) {
      SmallVector<Val> elements;
      for (Val y : piece(merged, i).finish(k))
        elements.push_back(k.select(isToken, k.toF32(y), k.constantF32(0.0f)));
      result.push_back(k.vectorOf(elements));
    }
    return result;
  });
}

int64_t columnsOf(Value value) {
  return cast<ShapedType>(value.getType()).getDimSize(1);
}

/// The row, before it is quantized, of an operation whose first result is
/// 8-bit activations. Its operands are the kernel's first. Waits for the kernel
/// in front.
RowValues rowToQuantize(KernelBuilder &k, RowKernel &row, Operation *op) {
  int64_t columns = columnsOf(op->getResult(0));
  if (!isa<graph::RmsNormQuantizeOp>(op))
    k.waitForPrevious();
  return llvm::TypeSwitch<Operation *, RowValues>(op)
      .Case([&](graph::RmsNormQuantizeOp op) {
        return normalize(k, row, columns, k.operand(1),
                         op.getEpsilon().convertToFloat());
      })
      .Case([&](graph::QuantizeOp) { return row.load(k.operand(0), columns); })
      .Case([&](graph::SiluMulQuantizeOp op) {
        return siluMul(k, row, op.getInputs(), columns);
      })
      .Case([&](graph::AttentionMergeQuantizeOp op) {
        return mergeChunks(k, row, op.getChunkValues());
      });
}

/// A kernel of its own for such an operation.
LogicalResult emitRowQuantization(KernelBuilder &k, Operation *op) {
  RowKernel row(k, columnsOf(op->getResult(0)));
  row.storeQuantized([&] { return rowToQuantize(k, row, op); },
                     op->getResult(0), k.result(0), k.result(1));
  return row.finish();
}

} // namespace

/// emitQuantizedRow of a row whose greatest magnitude is among `columns`
/// numbers in global memory: every warp looks for itself.
static Val emitQuantizedPart(KernelBuilder &k, int64_t rowColumns,
                             int64_t maximaColumns, int64_t workers,
                             llvm::function_ref<Val(Val)> addressOf,
                             const OwnColumns &own) {
  constexpr int64_t width = 8;
  k.waitForPrevious();
  // All loads in front of the first use of one.
  RowValues pieces;
  SmallVector<Val> firsts, inside;
  Val end = k.min(own.end, k.constant(rowColumns));
  for (int64_t i = 0; i * workers * width < own.most; ++i) {
    Val first = own.first + (k.threadIndex() + i * workers) * width;
    firsts.push_back(first);
    inside.push_back(first < end);
    pieces.push_back(
        k.load(k.vec(width, k.f16()),
               k.offset(k.operand(0),
                        k.select(inside.back(), first, k.constant(0)) << 1)));
  }
  Val lane = k.threadIndex() & 31;
  SmallVector<Val> found;
  for (int64_t i = 0; i < maximaColumns; i += 32)
    found.push_back(
        k.load(k.f32(),
               k.offset(k.operand(1),
                        k.min(lane + i, k.constant(maximaColumns - 1)) << 2)));
  Val largest = found.front();
  for (Val other : ArrayRef(found).drop_front())
    largest = k.maxF(largest, other);
  RowScale scale(k, k.warpReduce(largest, Reduction::Max));
  for (auto [first, isInside, piece] : llvm::zip_equal(firsts, inside, pieces))
    k.ifThen(isInside, [&, first = first, piece = piece] {
      storeWords(k, quantizedWords(k, k.toF32(piece), scale.factor),
                 addressOf(first));
    });
  return scale.scale();
}

Val conversion::emitQuantizedRow(KernelBuilder &k, Operation *producer,
                                 int64_t workers, int64_t scratch,
                                 llvm::function_ref<void()> barrier,
                                 llvm::function_ref<Val(Val)> addressOf,
                                 const OwnColumns &own) {
  int64_t columns = columnsOf(producer->getResult(0));
  if (auto quantize = dyn_cast<graph::QuantizeOp>(producer))
    if (Value maxima = quantize.getMaxima())
      return emitQuantizedPart(k, columns, columnsOf(maxima), workers,
                               addressOf, own);
  RowKernel row(k, columns, workers, scratch, barrier);
  return row.quantize(
      rowToQuantize(k, row, producer), [&](ArrayRef<Val> words, Val first) {
        k.ifThen(k.land(own.first <= first, first < own.end),
                 [&] { storeWords(k, words, addressOf(first)); });
      });
}

int64_t conversion::quantizedRowScratchBytes(Operation *producer) {
  if (auto quantize = dyn_cast<graph::QuantizeOp>(producer);
      quantize && quantize.getMaxima())
    return 0;
  // A sum, and the greatest magnitude.
  return 2 * RowTiling(columnsOf(producer->getResult(0))).threads / 32 * 4;
}

LogicalResult conversion::emitRmsNorm(KernelBuilder &k, graph::RmsNormOp op) {
  int64_t columns = columnsOf(op.getX());
  RowKernel row(k, columns);
  row.storeF16(normalize(k, row, columns, k.operand(1),
                         op.getEpsilon().convertToFloat()),
               k.result(0));
  return row.finish();
}

LogicalResult conversion::emitRmsNormQuantize(KernelBuilder &k,
                                              graph::RmsNormQuantizeOp op) {
  return emitRowQuantization(k, op);
}

LogicalResult conversion::emitQuantize(KernelBuilder &k, graph::QuantizeOp op) {
  return emitRowQuantization(k, op);
}

LogicalResult conversion::emitSiluMul(KernelBuilder &k, graph::SiluMulOp op) {
  int64_t columns = columnsOf(op.getResult());
  RowKernel row(k, columns);
  row.storeF16(siluMul(k, row, op.getInputs(), columns), k.result(0));
  return row.finish();
}

LogicalResult conversion::emitSiluMulQuantize(KernelBuilder &k,
                                              graph::SiluMulQuantizeOp op) {
  return emitRowQuantization(k, op);
}

LogicalResult conversion::emitAttentionMerge(KernelBuilder &k,
                                             graph::AttentionMergeOp op) {
  RowKernel row(k, columnsOf(op.getResult()));
  row.storeF16(mergeChunks(k, row, op.getChunkValues()), k.result(0));
  return row.finish();
}

LogicalResult
conversion::emitAttentionMergeQuantize(KernelBuilder &k,
                                       graph::AttentionMergeQuantizeOp op) {
  return emitRowQuantization(k, op);
}

//===- Norm.cpp - Norms, activations and quantization ---------------------===//
//
// Kernels of a CTA a token (RowKernel.h), and the same in front of a product of
// one token. Where a kernel in front has left what is to be known of the row's
// segments, such a product reads no more of the row than its CTA's own part.
//
//===----------------------------------------------------------------------===//

#include "AttentionPages.h"
#include "Kernels.h"
#include "RowKernel.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

namespace {

/// The `r` of a norm from the sum of squares of a row.
Val rootMeanSquareInverse(KernelBuilder &k, Val squares, int64_t columns,
                          float epsilon) {
  Val mean = squares / k.constantF32(static_cast<float>(columns));
  return k.constantF32(1.0f) / k.sqrt(mean + k.constantF32(epsilon));
}

/// The row of a norm, kernel operand 0, and the norm's weights, operand 1.
/// Weights are loaded before the wait for the kernel in front.
std::pair<RowValues, RowValues> loadNorm(KernelBuilder &k, RowKernel &row,
                                         int64_t columns) {
  Val weight = k.operand(1);
  RowValues weights =
      row.map([&](int64_t, Val first) { return row.loadPiece(weight, first); });
  k.waitForPrevious();
  return {row.load(k.operand(0), columns), weights};
}

/// fp16((x * r) * weight), widened again.
RowValues normalize(KernelBuilder &k, RowKernel &row, int64_t columns,
                    float epsilon) {
  auto [x, weights] = loadNorm(k, row, columns);
  Val r =
      rootMeanSquareInverse(k, row.statistics(x, x).squares, columns, epsilon);
  RowValues normalized;
  for (auto [value, w] : llvm::zip_equal(x, weights)) {
    Val broadcast = k.val(
        k.create<vector::BroadcastOp>(cast<VectorType>(value.type()), r.value));
    normalized.push_back(value * broadcast * w);
  }
  return row.rounded(normalized);
}

/// x * weight, quantized; r is part of the scale (N18).
RowToQuantize normalizeToQuantize(KernelBuilder &k, RowKernel &row,
                                  int64_t columns, float epsilon) {
  auto [x, weights] = loadNorm(k, row, columns);
  RowValues products;
  for (auto [value, w] : llvm::zip_equal(x, weights))
    products.push_back(value * w);
  auto [largest, squares] = row.statistics(x, products);
  return {products,
          RowScale(k, largest,
                   rootMeanSquareInverse(k, squares, columns, epsilon))};
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
RowToQuantize rowToQuantize(KernelBuilder &k, RowKernel &row, Operation *op) {
  int64_t columns = columnsOf(op->getResult(0));
  if (auto norm = dyn_cast<graph::RmsNormQuantizeOp>(op))
    return normalizeToQuantize(k, row, columns,
                               norm.getEpsilon().convertToFloat());
  k.waitForPrevious();
  RowValues values = llvm::TypeSwitch<Operation *, RowValues>(op)
                         .Case([&](graph::QuantizeOp) {
                           return row.load(k.operand(0), columns);
                         })
                         .Case([&](graph::SiluMulQuantizeOp op) {
                           return siluMul(k, row, op.getInputs(), columns);
                         })
                         .Case([&](graph::AttentionMergeQuantizeOp op) {
                           return mergeChunks(k, row, op.getChunkValues());
                         });
  return {values, RowScale(k, row.largest(values))};
}

/// A kernel of its own for such an operation.
LogicalResult emitRowQuantization(KernelBuilder &k, Operation *op) {
  RowKernel row(k, columnsOf(op->getResult(0)));
  row.storeQuantized([&] { return rowToQuantize(k, row, op); },
                     op->getResult(0), k.result(0), k.result(1));
  return row.finish();
}

} // namespace

/// The greatest of `count` numbers in global memory: every warp looks for
/// itself.
static Val greatestOf(KernelBuilder &k, Val numbers, int64_t count) {
  Val lane = k.threadIndex() & 31;
  SmallVector<Val> found;
  for (int64_t i = 0; i < count; i += 32)
    found.push_back(
        k.load(k.f32(),
               k.offset(numbers, k.min(lane + i, k.constant(count - 1)) << 2)));
  Val largest = found.front();
  for (Val other : ArrayRef(found).drop_front())
    largest = k.maxF(largest, other);
  return k.warpReduce(largest, Reduction::Max);
}

/// What the kernel in front has left for `producer` to know its whole row by,
/// or null.
static Value statisticsOf(Operation *producer) {
  if (auto quantize = dyn_cast<graph::QuantizeOp>(producer))
    return quantize.getMaxima();
  if (auto norm = dyn_cast<graph::RmsNormQuantizeOp>(producer))
    return norm.getStatistics();
  return {};
}

/// emitQuantizedRow of a row of which the kernel in front has left
/// `statistics`.
static Val emitQuantizedPart(KernelBuilder &k, Operation *producer,
                             Value statistics, int64_t workers,
                             llvm::function_ref<Val(Val)> addressOf,
                             const OwnColumns &own) {
  constexpr int64_t width = 8;
  auto norm = dyn_cast<graph::RmsNormQuantizeOp>(producer);
  int64_t columns = columnsOf(producer->getResult(0));
  SmallVector<Val> firsts, inside;
  Val end = k.min(own.end, k.constant(columns));
  for (int64_t i = 0; i * workers * width < own.most; ++i) {
    firsts.push_back(own.first + (k.threadIndex() + i * workers) * width);
    inside.push_back(firsts.back() < end);
  }
  // All loads in front of the first use of one.
  auto load = [&](Val row) {
    RowValues pieces;
    for (auto [first, isInside] : llvm::zip_equal(firsts, inside))
      pieces.push_back(
          k.load(k.vec(width, k.f16()),
                 k.offset(row, k.select(isInside, first, k.constant(0)) << 1)));
    return pieces;
  };
  RowValues weights;
  if (norm)
    weights = load(k.operand(1));
  k.waitForPrevious();
  RowValues pieces = load(k.operand(0));
  std::optional<RowScale> scale;
  if (norm) {
    // Columns behind those of the row are zeros.
    auto [largest, squares] =
        addSegments(k, k.operand(2), columnsOf(statistics));
    scale.emplace(k, largest,
                  rootMeanSquareInverse(k, squares, columns,
                                        norm.getEpsilon().convertToFloat()));
  } else {
    scale.emplace(k, greatestOf(k, k.operand(1), columnsOf(statistics)));
  }
  for (auto [i, first] : llvm::enumerate(firsts))
    k.ifThen(inside[i], [&, i = i, first = first] {
      Val values = k.toF32(pieces[i]);
      if (norm)
        values = values * k.toF32(weights[i]);
      storeWords(k, quantizedWords(k, values, scale->factor), addressOf(first));
    });
  return scale->scale();
}

Val conversion::emitQuantizedRow(KernelBuilder &k, Operation *producer,
                                 int64_t workers, int64_t scratch,
                                 llvm::function_ref<void()> barrier,
                                 llvm::function_ref<Val(Val)> addressOf,
                                 const OwnColumns &own) {
  if (Value statistics = statisticsOf(producer))
    return emitQuantizedPart(k, producer, statistics, workers, addressOf, own);
  RowKernel row(k, columnsOf(producer->getResult(0)), workers, scratch,
                barrier);
  RowToQuantize quantized = rowToQuantize(k, row, producer);
  row.quantize(quantized, [&](ArrayRef<Val> words, Val first) {
    k.ifThen(k.land(own.first <= first, first < own.end),
             [&] { storeWords(k, words, addressOf(first)); });
  });
  return quantized.scale.scale();
}

int64_t conversion::quantizedRowScratchBytes(Operation *producer) {
  if (statisticsOf(producer))
    return 0;
  int64_t columns = columnsOf(producer->getResult(0));
  if (isa<graph::RmsNormQuantizeOp>(producer))
    return segmentsOf(columns) * kPairBytes;
  // The greatest magnitude of each warp.
  return RowTiling(columns).threads / 32 * 4;
}

LogicalResult conversion::emitRmsNorm(KernelBuilder &k, graph::RmsNormOp op) {
  int64_t columns = columnsOf(op.getX());
  RowKernel row(k, columns);
  row.storeF16(normalize(k, row, columns, op.getEpsilon().convertToFloat()),
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

//===- RowKernel.h - Kernels that need a whole row --------------*- C++ -*-===//
//
// One CTA a token, the row held in registers. A thread owns pieces of `width`
// neighbouring elements, piece p belonging to thread p mod threads.
// Neighbouring lanes then hold a segment of 32 elements, which they add for
// themselves; what segments give is added by every warp, in an order that
// depends on the row's length alone (docs/numerics.md, N15).
//
// A product of one token can do the same in front of its own work, with the
// threads that it has: each then plays several of those of this row.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ROWKERNEL_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ROWKERNEL_H

#include "KernelBuilder.h"

namespace odyssey::conversion {

/// The greatest magnitude and the sum of squares of a segment.
inline constexpr int64_t kPairBytes = 8;
inline int64_t segmentsOf(int64_t columns) {
  return (columns + graph::kRowSegment - 1) / graph::kRowSegment;
}

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

class ActivationLayout;

/// The elements of a row that one thread holds, as fp32 vectors, one per round;
/// zeros behind the row's end.
using RowValues = llvm::SmallVector<Val>;

/// What a norm that is quantized has to know of all of its row: the greatest
/// magnitude of the products with its weights, and the sum of squares.
struct RowStatistics {
  Val largest, squares;
};

/// Those of a row from the pairs of its segments at `pairs`, of which there are
/// `count`. Every warp looks for itself.
RowStatistics addSegments(KernelBuilder &k, Val pairs, int64_t count);

/// How a row whose greatest magnitude is `largest` is quantized (N7), which is
/// then to be multiplied by `factorOfRow`, if given (N18).
struct RowScale {
  RowScale(KernelBuilder &k, Val largest, Val factorOfRow = {})
      : k(k), largest(largest), factorOfRow(factorOfRow),
        factor(k.select(largest == k.constantF32(0.0f), k.constantF32(0.0f),
                        k.constantF32(127.0f) / largest)) {}
  Val scale() const {
    Val scale = largest / k.constantF32(127.0f);
    return factorOfRow.value ? scale * factorOfRow : scale;
  }

  KernelBuilder &k;
  Val largest, factorOfRow, factor;
};

/// A row and how to quantize it.
struct RowToQuantize {
  RowValues values;
  RowScale scale;
};

/// The 8-bit integers of fp32 elements, four to a word.
llvm::SmallVector<Val> quantizedWords(KernelBuilder &k, Val elements,
                                      Val factor);
/// Stores the words of a piece, or its one byte, side by side.
void storeWords(KernelBuilder &k, llvm::ArrayRef<Val> words, Val address);

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
  RowValues
  mapTogether(llvm::function_ref<RowValues(llvm::ArrayRef<Val>)> body);
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

  /// The greatest magnitude over the whole row.
  Val largest(const RowValues &values);
  /// The sum of squares of `x`, and the greatest magnitude of `products`, over
  /// the whole row.
  RowStatistics statistics(const RowValues &x, const RowValues &products);
  void storeF16(const RowValues &values, Val pointer);
  /// Hands out the 8-bit integers of a piece, as words of four or as one byte,
  /// and the piece's first element.
  using StorePiece =
      llvm::function_ref<void(llvm::ArrayRef<Val> words, Val first)>;
  /// Quantizes the row.
  void quantize(const RowToQuantize &row, StorePiece store);
  /// Writes a row as 8-bit integers, in the layout of `output`'s type and
  /// padded with zeros as that says, and its scale.
  void storeQuantized(llvm::function_ref<RowToQuantize()> row,
                      mlir::Value output, Val pointer, Val scales);
  mlir::LogicalResult finish() {
    k.finish({rowsTogether, 1, 1}, {rowsTogether, 0, 0}, tiling.threads,
             scratchBytes);
    return mlir::success();
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
  Val reduceParts(llvm::ArrayRef<Val> parts, Reduction kind);
  void synchronize() { barrier ? barrier() : k.barrier(); }

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

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_ROWKERNEL_H

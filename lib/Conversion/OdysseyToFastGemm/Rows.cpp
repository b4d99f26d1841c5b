//===- Rows.cpp - Kernels that move or combine rows -----------------------===//
//
// Embedding, storing and gathering rows, and the residual addition. One CTA a
// token; its threads walk the row in the widest pieces that divide it.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

/// Elements of fp16 that one thread moves at once.
static int64_t vectorWidth(int64_t columns) {
  for (int64_t width : {8, 4, 2})
    if (columns % width == 0)
      return width;
  return 1;
}

/// Whole warps, enough for `pieces` but at most 256 threads.
static int64_t threadsFor(int64_t pieces) {
  return std::min<int64_t>(256, (pieces + 31) / 32 * 32);
}

/// Runs `body(byte offset in the row, width)` over all pieces of a row.
static void forPieces(KernelBuilder &k, int64_t columns, int64_t threads,
                      int64_t width, llvm::function_ref<void(Val)> body) {
  Val thread = k.threadIndex();
  k.loop(thread, k.constant(columns / width), k.constant(threads), {},
         [&](Val piece, ArrayRef<Val>) {
           body(piece * (width * 2));
           return SmallVector<Val>();
         });
}

static LogicalResult copyRows(KernelBuilder &k, int64_t columns, Val from,
                              Val fromRow, Val to, Val toRow) {
  int64_t width = vectorWidth(columns), threads = threadsFor(columns / width);
  Val source = k.row(from, fromRow, columns * 2);
  Val destination = k.row(to, toRow, columns * 2);
  forPieces(k, columns, threads, width, [&](Val bytes) {
    Type type = width == 1 ? k.f16() : Type(k.vec(width, k.f16()));
    k.store(k.load(type, k.offset(source, bytes)),
            k.offset(destination, bytes));
  });
  k.finish({1, 1, 1}, {1, 0, 0}, threads, 0);
  return success();
}

LogicalResult conversion::emitEmbedding(KernelBuilder &k,
                                        graph::EmbeddingOp op) {
  Val token = k.blockIndex(0);
  Val id = k.load(k.i32(), k.offset(k.operand(0), token << 2));
  return copyRows(k, op.getTable().getType().getDimSize(1), k.operand(1), id,
                  k.result(0), token);
}

LogicalResult conversion::emitStoreRows(KernelBuilder &k,
                                        graph::StoreRowsOp op) {
  Val token = k.blockIndex(0);
  return copyRows(k, op.getRows().getType().getDimSize(1), k.operand(0), token,
                  k.operand(1), token);
}

LogicalResult conversion::emitGatherRows(KernelBuilder &k,
                                         graph::GatherRowsOp op) {
  Val token = k.blockIndex(0);
  Val row = k.load(k.i32(), k.offset(k.operand(1), token << 2));
  return copyRows(k, op.getResult().getType().getDimSize(1), k.operand(0), row,
                  k.result(0), token);
}

LogicalResult conversion::emitAdd(KernelBuilder &k, graph::AddOp op) {
  int64_t columns = op.getResult().getType().getDimSize(1);
  int64_t width = vectorWidth(columns), threads = threadsFor(columns / width);
  Val token = k.blockIndex(0);
  Val lhs = k.row(k.operand(0), token, columns * 2);
  Val rhs = k.row(k.operand(1), token, columns * 2);
  Val out = k.row(k.result(0), token, columns * 2);
  forPieces(k, columns, threads, width, [&](Val bytes) {
    VectorType type = k.vec(width, k.f16());
    Val sum = k.toF32(k.load(type, k.offset(lhs, bytes))) +
              k.toF32(k.load(type, k.offset(rhs, bytes)));
    k.store(k.toF16(sum), k.offset(out, bytes));
  });
  k.finish({1, 1, 1}, {1, 0, 0}, threads, 0);
  return success();
}

//===- AttentionSplit.cpp - Attention spread over the KV length -----------===//
//
// For few tokens (flash-decoding): CTAs share a token's chunks, so that even
// one sequence keeps many SMs busy. What the chunks give is merged in ascending
// order by the kernel of attention_merge, with the same bits as the kernel of
// Attention.cpp, which walks all chunks itself.
//
//===----------------------------------------------------------------------===//

#include "AttentionChunks.h"
#include "Kernels.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

LogicalResult conversion::emitAttentionChunks(KernelBuilder &k,
                                              graph::AttentionChunksOp op) {
  auto columns = [](Value value, int64_t dimension) {
    return cast<ShapedType>(value.getType()).getDimSize(dimension);
  };
  ChunkEmitter emitter(
      k, {cast<MemRefType>(op.getCache().getType()),
          static_cast<int64_t>(op.getHeads()), columns(op.getChunkValues(), 2),
          columns(op.getPageTable(), 1), static_cast<int64_t>(op.getSplits()),
          op.getScale().convertToFloat(), k.operand(1), k.operand(2),
          k.operand(3), k.operand(4), k.operand(5)});
  emitter.locate();
  k.ifThen(k.blockIndex(2) < emitter.chunks(), [&] {
    Val row = k.row(k.operand(0), emitter.token, emitter.heads * emitter.d * 2);
    auto loadQueries = [&] {
      return emitter.loadQueries([&](int i) {
        return k.offset(row, emitter.rowHead[i] * (emitter.d * 2));
      });
    };
    emitter.emitChunks(loadQueries, {k.result(0), k.result(1)});
  });
  k.finish({emitter.tokenCtas(), 1, static_cast<int64_t>(op.getSplits())},
           {0, 1, 0}, ChunkEmitter::kThreads, emitter.sharedBytes());
  return success();
}

//===- DecodeAttention.cpp - Rotation, append and attention of a token ----===//
//
// The kernel of a decode step, in which every sequence has one token: what
// RopeAppend.cpp, AttentionSplit.cpp and the merging in Norm.cpp do one after
// the other, without waiting for each other. CTAs share the chunks of a token
// and KV head:
//
//   the CTA whose chunk ends at the token | the others
//   key rotated, key and value appended   |
//   barrier
//   copies of the first pages start
//   queries of the heads that share the KV head, rotated, to shared memory
//   chunks, to global memory
//   the last CTA to be done merges them in ascending order
//
// The new key and value are read where they were written, by the CTA that wrote
// them: no other chunk has their position.
//
//===----------------------------------------------------------------------===//

#include "AttentionChunks.h"
#include "Kernels.h"
#include "RotaryHead.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

namespace {

class DecodeEmitter {
public:
  DecodeEmitter(KernelBuilder &k, graph::DecodeAttentionOp op);
  LogicalResult emit();

private:
  /// Head `head` of the row that has queries, keys and values.
  Val queryHead(Val head) {
    return k.offset(inputRow(0, queryWidth(), 0), head * (d() * 2));
  }
  Val keyHead() {
    return k.offset(inputRow(1, keyWidth(), queryWidth()),
                    chunks.kvHead * (d() * 2));
  }
  Val valueHead() {
    return k.offset(inputRow(2, keyWidth(), queryWidth() + keyWidth()),
                    chunks.kvHead * (d() * 2));
  }
  Val inputRow(unsigned i, int64_t width, int64_t start);
  /// Loads a head, and rotates it; `norm` is the operand with the weight of its
  /// norm, if it has one.
  WarpHead rotatedHead(Val from, unsigned norm);
  void append();
  SmallVector<Val> rotateQueries();
  void merge(const ChunkResults &parts);
  Val mergePieces(const ChunkResults &parts);
  void storeNothing();

  int64_t d() const { return chunks.d; }
  int64_t queryWidth() const { return chunks.heads * d(); }
  int64_t keyWidth() const { return chunks.pages.cache.kvHeads * d(); }

  KernelBuilder &k;
  graph::DecodeAttentionOp op;
  unsigned inputs;
  int64_t chunkCount, splits;
  ChunkEmitter chunks;
  /// Shared memory: rotated queries, and a flag.
  int64_t queryBytes, flagBytes;
  Val angles, end, counters;
};

int64_t columnsOf(Value value) {
  return cast<ShapedType>(value.getType()).getDimSize(1);
}

int64_t chunksOf(Value pageTable) {
  return (columnsOf(pageTable) + kChunkPages - 1) / kChunkPages;
}

DecodeEmitter::DecodeEmitter(KernelBuilder &k, graph::DecodeAttentionOp op)
    : k(k), op(op), inputs(op.getInputs().size()),
      chunkCount(chunksOf(op.getPageTable())), splits(op.getSplits()),
      chunks(k, {cast<MemRefType>(op.getCache().getType()),
                 static_cast<int64_t>(op.getHeads()), chunkCount,
                 columnsOf(op.getPageTable()), splits,
                 op.getScale().convertToFloat(), k.operand(inputs + 1),
                 k.operand(inputs + 2), k.operand(inputs + 3),
                 k.operand(inputs + 4), k.operand(inputs + 5)}),
      queryBytes(chunks.sharedBytes()),
      flagBytes(queryBytes + chunks.group * chunks.d * 2) {}

Val DecodeEmitter::inputRow(unsigned i, int64_t width, int64_t start) {
  if (inputs == 1)
    return k.offset(
        k.row(k.operand(0), chunks.token, (queryWidth() + 2 * keyWidth()) * 2),
        start * 2);
  return k.row(k.operand(i), chunks.token, width * 2);
}

WarpHead DecodeEmitter::rotatedHead(Val from, unsigned norm) {
  WarpHead head(k, d() / 2);
  head.load(from);
  if (op.getQueryNorm())
    head.normalize(k.operand(norm), op.getEpsilon()->convertToFloat());
  head.rotate(angles);
  return head;
}

/// Warp 0 appends the key, warp 1 the value.
void DecodeEmitter::append() {
  const CachePages &cache = chunks.pages.cache;
  Val page = k.load(
      k.i32(), k.offset(chunks.table, chunks.position / cache.pageTokens << 2));
  Val pages = chunks.pages.headBase(k.operand(inputs + 4),
                                    k.operand(inputs + 5), k.constant(0));
  CacheRow row = {cache, k.row(pages, page, cache.pageBytes()),
                  chunks.position % cache.pageTokens};
  k.ifThen(chunks.warp == 0, [&] {
    WarpHead key = rotatedHead(keyHead(), inputs + 7);
    row.store(k, key, chunks.kvHead, /*isValue=*/false);
  });
  k.ifThen(chunks.warp == 1, [&] {
    WarpHead value(k, d() / 2);
    value.load(valueHead());
    row.store(k, value, chunks.kvHead, /*isValue=*/true);
  });
}

SmallVector<Val> DecodeEmitter::rotateQueries() {
  Val queries = k.shared(queryBytes);
  k.loop(chunks.warp, k.constant(chunks.group),
         k.constant(ChunkEmitter::kWarps), {}, [&](Val row, ArrayRef<Val>) {
           WarpHead head = rotatedHead(
               queryHead(chunks.kvHead * chunks.group + row), inputs + 6);
           head.roundQuery();
           head.storeF16(k.offset(queries, row * (d() * 2)));
           return SmallVector<Val>();
         });
  k.barrier();
  return chunks.loadQueries([&](int i) {
    return k.offset(queries, ((chunks.lane >> 2) + i * 8) * (d() * 2));
  });
}

/// Merges and stores the outputs of the heads that share the KV head; returns
/// the greatest magnitude of those that this thread has.
Val DecodeEmitter::mergePieces(const ChunkResults &parts) {
  constexpr int64_t width = 8;
  // Chunks whose loads are under way together.
  constexpr int64_t together = 4;
  VectorType four = k.vec(4, k.f32());
  int64_t pieces = chunks.group * d() / width;
  auto mergeOne = [&](Val piece) {
    Val head = chunks.kvHead * chunks.group + piece / (d() / width);
    Val column = piece % (d() / width) * width;
    Val first = (chunks.token * chunks.heads + head) * chunkCount;
    SmallVector<Val> merged = k.loop(
        k.constant(0), end, k.constant(together), MergedPiece::none(k).flat(),
        [&](Val chunk, ArrayRef<Val> carried) {
          SmallVector<SmallVector<Val, 3>> loaded;
          for (int64_t i = 0; i < together; ++i) {
            Val place = first + k.min(chunk + i, end - 1);
            Val from =
                k.offset(k.row(parts.values, place, d() * 4), column << 2);
            loaded.push_back(
                {k.load(four, from), k.load(four, k.offset(from, 16)),
                 k.load(k.vec(2, k.f32()), k.row(parts.stats, place, 8))});
          }
          SmallVector<Val> totals(carried);
          for (int64_t i = 0; i < together; ++i) {
            SmallVector<Val> next =
                MergedPiece::fromFlat(totals)
                    .with(k, loaded[i][0], loaded[i][1], loaded[i][2])
                    .flat();
            Val exists = chunk + i < end;
            for (auto [total, value] : llvm::zip_equal(totals, next))
              total = i == 0 ? value : k.select(exists, value, total);
          }
          return totals;
        });
    SmallVector<Val> outputs = MergedPiece::fromFlat(merged).finish(k);
    Val row = k.row(k.result(0), chunks.token, queryWidth() * 2);
    k.store(k.vectorOf(outputs), k.offset(row, (head * d() + column) << 1));
    Val largest = k.constantF32(0.0f);
    for (Val output : outputs)
      largest = k.maxF(largest, k.absF(k.toF32(output)));
    return largest;
  };
  return k.loop(k.threadIndex(), k.constant(pieces),
                k.constant(ChunkEmitter::kThreads), {k.constantF32(0.0f)},
                [&](Val piece, ArrayRef<Val> carried) {
                  return SmallVector<Val>{k.maxF(carried[0], mergeOne(piece))};
                })[0];
}

void DecodeEmitter::merge(const ChunkResults &parts) {
  Val kvHeads = k.constant(chunks.pages.cache.kvHeads);
  Val place = chunks.token * kvHeads + chunks.kvHead;
  Val flag = k.shared(flagBytes);
  // The barriers make one thread's arrival, and what it sees, that of all.
  k.barrier();
  k.ifThen(k.threadIndex() == 0, [&] {
    Val last = k.arriveLast(k.offset(counters, place << 2),
                            k.min(end, k.constant(splits)));
    k.store(k.val(k.create<arith::ExtUIOp>(k.i32(), last.value)), flag);
  });
  k.barrier();
  k.ifThen(k.load(k.i32(), flag) == 1, [&] {
    Val largest = k.blockReduce(mergePieces(parts), Reduction::Max,
                                ChunkEmitter::kThreads, chunks.freeBytes());
    k.ifThen(k.threadIndex() == 0,
             [&] { k.store(largest, k.offset(k.result(1), place << 2)); });
  });
}

/// A row without a token is zeros.
void DecodeEmitter::storeNothing() {
  int64_t pieces = chunks.group * d() / 8;
  Val row = k.offset(k.row(k.result(0), chunks.token, queryWidth() * 2),
                     chunks.kvHead * (chunks.group * d() * 2));
  k.loop(k.threadIndex(), k.constant(pieces),
         k.constant(ChunkEmitter::kThreads), {}, [&](Val piece, ArrayRef<Val>) {
           k.store(k.zeros(k.vec(8, k.f16())), k.offset(row, piece << 4));
           return SmallVector<Val>();
         });
  k.ifThen(k.threadIndex() == 0, [&] {
    Val place = chunks.token * chunks.pages.cache.kvHeads + chunks.kvHead;
    k.store(k.constantF32(0.0f), k.offset(k.result(1), place << 2));
  });
}

LogicalResult DecodeEmitter::emit() {
  // A token's chunks of one KV head are shared by `splits` CTAs.
  int64_t values = chunks.group * chunkCount * d() * 4;
  int64_t stats = chunks.group * chunkCount * 8;
  Val scratch =
      k.scratch(((values + stats + splits - 1) / splits + 15) / 16 * 16);
  counters = k.counters();
  chunks.locate();
  ChunkResults parts = {
      scratch, k.row(scratch, k.tokens() * chunks.pages.cache.kvHeads, values)};
  end = chunks.chunks();
  angles = k.row(k.operand(inputs), chunks.position, d() * 4);
  Val split = k.blockIndex(2);
  k.ifThenElse(
      split < end,
      [&] {
        k.ifThen((end - 1) % splits == split, [&] { append(); });
        k.barrier();
        chunks.emitChunks([&] { return rotateQueries(); }, parts);
        merge(parts);
      },
      [&] { k.ifThen(k.land(end == 0, split == 0), [&] { storeNothing(); }); });
  k.finish({chunks.tokenCtas(), 1, splits}, {0, 1, 0}, ChunkEmitter::kThreads,
           flagBytes + 16);
  return success();
}

} // namespace

LogicalResult conversion::emitDecodeAttention(KernelBuilder &k,
                                              graph::DecodeAttentionOp op) {
  return DecodeEmitter(k, op).emit();
}

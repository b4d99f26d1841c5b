//===- Linear.cpp - The product with 16-bit weights -----------------------===//
//
// For lm_head and other products that stay in fp16: weights [N, K] row-major,
// as they come from the checkpoint. Structure and roles are those of
// Matmul.cpp: weights are the A operand, stages of `k` elements through
// cp.async. A stage is
//
//   weights      [channels][k]   16-byte chunks, chunk c of row r at c ^ (r >>
//   2) activations  [tokens][k]     16-byte chunks, chunk c of row r at c ^ r
//
// both modulo 8. ldmatrix takes its rows by address, so the order of channels
// inside 32 is the quad order of packed weights (row g + 8p of block i is
// channel 4g + 2i + p) at no cost, and the epilogue stores four channels at
// once; the eight rows of one matrix are then four apart, hence r >> 2.
//
// Operands are rounded, in registers, to units that are common to groups of 32
// k of a row, so that the sum over a group is exact on any tensor core
// (docs/numerics.md, N14). Sums of groups are added in ascending order,
// whatever the schedule.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"

#include "odyssey/Layout/PackedWeights.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

namespace {

constexpr int64_t kElementsPerChunk = 8;
constexpr int64_t kStageK = 64;
constexpr int64_t kRowBytes = kStageK * 2;

class LinearEmitter {
public:
  LinearEmitter(KernelBuilder &k, graph::LinearOp op,
                fastgemm::ScheduleAttr schedule);
  void emit();
  int64_t sharedBytes() const { return stages * stageBytes; }

private:
  void locate();
  void startStage(Val slot, Val kTile);
  SmallVector<Val> roundGroup(ArrayRef<Val> pairs);
  void multiplyStage(Val slot, SmallVectorImpl<Val> &sums);
  void epilogue(ArrayRef<Val> sums);

  KernelBuilder &k;
  graph::LinearOp op;
  int64_t n, depth, channels, tokens, threads, stages, kTiles;
  int64_t channelWarps, blocks, tokenBlocks;
  int64_t weightBytes, stageBytes;

  Val channel0, token0, lane, channelWarp, tokenWarp;
  struct Copy {
    Val global, shared, inside, column, active;
  };
  SmallVector<Copy> copies;
};

LinearEmitter::LinearEmitter(KernelBuilder &k, graph::LinearOp op,
                             fastgemm::ScheduleAttr schedule)
    : k(k), op(op), n(op.getWeights().getType().getDimSize(0)),
      depth(op.getWeights().getType().getDimSize(1)),
      channels(schedule.getChannels()), tokens(schedule.getTokens()),
      threads(schedule.getThreads()), stages(schedule.getStages()),
      kTiles((depth + kStageK - 1) / kStageK),
      channelWarps(schedule.getChannelWarps()),
      blocks(channels / channelWarps / 16),
      tokenBlocks(tokens / schedule.getTokenWarps() / 8),
      weightBytes(channels * kRowBytes),
      stageBytes(weightBytes + tokens * kRowBytes) {}

void LinearEmitter::locate() {
  Val thread = k.threadIndex();
  lane = thread & 31;
  Val warp = thread >> 5;
  channelWarp = warp % channelWarps;
  tokenWarp = warp / channelWarps;
  channel0 = k.blockIndex(0) * channels;
  token0 = k.blockIndex(1) * tokens;

  auto addCopies = [&](Val base, Val first, Val limit, int64_t rows,
                       int64_t sharedStart, int64_t rowShift) {
    int64_t chunks = rows * 8;
    for (int64_t start = 0; start < chunks; start += threads) {
      Val chunk = k.threadIndex() + start;
      Val column = chunk & 7;
      Val row = chunk >> 3;
      Copy copy;
      copy.inside = first + row < limit;
      Val source = k.select(copy.inside, first + row, k.constant(0));
      copy.column = column;
      copy.global = k.offset(k.row(base, source, depth * 2), column << 4);
      copy.shared = (row * kRowBytes) +
                    ((column ^ ((row >> k.constant(rowShift)) & 7)) << 4) +
                    sharedStart;
      if (start + threads > chunks)
        copy.active = chunk < chunks;
      copies.push_back(copy);
    }
  };
  addCopies(k.operand(1), channel0, k.constant(n), channels, 0, 2);
  addCopies(k.operand(0), token0, k.tokens(), tokens, weightBytes, 0);
}

void LinearEmitter::startStage(Val slot, Val kTile) {
  Val stage = slot * stageBytes;
  for (const Copy &copy : copies) {
    auto issue = [&] {
      Val inside = copy.inside;
      Val source = k.offset(copy.global, kTile * kRowBytes);
      if (depth % kStageK != 0) {
        Val chunk = (kTile << 3) + copy.column;
        Val insideK = chunk < depth / kElementsPerChunk;
        inside = inside & insideK;
        source = k.select(insideK, source, copy.global);
        // The first column of a row is always there.
        source = k.select(inside, source, k.operand(1));
      }
      Val valid = k.select(inside, k.constant(16), k.constant(0));
      k.create<fastgemm::AsyncCopyOp>(
          k.offset(k.shared(), stage + copy.shared).value, source.value,
          k.getI32IntegerAttr(16), valid.value);
    };
    if (copy.active.value)
      k.ifThen(copy.active, issue);
    else
      issue();
  }
}

/// A row's 32 neighbouring elements, of which four lanes have eight each, as
/// pairs: rounded to a multiple of 2^(E - 9), where 2^E is the least power of
/// two above all magnitudes. A sum with 3 * 2^E has that unit.
SmallVector<Val> LinearEmitter::roundGroup(ArrayRef<Val> pairs) {
  VectorType halves = k.vec(2, k.f16());
  auto largest = [&](Val a, Val b) {
    return k.bitcast(
        k.val(k.create<arith::MaxNumFOp>(k.bitcast(a, halves).value,
                                         k.bitcast(b, halves).value)),
        k.i32());
  };
  constexpr int64_t magnitudes = 0x7FFF7FFF;
  Val most = pairs[0] & magnitudes;
  for (Val pair : pairs.drop_front())
    most = largest(most, pair & magnitudes);
  for (int64_t mask : {2, 1})
    most = largest(most, k.shuffleXor(most, mask));
  // fp16 ends at 2^16: what is not below 2^14 stays as it is.
  constexpr int64_t exponent = 0x7C00, ofSum = 0x0A00, mostExponent = 28 << 10;
  Val low = most & exponent, high = (most >> 16) & exponent;
  Val greatest = k.select(low < high, high, low);
  Val half = k.select(k.constant(mostExponent) < greatest, k.constant(0),
                      greatest + ofSum);
  Val shift = k.bitcast(half | (half << 16), halves);
  SmallVector<Val> rounded;
  for (Val pair : pairs)
    rounded.push_back(
        k.bitcast((k.bitcast(pair, halves) + shift) - shift, k.i32()));
  return rounded;
}

void LinearEmitter::multiplyStage(Val slot, SmallVectorImpl<Val> &sums) {
  VectorType registers = k.vec(4, k.i32());
  Val stage = k.offset(k.shared(), slot * stageBytes);
  Val matrix = lane >> 3, inMatrix = lane & 7;
  auto load = [&](Val base, Val row, Val column, int64_t rowShift) {
    Val swizzled = (column ^ ((row >> k.constant(rowShift)) & 7)) << 4;
    Val address = k.offset(base, row * kRowBytes + swizzled);
    return k.val(
        k.create<fastgemm::LoadMatrixOp>(registers, address.value, UnitAttr()));
  };
  auto unpack = [&](Val vector) {
    SmallVector<Val> elements;
    for (int64_t i = 0; i < 4; ++i)
      elements.push_back(k.extract(vector, i));
    return elements;
  };
  // Two k16 steps at a time, a group: one ldmatrix.x4 feeds 8 tokens for both.
  for (int64_t half = 0; half < 2; ++half) {
    SmallVector<SmallVector<Val>> b;
    for (int64_t j = 0; j < tokenBlocks; ++j) {
      Val row = tokenWarp * (tokenBlocks * 8) + inMatrix + j * 8;
      b.push_back(roundGroup(unpack(
          load(k.offset(stage, weightBytes), row, matrix + half * 4, 0))));
    }
    for (int64_t i = 0; i < blocks; ++i) {
      // Matrices of an A fragment: (rows 0-7, k 0-7), (8-15, 0-7),
      // (0-7, 8-15), (8-15, 8-15); row g + 8p is channel 4g + 2i + p.
      Val p = matrix & 1;
      Val row = channelWarp * (blocks * 16) + (inMatrix << 2) + p +
                (i / 2 * 32 + i % 2 * 2);
      SmallVector<Val> rows[2];
      for (int64_t step = 0; step < 2; ++step) {
        SmallVector<Val> a =
            unpack(load(stage, row, (matrix >> 1) + (half * 4 + step * 2), 2));
        for (int64_t part = 0; part < 4; ++part)
          rows[part % 2].push_back(a[part]);
      }
      for (SmallVector<Val> &pairs : rows)
        pairs = roundGroup(pairs);
      Val a[2];
      for (int64_t step = 0; step < 2; ++step)
        a[step] = k.vectorOf({rows[0][2 * step], rows[1][2 * step],
                              rows[0][2 * step + 1], rows[1][2 * step + 1]});
      for (int64_t j = 0; j < tokenBlocks; ++j) {
        Val group = k.zeros(k.vec(4, k.f32()));
        for (int64_t step = 0; step < 2; ++step)
          group = k.mmaF16(
              a[step], k.vectorOf({b[j][2 * step], b[j][2 * step + 1]}), group);
        Val &sum = sums[i * tokenBlocks + j];
        sum = sum + group;
      }
    }
  }
}

void LinearEmitter::epilogue(ArrayRef<Val> sums) {
  Type element = op.getResult().getType().getElementType();
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  /// What is stored of a sum of `channel`.
  auto finish = [&](Val sum, Val channel) {
    if (op.getBias())
      sum =
          sum + k.toF32(k.load(k.f16(), k.offset(k.operand(2), channel << 1)));
    return element.isF32() ? sum : k.toF16(sum);
  };
  Val g = lane >> 2, t = lane & 3;
  Val warpChannel = channel0 + channelWarp * (blocks * 16) + (g << 2);
  Val warpToken = token0 + tokenWarp * (tokenBlocks * 8) + (t << 1);
  for (int64_t pair = 0; pair < blocks; pair += 2) {
    Val channel = warpChannel + pair * 16;
    for (int64_t j = 0; j < tokenBlocks; ++j)
      for (int64_t column = 0; column < 2; ++column) {
        Val token = warpToken + (j * 8 + column);
        SmallVector<Val> quad;
        for (int64_t i = 0; i < 2; ++i)
          for (int64_t p = 0; p < 2; ++p) {
            Val sum =
                k.extract(sums[(pair + i) * tokenBlocks + j], column + 2 * p);
            quad.push_back(sum);
          }
        k.ifThen((token < k.tokens()) & (channel < n), [&] {
          Val address =
              k.offset(k.row(k.result(0), token, n * bytes), channel * bytes);
          if (n % 4 == 0) {
            for (auto [i, value] : llvm::enumerate(quad))
              value = finish(value, channel + i);
            k.store(k.vectorOf(quad), address);
            return;
          }
          for (auto [i, value] : llvm::enumerate(quad))
            k.ifThen(channel + i < n, [&, i = i, value = value] {
              k.store(finish(value, channel + i), k.offset(address, i * bytes));
            });
        });
      }
  }
}

void LinearEmitter::emit() {
  locate();
  Val zero = k.constant(0), one = k.constant(1);
  Val tiles = k.constant(kTiles);
  for (int64_t stage = 0; stage < stages - 1; ++stage) {
    if (stage < kTiles)
      startStage(k.constant(stage), k.constant(stage));
    k.create<fastgemm::AsyncCommitOp>();
  }
  SmallVector<Val> init = {zero, k.constant(stages - 1)};
  init.append(blocks * tokenBlocks, k.zeros(k.vec(4, k.f32())));
  auto nextSlot = [&](Val slot) {
    Val next = slot + 1;
    return k.select(next == stages, zero, next);
  };
  SmallVector<Val> last =
      k.loop(zero, tiles, one, init, [&](Val kTile, ArrayRef<Val> carried) {
        Val reading = carried[0], filling = carried[1];
        SmallVector<Val> sums(carried.drop_front(2));
        k.create<fastgemm::AsyncWaitOp>(k.getI32IntegerAttr(stages - 2));
        // Also says that every warp is done with the slot filled next.
        k.barrier();
        Val ahead = kTile + (stages - 1);
        k.ifThen(ahead < tiles, [&] { startStage(filling, ahead); });
        k.create<fastgemm::AsyncCommitOp>();
        multiplyStage(reading, sums);
        SmallVector<Val> result = {nextSlot(reading), nextSlot(filling)};
        result.append(sums);
        return result;
      });
  epilogue(ArrayRef<Val>(last).drop_front(2));
}

} // namespace

LogicalResult conversion::emitLinear(KernelBuilder &k, graph::LinearOp op) {
  fastgemm::ScheduleAttr schedule = op.getScheduleAttr();
  if (!schedule)
    return op.emitOpError() << "expects a schedule (run odyssey-schedule)";
  if (schedule.getPath() != fastgemm::Path::MmaSync ||
      schedule.getK() != kStageK || schedule.getSplitK() != 1 ||
      schedule.getStreamK() != 0)
    return op.emitOpError()
           << "expects a schedule of path mma_sync with k = " << kStageK
           << ", without split_k and stream_k";
  auto type = op.getWeights().getType();
  if (type.getDimSize(1) % kElementsPerChunk != 0)
    return op.emitOpError()
           << "expects K to be a multiple of " << kElementsPerChunk << ", got "
           << type.getDimSize(1);
  LinearEmitter emitter(k, op, schedule);
  emitter.emit();
  int64_t tiles = (type.getDimSize(0) + schedule.getChannels() - 1) /
                  schedule.getChannels();
  k.finish({tiles, 1, 1}, {0, schedule.getTokens(), 0}, schedule.getThreads(),
           emitter.sharedBytes());
  return success();
}

//===- Matmul.cpp - The integer product for the mma_sync path -------------===//
//
// Y^T = W X^T: weights are the A operand (16 output channels a fragment),
// tokens the B side. A CTA owns a tile of `channels` x `tokens`; its warps
// divide it. K advances in stages of `k` through a ring of shared memory
// buffers filled by cp.async; a stage is k / 64 sub-steps, and per sub-step a
// lane reads 16 bytes of packed weights per 16 channels (no bank conflicts, no
// shuffles) and one ldmatrix.x4 per 8 tokens. The fragments of the next
// sub-step are loaded before the products of this one are issued (register
// double buffering).
//
// A stage in shared memory, for S = k / 64:
//   weights      [S][channels / 16][512 bytes]       as packed
//   activations  [S][tokens][64 bytes]               16-byte chunks swizzled
//   multipliers  [k / span][channels / 2 bytes]      where there are groups
// Weights of 8 bits have 1024 bytes to 16 channels, a fragment of 512 for each
// k32 step, of which a lane reads 16 bytes each, with nothing to unpack.
// Chunk c of token m stands at c ^ ((m >> 1) & 3): the eight rows that one
// 8x8 matrix of ldmatrix reads then fall into eight different bank groups.
//
// A row of multipliers serves `span` input channels: a group or, where groups
// of 128 meet stages of an odd number of sub-steps, one sub-step of it.
//
// Tokens behind M are read as zeros and not stored. Channels behind N are
// zeros by packing and not stored.
//
// The stages of a tile may be divided among CTAs (PartialSums.h). With split_k
// = S, CTA z of S takes stages z T / S to (z + 1) T / S of the tile's T. With
// stream_k = C, the T stages of all tiles stand in one row, tile after tile,
// tiles of the same channels together so that they share their weights in the
// L2 cache, and CTA c of C takes the c-th part of it: the end of one tile,
// whole tiles, the beginning of another.
//
//===----------------------------------------------------------------------===//

#include "Kernels.h"
#include "PartialSums.h"
#include "ProductEpilogue.h"

#include "odyssey/Layout/PackedMultipliers.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

int64_t conversion::rowStride(Value activations) {
  auto type = cast<RankedTensorType>(activations.getType());
  if (auto rows = dyn_cast_or_null<fastgemm::RowsAttr>(type.getEncoding()))
    return rows.getStride();
  return type.getDimSize(1);
}

namespace {

/// The numbers of one kernel, all known at compile time.
struct MatmulShape {
  MatmulShape(graph::MatmulOp op, fastgemm::ScheduleAttr schedule,
              layout::PackedWeights packed, int64_t stride)
      : schedule(schedule), packed(packed), n(op.getN()),
        activationStride(stride) {
    channels = schedule.getChannels(), tokens = schedule.getTokens();
    threads = schedule.getThreads(), stages = schedule.getStages();
    subSteps = schedule.getK() / layout::kBlockK;
    kTiles = packed.paddedK() / schedule.getK();
    channelTiles = packed.paddedN() / channels;
    blocks = channels / schedule.getChannelWarps() / layout::kBlockChannels;
    tokenBlocks = tokens / schedule.getTokenWarps() / 8;
    weightBytes = schedule.getWeightBytes(op.getWeightFormat());
    multiplierOffset = weightBytes + schedule.getActivationBytes();
    groupSize = op.getGroupSizeOrZero();
    stageBytes = multiplierOffset + schedule.getMultiplierBytes(groupSize);
    if (groupSize != 0) {
      span = schedule.getMultiplierSpan(groupSize);
      multipliers = {n, layout::groupCount(op.getK(), groupSize), groupSize,
                     packed.panelChannels};
    }
  }

  /// Words of multipliers, 4 channels each, that a lane reads per sub-step and
  /// pair of blocks: one for each group that begins in it, at least one.
  int64_t multiplierWords() const {
    return groupSize == 0 ? 0 : std::max<int64_t>(layout::kBlockK / span, 1);
  }

  fastgemm::ScheduleAttr schedule;
  layout::PackedWeights packed;
  int64_t n, activationStride;
  int64_t channels, tokens, threads, stages;
  /// Sub-steps of 64 k per stage, and stages to walk over all of K.
  int64_t subSteps, kTiles;
  /// Tiles over all of N.
  int64_t channelTiles;
  /// Fragments of a warp: blocks of 16 channels, blocks of 8 tokens.
  int64_t blocks, tokenBlocks;
  /// Shared memory of one stage: its weights, where its multipliers begin, and
  /// all of it.
  int64_t weightBytes, multiplierOffset, stageBytes;
  /// 0 without groups; then the rest is of no meaning.
  int64_t groupSize;
  /// Input channels that a row of multipliers in a stage serves.
  int64_t span = 0;
  layout::PackedMultipliers multipliers = {};
};

/// Register fragments of one sub-step of 64 k.
struct Fragments {
  /// Per block of 16 channels: its pieces, 16 bytes each of packed weights.
  SmallVector<Val> weights;
  /// Per pair of blocks: multiplierWords() words with the multipliers of
  /// channel 4g + j of the pair's 32 in bits 4j to 4j + 3.
  SmallVector<Val> multipliers;
  /// Per 8 tokens: the four B registers of two k-steps.
  SmallVector<Val> activations;

  SmallVector<Val> flat() const {
    SmallVector<Val> all(weights);
    all.append(multipliers);
    all.append(activations);
    return all;
  }
  static Fragments fromFlat(ArrayRef<Val> all, const MatmulShape &shape) {
    int64_t pieces = shape.blocks * shape.packed.pieces();
    int64_t words = shape.blocks / 2 * shape.multiplierWords();
    return {SmallVector<Val>(all.take_front(pieces)),
            SmallVector<Val>(all.slice(pieces, words)),
            SmallVector<Val>(all.drop_front(pieces + words))};
  }
};

/// What one CTA sums at a time: of one tile the stages from `from` on.
struct Segment {
  /// The tile's place in the grid of tiles, as i32.
  Val channelTile, tokenTile;
  /// The first stage and their number, i32, and the least that it can be.
  Val from, count;
  int64_t leastCount;
};

class MatmulEmitter {
public:
  MatmulEmitter(KernelBuilder &k, graph::MatmulOp op, const MatmulShape &shape)
      : k(k), shape(shape), product(k, op) {
    if (op.getMultipliers())
      allMultipliers = k.operand(op.getMultipliersMutable()[0]);
  }

  void emit();

private:
  /// Of one copy of this thread: global address at the segment's first stage,
  /// offset in a stage and, for activations, the bytes that are valid (16, or 0
  /// behind M).
  struct Copy {
    Val global, shared, valid;
    int64_t bytesPerTile;
    /// Set when only some threads take part in this copy.
    Val active;
    /// Set for multipliers where stages begin inside groups: the sub-step, from
    /// k = 0 on, that the segment's first stage needs them for. `global` is
    /// then that of group 0.
    Val subStep = {};
  };

  void emitSplitK();
  void emitStreamK();
  void locate();
  SmallVector<Copy> planCopies(const Segment &segment);
  Val sourceOf(const Copy &copy, Val kTile);
  void startStage(ArrayRef<Copy> copies, Val slot, Val kTile);
  void planMultiplierCopies(const Segment &segment,
                            SmallVectorImpl<Copy> &copies);
  Fragments loadFragments(Val slot, int64_t subStep);
  Val loadMultipliers(Val stage, int64_t k, int64_t pair);
  fastgemm::DequantGroupsOp dequantGroups(const Fragments &fragments,
                                          int64_t block);
  std::array<Value, 2> unpack(const Fragments &fragments, int64_t block);
  void multiply(const Fragments &fragments, SmallVectorImpl<Val> &sums);
  SmallVector<Val> sumUp(const Segment &segment);
  void epilogue(const Segment &segment, ArrayRef<Val> sums);
  int64_t sumCount() const { return shape.blocks * shape.tokenBlocks; }
  /// All threads. Behind the last stage nobody reads the ring.
  SummingThreads summingThreads() {
    return {shape.threads, [this] { k.barrier(); }, k.shared()};
  }

  KernelBuilder &k;
  const MatmulShape &shape;
  ProductEpilogue product;

  Val lane, channelWarp, tokenWarp;
  /// Address in stage 0 of this lane's weights, of its ldmatrix row and, where
  /// there are groups, of its multipliers.
  Val laneWeights, laneActivations, laneMultipliers;
  /// Where all packed multipliers are.
  Val allMultipliers;
};

/// Where this thread stands in a tile.
void MatmulEmitter::locate() {
  Val thread = k.threadIndex();
  lane = thread & 31;
  Val warp = thread >> 5;
  channelWarp = warp % shape.schedule.getChannelWarps();
  tokenWarp = warp / shape.schedule.getChannelWarps();
  laneWeights = k.offset(
      k.shared(),
      channelWarp * (shape.blocks * shape.packed.blockBytes()) + (lane << 4));
  // Lane 8i + r gives ldmatrix row r of matrix i, which is chunk i of token r.
  Val row = tokenWarp * (shape.tokenBlocks * 8) + (lane & 7);
  Val column = (lane >> 3) ^ ((row >> 1) & 3);
  laneActivations =
      k.offset(k.shared(shape.weightBytes), row * 64 + (column << 4));
  if (shape.groupSize == 0)
    return;
  Val warpChannel = channelWarp * (shape.blocks * layout::kBlockChannels);
  laneMultipliers = k.offset(k.shared(shape.multiplierOffset),
                             (warpChannel >> 1) + ((lane >> 2) << 1));
}

/// What this thread copies in every stage of a segment.
SmallVector<MatmulEmitter::Copy>
MatmulEmitter::planCopies(const Segment &segment) {
  SmallVector<Copy> copies;
  Val thread = k.threadIndex();
  // Weights: 16-byte chunks in the order of the stage: [sub-step][block][lane].
  int64_t ctaBlocks = shape.channels / layout::kBlockChannels;
  int64_t panelBlocks = shape.packed.panelChannels / layout::kBlockChannels;
  int64_t chunks = shape.weightBytes / 16;
  int64_t blockChunks = shape.packed.blockBytes() / 16;
  for (int64_t first = 0; first < chunks; first += shape.threads) {
    Val chunk = thread + first;
    Val subStep = chunk / (ctaBlocks * blockChunks);
    Val block =
        chunk / blockChunks % ctaBlocks + segment.channelTile * ctaBlocks;
    Val panel = block / panelBlocks;
    Val inPanel = block % panelBlocks * shape.packed.blockBytes() +
                  subStep * shape.packed.stepBytes() +
                  ((chunk % blockChunks) << 4);
    Copy copy;
    copy.bytesPerTile = shape.subSteps * shape.packed.stepBytes();
    copy.global = k.offset(
        k.row(k.operand(2), panel, shape.packed.panelBytes()), inPanel);
    copy.shared = chunk << 4;
    if (first + shape.threads > chunks)
      copy.active = chunk < chunks;
    copies.push_back(copy);
  }

  // Activations: [sub-step][token][chunk of 16].
  chunks = shape.tokens * shape.subSteps * 4;
  for (int64_t first = 0; first < chunks; first += shape.threads) {
    Val chunk = thread + first;
    Val column = chunk & 3;
    Val row = (chunk >> 2) % shape.tokens;
    Val subStep = chunk / (4 * shape.tokens);
    Val token = segment.tokenTile * shape.tokens + row;
    Val inside = token < k.tokens();
    // Rows behind M read from row 0, of which 0 bytes are valid.
    Val source = k.select(inside, token, k.constant(0));
    Copy copy;
    copy.bytesPerTile = shape.schedule.getK();
    copy.global = k.offset(k.row(k.operand(0), source, shape.activationStride),
                           (subStep << 6) + (column << 4));
    copy.shared = (subStep * shape.tokens + row) * 64 +
                  ((column ^ ((row >> 1) & 3)) << 4) + shape.weightBytes;
    copy.valid = k.select(inside, k.constant(16), k.constant(0));
    if (first + shape.threads > chunks)
      copy.active = chunk < chunks;
    copies.push_back(copy);
  }
  for (Copy &copy : copies)
    copy.global = k.offset(copy.global, segment.from * copy.bytesPerTile);
  if (shape.groupSize != 0)
    planMultiplierCopies(segment, copies);
  return copies;
}

/// The multipliers' part of planCopies: 16-byte chunks, those of 32 channels of
/// a row, in the order of the stage.
void MatmulEmitter::planMultiplierCopies(const Segment &segment,
                                         SmallVectorImpl<Copy> &copies) {
  int64_t rowBytes = shape.multipliers.rowBytes();
  int64_t rowChunks = shape.channels / layout::kQuadChannels;
  int64_t chunks = shape.schedule.getMultiplierBytes(shape.groupSize) / 16;
  int64_t rows = shape.schedule.getK() / shape.span;
  for (int64_t first = 0; first < chunks; first += shape.threads) {
    Val chunk = k.threadIndex() + first;
    Val row = segment.from * rows + chunk / rowChunks;
    Val channel = segment.channelTile * shape.channels +
                  chunk % rowChunks * layout::kQuadChannels;
    Val panel = channel / shape.packed.panelChannels;
    Val inPanel = (channel % shape.packed.panelChannels) >> 1;
    Copy copy;
    copy.bytesPerTile = rows * rowBytes;
    copy.global = k.offset(
        k.row(allMultipliers, panel, shape.multipliers.panelBytes()), inPanel);
    copy.shared = (chunk << 4) + shape.multiplierOffset;
    if (shape.span == shape.groupSize)
      copy.global = k.row(copy.global, row, rowBytes);
    else
      copy.subStep = row;
    if (first + shape.threads > chunks)
      copy.active = chunk < chunks;
    copies.push_back(copy);
  }
}

/// The global address of a copy for the segment's stage `kTile`.
Val MatmulEmitter::sourceOf(const Copy &copy, Val kTile) {
  if (!copy.subStep.value)
    return k.offset(copy.global, kTile * copy.bytesPerTile);
  Val subStep = copy.subStep + kTile * shape.subSteps;
  Val group = subStep / (shape.groupSize / shape.span);
  return k.row(copy.global, group, shape.multipliers.rowBytes());
}

/// Starts the copies of the segment's stage `kTile` into ring buffer `slot`.
void MatmulEmitter::startStage(ArrayRef<Copy> copies, Val slot, Val kTile) {
  Val stage = slot * shape.stageBytes;
  for (const Copy &copy : copies) {
    auto issue = [&] {
      Val source = sourceOf(copy, kTile);
      Val destination = k.offset(k.shared(), stage + copy.shared);
      k.create<fastgemm::AsyncCopyOp>(destination.value, source.value,
                                      k.getI32IntegerAttr(16),
                                      copy.valid.value);
    };
    if (copy.active.value)
      k.ifThen(copy.active, issue);
    else
      issue();
  }
}

Fragments MatmulEmitter::loadFragments(Val slot, int64_t subStep) {
  Fragments fragments;
  VectorType registers = k.vec(4, k.i32());
  Val stage = slot * shape.stageBytes;
  Val weights = k.offset(k.offset(laneWeights, stage),
                         subStep * shape.channels / layout::kBlockChannels *
                             shape.packed.blockBytes());
  for (int64_t i = 0; i < shape.blocks * shape.packed.pieces(); ++i)
    fragments.weights.push_back(
        k.load(registers, k.offset(weights, i * layout::kPieceBytes)));
  for (int64_t pair = 0; pair < shape.blocks / 2; ++pair)
    for (int64_t word = 0; word < shape.multiplierWords(); ++word)
      fragments.multipliers.push_back(loadMultipliers(
          stage, subStep * layout::kBlockK + word * shape.span, pair));
  Val activations =
      k.offset(k.offset(laneActivations, stage), subStep * shape.tokens * 64);
  for (int64_t j = 0; j < shape.tokenBlocks; ++j)
    fragments.activations.push_back(k.val(k.create<fastgemm::LoadMatrixOp>(
        registers, k.offset(activations, j * 8 * 64).value, UnitAttr())));
  return fragments;
}

/// This lane's multipliers of a pair of blocks at input channel `inputChannel`
/// of the stage.
Val MatmulEmitter::loadMultipliers(Val stage, int64_t inputChannel,
                                   int64_t pair) {
  int64_t row = inputChannel / shape.span;
  Val address =
      k.offset(k.offset(laneMultipliers, stage),
               row * shape.channels / 2 + pair * layout::kQuadChannels / 2);
  Val word = k.load(k.getIntegerType(16), address);
  return k.val(k.create<arith::ExtUIOp>(k.i32(), word.value));
}

/// Unpacks a block's weights with the multipliers of its rows. Row g + 8p of
/// block i of a pair is channel 4g + 2i + p.
fastgemm::DequantGroupsOp
MatmulEmitter::dequantGroups(const Fragments &fragments, int64_t block) {
  int64_t words = shape.multiplierWords();
  SmallVector<Val> multipliers;
  for (int64_t step = 0; step < 2; ++step)
    for (int64_t p = 0; p < 2; ++p) {
      Val word = fragments.multipliers[block / 2 * words + step % words];
      int64_t nibble = 2 * (block % 2) + p;
      Val shifted = nibble == 0 ? word : word >> 4 * nibble;
      multipliers.push_back(shifted & layout::kMaxMultiplier);
    }
  return k.create<fastgemm::DequantGroupsOp>(fragments.weights[block].value,
                                             k.vectorOf(multipliers).value);
}

/// The A fragments of a block, for the two k32 steps.
std::array<Value, 2> MatmulEmitter::unpack(const Fragments &fragments,
                                           int64_t block) {
  if (shape.packed.bits == 8)
    return {fragments.weights[2 * block], fragments.weights[2 * block + 1]};
  Operation *dequant =
      shape.groupSize == 0
          ? k.create<fastgemm::DequantOp>(fragments.weights[block].value)
          : dequantGroups(fragments, block).getOperation();
  return {dequant->getResult(0), dequant->getResult(1)};
}

/// sums[i][j] += 16 channels of block i x 8 tokens of block j, over 64 k.
void MatmulEmitter::multiply(const Fragments &fragments,
                             SmallVectorImpl<Val> &sums) {
  for (int64_t i = 0; i < shape.blocks; ++i) {
    std::array<Value, 2> steps = unpack(fragments, i);
    for (int64_t step = 0; step < 2; ++step) {
      Value a = steps[step];
      for (int64_t j = 0; j < shape.tokenBlocks; ++j) {
        Value b = k.create<vector::ExtractStridedSliceOp>(
            fragments.activations[j].value, ArrayRef<int64_t>{2 * step},
            ArrayRef<int64_t>{2}, ArrayRef<int64_t>{1});
        Val &sum = sums[i * shape.tokenBlocks + j];
        sum = k.val(k.create<fastgemm::MmaS8Op>(sum.type(), a, b, sum.value));
      }
    }
  }
}

/// The sums of a segment, as this thread's accumulators: block i of 16 channels
/// and j of 8 tokens at i * tokenBlocks + j.
SmallVector<Val> MatmulEmitter::sumUp(const Segment &segment) {
  SmallVector<Copy> copies = planCopies(segment);
  int64_t stages = shape.stages;
  Val zero = k.constant(0), one = k.constant(1);

  for (int64_t stage = 0; stage < stages - 1; ++stage) {
    auto start = [&] {
      startStage(copies, k.constant(stage), k.constant(stage));
    };
    if (stage < segment.leastCount)
      start();
    else if (stage < shape.kTiles)
      k.ifThen(k.constant(stage) < segment.count, start);
    k.create<fastgemm::AsyncCommitOp>();
  }
  k.create<fastgemm::AsyncWaitOp>(k.getI32IntegerAttr(stages - 2));
  k.barrier();

  // Carried: slot being read, slot being filled, sums, fragments.
  SmallVector<Val> init = {zero, k.constant(stages - 1)};
  init.append(sumCount(), k.zeros(k.vec(4, k.i32())));
  init.append(loadFragments(zero, 0).flat());

  auto nextSlot = [&](Val slot) {
    Val next = slot + 1;
    return k.select(next == stages, zero, next);
  };
  auto stage = [&](Val kTile, ArrayRef<Val> carried) {
    Val reading = carried[0], filling = carried[1];
    SmallVector<Val> sums(carried.slice(2, sumCount()));
    Fragments current =
        Fragments::fromFlat(carried.drop_front(2 + sumCount()), shape);

    // The slot being filled was read in the last iteration; its barrier came
    // after those reads.
    Val ahead = kTile + (stages - 1);
    k.ifThen(ahead < segment.count,
             [&] { startStage(copies, filling, ahead); });
    k.create<fastgemm::AsyncCommitOp>();

    Val next = nextSlot(reading);
    for (int64_t subStep = 0; subStep < shape.subSteps; ++subStep) {
      Fragments following;
      if (subStep + 1 < shape.subSteps) {
        following = loadFragments(reading, subStep + 1);
      } else {
        k.create<fastgemm::AsyncWaitOp>(k.getI32IntegerAttr(stages - 2));
        k.barrier();
        // Behind the last stage there is nothing to load: read the first
        // fragments of this one again, which are there.
        Val source = k.select(kTile + 1 < segment.count, next, reading);
        following = loadFragments(source, 0);
      }
      multiply(current, sums);
      current = following;
    }
    SmallVector<Val> result = {next, nextSlot(filling)};
    result.append(sums);
    result.append(current.flat());
    return result;
  };
  SmallVector<Val> last = k.loop(zero, segment.count, one, init, stage);
  return SmallVector<Val>(ArrayRef<Val>(last).slice(2, sumCount()));
}

void MatmulEmitter::epilogue(const Segment &segment, ArrayRef<Val> sums) {
  Val g = lane >> 2, t = lane & 3;
  Val warpChannel = segment.channelTile * shape.channels +
                    channelWarp * (shape.blocks * 16) + (g << 2);
  Val warpToken = segment.tokenTile * shape.tokens +
                  tokenWarp * (shape.tokenBlocks * 8) + (t << 1);
  for (int64_t pair = 0; pair < shape.blocks; pair += 2) {
    Val channel = warpChannel + pair * 16;
    k.ifThen(channel < shape.n, [&] {
      for (int64_t j = 0; j < shape.tokenBlocks; ++j)
        for (int64_t column = 0; column < 2; ++column) {
          Val token = warpToken + (j * 8 + column);
          // Channel 4g + 2i + p is element (column + 2p) of block pair + i.
          SmallVector<Val> quad;
          for (int64_t i = 0; i < 2; ++i)
            for (int64_t p = 0; p < 2; ++p)
              quad.push_back(k.extract(sums[(pair + i) * shape.tokenBlocks + j],
                                       column + 2 * p));
          k.ifThen(token < k.tokens(),
                   [&] { product.store(token, channel, quad); });
        }
    });
  }
}

void MatmulEmitter::emit() {
  locate();
  if (shape.schedule.getStreamK() > 0)
    return emitStreamK();
  if (shape.schedule.getSplitK() > 1)
    return emitSplitK();
  Segment segment = {k.blockIndex(0), k.blockIndex(1), k.constant(0),
                     k.constant(shape.kTiles), shape.kTiles};
  epilogue(segment, sumUp(segment));
}

void MatmulEmitter::emitSplitK() {
  int64_t splits = shape.schedule.getSplitK();
  PartialSums partials(k, summingThreads(), sumCount(), /*slotsPerCta=*/1);
  Val self = k.blockIndex(2);
  Val from = self * shape.kTiles / splits;
  Val to = (self + 1) * shape.kTiles / splits;
  Segment segment = {k.blockIndex(0), k.blockIndex(1), from, to - from,
                     shape.kTiles / splits};
  SmallVector<Val> sums = sumUp(segment);
  Val tile = segment.tokenTile * shape.channelTiles + segment.channelTile;
  auto slotOf = [&](Val cta) { return tile * splits + cta; };
  partials.combine(sums, {k.constant(splits), self, tile, slotOf},
                   [&](ArrayRef<Val> total) { epilogue(segment, total); });
}

void MatmulEmitter::emitStreamK() {
  PartialSums partials(k, summingThreads(), sumCount(),
                       StreamParts::kSlotsPerCta);
  Val tokenTiles = (k.tokens() + (shape.tokens - 1)) / shape.tokens;
  Val kTiles = k.constant(shape.kTiles), cta = k.blockIndex(0);
  StreamParts parts(k, tokenTiles * shape.channelTiles, shape.channelTiles,
                    shape.kTiles, shape.schedule.getStreamK());
  Val begin = parts.begin(cta), end = parts.begin(cta + 1);
  Val firstTile = begin / kTiles, tilesEnd = (end - 1) / kTiles + 1;
  k.loop(firstTile, tilesEnd, k.constant(1), {}, [&](Val tile, ArrayRef<Val>) {
    Val tileBegin = tile * shape.kTiles, tileEnd = tileBegin + shape.kTiles;
    Val from = k.select(begin < tileBegin, tileBegin, begin);
    Val to = k.min(end, tileEnd);
    Segment segment = {tile / tokenTiles, tile % tokenTiles, from - tileBegin,
                       to - from, 1};
    // Shared memory is still being read for the tile before.
    k.barrier();
    SmallVector<Val> sums = sumUp(segment);
    partials.combineIfShared(
        sums, parts.shareOf(tile, cta),
        [&](ArrayRef<Val> total) { epilogue(segment, total); });
    return SmallVector<Val>();
  });
}

} // namespace

LogicalResult conversion::emitMatmul(KernelBuilder &k, graph::MatmulOp op) {
  fastgemm::ScheduleAttr schedule = op.getScheduleAttr();
  if (!schedule)
    return op.emitOpError() << "expects a schedule (run odyssey-schedule)";
  auto packed = dyn_cast_or_null<fastgemm::PackedAttr>(
      op.getWeights().getType().getEncoding());
  if (!packed)
    return op.emitOpError()
           << "expects packed weights (run odyssey-pack-weights)";
  if (schedule.getPath() == fastgemm::Path::Wgmma)
    return emitMatmulWgmma(k, op, packed);
  layout::PackedWeights weights{op.getN(), op.getK(), packed.getChannels(),
                                packed.getOffset(), op.getWeightFormat().bits};
  int64_t stride = rowStride(op.getX());
  if (stride != weights.paddedK())
    return op.emitOpError() << "expects activations with a row stride of "
                            << weights.paddedK() << " bytes, got " << stride;
  if (op.getMultipliers() && !op.getMultipliers().getType().getEncoding())
    return op.emitOpError()
           << "expects packed multipliers (run odyssey-pack-weights)";
  if (weights.paddedK() % schedule.getK() != 0)
    return op.emitOpError()
           << "expects the schedule's k (" << schedule.getK()
           << ") to divide the padded K (" << weights.paddedK() << ")";
  if (weights.paddedN() % schedule.getChannels() != 0)
    return op.emitOpError()
           << "expects the schedule's channels (" << schedule.getChannels()
           << ") to divide the padded N (" << weights.paddedN() << ")";
  MatmulShape shape(op, schedule, weights, stride);
  if (schedule.getSplitK() > shape.kTiles)
    return op.emitOpError() << "expects split_k (" << schedule.getSplitK()
                            << ") of at most the number of stages that K has ("
                            << shape.kTiles << ")";

  MatmulEmitter(k, op, shape).emit();
  if (schedule.getStreamK() > 0)
    k.finish({StreamParts::ctaCount(shape.channelTiles, shape.kTiles,
                                    schedule.getStreamK()),
              1, 1},
             {0, 0, 0}, schedule.getThreads(), op.getSharedBytes());
  else
    k.finish({shape.channelTiles, 1, schedule.getSplitK()},
             {0, schedule.getTokens(), 0}, schedule.getThreads(),
             op.getSharedBytes());
  return success();
}

//===- WgmmaStreamK.cpp - Stream-K of a wgmma product ---------------------===//
//
// The K tiles of all tiles of outputs stand in one row, of which each CTA takes
// an equal part (PartialSums.h). Its producer and its consumers walk over the
// same segments: the end of one tile, whole tiles, the beginning of another.
// The ring goes on over their borders, so that the stages of the next tile come
// while the sums of the last one are left, or added up and stored.
//
// How the parts of the kernel meet otherwise stands in MatmulWgmma.cpp.
//
//===----------------------------------------------------------------------===//

#include "WgmmaEmitter.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;
using namespace odyssey::conversion::wgmma;

StreamParts WgmmaEmitter::streamParts() {
  return StreamParts(k, tokenTileCount() * shape.channelTiles,
                     shape.channelTiles, shape.kTiles,
                     shape.schedule.getStreamK());
}

RingPosition WgmmaEmitter::forEachSegment(
    Val from, Val to, const RingPosition &start,
    llvm::function_ref<RingPosition(StreamSegment, RingPosition)> body) {
  Val firstTile = from / shape.kTiles;
  Val tilesEnd = k.select(from < to, (to - 1) / shape.kTiles + 1, firstTile);
  SmallVector<Val> end = k.loop(
      firstTile, tilesEnd, k.constant(1), {start.slot, start.parity},
      [&](Val tile, ArrayRef<Val> carried) -> SmallVector<Val> {
        Val tileBegin = tile * shape.kTiles, tileEnd = tileBegin + shape.kTiles;
        Val first = k.select(from < tileBegin, tileBegin, from);
        RingPosition position =
            body({tile, first - tileBegin, k.min(to, tileEnd) - tileBegin},
                 {carried[0], carried[1]});
        return {position.slot, position.parity};
      });
  return {end[0], end[1]};
}

/// As in produceTile, the first round of weights does not wait for the kernel
/// in front.
void WgmmaEmitter::produceStream() {
  StreamParts parts = streamParts();
  Val cta = k.blockIndex(0);
  Val begin = parts.begin(cta), end = parts.begin(cta + 1);
  Val ahead = k.min(begin + shape.stages, end);
  // Tiles of tokens read the same weights: they may stay in the L2 cache.
  Val policy;
  auto firstRound =
      [&](llvm::function_ref<void(OutputTile, Val kTile, Val slot)> bring) {
        RingPosition start = {k.constant(0), k.constant(0)};
        forEachSegment(
            begin, ahead, start, [&](StreamSegment segment, RingPosition at) {
              OutputTile tile = tileOf(segment.index);
              k.loop(segment.first, segment.last, k.constant(1), {},
                     [&](Val kTile, ArrayRef<Val>) -> SmallVector<Val> {
                       bring(tile, kTile, at.slot + (kTile - segment.first));
                       return {};
                     });
              return RingPosition{at.slot + (segment.last - segment.first),
                                  at.parity};
            });
      };
  firstRound([&](OutputTile tile, Val kTile, Val slot) {
    bringWeights(tile, kTile, slot, policy);
  });
  k.waitForPrevious();
  firstRound([&](OutputTile tile, Val kTile, Val slot) {
    bringActivations(tile, kTile, slot);
  });
  forEachSegment(ahead, end, {k.constant(0), k.constant(1)},
                 [&](StreamSegment segment, RingPosition start) {
                   return bringStages(tileOf(segment.index), segment.first,
                                      segment.last, start, policy);
                 });
}

void WgmmaEmitter::consumeStream() {
  StreamParts parts = streamParts();
  Val cta = k.blockIndex(0);
  int64_t sumCount = kTilesOfGroup * shape.tokens / 8;
  PartialSums partials(k,
                       {shape.schedule.getConsumerThreads(),
                        [this] { consumerBarrier(); }, k.shared(shape.mailbox)},
                       sumCount, StreamParts::kSlotsPerCta);
  // Partial sums are another kernel's until it has ended.
  k.waitForPrevious();
  forEachSegment(
      parts.begin(cta), parts.begin(cta + 1), {k.constant(0), k.constant(0)},
      [&](StreamSegment segment, RingPosition start) {
        Accumulators sums;
        RingPosition end = sumTile(segment.first, segment.last, start, sums);
        OutputTile tile = tileOf(segment.index);
        partials.combineIfShared(
            sums, parts.shareOf(segment.index, cta),
            [&](ArrayRef<Val> total) { store(tile, Accumulators(total)); });
        return end;
      });
}

//===- PartialSums.cpp - A tile's sum over K from several CTAs ------------===//

#include "PartialSums.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

PartialSums::PartialSums(KernelBuilder &k, SummingThreads summing,
                         int64_t vectors, int64_t slotsPerCta)
    : k(k), summing(std::move(summing)), vectors(vectors),
      scratch(k.scratch(slotsPerCta * slotBytes())), counters(k.counters()) {}

Val PartialSums::inSlot(Val slot) {
  return k.offset(k.row(scratch, slot, slotBytes()), k.threadIndex() << 4);
}

Val PartialSums::leave(ArrayRef<Val> sums, const TileShare &share) {
  Val own = inSlot(share.slotOf(share.self));
  for (auto [f, sum] : llvm::enumerate(sums))
    k.store(sum, k.offset(own, f * summing.threads * 16));

  // The barriers make one thread's arrival, and what it sees, that of all.
  summing.barrier();
  k.ifThen(k.threadIndex() == 0, [&] {
    Val last =
        k.arriveLast(k.offset(counters, share.counter << 2), share.arrivals);
    k.store(k.val(k.create<arith::ExtUIOp>(k.i32(), last.value)),
            summing.mailbox);
  });
  summing.barrier();
  return k.load(k.i32(), summing.mailbox) == 1;
}

SmallVector<Val> PartialSums::addOthers(ArrayRef<Val> sums,
                                        const TileShare &share) {
  // The others', beginning behind this one: it has its own in registers.
  return k.loop(k.constant(1), share.arrivals, k.constant(1), sums,
                [&](Val i, ArrayRef<Val> carried) {
                  Val next = share.self + i;
                  Val other = k.select(next < share.arrivals, next,
                                       next - share.arrivals);
                  Val slot = inSlot(share.slotOf(other));
                  SmallVector<Val> result;
                  for (auto [f, sum] : llvm::enumerate(carried))
                    result.push_back(
                        sum + k.load(sum.type(),
                                     k.offset(slot, f * summing.threads * 16)));
                  return result;
                });
}

void PartialSums::combine(ArrayRef<Val> sums, const TileShare &share,
                          llvm::function_ref<void(ArrayRef<Val>)> body) {
  k.ifThen(leave(sums, share), [&] { body(addOthers(sums, share)); });
}

void PartialSums::combineIfShared(
    ArrayRef<Val> sums, const TileShare &share,
    llvm::function_ref<void(ArrayRef<Val>)> body) {
  Val isLast = k.ifElse(
      share.arrivals == 1, [&] { return k.constant(1, k.i1()); },
      [&] { return leave(sums, share); });
  k.ifThen(isLast, [&] { body(addOthers(sums, share)); });
}

Val StreamParts::begin(Val cta) {
  // c S / C, without a product that could be too large for 32 bits.
  Val stages = tiles * stagesOfTile;
  return cta * (stages / ctas) + cta * (stages % ctas) / ctas;
}

TileShare StreamParts::shareOf(Val tile, Val cta) {
  // The last CTA c with c S / C <= stage, for a tile's first and last stage.
  Val first = (tile * ctas + (ctas - 1) / stagesOfTile) / tiles;
  Val last = ((tile + 1) * ctas - 1) / tiles;
  auto slotOf = [k = &k, first](Val other) {
    Val slot = (first + other) << 1;
    return k->select(other == 0, slot + 1, slot);
  };
  // No other tile that is shared begins in the same CTA: its number is the
  // counter's.
  return {last - first + 1, cta - first, first, slotOf};
}

//===- PartialSums.cpp - A tile's sum over K from several CTAs ------------===//

#include "PartialSums.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

PartialSums::PartialSums(KernelBuilder &k, int64_t threads, int64_t vectors,
                         int64_t slotsPerCta)
    : k(k), threads(threads), vectors(vectors),
      scratch(k.scratch(slotsPerCta * slotBytes())), counters(k.counters()) {}

Val PartialSums::inSlot(Val slot) {
  return k.offset(k.row(scratch, slot, slotBytes()), k.threadIndex() << 4);
}

void PartialSums::combine(ArrayRef<Val> sums, const TileShare &share,
                          llvm::function_ref<void(ArrayRef<Val>)> body) {
  Val own = inSlot(share.slotOf(share.self));
  for (auto [f, sum] : llvm::enumerate(sums))
    k.store(sum, k.offset(own, f * threads * 16));

  // The barriers make one thread's arrival, and what it sees, that of all.
  k.barrier();
  k.ifThen(k.threadIndex() == 0, [&] {
    Val last =
        k.arriveLast(k.offset(counters, share.counter << 2), share.arrivals);
    k.store(k.val(k.create<arith::ExtUIOp>(k.i32(), last.value)), k.shared());
  });
  k.barrier();
  Val isLast = k.load(k.i32(), k.shared()) == 1;
  k.ifThen(isLast, [&] {
    // The others', beginning behind this one: it has its own in registers.
    SmallVector<Val> total = k.loop(
        k.constant(1), share.arrivals, k.constant(1), sums,
        [&](Val i, ArrayRef<Val> carried) {
          Val next = share.self + i;
          Val other =
              k.select(next < share.arrivals, next, next - share.arrivals);
          Val slot = inSlot(share.slotOf(other));
          SmallVector<Val> result;
          for (auto [f, sum] : llvm::enumerate(carried))
            result.push_back(
                sum + k.load(sum.type(), k.offset(slot, f * threads * 16)));
          return result;
        });
    body(total);
  });
}

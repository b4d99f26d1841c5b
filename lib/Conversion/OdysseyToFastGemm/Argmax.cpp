//===- Argmax.cpp - The greatest element of each row ----------------------===//

#include "Kernels.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

LogicalResult conversion::emitArgmax(KernelBuilder &k, graph::ArgmaxOp op) {
  int64_t columns = op.getX().getType().getDimSize(1);
  constexpr int64_t kThreads = 1024, kWarps = kThreads / 32;
  // Elements that a thread reads at a time.
  int64_t width = columns % 4 == 0 ? 4 : 1;
  Val token = k.blockIndex(0), thread = k.threadIndex();
  Val row = k.row(k.operand(0), token, columns * 4);

  struct Best {
    Val value, index;
  };
  // Greater value wins, the lower index on a tie.
  auto better = [&](Best a, Best b) -> Best {
    Val takeB =
        (b.value > a.value) | ((b.value == a.value) & (b.index < a.index));
    return {k.select(takeB, b.value, a.value),
            k.select(takeB, b.index, a.index)};
  };
  // -inf from index 0: a row of nothing but -inf or NaN gives 0.
  SmallVector<Val> found = k.loop(
      thread * width, k.constant(columns), k.constant(kThreads * width),
      {k.constantF32(-std::numeric_limits<float>::infinity()), k.constant(0)},
      [&](Val i, ArrayRef<Val> best) {
        Val values = k.load(k.vec(width, k.f32()), k.offset(row, i << 2));
        Val greatest = best[0], index = best[1];
        for (int64_t j = 0; j < width; ++j) {
          // Indices ascend, so only a greater value replaces.
          Val value = k.extract(values, j);
          Val greater = value > greatest;
          greatest = k.select(greater, value, greatest);
          index = k.select(greater, i + j, index);
        }
        return SmallVector<Val>{greatest, index};
      });
  Best best{found[0], found[1]};
  for (int64_t mask = 16; mask > 0; mask /= 2)
    best = better(
        best, {k.shuffleXor(best.value, mask), k.shuffleXor(best.index, mask)});
  k.ifThen((thread & 31) == 0, [&] {
    Val slot = (thread >> 5) << 3;
    k.store(best.value, k.offset(k.shared(), slot));
    k.store(best.index, k.offset(k.shared(4), slot));
  });
  k.barrier();
  k.ifThen(thread == 0, [&] {
    Best total = best;
    for (int64_t warp = 1; warp < kWarps; ++warp)
      total = better(total, {k.load(k.f32(), k.shared(8 * warp)),
                             k.load(k.i32(), k.shared(8 * warp + 4))});
    k.store(total.index, k.offset(k.result(0), token << 2));
  });
  k.finish({1, 1, 1}, {1, 0, 0}, kThreads, kWarps * 8);
  return success();
}

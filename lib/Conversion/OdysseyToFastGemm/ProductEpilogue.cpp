//===- ProductEpilogue.cpp - From int32 sums to stored outputs ------------===//

#include "ProductEpilogue.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

ProductEpilogue::ProductEpilogue(KernelBuilder &k, graph::MatmulOp op)
    : k(k), op(op), n(op.getN()) {}

Val ProductEpilogue::finish(Val sum, Val weightScale, Val tokenScale,
                            Val bias) {
  // Unpacked weights are 16 q; dividing by a power of two is exact.
  Val scaled =
      k.intToF32(sum) * (weightScale * k.constantF32(0.0625f)) * tokenScale;
  return k.toF16(bias.value ? scaled + k.toF32(bias) : scaled);
}

void ProductEpilogue::store(Val token, Val channel, ArrayRef<Val> sums) {
  assert(sums.size() == kChannels && "one thread's adjacent channels");
  Val weightScales = k.offset(k.operand(3), channel << 2);
  Val tokenScale = k.load(k.f32(), k.offset(k.operand(1), token << 2));
  Val address = k.offset(k.row(k.result(0), token, n * 2), channel << 1);
  bool hasBias = static_cast<bool>(op.getBias());
  Val bias = hasBias ? k.offset(k.operand(4), channel << 1) : Val();

  if (n % kChannels == 0) {
    Val scales = k.load(k.vec(kChannels, k.f32()), weightScales);
    Val biases = hasBias ? k.load(k.vec(kChannels, k.f16()), bias) : Val();
    SmallVector<Val> halves;
    for (auto [i, sum] : llvm::enumerate(sums))
      halves.push_back(finish(sum, k.extract(scales, i), tokenScale,
                              hasBias ? k.extract(biases, i) : Val()));
    k.store(k.vectorOf(halves), address);
    return;
  }
  for (auto [i, sum] : llvm::enumerate(sums))
    k.ifThen(channel + i < n, [&, i = i, sum = sum] {
      Val scale = k.load(k.f32(), k.offset(weightScales, 4 * i));
      Val half = hasBias ? k.load(k.f16(), k.offset(bias, 2 * i)) : Val();
      k.store(finish(sum, scale, tokenScale, half), k.offset(address, 2 * i));
    });
}

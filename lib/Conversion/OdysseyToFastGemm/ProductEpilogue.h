//===- ProductEpilogue.h - From int32 sums to stored outputs ----*- C++ -*-===//
//
// What follows the sum over K in every W4A8 product, whatever path computed the
// sum: scaling, bias, rounding, store (docs/numerics.md, N11). A path calls it
// once for each four adjacent channels of a token that one thread holds, which
// is what the channel order of packed weights gives it.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_PRODUCTEPILOGUE_H
#define ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_PRODUCTEPILOGUE_H

#include "KernelBuilder.h"

namespace odyssey::conversion {

/// Operands of a kernel are those of its product, in the order of the op.
class ProductEpilogue {
public:
  /// Channels of a token that one call of `store` takes.
  static constexpr int64_t kChannels = 4;

  ProductEpilogue(KernelBuilder &k, graph::MatmulOp op);

  /// Finishes and stores `sums`, kChannels int32 sums of 16 q_w * q_x, of the
  /// channels `channel` (a multiple of kChannels, below N) and up of the token
  /// `token` (below M); both are i32. Channels behind N are not stored.
  void store(Val token, Val channel, llvm::ArrayRef<Val> sums);

private:
  /// One output before its store: N11 for one sum.
  Val finish(Val sum, Val weightScale, Val tokenScale, Val bias);

  KernelBuilder &k;
  graph::MatmulOp op;
  int64_t n;
};

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_PRODUCTEPILOGUE_H

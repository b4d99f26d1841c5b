//===- ProductEpilogue.h - From int32 sums to stored outputs ----*- C++ -*-===//
//
// What follows the sum over K in every integer product, whatever path computed
// the sum: scaling, bias, residual or activation, rounding, store
// (docs/numerics.md, N11 and N17). A path calls it once for each four adjacent
// channels of a token that one thread holds, which is what the channel order of
// packed weights gives it.
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

  /// The scale of token 0, where the kernel computes it itself and has no other
  /// token.
  void setTokenScale(Val scale) { onlyScale = scale; }

  /// The kernel gives maxima, or pairs of maxima and sums of squares for a
  /// norm: `warp` is this warp's column of them, of `columns`. All lanes of a
  /// warp then call storeAll together, with tokens as in a tile of wgmma or
  /// mma.sync: lanes of one remainder by 4 have the same.
  void setMaximaColumn(Val warp, int64_t columns) {
    maximaColumn = warp, maximaColumns = columns;
  }

  /// Finishes and stores `sums`, kChannels int32 sums of 16 q_w * q_x, of
  /// m q_w * q_x with groups, or of q_w * q_x of 8 bits, of the channels
  /// `channel` (a multiple of kChannels, below N) and up of the token `token`
  /// (below M); both are i32. Channels behind N are not stored.
  void store(Val token, Val channel, llvm::ArrayRef<Val> sums);

  /// The same for several tokens of the same channels, `sums[i]` being those of
  /// `tokens[i]`, which need not be below M: others are not stored. All that is
  /// read is read before anything is stored, so that no load waits for another.
  void storeAll(llvm::ArrayRef<Val> tokens, Val channel,
                llvm::ArrayRef<llvm::SmallVector<Val>> sums);

private:
  /// What one or four adjacent channels need besides their sums; without value
  /// where the product has none. fp32, then fp16.
  struct Inputs {
    Val scale, bias, residual, norm;
  };
  /// Loads the inputs of the channels from `channel` on, of type f32, f16 and
  /// f16 or vectors of these.
  Inputs loadInputs(Val token, Val channel, int64_t count);
  /// The outputs of kChannels channels of a token, as one vector.
  Val finishAll(llvm::ArrayRef<Val> sums, Val tokenScale, const Inputs &inputs);
  /// Some tokens of storeAll; scales and biases are loaded into `ofChannels` by
  /// the first call. What maxima need, statisticsOfToken() numbers a token, is
  /// added to `statistics`.
  void storeBatch(llvm::ArrayRef<Val> tokens, Val channel,
                  llvm::ArrayRef<llvm::SmallVector<Val>> sums,
                  Inputs &ofChannels, llvm::SmallVectorImpl<Val> &statistics);
  /// The greatest magnitude of some outputs of a token; or of their products
  /// with the weights of a norm, and the sum of their squares.
  void addStatistics(Val halves, Val norm,
                     llvm::SmallVectorImpl<Val> &statistics);
  /// Stores a warp's maxima of `tokens` from those of its lanes.
  void storeMaxima(llvm::ArrayRef<Val> tokens, llvm::ArrayRef<Val> statistics);
  size_t statisticsOfToken() const { return norms.value ? 2 : 1; }
  Val tokenScale(Val token);
  /// The bytes of a row of the result, and those in front of `channel`.
  int64_t rowBytes() const { return isGated ? n : 2 * n; }
  Val inRow(Val channel) { return isGated ? channel : channel << 1; }
  /// fp16((gate / (1 + exp(-gate))) * up) of two channels' gates, then ups.
  Val activate(llvm::ArrayRef<Val> halves);
  /// One channel: N11 for one sum.
  Val finish(Val sum, Val tokenScale, const Inputs &inputs);

  KernelBuilder &k;
  int64_t n;
  /// Whether of four channels two are a gate's and two are to be multiplied.
  bool isGated;
  /// What the sums are a multiple of and the scales take back.
  int64_t factor;
  Val tokenScales, weightScales, biases, residuals, norms;
  /// Instead of tokenScales.
  Val onlyScale;
  /// Without value where the kernel gives no maxima.
  Val maximaColumn;
  int64_t maximaColumns = 0;
};

} // namespace odyssey::conversion

#endif // ODYSSEY_LIB_CONVERSION_ODYSSEYTOFASTGEMM_PRODUCTEPILOGUE_H

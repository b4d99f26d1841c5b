//===- QuantizationConfig.h - How a folder's weights are quantized -*- C++ -*-//
//
// "quantization_config" of config.json, as compressed-tensors and the two
// GPTQ programs (AutoGPTQ, GPTQModel) write it. Private to the checkpoint
// readers and writers.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_FRONTEND_CHECKPOINT_QUANTIZATIONCONFIG_H
#define ODYSSEY_LIB_FRONTEND_CHECKPOINT_QUANTIZATIONCONFIG_H

#include "odyssey/Layout/WeightFormat.h"

#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

namespace odyssey {

/// The tensors that stand for the matrix NAME.weight of N x K.
enum class WeightFormat {
  /// compressed-tensors' "int-quantized": NAME.weight I8 [N, K],
  /// NAME.weight_scale [N, groups].
  IntQuantized,
  /// compressed-tensors' "pack-quantized": NAME.weight_packed I32
  /// [N, K / 8 rounded up], eight values + 8 in a word, the first in the lowest
  /// bits; NAME.weight_scale [N, groups]; NAME.weight_shape, two integers.
  PackQuantized,
  /// NAME.qweight I32 [K / 8, N], packed along K in the same way; NAME.scales
  /// [groups, N]; NAME.qzeros I32 [groups, N / 8]; NAME.g_idx I32 [K], the
  /// group of every input channel.
  Gptq,
};

struct WeightScheme {
  WeightFormat format;
  /// Of a weight: 4, or in the format IntQuantized without groups 8.
  int64_t bits = 4;
  /// Input channels of a group; 0 where all of them are one.
  int64_t groupSize = 0;
  /// What stands in qzeros for the middle of the range: 7 in files of the
  /// format "gptq", which hold one less than they mean, 8 in "gptq_v2".
  uint32_t storedZeroPoint = 8;
};

/// Reads a scheme of 4-bit symmetric integer weights, per output channel or
/// with groups along the input channels, or of 8-bit ones per output channel,
/// with 8-bit activations per token or none. Fails on any other, and says what
/// is other. Keys that only tell how the weights were found are not looked at.
llvm::Expected<WeightScheme>
parseQuantizationConfig(const llvm::json::Object &object);

/// Such weights in compressed-tensors' "int-quantized" format.
llvm::json::Object makeQuantizationConfig(layout::WeightFormat weights);

} // namespace odyssey

#endif // ODYSSEY_LIB_FRONTEND_CHECKPOINT_QUANTIZATIONCONFIG_H

//===- LayerwiseQuantizer.h - Linears under their real inputs ---*- C++ -*-===//

#ifndef ODYSSEY_QUANTIZE_LAYERWISEQUANTIZER_H
#define ODYSSEY_QUANTIZE_LAYERWISEQUANTIZER_H

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Quantize/Clipping.h"
#include "odyssey/Quantize/Gptq.h"

#include "llvm/ADT/STLFunctionalExtras.h"

#include <functional>
#include <string>
#include <vector>

namespace odyssey {

/// Token sequences, each from its first token on: the text that the inputs'
/// statistics are of.
using CalibrationSamples = std::vector<std::vector<int32_t>>;

struct LayerwiseOptions {
  bool clip = true;
  bool compensate = true;
  ClippingOptions clipping;
  GptqOptions gptq;
  /// 0 means as many as the machine has cores.
  unsigned threads = 0;
  /// Called from time to time, from one thread, with the linear at work and
  /// the share of all work that is done. Returning false stops the work.
  std::function<bool(llvm::StringRef linear, double done)> progress;
};

/// What became of one linear layer. Errors are those of its output over the
/// calibration text, |X (W - W')^T|^2 / |X W^T|^2.
struct LinearReport {
  /// "model.layers.0.self_attn.q_proj"
  std::string name;
  int64_t n = 0, k = 0;
  /// Rounded to nearest; after clipping; after all.
  double errorOfRounding = 0, errorOfClipping = 0, error = 0;
  /// Of every output channel.
  std::vector<float> clippingFactors;
  /// max|x| of every input channel.
  std::vector<float> inputMaxima;
  /// As GptqSolver took it.
  double damping = 0;
};

/// Quantizes all linear layers of the checkpoint, in the order of the model.
/// The samples run through the part that is quantized already, with its
/// activations quantized as at run time, so that a layer makes up for the
/// errors of those before it as far as it can. Calls `emit` for every linear.
///
/// In memory are: the samples at one layer's boundary and inside its attention,
/// as fp16; the weights and the H of the linears that share one input; the
/// activations of one sample per thread.
llvm::Error
quantizeLayerwise(const Checkpoint &checkpoint,
                  const CalibrationSamples &samples,
                  const LayerwiseOptions &options,
                  llvm::function_ref<llvm::Error(const LinearReport &,
                                                 const QuantizedWeights &)>
                      emit);

} // namespace odyssey

#endif // ODYSSEY_QUANTIZE_LAYERWISEQUANTIZER_H

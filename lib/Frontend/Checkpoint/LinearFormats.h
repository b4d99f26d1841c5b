//===- LinearFormats.h - Quantized linears as files have them ---*- C++ -*-===//
//
// Decodes the formats of WeightFormat. Private to the checkpoint readers.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_FRONTEND_CHECKPOINT_LINEARFORMATS_H
#define ODYSSEY_LIB_FRONTEND_CHECKPOINT_LINEARFORMATS_H

#include "QuantizationConfig.h"
#include "odyssey/Frontend/Checkpoint/ShardedSafetensors.h"

#include <memory>
#include <span>

namespace odyssey {

/// Values in a mapped file, or in memory of their own.
template <typename T> struct SharedValues {
  std::span<const T> values;
  /// Null for those of a file.
  std::shared_ptr<const void> owner;

  SharedValues() = default;
  explicit SharedValues(std::span<const T> inFile) : values(inFile) {}
  explicit SharedValues(std::vector<T> own) {
    auto kept = std::make_shared<const std::vector<T>>(std::move(own));
    values = *kept;
    owner = std::move(kept);
  }
};

/// The weights scales[n, group of k] * integers[n, k] of a linear layer.
struct GroupedWeights {
  int64_t n = 0, k = 0, groups = 1;
  /// Input channels of a group; k where there is one.
  int64_t groupSize = 0;
  /// n * k values in -8..7, of 8 bits in -127..127, row-major.
  SharedValues<int8_t> integers;
  /// n * groups values, row-major, finite and not negative.
  SharedValues<float> scales;
  /// The group of each input channel; empty where groups are runs of groupSize
  /// neighbours, the last perhaps shorter.
  std::vector<int32_t> groupOfChannel;
  /// The name of the tensor that the scales are from, for messages.
  std::string scaleName;

  int64_t groupOf(int64_t channel) const {
    return groupOfChannel.empty() ? channel / groupSize
                                  : groupOfChannel[channel];
  }
};

/// The names of the tensors that may stand for the linear `name`, without its
/// bias.
std::vector<std::string> linearTensorNames(WeightFormat format,
                                           llvm::StringRef name);

/// Decodes the N x K linear `name` ("model.layers.0.mlp.up_proj"). Fails on
/// tensors that are missing or have other types and shapes than the scheme
/// says, on integers outside -8..7 (-127..127), on scales that are no numbers,
/// and on zero points; names the tensor and the index.
llvm::Expected<GroupedWeights> readLinear(const ShardedSafetensors &file,
                                          const WeightScheme &scheme,
                                          llvm::StringRef name, int64_t n,
                                          int64_t k);

/// One output channel's scale each, as products take it, and n * groups
/// multipliers within them where there are groups.
struct ChannelWeights {
  SharedValues<int8_t> integers;
  SharedValues<float> scales;
  SharedValues<uint8_t> multipliers;
};

/// Whether all groups of every channel have one scale, so that there are none.
bool hasOneScalePerChannel(const GroupedWeights &weights);

/// For weights that have.
ChannelWeights toChannelWeights(GroupedWeights weights);

/// Takes the scales of groups apart into those of channels and multipliers
/// (GroupScales.h). Fails where groups are no runs of 32, 64 or 128 input
/// channels or have no such factors, with the tensor, the channel and scales.
llvm::Expected<ChannelWeights> toGroupMultipliers(GroupedWeights weights);

/// Fails unless `tensor` has this type and this shape.
llvm::Error checkTensor(const SafetensorsTensor &tensor, StorageType type,
                        llvm::ArrayRef<int64_t> shape);

/// The values of `tensor`, copied where they are not aligned in the file.
template <typename T>
SharedValues<T> valuesOf(const SafetensorsTensor &tensor) {
  llvm::ArrayRef<uint8_t> bytes = tensor.bytes;
  size_t count = bytes.size() / sizeof(T);
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(T) == 0)
    return SharedValues<T>(
        std::span(reinterpret_cast<const T *>(bytes.data()), count));
  std::vector<T> copy(count);
  std::memcpy(copy.data(), bytes.data(), bytes.size());
  return SharedValues<T>(std::move(copy));
}

} // namespace odyssey

#endif // ODYSSEY_LIB_FRONTEND_CHECKPOINT_LINEARFORMATS_H

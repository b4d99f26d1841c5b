//===- Pack.h - Candidate kernels to measure --------------------*- C++ -*-===//
//
// A pack is a bundle whose functions all compute W4A8 products, each by another
// schedule (docs/tuning.md). odyssey-compile --emit=pack writes it,
// odyssey-tune and odyssey-bench measure what is in it.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_PACK_H
#define ODYSSEY_RUNTIME_PACK_H

#include "odyssey/runtime/Bundle.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace odyssey::runtime {

/// The weights [n, k] that candidates multiply by.
struct PackProduct {
  /// For people, for example "llama-2-7b down".
  std::string name;
  int64_t n = 0, k = 0;
  /// Output channels of a panel of packed weights.
  int64_t panelChannels = 0;
  /// Indices into Plan::weights: packed weights, and their scales.
  uint32_t weights = 0, scales = 0;
  /// Of a weight: 4 or 8.
  int64_t weightBits = 4;

  /// Input channels that a kernel walks over: k in whole blocks of 64.
  int64_t paddedK() const { return (k + 63) / 64 * 64; }
};

struct PackCandidate {
  /// Indices into Plan::functions and Pack::products.
  uint32_t function = 0, product = 0;
  int64_t tokens = 0;
  /// For people and the database: "path = mma_sync, channels = 64, ...".
  std::string schedule;
  /// What the cost model said, and the time that no schedule can beat.
  double predictedSeconds = 0, floorSeconds = 0;
  /// 0: activations are rows of `paddedK` bytes; else tiles of so many tokens x
  /// 128 bytes, swizzled (docs/dialects/fastgemm.md, `swizzled`).
  int64_t tileTokens = 0;
};

class Pack {
public:
  /// As Bundle::open; InvalidArgument for a bundle that is no pack. What the
  /// description says of functions and weights has been checked against the
  /// plan.
  static Result<std::shared_ptr<const Pack>> open(const std::string &path);

  const Bundle &bundle() const { return *opened; }
  /// The GPU that the cost model was asked about, for example "h100".
  const std::string &gpu() const { return gpuName; }
  const std::vector<PackProduct> &products() const { return productList; }
  /// By product, then tokens, then predicted time.
  const std::vector<PackCandidate> &candidates() const { return candidateList; }

private:
  Pack() = default;
  Status read();

  std::shared_ptr<const Bundle> opened;
  std::string gpuName;
  std::vector<PackProduct> productList;
  std::vector<PackCandidate> candidateList;
};

/// Weight (channel, k) of packed weights, as an integer: the inverse of
/// docs/numerics.md, "packed weights", written down independently of the
/// compiler that packs them.
int packedWeight(const PackProduct &product, const uint8_t *packed,
                 int64_t channel, int64_t k);

/// Where the byte of activation (token, k) is.
int64_t activationOffset(const PackCandidate &candidate,
                         const PackProduct &product, int64_t token, int64_t k);
/// Bytes of the activations of `tokens` tokens.
int64_t activationBytes(const PackCandidate &candidate,
                        const PackProduct &product, int64_t tokens);

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_PACK_H

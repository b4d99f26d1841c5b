//===- ScheduleChoice.h - The schedule of a product -------------*- C++ -*-===//
//
// Which tiles, warps and stages a product's kernel gets, from its shape, the
// number of tokens that it is specialized for, and the GPU.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_SCHEDULE_SCHEDULECHOICE_H
#define ODYSSEY_SCHEDULE_SCHEDULECHOICE_H

#include "odyssey/Dialect/FastGemm/FastGemm.h"

#include <optional>

namespace odyssey {

/// What of a GPU decides about schedules.
struct TargetDescription {
  llvm::StringRef name;
  /// Compute capability as major * 10 + minor.
  int capability;
  /// Shared memory that one CTA may use, in bytes.
  int64_t sharedBytesPerBlock;
  int64_t multiprocessors;
  /// PTX version as LLVM's feature string, for example "+ptx80".
  llvm::StringRef ptxFeature;

  /// Whether products can take the path wgmma: a GPU of this capability, and a
  /// target that allows what no other one has.
  bool hasWgmma() const { return name == "sm_90a"; }
};

/// sm_80, sm_86, sm_89 or sm_90a; nothing for any other name.
std::optional<TargetDescription> findTarget(llvm::StringRef name);
/// Their names, for messages: "sm_80, sm_86, sm_89, sm_90a".
std::string targetNames();

/// Channels of a panel of packed weights [n, k]: one number per weight, since
/// all buckets read the same packed bytes.
int64_t choosePanelChannels(int64_t n, int64_t k);

/// The schedule of the W4A8 product of `tokens` x [n, k]; `swizzled` says
/// whether the kernel that makes its activations can write them in the order of
/// wgmma.
fastgemm::ScheduleAttr chooseMatmulSchedule(mlir::MLIRContext *context,
                                            const TargetDescription &target,
                                            int64_t n, int64_t k,
                                            int64_t tokens, bool swizzled);

/// The schedule of the fp16 product of `tokens` x [n, k].
fastgemm::ScheduleAttr chooseLinearSchedule(mlir::MLIRContext *context,
                                            const TargetDescription &target,
                                            int64_t n, int64_t k,
                                            int64_t tokens);

/// How many tokens one CTA of attention takes, for `group` heads a KV head.
int64_t chooseAttentionTokens(int64_t tokens, int64_t group);

} // namespace odyssey

#endif // ODYSSEY_SCHEDULE_SCHEDULECHOICE_H

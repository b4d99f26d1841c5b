//===- ScheduleChoice.h - The schedule of a product -------------*- C++ -*-===//
//
// Which tiles, warps and stages a product's kernel gets, from its shape, the
// number of tokens that it is specialized for, and the GPU.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_SCHEDULE_SCHEDULECHOICE_H
#define ODYSSEY_SCHEDULE_SCHEDULECHOICE_H

#include "odyssey/Dialect/FastGemm/FastGemm.h"
#include "odyssey/Schedule/Target.h"

namespace odyssey {

/// Channels of a panel of packed weights [n, k]: one number per weight, since
/// all buckets read the same packed bytes.
int64_t choosePanelChannels(int64_t n, int64_t k);

/// Whether the kernel of a product of one token and k input channels can
/// quantize the token itself (odyssey-fuse-prologues): path wgmma, a CTA a
/// tile, and a CTA's part of the token fits beside its stages of weights.
bool canQuantizeToken(fastgemm::ScheduleAttr schedule, int64_t k,
                      layout::WeightFormat weights);
/// The shared memory of such a kernel, at most: a CTA's part of the token
/// instead of the activations of its stages.
int64_t sharedBytesWithToken(fastgemm::ScheduleAttr schedule, int64_t k,
                             layout::WeightFormat weights);

/// The schedule of the fp16 product of `tokens` x [n, k].
fastgemm::ScheduleAttr chooseLinearSchedule(mlir::MLIRContext *context,
                                            const TargetDescription &target,
                                            int64_t n, int64_t k,
                                            int64_t tokens);

/// How many tokens one CTA of attention takes, for `group` heads a KV head.
int64_t chooseAttentionTokens(int64_t tokens, int64_t group);

} // namespace odyssey

#endif // ODYSSEY_SCHEDULE_SCHEDULECHOICE_H

//===- ScheduleChoice.cpp - The schedule of a product ---------------------===//

#include "odyssey/Schedule/ScheduleChoice.h"

#include "odyssey/Layout/PackedWeights.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace odyssey;

int64_t odyssey::choosePanelChannels(int64_t n, int64_t k) {
  // Wide panels save activations' traffic, narrow ones waste less padding.
  for (int64_t channels : {128, 64})
    if (n % channels == 0)
      return channels;
  return layout::roundUp(n, 128) - n <= n / 16 ? 128 : 64;
}

/// Tokens of a CTA's tile: the smallest that takes the bucket at once.
static int64_t tileTokens(int64_t tokens, int64_t most) {
  for (int64_t tile : {8, 16, 32, 64})
    if (tokens <= tile && tile <= most)
      return tile;
  return most;
}

/// The bytes of a CTA's part of the token.
static int64_t residentBytes(fastgemm::ScheduleAttr schedule, int64_t k) {
  int64_t tiles = fastgemm::SwizzledAttr::getTilesAlongK(k);
  int64_t own = (tiles + schedule.getSplitK() - 1) / schedule.getSplitK();
  return own * schedule.getTokens() * fastgemm::SwizzledAttr::kTileK;
}

int64_t odyssey::sharedBytesWithToken(fastgemm::ScheduleAttr schedule,
                                      int64_t k, layout::WeightFormat weights) {
  // What the quantization takes besides: 8 bytes for every segment of a norm,
  // at most 32 warps' maxima for others.
  int64_t scratchBytes = std::max<int64_t>(1024, k / 32 * 8 + 8);
  return schedule.getSharedBytes(weights) -
         schedule.getStages() * schedule.getActivationBytes() +
         residentBytes(schedule, k) + scratchBytes;
}

bool odyssey::canQuantizeToken(fastgemm::ScheduleAttr schedule, int64_t k,
                               layout::WeightFormat weights) {
  // A part of the token that is worth keeping; a CTA's shared memory on sm_90.
  constexpr int64_t mostBytes = 32 * 1024, sharedBytes = 227 * 1024;
  if (schedule.getPath() != fastgemm::Path::Wgmma || schedule.getCtas() > 0 ||
      schedule.getStreamK() > 0 || schedule.getMulticast() > 1 || k % 8 != 0)
    return false;
  return residentBytes(schedule, k) <= mostBytes &&
         sharedBytesWithToken(schedule, k, weights) <= sharedBytes;
}

fastgemm::ScheduleAttr
odyssey::chooseLinearSchedule(MLIRContext *context,
                              const TargetDescription &target, int64_t n,
                              int64_t k, int64_t tokens) {
  int64_t tile = tileTokens(tokens, 64);
  int64_t channels = n % 128 == 0 || n > 1024 ? 128 : 64;
  int64_t stages = 4;
  while (stages > 2 &&
         stages * (channels + tile) * 128 > target.sharedBytesPerBlock / 2)
    --stages;
  return fastgemm::ScheduleAttr::get(context, fastgemm::Path::MmaSync, channels,
                                     tile, 64, channels / 32, 1, stages);
}

int64_t odyssey::chooseAttentionTokens(int64_t tokens, int64_t group) {
  // Decode: a token a CTA, so that all SMs have work. Prefill: up to four warps
  // of 16 rows, so that a page is read once for 64 queries.
  if (tokens <= 16)
    return 1;
  return std::max<int64_t>(1, 64 / group);
}

//===- ScheduleChoice.cpp - The schedule of a product ---------------------===//

#include "odyssey/Schedule/ScheduleChoice.h"

#include "odyssey/Layout/PackedWeights.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;
using namespace odyssey;

// Shared memory per CTA: CUDA C++ Programming Guide, table of technical
// specifications per compute capability. Multiprocessors: A100, A10, L40S.
static const TargetDescription kTargets[] = {
    {"sm_80", 80, 163 * 1024, 108, "+ptx80"},
    {"sm_86", 86, 99 * 1024, 72, "+ptx80"},
    {"sm_89", 89, 99 * 1024, 142, "+ptx80"},
};

std::optional<TargetDescription> odyssey::findTarget(StringRef name) {
  for (const TargetDescription &target : kTargets)
    if (target.name == name)
      return target;
  return std::nullopt;
}

std::string odyssey::targetNames() {
  std::string names;
  for (const TargetDescription &target : kTargets)
    names += (names.empty() ? "" : ", ") + target.name.str();
  return names;
}

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

fastgemm::ScheduleAttr
odyssey::chooseMatmulSchedule(MLIRContext *context,
                              const TargetDescription &target, int64_t n,
                              int64_t k, int64_t tokens) {
  int64_t panel = choosePanelChannels(n, k);
  int64_t paddedN = layout::roundUp(n, panel);
  int64_t steps = layout::roundUp(k, layout::kBlockK) / layout::kBlockK;
  int64_t tile = tileTokens(tokens, 128);
  int64_t channels = panel;
  // Few tokens: smaller tiles give more CTAs to hide the memory's latency.
  if (tokens <= 64 && channels == 128 &&
      paddedN / channels < 2 * target.multiprocessors)
    channels = 64;
  int64_t stageK = steps % 2 == 0 ? 128 : 64;
  int64_t channelWarps = channels / 32;
  int64_t tokenWarps = tile >= 128 ? 2 : 1;
  // Deep pipelines for few tokens, which wait for memory; else what fits twice
  // into an SM's shared memory.
  int64_t stages = tile <= 32 ? 6 : 4;
  auto bytes = [&] { return stages * (channels * stageK / 2 + tile * stageK); };
  while (stages > 2 && bytes() > target.sharedBytesPerBlock / 2)
    --stages;
  while (stages > 2 && stages - 1 > steps * 64 / stageK)
    --stages;
  return fastgemm::ScheduleAttr::get(context, fastgemm::Path::MmaSync, channels,
                                     tile, stageK, channelWarps, tokenWarps,
                                     stages, 1);
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
                                     tile, 64, channels / 32, 1, stages, 1);
}

int64_t odyssey::chooseAttentionTokens(int64_t tokens, int64_t group) {
  // Decode: a token a CTA, so that all SMs have work. Prefill: up to four warps
  // of 16 rows, so that a page is read once for 64 queries.
  if (tokens <= 16)
    return 1;
  return std::max<int64_t>(1, 64 / group);
}

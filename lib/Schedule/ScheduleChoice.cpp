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

/// Many tokens: persistent CTAs of the widest tile. Few: a CTA a tile, K split
/// between the CTAs of a cluster so that every multiprocessor has a share of
/// the weights, and as many stages as shared memory holds.
static fastgemm::ScheduleAttr
chooseWgmmaSchedule(MLIRContext *context, const TargetDescription &target,
                    int64_t n, int64_t k, int64_t tokens) {
  constexpr int64_t groupChannels = 128, tileK = 128, mostStages = 8;
  int64_t multiprocessors = target.multiprocessors;
  auto ceilDiv = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
  int64_t kTiles = ceilDiv(k, tileK);
  auto stagesIn = [&](int64_t bytes, int64_t channels, int64_t tile) {
    return std::clamp<int64_t>(
        bytes / (channels * tileK / 2 + tile * tileK + 16), 2, mostStages);
  };

  int64_t tile = tileTokens(tokens, 128);
  int64_t wideTiles = ceilDiv(n, 2 * groupChannels) * ceilDiv(tokens, tile);
  if (tile == 128 && wideTiles >= multiprocessors)
    return fastgemm::ScheduleAttr::get(
        context, fastgemm::Path::Wgmma, 2 * groupChannels, tile, tileK, 8, 1,
        stagesIn(target.sharedBytesPerBlock, 2 * groupChannels, tile), 1,
        multiprocessors);

  // What one multiprocessor has to do at most, over its fair share.
  int64_t tiles = ceilDiv(n, groupChannels) * ceilDiv(tokens, tile);
  int64_t splitK = 1, resident = 1;
  double best = 0;
  for (int64_t split = 1; split <= std::min<int64_t>(8, kTiles); ++split) {
    int64_t ctas = tiles * split, perSm = ceilDiv(ctas, multiprocessors);
    if (split > 1 && perSm > 3)
      break;
    double balance = static_cast<double>(ctas) /
                     static_cast<double>(perSm * multiprocessors);
    // An exchange costs something: split further only for a clear gain.
    if (balance > best + 0.05) {
      best = balance;
      splitK = split;
      resident = std::min<int64_t>(perSm, 3);
    }
  }
  auto schedule = [&](int64_t stages) {
    return fastgemm::ScheduleAttr::get(context, fastgemm::Path::Wgmma,
                                       groupChannels, tile, tileK, 4, 1, stages,
                                       splitK, 0);
  };
  // The driver keeps 1 KB of every CTA's shared memory for itself.
  int64_t bytes = target.sharedBytesPerBlock / resident - 1024 -
                  schedule(2).getExchangeBytes();
  int64_t stages = stagesIn(bytes, groupChannels, tile);
  return schedule(std::clamp<int64_t>(ceilDiv(kTiles, splitK), 2, stages));
}

fastgemm::ScheduleAttr
odyssey::chooseMatmulSchedule(MLIRContext *context,
                              const TargetDescription &target, int64_t n,
                              int64_t k, int64_t tokens, bool swizzled) {
  if (swizzled && target.hasWgmma())
    return chooseWgmmaSchedule(context, target, n, k, tokens);
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
                                     stages, 1, 0);
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
                                     tile, 64, channels / 32, 1, stages, 1, 0);
}

int64_t odyssey::chooseAttentionTokens(int64_t tokens, int64_t group) {
  // Decode: a token a CTA, so that all SMs have work. Prefill: up to four warps
  // of 16 rows, so that a page is read once for 64 queries.
  if (tokens <= 16)
    return 1;
  return std::max<int64_t>(1, 64 / group);
}

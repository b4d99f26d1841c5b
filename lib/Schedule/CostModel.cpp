//===- CostModel.cpp - The time that a schedule should take ---------------===//

#include "odyssey/Schedule/CostModel.h"

#include "odyssey/Layout/PackedWeights.h"
#include "odyssey/Schedule/Occupancy.h"

#include "llvm/ADT/STLExtras.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

using namespace mlir;
using namespace odyssey;
using fastgemm::Path;
using fastgemm::ScheduleAttr;

namespace {

// Times that no data sheet has. Measured by others on Ampere and Hopper (arXiv
// 2402.13499, 2501.12084: about 500 to 700 clocks to memory, 200 to 270 to L2);
// launches in a CUDA graph, and the barrier of a cluster, from our own runs.
constexpr double kMemoryLatency = 0.6e-6;
constexpr double kLaunchSeconds = 2.0e-6;
constexpr double kReductionSeconds = 1.0e-6;
/// Of the data sheet's bandwidth, what streaming kernels reach.
constexpr double kMemoryEfficiency = 0.92;
constexpr double kL2Efficiency = 0.7;
/// Bytes that one multiprocessor takes from L2 per clock.
constexpr double kL2BytesPerClock = 64;
constexpr double kSharedBytesPerClock = 128;
/// Of what is not the longest, the part that does not overlap with it.
constexpr double kUnoverlapped = 0.15;
/// The tensor cores' share that a well-fed kernel reaches.
constexpr double kTensorEfficiency = 0.85;

double ceilDiv(double a, double b) { return std::ceil(a / b); }

/// What one CTA does per stage of k, and in all.
struct CtaWork {
  double steps;
  /// Per stage.
  double weightBytes, activationBytes, multiplyAdds;
  /// Warp instructions per stage: all, and those of the slower logic pipe.
  double instructions, logic;
  double sharedBytes;
};

/// Bytes of packed weights, with their groups' multipliers of 4 bits.
double weightBytesOf(const ProductShape &shape, double weights) {
  return shape.groupSize == 0
             ? weights / 2
             : weights / 2 * (1 + 1 / static_cast<double>(shape.groupSize));
}

CtaWork workOf(const ProductShape &shape, ScheduleAttr s) {
  double channels = s.getChannels(), tokens = s.getTokens(), k = s.getK();
  double warps = s.getChannelWarps() * s.getTokenWarps();
  double subSteps = k / layout::kBlockK;
  CtaWork work;
  int64_t paddedK = layout::roundUp(shape.k, s.getK());
  work.steps = ceilDiv(static_cast<double>(paddedK / s.getK()),
                       static_cast<double>(s.getSplitK()));
  work.weightBytes = weightBytesOf(shape, channels * k);
  work.activationBytes = std::min<double>(tokens, shape.tokens) * k;
  work.multiplyAdds = channels * tokens * k;
  // Per 16 channels x 64 k: one load, and per word two ANDs and a shift.
  double unpacked = channels / 16 * subSteps * s.getTokenWarps();
  if (s.getPath() == Path::Wgmma) {
    work.logic = unpacked * 8;
    work.instructions = unpacked * 13 + warps * 30;
    // The B operand is read by each tile of 64 channels.
    work.sharedBytes =
        tokens * k * channels / 64 + 2 * work.weightBytes + tokens * k;
    return work;
  }
  double blocks = channels / s.getChannelWarps() / layout::kBlockChannels;
  double tokenBlocks = tokens / s.getTokenWarps() / 8;
  double products = warps * blocks * tokenBlocks * 2 * subSteps;
  double copies = (work.weightBytes + tokens * k) / 16 / 32;
  // With groups, docs/rationale.md counts 28 instructions and 6 for
  // multipliers.
  bool grouped = shape.groupSize != 0;
  work.logic = unpacked * (grouped ? 24 : 8);
  work.instructions = unpacked * (grouped ? 35 : 13) + products +
                      warps * tokenBlocks * subSteps + copies * 4 + warps * 24;
  work.sharedBytes = work.weightBytes * (1 + s.getTokenWarps()) +
                     tokens * k * (1 + s.getChannelWarps());
  return work;
}

/// Bytes that have to come from memory: all operands once, and weights again
/// for every wave of token tiles when the L2 cache cannot keep them.
double memoryBytes(const TargetDescription &target, const ProductShape &shape,
                   ScheduleAttr s, double waves) {
  double weights = weightBytesOf(shape, static_cast<double>(shape.n) * shape.k);
  double others = static_cast<double>(shape.tokens) * (shape.k + 2.0 * shape.n);
  double tokenTiles = ceilDiv(shape.tokens, s.getTokens());
  if (weights > 0.6 * target.l2Bytes)
    weights *= std::min(tokenTiles, waves);
  return weights + others;
}

/// One kind of resource and how long it is busy.
using Busy = std::array<double, 6>;

} // namespace

llvm::StringRef odyssey::boundName(Bound bound) {
  constexpr llvm::StringLiteral names[] = {"memory", "latency", "L2",
                                           "tensor", "issue",   "shared"};
  return names[static_cast<size_t>(bound)];
}

Floor odyssey::floorOf(const TargetDescription &target,
                       const ProductShape &shape) {
  double n = shape.n, k = shape.k, m = shape.tokens;
  double bytes = n * k / 2 + m * k + 2 * m * n + 4 * (m + n);
  double memory = bytes / (target.memoryGbs * 1e9);
  double rate = std::max(target.mmaPerClock, target.wgmmaPerClock) *
                static_cast<double>(target.multiprocessors) * target.clock();
  double tensor = m * n * k / rate;
  return {std::max(memory, tensor), memory >= tensor};
}

int64_t odyssey::estimateRegisters(ScheduleAttr s) {
  int64_t accumulators = s.getChannels() * s.getTokens() /
                         (s.getChannelWarps() * s.getTokenWarps() * 32);
  if (s.getPath() == Path::Wgmma)
    return std::min<int64_t>(168, accumulators + 56);
  // Two sets of fragments of 4 registers, and addresses.
  int64_t blocks =
      s.getChannels() / s.getChannelWarps() / layout::kBlockChannels;
  int64_t tokenBlocks = s.getTokens() / s.getTokenWarps() / 8;
  return accumulators + 8 * (blocks + tokenBlocks) + 26;
}

Prediction odyssey::predict(const TargetDescription &target,
                            const ProductShape &shape, ScheduleAttr s) {
  CtaWork work = workOf(shape, s);
  int64_t occupancy = claimedCtas(target, s, shape.groupSize);
  double sms = static_cast<double>(target.multiprocessors);
  double channelTiles = ceilDiv(shape.n, s.getChannels());
  double tokenTiles = ceilDiv(shape.tokens, s.getTokens());
  double tiles = channelTiles * tokenTiles;
  double ctas = tiles * s.getSplitK();
  // Stream-K: an equal part of all tiles' stages for each CTA.
  if (s.getStreamK() > 0) {
    ctas = static_cast<double>(s.getStreamK());
    work.steps = ceilDiv(tiles * work.steps, ctas);
  }
  double slots = sms * occupancy;
  double waves = ceilDiv(ctas, slots);
  double bytes = memoryBytes(target, shape, s, waves);
  double clock = target.clock();
  double warps = static_cast<double>(s.getChannelWarps() * s.getTokenWarps());
  bool wgmma = s.getPath() == Path::Wgmma;
  double macRate =
      (wgmma ? target.wgmmaPerClock : target.mmaPerClock) * kTensorEfficiency;
  double inFlight = (work.weightBytes + work.activationBytes) *
                    std::min<double>(s.getStages() - 1, work.steps);

  // Waves are alike but for the last one, which may leave SMs idle.
  Busy total = {};
  double seconds = 0;
  auto addWave = [&](double count, double repeat) {
    double active = std::min(count, sms);
    double perSm = ceilDiv(count, sms);
    double l2Bytes =
        count * work.steps * (work.weightBytes + work.activationBytes);
    // Fewer than four warps leave sub-cores of an SM without work.
    double cores = std::min(1.0, perSm * warps / 4);
    double stages = perSm * work.steps;
    Busy busy;
    busy[0] =
        bytes * count / ctas / (target.memoryGbs * 1e9 * kMemoryEfficiency);
    busy[1] = l2Bytes / (count * inFlight / kMemoryLatency);
    busy[2] = l2Bytes / std::min(target.l2Gbs * 1e9 * kL2Efficiency,
                                 active * kL2BytesPerClock * clock);
    busy[3] = stages * work.multiplyAdds / (macRate * cores) / clock;
    busy[4] = stages * std::max(work.instructions / 4, work.logic / 2) / cores /
              clock;
    busy[5] = stages * work.sharedBytes / kSharedBytesPerClock / clock;
    double longest = *std::max_element(busy.begin(), busy.end());
    double sum = std::accumulate(busy.begin(), busy.end(), 0.0);
    seconds += repeat * (longest + kUnoverlapped * (sum - longest));
    for (size_t i = 0; i < busy.size(); ++i)
      total[i] += repeat * busy[i];
  };
  double fullWaves = std::floor(ctas / slots), rest = ctas - fullWaves * slots;
  if (fullWaves > 0)
    addWave(slots, fullWaves);
  if (rest > 0)
    addWave(rest, 1);
  // Filling the pipeline once, and writing the last results.
  seconds += kLaunchSeconds + 2 * kMemoryLatency;
  if (s.getSplitK() > 1)
    seconds += kReductionSeconds + 2 * 4.0 * shape.tokens * shape.n *
                                       s.getSplitK() /
                                       (target.l2Gbs * 1e9 * kL2Efficiency);
  auto binding = std::max_element(total.begin(), total.end()) - total.begin();
  return {seconds, static_cast<Bound>(binding), static_cast<int64_t>(ctas),
          occupancy};
}

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

/// What no data sheet has.
struct Calibration {
  /// From the launch in a CUDA graph to the first bytes, and the end, by path:
  /// wgmma copies its first weights before the kernel in front has ended.
  double launchSeconds, wgmmaLaunchSeconds;
  /// From the request of a stage until it has been used.
  double memoryLatency;
  /// Of the data sheet's bandwidth, what streaming kernels reach.
  double memoryEfficiency, l2Efficiency;
  /// Bytes that one multiprocessor takes from L2 per clock.
  double l2BytesPerClock;
  /// Of what is not the longest, the part that does not overlap with it.
  double unoverlapped;
  /// The tensor cores' share that a well-fed kernel reaches.
  double mmaEfficiency, wgmmaEfficiency;
  /// Clocks of a stage that nothing hides: its barriers.
  double stageClocks;
  /// Each wave of CTAs after the first has to fill its pipelines again.
  double waveSeconds;
  /// Scaling and writing 256 x 128 results, and adding them up among the CTAs
  /// of a cluster, with the barriers that this takes at least.
  double writeSeconds, exchangeSeconds, clusterSeconds;
  /// CTAs are dealt to groups of multiprocessors (GPCs), which are not equally
  /// large: CTAs meet on a multiprocessor, and clusters find no place, as if
  /// there were only this share of all multiprocessors.
  double evenShare;
};

/// Measured by others on Ampere (arXiv 2402.13499, 2501.12084: about 500 to 700
/// clocks to memory, 200 to 270 to L2).
constexpr Calibration kAmpere = {
    .launchSeconds = 3.2e-6,
    .wgmmaLaunchSeconds = 0,
    .memoryLatency = 0.6e-6,
    .memoryEfficiency = 0.92,
    .l2Efficiency = 0.7,
    .l2BytesPerClock = 64,
    .unoverlapped = 0.15,
    .mmaEfficiency = 0.85,
    .wgmmaEfficiency = 0,
    .stageClocks = 0,
    .waveSeconds = 0,
    .writeSeconds = 0,
    .exchangeSeconds = 0,
    .clusterSeconds = 0,
    .evenShare = 1,
};

/// Fitted to tuning/h200.json (docs/schedules.md).
constexpr Calibration kHopper = {
    .launchSeconds = 3.3e-6,
    .wgmmaLaunchSeconds = 1.4e-6,
    .memoryLatency = 0.74e-6,
    .memoryEfficiency = 0.95,
    .l2Efficiency = 0.9,
    .l2BytesPerClock = 40,
    .unoverlapped = 0.07,
    .mmaEfficiency = 0.78,
    .wgmmaEfficiency = 0.95,
    .stageClocks = 40,
    .waveSeconds = 2.1e-6,
    .writeSeconds = 0.87e-6,
    .exchangeSeconds = 0.7e-6,
    .clusterSeconds = 0.6e-6,
    .evenShare = 0.82,
};

const Calibration &calibrationOf(const TargetDescription &target) {
  return target.capability >= 90 ? kHopper : kAmpere;
}

/// Where CTAs meet in memory, their fences and the counter; from our own runs.
constexpr double kReductionSeconds = 1.0e-6;
constexpr double kSharedBytesPerClock = 128;

/// What no GPU has timed is chosen only where it should be that much faster;
/// packs measure it all the same.
constexpr double kUntimed = 1.1;
bool isUntimed(ScheduleAttr s) {
  return s.getMulticast() > 1 ||
         (s.getPath() == Path::Wgmma && s.getChannels() > 256);
}

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
  double bytes = weights * static_cast<double>(shape.weights.bits) / 8;
  if (shape.weights.groupSize == 0)
    return bytes;
  return bytes + weights / 2 / static_cast<double>(shape.weights.groupSize);
}

/// Warp instructions for the fragments of 16 channels x 64 k, and those of them
/// on the logic pipe. Of 4 bits, one load, and per word two ANDs and a shift;
/// with groups, docs/rationale.md counts 28 instructions and 6 for multipliers.
/// Of 8 bits, a load for each k32 step.
struct Unpacking {
  double instructions, logic;
};
Unpacking unpackingOf(const layout::WeightFormat &weights) {
  if (weights.bits == 8)
    return {2, 0};
  return weights.groupSize == 0 ? Unpacking{13, 8} : Unpacking{35, 24};
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
  Unpacking unpacking = unpackingOf(shape.weights);
  double unpacked = channels / 16 * subSteps * s.getTokenWarps();
  work.logic = unpacked * unpacking.logic;
  if (s.getPath() == Path::Wgmma) {
    work.instructions = unpacked * unpacking.instructions + warps * 30;
    // The B operand is read by each tile of 64 channels.
    work.sharedBytes =
        tokens * k * channels / 64 + 2 * work.weightBytes + tokens * k;
    return work;
  }
  double blocks = channels / s.getChannelWarps() / layout::kBlockChannels;
  double tokenBlocks = tokens / s.getTokenWarps() / 8;
  double products = warps * blocks * tokenBlocks * 2 * subSteps;
  double copies = (work.weightBytes + tokens * k) / 16 / 32;
  work.instructions = unpacked * unpacking.instructions + products +
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

/// A schedule's CTAs on a GPU.
class Grid {
public:
  Grid(const TargetDescription &target, const ProductShape &shape,
       ScheduleAttr schedule);

  /// How long a wave of `count` CTAs keeps each resource busy.
  Busy busyOf(double count) const;
  /// The time of a wave that keeps resources so busy.
  double waveSeconds(double count, const Busy &busy) const;
  /// The time that is not part of any wave.
  double fixedSeconds() const;
  /// Stream-K: from the last sum of parts of tiles until they are added up.
  double combineSeconds() const;

  int64_t occupancy;
  /// How many there are, and how many run at once.
  double ctas, slots;

private:
  /// CTAs on the multiprocessor that has the most of `count`.
  double busiest(double count) const {
    if (count <= sms)
      return 1;
    return std::min(static_cast<double>(occupancy),
                    ceilDiv(count, sms * calibration.evenShare));
  }
  /// A tile's results, in tiles of 256 x 128.
  double tileSize() const {
    return static_cast<double>(s.getChannels() * s.getTokens()) / (256 * 128);
  }

  const TargetDescription &target;
  const ProductShape &shape;
  ScheduleAttr s;
  const Calibration &calibration;
  bool wgmma;
  double sms;
  /// CTAs that bring each other activations. They wait for each other in every
  /// stage, which is taken to cost its barriers once more: not measured.
  double multicast;
  CtaWork work;
  /// Tiles of outputs, and how many of them a CTA takes one after another
  /// (`ctas` and `stream_k` in the schedule), and the stages of all of them.
  double tiles, tilesPerCta = 1, stages;
  double bytes;
};

Grid::Grid(const TargetDescription &target, const ProductShape &shape,
           ScheduleAttr schedule)
    : occupancy(claimedCtas(target, schedule, shape.weights)), target(target),
      shape(shape), s(schedule), calibration(calibrationOf(target)),
      wgmma(s.getPath() == Path::Wgmma),
      sms(static_cast<double>(target.multiprocessors)),
      multicast(static_cast<double>(s.getMulticast())), work(workOf(shape, s)),
      tiles(ceilDiv(shape.n, s.getChannels() * s.getMulticast()) *
            static_cast<double>(s.getMulticast()) *
            ceilDiv(shape.tokens, s.getTokens())) {
  auto splitK = static_cast<double>(s.getSplitK());
  ctas = tiles * splitK;
  stages = work.steps;
  // Stream-K: an equal part of all tiles' stages for each CTA.
  if (s.getStreamK() > 0) {
    ctas = std::min(static_cast<double>(s.getStreamK()), tiles * work.steps);
    stages = ceilDiv(tiles * work.steps, ctas);
    tilesPerCta = std::max(1.0, tiles / ctas);
  } else if (s.getCtas() > 0) {
    ctas = static_cast<double>(s.getCtas());
    tilesPerCta = ceilDiv(tiles, ctas);
    stages = tilesPerCta * work.steps;
  }
  slots = sms * static_cast<double>(occupancy);
  // Pairs fit everywhere; larger clusters leave multiprocessors of a group
  // without work.
  if (wgmma && splitK > 2)
    slots = std::max(1.0, std::floor(slots * calibration.evenShare / splitK)) *
            splitK;
  bytes = memoryBytes(target, shape, s, ceilDiv(ctas, slots) * tilesPerCta);
}

Busy Grid::busyOf(double count) const {
  double clock = target.clock();
  double warps = static_cast<double>(s.getChannelWarps() * s.getTokenWarps());
  double macRate = wgmma ? target.wgmmaPerClock * calibration.wgmmaEfficiency
                         : target.mmaPerClock * calibration.mmaEfficiency;
  double stageBytes = work.weightBytes + work.activationBytes;
  double ctaBytes = stages * stageBytes;
  double inFlight = stageBytes * std::min<double>(s.getStages() - 1, stages);
  double perSm = busiest(count);
  // Fewer than four warps leave sub-cores of an SM without work.
  double cores = std::min(1.0, perSm * warps / 4);
  Busy busy;
  busy[0] = bytes * count / ctas /
            (target.memoryGbs * 1e9 * calibration.memoryEfficiency);
  busy[1] = ctaBytes / inFlight * calibration.memoryLatency;
  // CTAs that share activations read them once; each takes them all.
  double l2Bytes =
      stages * (work.weightBytes + work.activationBytes / multicast);
  busy[2] = std::max(count * l2Bytes /
                         (target.l2Gbs * 1e9 * calibration.l2Efficiency),
                     perSm * ctaBytes / (calibration.l2BytesPerClock * clock));
  busy[3] = perSm * stages * work.multiplyAdds / (macRate * cores) / clock;
  busy[4] = perSm * stages * std::max(work.instructions / 4, work.logic / 2) /
            cores / clock;
  busy[5] = perSm * stages * work.sharedBytes / kSharedBytesPerClock / clock;
  return busy;
}

double Grid::waveSeconds(double count, const Busy &busy) const {
  double longest = *llvm::max_element(busy);
  double sum = std::accumulate(busy.begin(), busy.end(), 0.0);
  return longest + calibration.unoverlapped * (sum - longest) +
         stages * multicast * calibration.stageClocks / target.clock() +
         busiest(count) * tilesPerCta * tileSize() * calibration.writeSeconds;
}

/// Where parts of the row of stages do not begin with tiles, a CTA leaves the
/// sums of two, and a tile has parts of one more. On the path mma_sync, of
/// which nothing was measured where the sums count, they are free.
double Grid::combineSeconds() const {
  if (!wgmma || std::fmod(tiles, ctas) == 0)
    return 0;
  bool aligned = std::fmod(ctas, tiles) == 0;
  double sharing = ceilDiv(ctas, tiles) + (aligned ? 0 : 1);
  double left = (aligned ? 1 : 2) * 4.0 * s.getChannels() * s.getTokens();
  double perClock = calibration.l2BytesPerClock * target.clock();
  double leaving =
      std::max(busiest(ctas) * left / perClock,
               ctas * left / (target.l2Gbs * 1e9 * calibration.l2Efficiency));
  // The last one of a tile reads what the others have left, alone.
  double adding =
      (sharing - 1) * 4.0 * s.getChannels() * s.getTokens() / perClock;
  return kReductionSeconds + leaving + adding;
}

double Grid::fixedSeconds() const {
  double seconds =
      wgmma ? calibration.wgmmaLaunchSeconds : calibration.launchSeconds;
  seconds += (ceilDiv(ctas, slots) - 1) * calibration.waveSeconds;
  // CTAs of a cluster begin and end together.
  if (multicast > 1)
    seconds += calibration.clusterSeconds;
  if (s.getStreamK() > 0)
    return seconds + combineSeconds();
  if (s.getSplitK() == 1)
    return seconds;
  if (wgmma)
    return seconds + calibration.clusterSeconds +
           tileSize() * calibration.exchangeSeconds;
  return seconds + kReductionSeconds +
         2 * 4.0 * shape.tokens * shape.n * s.getSplitK() /
             (target.l2Gbs * 1e9 * calibration.l2Efficiency);
}

} // namespace

llvm::StringRef odyssey::boundName(Bound bound) {
  constexpr llvm::StringLiteral names[] = {"memory", "latency", "L2",
                                           "tensor", "issue",   "shared"};
  return names[static_cast<size_t>(bound)];
}

Floor odyssey::floorOf(const TargetDescription &target,
                       const ProductShape &shape) {
  double n = shape.n, k = shape.k, m = shape.tokens;
  double bytes = n * k * static_cast<double>(shape.weights.bits) / 8 + m * k +
                 2 * m * n + 4 * (m + n);
  double memory = bytes / (target.memoryGbs * 1e9);
  double rate = std::max(target.mmaPerClock, target.wgmmaPerClock) *
                static_cast<double>(target.multiprocessors) * target.clock();
  double tensor = m * n * k / rate;
  return {std::max(memory, tensor), memory >= tensor};
}

int64_t odyssey::estimateRegisters(ScheduleAttr s,
                                   layout::WeightFormat weights) {
  int64_t accumulators = s.getChannels() * s.getTokens() /
                         (s.getChannelWarps() * s.getTokenWarps() * 32);
  if (s.getPath() == Path::Wgmma) {
    // A CTA begins with equal shares of all registers there are, whatever its
    // threads need: consumers get theirs from the producer.
    if (s.movesRegisters())
      return 65536 / s.getThreads() / 8 * 8;
    // Other CTAs' sums are loaded all at once, where a thread may have so many
    // registers.
    if (s.getStreamK() > 0)
      return std::min<int64_t>(
          232, std::max(accumulators + 56, 2 * accumulators + 40));
    return std::min<int64_t>(168, accumulators + 56);
  }
  // Two sets of fragments, of 4 registers as packed, and addresses.
  int64_t blocks =
      s.getChannels() / s.getChannelWarps() / layout::kBlockChannels;
  int64_t tokenBlocks = s.getTokens() / s.getTokenWarps() / 8;
  return accumulators + 8 * (blocks * weights.bits / 4 + tokenBlocks) + 26;
}

Prediction odyssey::predict(const TargetDescription &target,
                            const ProductShape &shape, ScheduleAttr s) {
  Grid grid(target, shape, s);
  double seconds = grid.fixedSeconds();
  double caution = isUntimed(s) ? kUntimed : 1;
  // Waves are alike but for the last one, which may leave SMs idle.
  Busy total = {};
  auto addWave = [&](double count, double repeat) {
    Busy busy = grid.busyOf(count);
    seconds += repeat * grid.waveSeconds(count, busy);
    for (size_t i = 0; i < busy.size(); ++i)
      total[i] += repeat * busy[i];
  };
  double fullWaves = std::floor(grid.ctas / grid.slots);
  double rest = grid.ctas - fullWaves * grid.slots;
  if (fullWaves > 0)
    addWave(grid.slots, fullWaves);
  if (rest > 0)
    addWave(rest, 1);
  auto binding = llvm::max_element(total) - total.begin();
  return {seconds * caution, static_cast<Bound>(binding),
          static_cast<int64_t>(grid.ctas), grid.occupancy};
}

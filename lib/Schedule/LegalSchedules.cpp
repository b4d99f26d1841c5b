//===- LegalSchedules.cpp - What the lowering can follow ------------------===//
//
// Enumerates schedules and ranks them. A constraint that leaves nothing is
// named, so that a person knows what to change.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Schedule/CostModel.h"

#include "odyssey/Layout/PackedWeights.h"

#include <algorithm>
#include <tuple>

using namespace mlir;
using namespace odyssey;
using fastgemm::Path;
using fastgemm::ScheduleAttr;

namespace {

/// A thread has 255 registers; the estimate may be that much too low.
constexpr int64_t kMostRegisters = 232;

/// A schedule without how sums are divided among CTAs.
struct ScheduleTile {
  Path path;
  int64_t channels, tokens, k, channelWarps, tokenWarps, stages;
  int64_t multicast = 1;
};

/// Collects schedules that pass all constraints, and remembers which one
/// refused the last.
class Collector {
public:
  Collector(MLIRContext *context, const TargetDescription &target,
            const ProductShape &shape, int64_t panelChannels)
      : context(context), target(target), shape(shape),
        packed{shape.n, shape.k, panelChannels, 0, shape.weights.bits} {}

  void addMmaSync();
  void addWgmma();

  std::vector<ScheduleAttr> schedules;
  std::string refusal;

private:
  void add(const ScheduleTile &tile, int64_t splitK, int64_t ctas,
           int64_t streamK);
  void addMmaSyncSplits(const ScheduleTile &tile);
  void addWgmmaTiles(const ScheduleTile &tile, int64_t tiles);
  void addWgmmaStreams(const ScheduleTile &tile, int64_t tiles, int64_t steps);
  /// Whether a tile of that many tokens makes sense: not wider than the next
  /// multiple of 8 that takes all tokens at once.
  bool fitsTokens(int64_t tile) const {
    return tile <= layout::roundUp(shape.tokens, 8) || tile == 8;
  }

  MLIRContext *context;
  const TargetDescription &target;
  const ProductShape &shape;
  layout::PackedWeights packed;
};

void Collector::add(const ScheduleTile &tile, int64_t splitK, int64_t ctas,
                    int64_t streamK) {
  // A pipeline longer than the loop only takes shared memory.
  int64_t steps = layout::roundUp(packed.paddedK(), tile.k) / tile.k / splitK;
  if (tile.stages > 2 && tile.stages - 1 > steps)
    return;
  ScheduleAttr schedule = ScheduleAttr::get(
      context, tile.path, tile.channels, tile.tokens, tile.k, tile.channelWarps,
      tile.tokenWarps, tile.stages, splitK, ctas, streamK, tile.multicast);
  if (int64_t bytes = schedule.getSharedBytes(shape.weights);
      bytes > target.sharedBytesPerBlock) {
    refusal = "the smallest stages need " + std::to_string(bytes) +
              " bytes of shared memory, a CTA of " + target.name.str() +
              " has " + std::to_string(target.sharedBytesPerBlock);
    return;
  }
  int64_t registers = estimateRegisters(schedule, shape.weights);
  if (registers > kMostRegisters ||
      schedule.getThreads() * layout::roundUp(registers, 8) >
          target.registers) {
    refusal = "a thread needs more registers than there are";
    return;
  }
  schedules.push_back(schedule);
}

/// The ways of dividing the tiles' sums among CTAs: not at all; each into equal
/// parts; or all together, over as many CTAs as the GPU holds at once. With
/// many tokens there are tiles enough, and partial sums are large.
void Collector::addMmaSyncSplits(const ScheduleTile &tile) {
  constexpr int64_t kSplitTokens = 64;
  add(tile, /*splitK=*/1, /*ctas=*/0, /*streamK=*/0);
  if (shape.tokens > kSplitTokens)
    return;
  int64_t steps = packed.paddedK() / tile.k;
  int64_t tiles = packed.paddedN() / tile.channels *
                  (layout::roundUp(shape.tokens, tile.tokens) / tile.tokens);
  int64_t sms = target.multiprocessors;
  for (int64_t splitK : {2, 3, 4, 6, 8, 12, 16})
    // Beyond four CTAs a multiprocessor, more parts only add sums.
    if (splitK <= steps && tiles * splitK <= 4 * sms)
      add(tile, splitK, /*ctas=*/0, /*streamK=*/0);
  for (int64_t resident : {1, 2, 3, 4})
    if (tiles % (resident * sms) != 0 && resident * sms < tiles * steps / 4)
      add(tile, /*splitK=*/1, /*ctas=*/0, resident * sms);
}

void Collector::addMmaSync() {
  for (int64_t channels : {32, 64, 128, 256})
    for (int64_t tokens : {8, 16, 24, 32, 48, 64, 96, 128})
      for (int64_t k : {64, 128, 256}) {
        if (packed.paddedN() % channels != 0 || !fitsTokens(tokens) ||
            packed.paddedK() % k != 0)
          continue;
        for (int64_t channelWarps : {1, 2, 4, 8})
          for (int64_t tokenWarps : {1, 2, 4})
            if (channels % (32 * channelWarps) == 0 &&
                tokens % (8 * tokenWarps) == 0 &&
                channelWarps * tokenWarps <= 8)
              for (int64_t stages : {2, 3, 4, 6, 8})
                addMmaSyncSplits({Path::MmaSync, channels, tokens, k,
                                  channelWarps, tokenWarps, stages});
      }
}

/// Stream-K over as many CTAs as fit at once, and over the most of these that
/// are a multiple of the tiles, so that a CTA has a part of one tile only.
void Collector::addWgmmaStreams(const ScheduleTile &tile, int64_t tiles,
                                int64_t steps) {
  for (int64_t resident : {1, 2, 3}) {
    int64_t most = resident * target.multiprocessors;
    int64_t aligned = most / tiles * tiles;
    // Less than two stages do not pay for the sums that they leave.
    if (tiles % most != 0 && most <= tiles * steps / 2)
      add(tile, /*splitK=*/1, /*ctas=*/0, most);
    if (aligned > tiles && aligned != most && aligned <= tiles * steps / 2)
      add(tile, /*splitK=*/1, /*ctas=*/0, aligned);
  }
}

/// Tiles as a whole: a CTA for each, or CTAs that take tile after tile, where
/// there are more tiles.
void Collector::addWgmmaTiles(const ScheduleTile &tile, int64_t tiles) {
  add(tile, /*splitK=*/1, /*ctas=*/0, /*streamK=*/0);
  for (int64_t resident : {1, 2, 3})
    if (resident * target.multiprocessors < tiles)
      add(tile, /*splitK=*/1, resident * target.multiprocessors, /*streamK=*/0);
}

void Collector::addWgmma() {
  constexpr int64_t tileK = fastgemm::SwizzledAttr::kTileK;
  int64_t steps = layout::roundUp(shape.k, tileK) / tileK;
  // Where activations are less of a stage than this, to share them saves little
  // of what comes from L2.
  constexpr int64_t multicastTokens = 64;
  for (int64_t channels : {128, 256, 384})
    for (int64_t tokens : {8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160}) {
      if (!fitsTokens(tokens) ||
          tokens > ScheduleAttr::getMostTokens(channels / 32))
        continue;
      int64_t channelTiles = layout::roundUp(shape.n, channels) / channels;
      int64_t tiles =
          channelTiles * (layout::roundUp(shape.tokens, tokens) / tokens);
      for (int64_t stages = 2; stages <= 8; ++stages) {
        ScheduleTile tile{Path::Wgmma,   channels, tokens, tileK,
                          channels / 32, 1,        stages};
        addWgmmaTiles(tile, tiles);
        for (int64_t splitK : {2, 3, 4, 6, 8})
          if (splitK <= steps)
            add(tile, splitK, /*ctas=*/0, /*streamK=*/0);
        if (tokens >= multicastTokens && channelTiles > 1) {
          ScheduleTile sharing = tile;
          sharing.multicast = 2;
          addWgmmaTiles(sharing, tiles);
        }
        // With fragments of 8 bits ptxas spills where tiles are wider.
        if (shape.weights.bits == 4 || tokens <= 128)
          addWgmmaStreams(tile, tiles, steps);
      }
    }
}

} // namespace

std::vector<ScheduleAttr>
odyssey::legalSchedules(MLIRContext *context, const TargetDescription &target,
                        const ProductShape &shape, int64_t panelChannels,
                        std::string *whyNot) {
  auto refuse = [&](const llvm::Twine &why) {
    if (whyNot)
      *whyNot = why.str();
    return std::vector<ScheduleAttr>();
  };
  if (shape.tokens < 1 || shape.n < 1 || shape.k < 1)
    return refuse("tokens, N and K must be positive");
  if (int64_t most = shape.weights.maxK(); shape.k > most)
    return refuse("K must be at most " + llvm::Twine(most) +
                  " for exact sums of 32 bits, got " + llvm::Twine(shape.k));
  Collector collector(context, target, shape, panelChannels);
  collector.addMmaSync();
  // Weights with groups have no kernel of the path wgmma.
  if (target.hasWgmma() && shape.weights.groupSize == 0)
    collector.addWgmma();
  if (collector.schedules.empty())
    return refuse(collector.refusal);
  return std::move(collector.schedules);
}

std::vector<RankedSchedule>
odyssey::rankSchedules(MLIRContext *context, const TargetDescription &target,
                       const ProductShape &shape, int64_t panelChannels,
                       std::string *whyNot) {
  std::vector<RankedSchedule> ranked;
  for (ScheduleAttr schedule :
       legalSchedules(context, target, shape, panelChannels, whyNot))
    ranked.push_back({schedule, predict(target, shape, schedule),
                      static_cast<int64_t>(ranked.size())});
  std::sort(ranked.begin(), ranked.end(), [](const auto &a, const auto &b) {
    return std::tie(a.prediction.seconds, a.order) <
           std::tie(b.prediction.seconds, b.order);
  });
  return ranked;
}

//===- RunPack.cpp - Measures the candidates of a pack --------------------===//

#include "Tune.h"

#include "odyssey/Schedule/RankCorrelation.h"
#include "odyssey/runtime/DeviceRegistry.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

using namespace odyssey;
using namespace odyssey::runtime;

namespace {

/// The candidates of one product for one number of tokens.
struct Group {
  std::vector<size_t> candidates;
  std::vector<double> predicted, measured;
};

class Tuner {
public:
  Tuner(const tune::RunOptions &options, std::shared_ptr<Device> device,
        TuningFile file)
      : options(options), device(std::move(device)), file(std::move(file)) {}

  /// Measures a pack. An error is one after which nothing more can be measured.
  Status run(std::shared_ptr<const Pack> measuredPack);
  /// Says what was done; an error when that is nothing.
  Status finish() const;

private:
  std::vector<Group> groups() const;
  Status measure(Group &group, PackRunner &runner);
  void report(const Group &group) const;
  bool outOfTime() const {
    return options.limit > 0 &&
           std::chrono::duration<double>(Clock::now() - start).count() >
               options.limit;
  }

  using Clock = std::chrono::steady_clock;
  const tune::RunOptions &options;
  std::shared_ptr<const Pack> pack;
  std::shared_ptr<Device> device;
  TuningFile file;
  Clock::time_point start = Clock::now();
  size_t total = 0, measured = 0, failed = 0;
  /// Sums over the groups with a ranking.
  double correlations = 0, losses = 0;
  size_t ranked = 0;
};

std::vector<Group> Tuner::groups() const {
  std::vector<Group> result;
  const std::vector<PackCandidate> &all = pack->candidates();
  for (size_t i = 0; i < all.size(); ++i) {
    if (i == 0 || all[i].product != all[i - 1].product ||
        all[i].tokens != all[i - 1].tokens)
      result.emplace_back();
    result.back().candidates.push_back(i);
  }
  return result;
}

/// An error is one after which nothing can be measured any more.
Status Tuner::measure(Group &group, PackRunner &runner) {
  for (size_t index : group.candidates) {
    if (outOfTime())
      return Status::success();
    const PackCandidate &candidate = pack->candidates()[index];
    const PackProduct &product = pack->products()[candidate.product];
    Result<Measurement> time = runner.measure(index);
    if (!time.ok()) {
      if (time.status().code() == StatusCode::DeviceFault)
        return time.status();
      std::fprintf(stderr, "odyssey-tune: warning: %s\n",
                   time.status().message().c_str());
      ++failed;
      // Other candidates of this product will not fit either.
      if (time.status().code() == StatusCode::ResourceExhausted)
        return Status::success();
      continue;
    }
    ++measured;
    group.predicted.push_back(candidate.predictedSeconds);
    group.measured.push_back(time->median);
    // A database holds whole nanoseconds.
    file.set({device->properties().name, pack->bundle().plan().target.text,
              product.n, product.k, candidate.tokens, product.weightBits,
              candidate.schedule},
             {std::max<int64_t>(1, std::llround(time->median * 1e9)),
              std::llround(time->spread * 1e9)});
  }
  return Status::success();
}

void Tuner::report(const Group &group) const {
  const PackCandidate &first = pack->candidates()[group.candidates.front()];
  const PackProduct &product = pack->products()[first.product];
  size_t best = 0;
  for (size_t i = 1; i < group.measured.size(); ++i)
    if (group.measured[i] < group.measured[best])
      best = i;
  std::printf("%-24s %6lld tokens  %9.2f us, %3.0f %% of the floor  "
              "model's first %9.2f us  Spearman %5.2f  <%s>\n",
              product.name.c_str(), static_cast<long long>(first.tokens),
              group.measured[best] * 1e6,
              100 * first.floorSeconds / group.measured[best],
              group.measured[0] * 1e6,
              spearman(group.predicted, group.measured),
              pack->candidates()[group.candidates[best]].schedule.c_str());
  std::fflush(stdout);
}

Status Tuner::run(std::shared_ptr<const Pack> measuredPack) {
  pack = std::move(measuredPack);
  total += pack->candidates().size();
  ODYSSEY_ASSIGN_OR_RETURN(auto runner,
                           PackRunner::create(pack, device, options.measure));
  for (Group &group : groups()) {
    if (outOfTime())
      return Status::success();
    Status stopped = measure(group, *runner);
    // Written after every group: a lost GPU, or a kill, costs one group.
    if (!group.measured.empty()) {
      ODYSSEY_RETURN_IF_ERROR(file.write(options.output));
      if (!options.quiet && group.measured.size() == group.candidates.size())
        report(group);
    }
    if (group.measured.size() > 1) {
      ++ranked;
      correlations += spearman(group.predicted, group.measured);
      losses += group.measured[0] /
                *std::min_element(group.measured.begin(), group.measured.end());
    }
    if (!stopped.ok())
      return stopped;
  }
  return Status::success();
}

Status Tuner::finish() const {
  if (!options.quiet) {
    std::printf("%zu of %zu candidates measured on %s, %zu failed; %zu entries "
                "in '%s'\n",
                measured, total, device->properties().name.c_str(), failed,
                file.entries.size(), options.output.c_str());
    if (ranked > 0)
      std::printf("the model's ranking: Spearman %.2f in the mean of %zu "
                  "products and token counts, its first choice takes %.2f "
                  "times the best\n",
                  correlations / static_cast<double>(ranked), ranked,
                  losses / static_cast<double>(ranked));
  }
  return measured > 0 ? Status::success()
                      : failedPrecondition("no candidate was measured");
}

} // namespace

Status tune::runPacks(const RunOptions &options) {
  // First what needs no device: a wrong file is said where there is none, too.
  for (const std::string &path : options.packs)
    ODYSSEY_RETURN_IF_ERROR(Pack::open(path).status());
  ODYSSEY_RETURN_IF_ERROR(TuningFile::read(options.output).status());
  ODYSSEY_ASSIGN_OR_RETURN(auto device, openDevice(options.device));
  return runPacks(options, std::move(device));
}

Status tune::runPacks(const RunOptions &options,
                      std::shared_ptr<Device> device) {
  std::vector<std::shared_ptr<const Pack>> packs;
  for (const std::string &path : options.packs) {
    ODYSSEY_ASSIGN_OR_RETURN(auto pack, Pack::open(path));
    packs.push_back(std::move(pack));
  }
  ODYSSEY_ASSIGN_OR_RETURN(TuningFile file, TuningFile::read(options.output));
  for (const std::string &warning : file.warnings)
    std::fprintf(stderr, "odyssey-tune: warning: %s\n", warning.c_str());
  Tuner tuner(options, device, std::move(file));
  Status other;
  for (const auto &pack : packs) {
    Status runs = pack->bundle().checkRunsOn(device->properties());
    if (runs.ok()) {
      ODYSSEY_RETURN_IF_ERROR(tuner.run(pack));
      continue;
    }
    if (packs.size() > 1)
      std::fprintf(stderr, "odyssey-tune: warning: %s\n",
                   runs.message().c_str());
    other = runs;
  }
  Status finished = tuner.finish();
  return packs.size() == 1 && !other.ok() ? other : finished;
}

Status tune::mergeFiles(const std::vector<std::string> &paths) {
  TuningFile merged;
  for (const std::string &path : paths) {
    ODYSSEY_ASSIGN_OR_RETURN(TuningFile file, TuningFile::read(path));
    for (const std::string &warning : file.warnings)
      std::fprintf(stderr, "odyssey-tune: warning: %s\n", warning.c_str());
    if (path != paths.front() && file.entries.empty())
      return notFound("'" + path + "' has no entries to merge");
    merged.merge(file);
  }
  return merged.write(paths.front());
}

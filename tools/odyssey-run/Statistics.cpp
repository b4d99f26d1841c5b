//===- Statistics.cpp - odyssey-run --stats -------------------------------===//

#include "Statistics.h"

#include <cstdio>
#include <set>

namespace odyssey::run {

using namespace odyssey::runtime;

void Statistics::add(const GenerateResult &result) {
  if (promptTokens == 0)
    firstPrefillSeconds = result.prefillSeconds;
  promptTokens += result.promptTokens;
  prefillSeconds += result.prefillSeconds;
  decodeSteps += result.decodeSteps;
  decodeSeconds += result.decodeSeconds;
}

static void printSpeed(const char *what, int64_t tokens, double seconds) {
  fprintf(stderr, "%-12s %10lld tokens %12.1f tokens/s\n", what,
          static_cast<long long>(tokens),
          seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0);
}

static double totalSeconds(const KernelTimes &times) {
  double total = 0;
  for (auto &[kind, time] : times)
    total += time.seconds;
  return total;
}

static void printKernels(const KernelProfile &profile) {
  std::set<std::string> kinds;
  for (const KernelTimes *times : {&profile.prefill, &profile.decode})
    for (auto &[kind, time] : *times)
      kinds.insert(kind);
  fprintf(stderr, "%-12s %21s %21s\n", "kernels",
          ("prefill, " + std::to_string(profile.tokens) + " tokens").c_str(),
          "decode, 1 token");
  auto cell = [](const KernelTimes &times, const std::string &kind) {
    auto found = times.find(kind);
    KernelTime time = found == times.end() ? KernelTime() : found->second;
    double total = totalSeconds(times);
    fprintf(stderr, " %9.3f ms %7.1f %%", time.seconds * 1e3,
            total > 0 ? 100 * time.seconds / total : 0.0);
  };
  for (const std::string &kind : kinds) {
    fprintf(stderr, "  %-10s", kind.c_str());
    cell(profile.prefill, kind);
    cell(profile.decode, kind);
    fputc('\n', stderr);
  }
}

void printStatistics(const Statistics &statistics, const KernelProfile &profile,
                     const Device &device) {
  const Executor::LoadTimes &load = statistics.loadTimes;
  auto seconds = [](const char *what, double value) {
    fprintf(stderr, "%-12s %10.3f s\n", what, value);
  };
  fprintf(stderr, "%-12s %s\n", "device", device.properties().name.c_str());
  seconds("first token", statistics.loaded + statistics.firstPrefillSeconds);
  seconds("  start", statistics.started);
  seconds("  bundle", statistics.bundleOpened - statistics.started);
  seconds("  device", statistics.deviceOpened - statistics.bundleOpened);
  seconds("  modules", load.modules);
  seconds("  weights", load.weights);
  seconds("  other", statistics.loaded - statistics.deviceOpened -
                         load.modules - load.weights);
  seconds("  prefill", statistics.firstPrefillSeconds);
  printSpeed("prefill", statistics.promptTokens, statistics.prefillSeconds);
  printSpeed("decode", statistics.decodeSteps, statistics.decodeSeconds);
  printKernels(profile);
}

} // namespace odyssey::run

//===- GemmReport.cpp - Results of odyssey-bench gemm ---------------------===//

#include "GemmReport.h"

#include <nlohmann/json.hpp>

#include <cstdio>

using namespace odyssey;
using namespace odyssey::bench;
using Json = nlohmann::ordered_json;

Json bench::toJson(const Timing &timing) {
  return {{"median", timing.median},
          {"p10", timing.low},
          {"p90", timing.high},
          {"launches", timing.launches},
          {"replays", timing.replays}};
}

Json bench::toJson(const runtime::DeviceProperties &device,
                   const Peaks &peaks) {
  return {{"kind", device.kind},
          {"name", device.name},
          {"compute_capability", device.computeCapability},
          {"multiprocessors", device.multiprocessors},
          {"memory_bytes", device.totalMemoryBytes},
          {"cache_bytes", device.cacheBytes},
          {"clock_hertz", device.clockHertz},
          {"peak_bytes_per_second", peaks.bytesPerSecond},
          {"peak_int8_operations_per_second", peaks.operationsPerSecond}};
}

static Json baselineJson(const BaselineResult &baseline) {
  Json json;
  if (baseline.timing) {
    json["seconds"] = toJson(*baseline.timing);
    json["tokens"] = baseline.tokens;
    json["algorithms"] = baseline.algorithms;
  } else {
    json["note"] = baseline.note;
  }
  return json;
}

static Json resultJson(const GemmResult &result) {
  Json json = {{"bundle", result.bundle},
               {"function", result.function},
               {"kernel", result.kernel},
               {"m", result.m},
               {"n", result.n},
               {"k", result.k},
               {"weight_bits", result.weightBits},
               {"bytes", result.work.bytes},
               {"operations", result.work.operations},
               {"compared_outputs", result.samples}};
  if (!result.prologue.empty())
    json["prologue"] = result.prologue;
  if (result.floorSeconds > 0)
    json["floor_seconds"] = result.floorSeconds;
  if (result.timing) {
    json["seconds"] = toJson(*result.timing);
    json["bytes_per_second"] = result.work.bytes / result.timing->median;
    json["operations_per_second"] =
        result.work.operations / result.timing->median;
    if (result.floorSeconds > 0)
      json["percent_of_floor"] =
          100 * result.floorSeconds / result.timing->median;
  }
  if (!result.error.empty())
    json["error"] = result.error;
  for (const BaselineResult &baseline : result.baselines)
    json["baselines"][baseline.name] = baselineJson(baseline);
  return json;
}

Json bench::toJson(const GemmReport &report) {
  Json json = {{"format", 1},
               {"benchmark", "gemm"},
               {"device", toJson(report.device, report.peaks)},
               {"baseline_library", report.baselineLibrary},
               {"results", Json::array()}};
  for (const GemmResult &result : report.results)
    json["results"].push_back(resultJson(result));
  if (!report.error.empty())
    json["error"] = report.error;
  return json;
}

/// "1.93x", how many times as long as ours a baseline takes, or a dash.
static std::string ratio(const GemmResult &result, const char *name) {
  for (const BaselineResult &baseline : result.baselines)
    if (baseline.name == name && baseline.timing && result.timing) {
      char text[32];
      snprintf(text, sizeof(text), "%.2f (%.2fx)",
               baseline.timing->median * 1e6,
               baseline.timing->median / result.timing->median);
      return text;
    }
  return "-";
}

void bench::printTable(const GemmReport &report) {
  std::printf("device    %s\nbaselines %s\n\n", report.device.name.c_str(),
              report.baselineLibrary.c_str());
  std::printf("%-16s %6s %6s %6s %12s %7s %8s %8s %8s %18s %18s\n", "function",
              "M", "N", "K", "us", "spread", "GB/s", "TOPS", "of floor",
              "fp16 us", "int8 us");
  for (const GemmResult &result : report.results) {
    std::string name = result.function;
    if (!result.prologue.empty())
      name += "+" + result.prologue;
    std::printf("%-16s %6lld %6lld %6lld ", name.c_str(),
                static_cast<long long>(result.m),
                static_cast<long long>(result.n),
                static_cast<long long>(result.k));
    if (!result.timing) {
      if (result.error.empty())
        std::printf("equal (%lld outputs)\n",
                    static_cast<long long>(result.samples));
      else
        std::printf("%s\n", result.error.c_str());
      continue;
    }
    const Timing &timing = *result.timing;
    char floor[16] = "-";
    if (result.floorSeconds > 0)
      snprintf(floor, sizeof(floor), "%.1f %%",
               100 * result.floorSeconds / timing.median);
    std::printf("%12.2f %5.1f %% %8.1f %8.2f %8s %18s %18s\n",
                timing.median * 1e6,
                100 * (timing.high - timing.low) / timing.median,
                result.work.bytes / timing.median * 1e-9,
                result.work.operations / timing.median * 1e-12, floor,
                ratio(result, "cublas_fp16").c_str(),
                ratio(result, "cublas_int8").c_str());
  }
}

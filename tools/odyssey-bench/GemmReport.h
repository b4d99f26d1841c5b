//===- GemmReport.h - Results of odyssey-bench gemm -------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_GEMMREPORT_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_GEMMREPORT_H

#include "Measure.h"
#include "Roofline.h"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace odyssey::bench {

/// A baseline's product of one shape.
struct BaselineResult {
  /// "cublas_fp16" or "cublas_int8".
  std::string name;
  /// Nothing when it could not be measured, for the reason in `note`.
  std::optional<Timing> timing;
  std::string note;
  /// Tokens that were computed: the library may need more than there are.
  int64_t tokens = 0;
  /// Algorithms of the library that were tried; the fastest counts.
  int64_t algorithms = 0;
};

/// One kernel with one number of tokens.
struct GemmResult {
  std::string bundle, function, kernel;
  int64_t m = 0, n = 0, k = 0, weightBits = 0;
  /// What the kernel does in front of its product: "quantize", "rms_norm" (and
  /// quantize), or empty where it reads 8-bit activations.
  std::string prologue;
  ProductWork work;
  double floorSeconds = 0;
  /// Outputs that were compared with the reference.
  int64_t samples = 0;
  /// Nothing when an output was wrong or the kernel did not run, for the reason
  /// in `error`.
  std::optional<Timing> timing;
  std::string error;
  std::vector<BaselineResult> baselines;
};

struct GemmReport {
  runtime::DeviceProperties device;
  Peaks peaks;
  /// The library of the baselines, or why there is none.
  std::string baselineLibrary;
  std::vector<GemmResult> results;
  /// Why the measurement ended early; empty when it did not.
  std::string error;
};

nlohmann::ordered_json toJson(const GemmReport &report);
nlohmann::ordered_json toJson(const Timing &timing);
nlohmann::ordered_json toJson(const runtime::DeviceProperties &device,
                              const Peaks &peaks);
void printTable(const GemmReport &report);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_GEMMREPORT_H

//===- Plots.h - Charts of measured results ---------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_PLOTS_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_PLOTS_H

#include "SvgChart.h"
#include "odyssey/runtime/Status.h"

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace odyssey::bench {

/// The charts of what odyssey-bench or a script of benchmarks/ has written.
/// Products: a roofline, and for each N and K the times over M beside the floor
/// and the baselines. Models: prefill and decode rates over the batch. DataLoss
/// for another JSON file.
runtime::Result<std::vector<Chart>>
chartsOf(const std::vector<nlohmann::ordered_json> &documents);

/// Reads JSON files and writes their charts to an SVG file.
runtime::Status plotFiles(const std::vector<std::string> &files,
                          const std::string &svg);
/// Writes the charts of one document to an SVG file.
runtime::Status plotDocument(const nlohmann::ordered_json &document,
                             const std::string &svg);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_PLOTS_H

//===- SvgChart.h - Line charts as SVG --------------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_SVGCHART_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_SVGCHART_H

#include <string>
#include <utility>
#include <vector>

namespace odyssey::bench {

struct ChartSeries {
  std::string name;
  /// x and y, both greater than 0, sorted by x.
  std::vector<std::pair<double, double>> points;
  /// For limits and roofs, which nobody has measured.
  bool dashed = false;
  /// Dots that are not connected.
  bool scattered = false;
};

/// A chart with logarithmic axes.
struct Chart {
  std::string title, xLabel, yLabel;
  std::vector<ChartSeries> series;
};

/// All charts as one SVG document, two beside each other. Charts without a
/// point are left out.
std::string renderSvg(const std::vector<Chart> &charts);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_SVGCHART_H

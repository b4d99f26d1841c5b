//===- SvgChart.cpp - Line charts as SVG ----------------------------------===//

#include "SvgChart.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <set>

using namespace odyssey;
using namespace odyssey::bench;

namespace {

constexpr int kWidth = 480, kHeight = 320;
/// Room for labels around the area of the data.
constexpr int kLeft = 62, kRight = 16, kTop = 34, kBottom = 46;
constexpr size_t kColumns = 2;
/// So many different x are all written under the axis; else powers of ten.
constexpr size_t kMaxTicks = 14;

/// Okabe and Ito's palette, which colour-blind people can tell apart.
constexpr const char *kColors[] = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                   "#e69f00", "#56b4e9", "#000000"};

[[gnu::format(printf, 2, 3)]] void append(std::string &out, const char *format,
                                          ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  out += text;
}

std::string escape(const std::string &text) {
  std::string result;
  for (char c : text)
    result += c == '&' ? "&amp;" : c == '<' ? "&lt;" : std::string(1, c);
  return result;
}

/// A logarithmic axis from `low` to `high` over pixels `from` to `to`.
struct Axis {
  double low, high, from, to;
  std::vector<double> ticks;

  double position(double value) const {
    return from + (std::log10(value) - std::log10(low)) /
                      (std::log10(high) - std::log10(low)) * (to - from);
  }
};

/// The axis of the given values, with a little room on both sides.
Axis makeAxis(const std::set<double> &values, double from, double to,
              bool mayNameAll) {
  Axis axis{*values.begin() / 1.2, *values.rbegin() * 1.2, from, to, {}};
  if (mayNameAll && values.size() <= kMaxTicks) {
    axis.ticks.assign(values.begin(), values.end());
    return axis;
  }
  double decades = std::log10(axis.high / axis.low);
  for (int power = static_cast<int>(std::floor(std::log10(axis.low)));
       power <= std::log10(axis.high); ++power)
    for (double digit : {1.0, 2.0, 5.0}) {
      double tick = digit * std::pow(10.0, power);
      // Few decades have room for more than their beginnings.
      if (tick >= axis.low && tick <= axis.high && (digit == 1 || decades < 3))
        axis.ticks.push_back(tick);
    }
  return axis;
}

void drawAxes(std::string &out, const Chart &chart, const Axis &x,
              const Axis &y) {
  for (double tick : y.ticks) {
    append(out,
           "<line x1='%g' x2='%g' y1='%.1f' y2='%.1f' stroke='#ddd'/>\n"
           "<text x='%g' y='%.1f' text-anchor='end'>%g</text>\n",
           x.from, x.to, y.position(tick), y.position(tick), x.from - 5,
           y.position(tick) + 4, tick);
  }
  for (double tick : x.ticks)
    append(out,
           "<line x1='%.1f' x2='%.1f' y1='%g' y2='%g' stroke='#ddd'/>\n"
           "<text x='%.1f' y='%g' text-anchor='middle'>%g</text>\n",
           x.position(tick), x.position(tick), y.from, y.to, x.position(tick),
           y.from + 14, tick);
  append(out, "<text x='%g' y='20' font-weight='bold'>", x.from);
  out += escape(chart.title) + "</text>\n";
  append(out, "<text x='%g' y='%d' text-anchor='middle'>", (x.from + x.to) / 2,
         kHeight - 10);
  out += escape(chart.xLabel) + "</text>\n";
  append(out,
         "<text transform='translate(14 %g) rotate(-90)' "
         "text-anchor='middle'>",
         (y.from + y.to) / 2);
  out += escape(chart.yLabel) + "</text>\n";
}

void drawSeries(std::string &out, const ChartSeries &series, size_t index,
                const Axis &x, const Axis &y) {
  const char *color = kColors[index % std::size(kColors)];
  if (!series.scattered) {
    append(out, "<polyline fill='none' stroke='%s' stroke-width='2'%s points='",
           color, series.dashed ? " stroke-dasharray='6 4'" : "");
    for (auto [px, py] : series.points)
      append(out, "%.1f,%.1f ", x.position(px), y.position(py));
    out += "'/>\n";
  }
  if (!series.dashed)
    for (auto [px, py] : series.points)
      append(out, "<circle cx='%.1f' cy='%.1f' r='3' fill='%s'/>\n",
             x.position(px), y.position(py), color);
  double row = y.to + 14 + 15 * static_cast<double>(index);
  append(out, "<circle cx='%g' cy='%g' r='4' fill='%s'/>\n<text x='%g' y='%g'>",
         x.from + 12, row - 4, color, x.from + 20, row);
  out += escape(series.name) + "</text>\n";
}

void drawChart(std::string &out, const Chart &chart) {
  std::set<double> xs, ys;
  bool scattered = false;
  for (const ChartSeries &series : chart.series) {
    scattered |= series.scattered;
    for (auto [px, py] : series.points) {
      xs.insert(px);
      ys.insert(py);
    }
  }
  Axis x = makeAxis(xs, kLeft, kWidth - kRight, !scattered);
  Axis y = makeAxis(ys, kHeight - kBottom, kTop, false);
  drawAxes(out, chart, x, y);
  size_t index = 0;
  for (const ChartSeries &series : chart.series)
    if (!series.points.empty())
      drawSeries(out, series, index++, x, y);
}

bool isEmpty(const Chart &chart) {
  return std::all_of(
      chart.series.begin(), chart.series.end(),
      [](const ChartSeries &series) { return series.points.empty(); });
}

} // namespace

std::string bench::renderSvg(const std::vector<Chart> &charts) {
  std::vector<const Chart *> drawn;
  for (const Chart &chart : charts)
    if (!isEmpty(chart))
      drawn.push_back(&chart);
  size_t columns = std::clamp<size_t>(drawn.size(), 1, kColumns);
  size_t rows = std::max<size_t>(1, (drawn.size() + columns - 1) / columns);
  std::string out;
  append(out,
         "<svg xmlns='http://www.w3.org/2000/svg' width='%zu' height='%zu' "
         "font-family='sans-serif' font-size='11'>\n"
         "<rect width='100%%' height='100%%' fill='white'/>\n",
         columns * kWidth, rows * kHeight);
  for (size_t i = 0; i < drawn.size(); ++i) {
    append(out, "<g transform='translate(%zu %zu)'>\n", i % columns * kWidth,
           i / columns * kHeight);
    drawChart(out, *drawn[i]);
    out += "</g>\n";
  }
  return out + "</svg>\n";
}

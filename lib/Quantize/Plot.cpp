//===- Plot.cpp - Small line plots as SVG ---------------------------------===//

#include "Plot.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cmath>

using namespace odyssey;
using llvm::formatv;

// Sizes in pixels.
static constexpr double width = 300, height = 170;
static constexpr double left = 44, right = 8, top = 26, bottom = 22;
static constexpr int gridLines = 5;

std::string odyssey::escapeXml(llvm::StringRef text) {
  std::string result;
  llvm::raw_string_ostream out(result);
  llvm::printHTMLEscaped(text, out);
  return result;
}

double odyssey::niceCeiling(double value) {
  if (!(value > 0))
    return 1;
  double power = std::pow(10, std::floor(std::log10(value)));
  for (double step : {1.0, 2.0, 2.5, 5.0})
    // Not beyond a step for the last bit's sake.
    if (value <= step * power * (1 + 1e-9))
      return step * power;
  return 10 * power;
}

void Plot::print(llvm::raw_ostream &out) const {
  size_t count = notes.size();
  double step = (width - left - right) / static_cast<double>(count);
  auto x = [&](size_t layer) {
    return left + step * (static_cast<double>(layer) + 0.5);
  };
  auto y = [&](double value) {
    double share =
        (std::clamp(value, lowest, highest) - lowest) / (highest - lowest);
    return height - bottom - share * (height - top - bottom);
  };
  auto point = [&](size_t layer, double value) {
    return formatv("{0:f1},{1:f1} ", x(layer), y(value)).str();
  };

  out << formatv("<svg viewBox=\"0 0 {0:f0} {1:f0}\" role=\"img\">\n", width,
                 height)
      << formatv("<text class=\"title\" x=\"{0:f0}\" y=\"15\">{1}</text>\n",
                 left, escapeXml(title));
  for (int i = 0; i <= gridLines; ++i) {
    double value = lowest + (highest - lowest) * i / gridLines;
    out << formatv("<line class=\"grid\" x1=\"{0:f1}\" x2=\"{1:f1}\" "
                   "y1=\"{2:f1}\" y2=\"{2:f1}\"/>",
                   left, width - right, y(value))
        << formatv("<text class=\"label end\" x=\"{0:f1}\" y=\"{1:f1}\">{2}"
                   "</text>\n",
                   left - 4, y(value) + 3.5, formatv(format, value));
  }
  // The first layer, the last, and some between.
  size_t every = std::max<size_t>(1, (count + 5) / 6);
  for (size_t layer = 0; layer < count; layer += every)
    out << formatv("<text class=\"label middle\" x=\"{0:f1}\" y=\"{1:f1}\">{2}"
                   "</text>\n",
                   x(layer), height - 7, layer);
  for (const Series &one : series) {
    bool isArea = !one.lower.empty();
    out << formatv("<{0} class=\"{1}\" points=\"",
                   isArea ? "polygon" : "polyline", one.style);
    for (size_t layer = 0; layer < count; ++layer)
      out << point(layer, one.values[layer]);
    if (isArea)
      for (size_t layer = count; layer-- > 0;)
        out << point(layer, one.lower[layer]);
    out << "\"/>\n";
    // A line through one point would not show.
    if (!isArea && count == 1)
      out << formatv("<circle class=\"{0}\" cx=\"{1:f1}\" cy=\"{2:f1}\" "
                     "r=\"2\"/>\n",
                     one.style, x(0), y(one.values[0]));
  }
  for (size_t layer = 0; layer < count; ++layer)
    out << formatv("<rect class=\"hover\" x=\"{0:f1}\" y=\"{1:f0}\" "
                   "width=\"{2:f1}\" height=\"{3:f0}\"><title>{4}</title>"
                   "</rect>\n",
                   x(layer) - step / 2, top, step, height - top - bottom,
                   escapeXml(notes[layer]));
  out << "</svg>\n";
}

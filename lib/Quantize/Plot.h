//===- Plot.h - Small line plots as SVG -------------------------*- C++ -*-===//

#ifndef ODYSSEY_LIB_QUANTIZE_PLOT_H
#define ODYSSEY_LIB_QUANTIZE_PLOT_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/raw_ostream.h"

#include <string>
#include <vector>

namespace odyssey {

/// `text` with the characters escaped that XML gives a meaning.
std::string escapeXml(llvm::StringRef text);

/// A plot over the layers of a model, drawn with classes that the page's style
/// sheet colours: `frame`, `grid`, `label`, and one for each series.
struct Plot {
  struct Series {
    /// The class of the line or area.
    std::string style;
    /// A value for each layer.
    std::vector<double> values;
    /// Where given, the lower edge of an area whose upper one is `values`.
    std::vector<double> lower;
  };

  std::string title;
  /// Format of values on the axis and on hovering, for llvm::formatv.
  const char *format = "{0:f2}";
  double lowest = 0, highest = 1;
  std::vector<Series> series;
  /// What hovering over a layer shows.
  std::vector<std::string> notes;

  void print(llvm::raw_ostream &out) const;
};

/// The smallest of 1, 2, 2.5, 5, 10 times a power of ten that is not below
/// `value`; 1 for 0.
double niceCeiling(double value);

} // namespace odyssey

#endif // ODYSSEY_LIB_QUANTIZE_PLOT_H

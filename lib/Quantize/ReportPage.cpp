//===- ReportPage.cpp - What quantization did, as a web page --------------===//

#include "odyssey/Quantize/ReportPage.h"

#include "Plot.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <tuple>

using namespace odyssey;
using llvm::formatv;
using llvm::StringRef;

static constexpr StringRef styleSheet = R"(
:root { --text: #1c2128; --muted: #6b7480; --line: #e3e6ea; --back: #ffffff;
  --rounded: #b9bfc7; --clipped: #e08a2e; --final: #1f6fd6; --area: #1f6fd633; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e9ed; --muted: #98a1ac; --line: #333b45; --back: #14181d;
    --rounded: #68717c; --clipped: #f0a04b; --final: #5ba0f5; --area: #5ba0f533; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 1280px; margin: 2em auto; padding: 0 1.5em; }
h1 { font-size: 1.5em; margin-bottom: 0.3em; } h2 { font-size: 1.15em; margin: 2em 0 0.2em; }
p { max-width: 60em; color: var(--muted); margin: 0.3em 0 0.8em; }
dl { display: grid; grid-template-columns: max-content auto; gap: 0.1em 1.2em; margin: 0; }
dt { color: var(--muted); } dd { margin: 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 1em; }
svg { width: 100%; height: auto; }
svg text { font: 10px system-ui, sans-serif; fill: var(--muted); }
svg text.title { font-size: 12px; font-weight: 600; fill: var(--text); }
.end { text-anchor: end; } .middle { text-anchor: middle; }
.grid { stroke: var(--line); stroke-width: 1; }
polyline { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.rounded { stroke: var(--rounded); } .clipped { stroke: var(--clipped); } .final { stroke: var(--final); }
.area { fill: var(--area); } .hover { fill: transparent; } .hover:hover { fill: var(--area); }
.key span { margin-right: 1.4em; } .key b { display: inline-block; width: 1.6em; height: 0.25em;
  vertical-align: middle; margin-right: 0.5em; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.15em 0.8em; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th { color: var(--muted); font-weight: 500; }
)";

namespace {

/// The linears of one name, a layer after the other.
struct Family {
  std::string name;
  std::vector<const LinearReport *> layers;
};

/// One input channel beside the others of the same input.
struct Outlier {
  const LinearReport *linear;
  int64_t channel;
  float value;
  /// Against the median of the input's channels.
  double ratio;

  /// The largest first; of equals, the first in the model.
  bool operator<(const Outlier &other) const {
    return ratio != other.ratio ? ratio > other.ratio
                                : std::tie(linear, channel) <
                                      std::tie(other.linear, other.channel);
  }
};

class PageWriter {
public:
  PageWriter(const ReportPage &page, llvm::raw_ostream &out);
  void write();

private:
  void writeHead();
  void writeErrors();
  void writeFactors();
  void writeOutliers();
  void writeTable();
  void writeKey(llvm::ArrayRef<std::pair<StringRef, StringRef>> entries);

  const ReportPage &page;
  llvm::raw_ostream &out;
  std::vector<Family> families;
};

} // namespace

/// "model.layers.3.mlp.up_proj" is "up_proj" of layer 3.
static StringRef familyOf(const LinearReport &linear) {
  return StringRef(linear.name).rsplit('.').second;
}

/// Linears with the same input are known by the first of them.
static StringRef inputOf(StringRef family) {
  return llvm::StringMap<StringRef>{{"q_proj", "attention"},
                                    {"o_proj", "attention's output"},
                                    {"gate_proj", "MLP"},
                                    {"down_proj", "MLP's activation"}}
      .lookup(family);
}

/// The value that `share` of `values` do not exceed.
static float quantile(std::vector<float> values, double share) {
  auto at =
      values.begin() +
      static_cast<int64_t>(share * static_cast<double>(values.size() - 1));
  std::ranges::nth_element(values, at);
  return *at;
}

PageWriter::PageWriter(const ReportPage &page, llvm::raw_ostream &out)
    : page(page), out(out) {
  llvm::MapVector<StringRef, size_t> indexOf;
  for (const LinearReport &linear : page.linears) {
    auto [entry, isNew] = indexOf.insert({familyOf(linear), families.size()});
    if (isNew)
      families.push_back({familyOf(linear).str(), {}});
    families[entry->second].layers.push_back(&linear);
  }
}

void PageWriter::writeHead() {
  out << "<h1>" << escapeXml(page.title) << "</h1>\n<dl>\n";
  for (auto &[name, value] : page.facts)
    out << "<dt>" << escapeXml(name) << "</dt><dd>" << escapeXml(value)
        << "</dd>\n";
  out << "</dl>\n";
}

void PageWriter::writeKey(
    llvm::ArrayRef<std::pair<StringRef, StringRef>> entries) {
  out << "<p class=\"key\">";
  for (auto &[colour, text] : entries)
    out << formatv("<span><b style=\"background: var(--{0})\"></b>{1}</span>",
                   colour, text);
  out << "</p>\n";
}

void PageWriter::writeErrors() {
  out << "<h2>Output error by layer, in percent</h2>\n"
         "<p>|X (W - W')|² / |X W|² of each linear over the calibration text: "
         "the share of its output's energy that quantizing its weights "
         "changes.</p>\n";
  writeKey({{"rounded", "rounded to nearest"},
            {"clipped", "after clipping"},
            {"final", "in the end"}});
  out << "<div class=\"plots\">\n";
  for (const Family &family : families) {
    Plot plot;
    plot.title = family.name;
    plot.series = {{"rounded", {}, {}}, {"clipped", {}, {}}, {"final", {}, {}}};
    double largest = 0;
    for (auto [layer, linear] : llvm::enumerate(family.layers)) {
      double errors[] = {100 * linear->errorOfRounding,
                         100 * linear->errorOfClipping, 100 * linear->error};
      for (int i = 0; i < 3; ++i) {
        plot.series[i].values.push_back(errors[i]);
        largest = std::max(largest, errors[i]);
      }
      plot.notes.push_back(formatv("layer {0}: {1:f3} % rounded, {2:f3} % "
                                   "clipped, {3:f3} % in the end",
                                   layer, errors[0], errors[1], errors[2]));
    }
    plot.highest = niceCeiling(largest);
    plot.print(out);
  }
  out << "</div>\n";
}

void PageWriter::writeFactors() {
  out << "<h2>Clipping factors by layer</h2>\n"
         "<p>A channel's scale, where 1 is max|w| / 7: what lies below 1 is "
         "clipped.</p>\n";
  writeKey({{"final", "median of the output channels"},
            {"area", "from the 5th to the 95th percentile"}});
  out << "<div class=\"plots\">\n";
  float lowest = 1, highest = 1;
  for (const LinearReport &linear : page.linears) {
    lowest = std::min(lowest, quantile(linear.clippingFactors, 0.05));
    highest = std::max(highest, quantile(linear.clippingFactors, 0.95));
  }
  for (const Family &family : families) {
    Plot plot;
    plot.title = family.name;
    plot.lowest = std::floor(lowest * 10) / 10;
    plot.highest = std::ceil(highest * 10) / 10;
    if (plot.lowest == plot.highest)
      plot.lowest -= 0.1;
    plot.series = {{"area", {}, {}}, {"final", {}, {}}};
    for (auto [layer, linear] : llvm::enumerate(family.layers)) {
      const std::vector<float> &factors = linear->clippingFactors;
      float low = quantile(factors, 0.05), high = quantile(factors, 0.95);
      float median = quantile(factors, 0.5);
      plot.series[0].values.push_back(high);
      plot.series[0].lower.push_back(low);
      plot.series[1].values.push_back(median);
      plot.notes.push_back(formatv("layer {0}: median {1:f3}, from {2:f3} to "
                                   "{3:f3}",
                                   layer, median, low, high));
    }
    plot.print(out);
  }
  out << "</div>\n";
}

void PageWriter::writeOutliers() {
  out << "<h2>Outlier channels of the inputs</h2>\n"
         "<p>The largest magnitude of each input channel over the calibration "
         "text, against the median of the channels. One scale serves all "
         "channels of a token, so a channel that is 100 times the others "
         "leaves them one 8-bit step.</p>\n";
  writeKey(
      {{"final", "the largest channel"}, {"clipped", "the tenth largest"}});
  out << "<div class=\"plots\">\n";
  std::vector<Outlier> outliers;
  for (const Family &family : families) {
    StringRef input = inputOf(family.name);
    if (input.empty())
      continue;
    Plot plot;
    plot.title = ("input of " + input).str();
    plot.format = "{0:f0}";
    plot.series = {{"clipped", {}, {}}, {"final", {}, {}}};
    double largest = 0;
    for (auto [layer, linear] : llvm::enumerate(family.layers)) {
      float median = quantile(linear->inputMaxima, 0.5);
      std::vector<Outlier> channels;
      for (auto [channel, value] : llvm::enumerate(linear->inputMaxima))
        channels.push_back({linear, static_cast<int64_t>(channel), value,
                            median > 0 ? value / median : 0});
      llvm::sort(channels);
      const Outlier &first = channels.front();
      const Outlier &tenth = channels[std::min<size_t>(9, channels.size() - 1)];
      plot.series[0].values.push_back(tenth.ratio);
      plot.series[1].values.push_back(first.ratio);
      plot.notes.push_back(formatv("layer {0}: channel {1} reaches {2:f2}, "
                                   "{3:f1} times the median",
                                   layer, first.channel, first.value,
                                   first.ratio));
      largest = std::max(largest, first.ratio);
      constexpr size_t perLayer = 3;
      outliers.insert(outliers.end(), channels.begin(),
                      channels.begin() + std::min(perLayer, channels.size()));
    }
    plot.highest = std::max(niceCeiling(largest), 5.0);
    plot.print(out);
  }
  out << "</div>\n<table>\n<tr><th>largest channels</th><th>channel</th>"
         "<th>max|x|</th><th>times the median</th></tr>\n";
  llvm::sort(outliers);
  constexpr size_t shown = 12;
  outliers.resize(std::min(shown, outliers.size()));
  for (const Outlier &outlier : outliers)
    out << formatv("<tr><td>input of {0}</td><td>{1}</td><td>{2:f3}</td>"
                   "<td>{3:f1}</td></tr>\n",
                   escapeXml(outlier.linear->name), outlier.channel,
                   outlier.value, outlier.ratio);
  out << "</table>\n";
}

void PageWriter::writeTable() {
  out << "<h2>All linears</h2>\n<table>\n<tr><th>linear</th><th>outputs</th>"
         "<th>inputs</th><th>rounded, %</th><th>clipped, %</th>"
         "<th>in the end, %</th><th>median factor</th><th>damping</th></tr>\n";
  for (const LinearReport &linear : page.linears)
    out << formatv("<tr><td>{0}</td><td>{1}</td><td>{2}</td><td>{3:f4}</td>"
                   "<td>{4:f4}</td><td>{5:f4}</td><td>{6:f3}</td>"
                   "<td>{7:f2}</td></tr>\n",
                   escapeXml(linear.name), linear.n, linear.k,
                   100 * linear.errorOfRounding, 100 * linear.errorOfClipping,
                   100 * linear.error, quantile(linear.clippingFactors, 0.5),
                   linear.damping);
  out << "</table>\n";
}

void PageWriter::write() {
  out << "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
         "<meta charset=\"utf-8\"/>\n"
         "<meta name=\"viewport\" content=\"width=device-width\"/>\n"
      << "<title>Quantization of " << escapeXml(page.title) << "</title>\n"
      << "<style>" << styleSheet << "</style>\n</head>\n<body>\n";
  writeHead();
  writeErrors();
  writeFactors();
  writeOutliers();
  writeTable();
  out << "</body>\n</html>\n";
}

std::string ReportPage::html() const {
  assert(!linears.empty());
  std::string result;
  llvm::raw_string_ostream out(result);
  PageWriter(*this, out).write();
  return result;
}

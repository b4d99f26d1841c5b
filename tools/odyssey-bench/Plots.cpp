//===- Plots.cpp - Charts of measured results -----------------------------===//

#include "Plots.h"

#include "Output.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <map>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;
using Json = nlohmann::ordered_json;

namespace {

/// The least y for each x of a named series: of several kernels for a shape the
/// fastest counts.
class Curves {
public:
  void add(const std::string &name, double x, double y) {
    auto [at, isNew] = curves[name].try_emplace(x, y);
    if (!isNew)
      at->second = std::min(at->second, y);
  }
  ChartSeries take(const std::string &name, bool dashed = false) const {
    ChartSeries series;
    series.name = name;
    series.dashed = dashed;
    if (auto at = curves.find(name); at != curves.end())
      series.points.assign(at->second.begin(), at->second.end());
    return series;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto &[name, points] : curves)
      result.push_back(name);
    return result;
  }

private:
  std::map<std::string, std::map<double, double>> curves;
};

constexpr char kOurs[] = "Odyssey W4A8", kTwin[] = "Odyssey W8A8",
               kFloor[] = "floor";
/// Series of a chart of products, in the order of their colours.
const std::pair<const char *, const char *> kBaselines[] = {
    {"cublas_fp16", "cuBLASLt fp16"}, {"cublas_int8", "cuBLASLt int8"}};

using Shape = std::pair<int64_t, int64_t>;

/// Adds what one document says about products.
void addProducts(const Json &document, std::map<Shape, Curves> &times,
                 Chart &roofline) {
  std::map<std::string, ChartSeries> measured;
  for (const Json &result : document.at("results")) {
    if (!result.contains("seconds"))
      continue;
    std::string name = document.value(
        "engine", result.value("weight_bits", 4) == 8 ? kTwin : kOurs);
    double m = result.at("m").get<double>();
    Curves &curves = times[{result.at("n"), result.at("k")}];
    double seconds = result.at("seconds").at("median").get<double>();
    curves.add(name, m, seconds * 1e6);
    if (result.contains("floor_seconds"))
      curves.add(kFloor, m, result["floor_seconds"].get<double>() * 1e6);
    if (result.contains("baselines"))
      for (auto [key, name] : kBaselines)
        if (result["baselines"].contains(key) &&
            result["baselines"][key].contains("seconds"))
          curves.add(
              name, m,
              result["baselines"][key]["seconds"]["median"].get<double>() *
                  1e6);
    double operations = result.at("operations").get<double>();
    measured[name].points.emplace_back(operations /
                                           result.at("bytes").get<double>(),
                                       operations / seconds * 1e-12);
  }
  for (auto &[name, series] : measured) {
    series.name = name;
    series.scattered = true;
    std::sort(series.points.begin(), series.points.end());
    roofline.series.push_back(series);
  }
}

/// The roof of a device over the intensities that the chart has.
void addRoof(const Json &device, Chart &roofline) {
  double bytes = device.value("peak_bytes_per_second", 0.0),
         operations = device.value("peak_int8_operations_per_second", 0.0);
  double low = 0, high = 0;
  for (const ChartSeries &series : roofline.series)
    for (auto [x, y] : series.points) {
      low = low == 0 ? x : std::min(low, x);
      high = std::max(high, x);
    }
  if (bytes <= 0 || operations <= 0 || low == 0)
    return;
  double ridge = operations / bytes;
  ChartSeries roof{"roof (announced rates)", {}, true, false};
  for (double x : {low, ridge, std::max(high, 2 * ridge)})
    if (roof.points.empty() || x > roof.points.back().first)
      roof.points.emplace_back(x, std::min(x * bytes, operations) * 1e-12);
  roofline.series.push_back(roof);
}

std::vector<Chart> productCharts(const std::vector<Json> &documents) {
  std::map<Shape, Curves> times;
  Chart roofline{
      "Products on the roofline", "int8 operations per byte", "TOPS", {}};
  for (const Json &document : documents)
    addProducts(document, times, roofline);
  addRoof(documents[0].at("device"), roofline);
  std::vector<Chart> charts = {roofline};
  for (const auto &[shape, curves] : times) {
    Chart chart;
    chart.title = "N = " + std::to_string(shape.first) +
                  ", K = " + std::to_string(shape.second);
    chart.xLabel = "M (tokens)";
    chart.yLabel = "microseconds";
    std::vector<std::string> names = {kOurs};
    for (auto [key, name] : kBaselines)
      names.push_back(name);
    for (const std::string &name : curves.names())
      if (name != kFloor &&
          std::find(names.begin(), names.end(), name) == names.end())
        names.push_back(name);
    for (const std::string &name : names)
      chart.series.push_back(curves.take(name));
    chart.series.push_back(curves.take(kFloor, /*dashed=*/true));
    charts.push_back(chart);
  }
  return charts;
}

std::vector<Chart> modelCharts(const std::vector<Json> &documents) {
  std::map<std::string, std::map<std::string, ChartSeries>> prefill, decode;
  for (const Json &document : documents)
    for (const Json &result : document.at("results")) {
      if (!result.contains("decode_tokens_per_second"))
        continue;
      std::string model = result.at("model"), name = result.at("name");
      double batch = result.at("batch").get<double>();
      auto add = [&](auto &charts, const char *key) {
        ChartSeries &series = charts[model][name];
        series.name = name;
        series.points.emplace_back(batch, result.at(key).get<double>());
      };
      add(prefill, "prefill_tokens_per_second");
      add(decode, "decode_tokens_per_second");
    }
  std::vector<Chart> charts;
  auto addCharts = [&](const auto &models, const std::string &what) {
    for (const auto &[model, engines] : models) {
      Chart chart{model + ", " + what, "batch", "tokens/s", {}};
      for (const auto &[name, series] : engines)
        chart.series.push_back(series);
      charts.push_back(chart);
    }
  };
  addCharts(decode, "decode");
  addCharts(prefill, "prefill");
  return charts;
}

} // namespace

Result<std::vector<Chart>> bench::chartsOf(const std::vector<Json> &documents) {
  std::vector<Json> products, models;
  try {
    for (const Json &document : documents) {
      std::string benchmark = document.at("benchmark");
      if (document.at("format") != 1 ||
          (benchmark != "gemm" && benchmark != "model"))
        return dataLoss("not the results of a benchmark of products or models");
      (benchmark == "gemm" ? products : models).push_back(document);
    }
    std::vector<Chart> charts;
    if (!products.empty())
      charts = productCharts(products);
    if (!models.empty())
      for (Chart &chart : modelCharts(models))
        charts.push_back(std::move(chart));
    return charts;
  } catch (const nlohmann::json::exception &error) {
    return dataLoss(std::string("not the results of a benchmark: ") +
                    error.what());
  }
}

static Status plot(const std::vector<Json> &documents, const std::string &svg) {
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<Chart> charts, chartsOf(documents));
  return writeFile(renderSvg(charts), svg);
}

Status bench::plotDocument(const Json &document, const std::string &svg) {
  return plot({document}, svg);
}

Status bench::plotFiles(const std::vector<std::string> &files,
                        const std::string &svg) {
  std::vector<Json> documents;
  for (const std::string &file : files) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream)
      return notFound("cannot read '" + file + "'");
    Json document = Json::parse(stream, nullptr, /*allow_exceptions=*/false);
    if (document.is_discarded())
      return dataLoss("'" + file + "' is no JSON");
    // Status before the files are mixed: the message names the file.
    ODYSSEY_RETURN_IF_ERROR(
        chartsOf({document}).status().withContext("'" + file + "'"));
    documents.push_back(std::move(document));
  }
  return plot(documents, svg);
}

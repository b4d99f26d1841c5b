//===- ChartTest.cpp - Charts of results ----------------------------------===//

#include "Plots.h"

#include <nlohmann/json.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey::bench;
using nlohmann::ordered_json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;

namespace {

TEST(SvgChartTest, PointsAreWhereTheirLogarithmsAre) {
  Chart chart{
      "a < b & c", "x", "y", {{"series", {{1, 1}, {10, 10}, {100, 100}}}}};
  std::string svg = renderSvg({chart});
  EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; c"));
  // The middle one of three decades is in the middle: of 62 to 464, and of 274
  // to 34.
  EXPECT_THAT(svg, HasSubstr("cx='263.0' cy='154.0'"));
}

TEST(SvgChartTest, EmptyChartsAreLeftOut) {
  Chart empty{"nothing", "x", "y", {{"series", {}}}};
  Chart full{"something", "x", "y", {{"roof", {{1, 2}, {2, 3}}, true}}};
  std::string svg = renderSvg({empty, full});
  EXPECT_THAT(svg, Not(HasSubstr("nothing")));
  EXPECT_THAT(svg, HasSubstr("something"));
  EXPECT_THAT(svg, HasSubstr("stroke-dasharray"));
  EXPECT_THAT(renderSvg({}), HasSubstr("</svg>"));
}

/// Results of two kernels for one shape, of which one is faster.
ordered_json products() {
  return ordered_json::parse(R"({
    "format": 1, "benchmark": "gemm",
    "device": {"peak_bytes_per_second": 1e12,
               "peak_int8_operations_per_second": 1e14},
    "results": [
      {"m": 1, "n": 64, "k": 128, "bytes": 5e6, "operations": 1e7,
       "floor_seconds": 5e-6, "seconds": {"median": 2e-5},
       "baselines": {"cublas_int8": {"seconds": {"median": 3e-5}},
                     "cublas_fp16": {"note": "no algorithm"}}},
      {"m": 1, "n": 64, "k": 128, "bytes": 5e6, "operations": 1e7,
       "seconds": {"median": 1e-5}},
      {"m": 8, "n": 64, "k": 128, "error": "wrong result"}]})");
}

TEST(PlotsTest, TheFastestKernelOfAShapeCounts) {
  auto charts = chartsOf({products()});
  ASSERT_TRUE(charts.ok()) << charts.status().message();
  ASSERT_EQ(charts->size(), 2u);
  const Chart &chart = (*charts)[1];
  EXPECT_EQ(chart.title, "N = 64, K = 128");
  ASSERT_EQ(chart.series.size(), 4u);
  EXPECT_EQ(chart.series[0].name, "Odyssey W4A8");
  EXPECT_THAT(chart.series[0].points,
              ElementsAre(Pair(1, ::testing::DoubleNear(10, 1e-9))));
  EXPECT_EQ(chart.series[1].name, "cuBLASLt fp16");
  EXPECT_TRUE(chart.series[1].points.empty());
  EXPECT_THAT(chart.series[2].points,
              ElementsAre(Pair(1, ::testing::DoubleNear(30, 1e-9))));
  EXPECT_TRUE(chart.series[3].dashed);
}

TEST(PlotsTest, TheRoofBendsAtTheRidge) {
  auto charts = chartsOf({products()});
  ASSERT_TRUE(charts.ok());
  const ChartSeries &roof = (*charts)[0].series.back();
  ASSERT_EQ(roof.points.size(), 3u);
  // 1e14 / 1e12 = 100 operations per byte; 2 TOPS at 2 of them.
  EXPECT_THAT(roof.points[0], Pair(2, 2));
  EXPECT_THAT(roof.points[1], Pair(100, 100));
  EXPECT_THAT(roof.points[2], Pair(200, 100));
}

TEST(PlotsTest, OtherFilesAreRefused) {
  for (const char *text :
       {R"({})", R"({"format": 1, "benchmark": "emulator"})",
        R"({"format": 2, "benchmark": "gemm", "device": {}, "results": []})",
        R"({"format": 1, "benchmark": "gemm", "device": {},
            "results": [{"seconds": {"median": "fast"}}]})"})
    EXPECT_EQ(chartsOf({ordered_json::parse(text)}).status().code(),
              odyssey::runtime::StatusCode::DataLoss)
        << text;
}

} // namespace

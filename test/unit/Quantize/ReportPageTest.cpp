//===- ReportPageTest.cpp -------------------------------------------------===//

#include "odyssey/Quantize/ReportPage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {

LinearReport report(std::string name, double rounding, double clipping,
                    double error) {
  LinearReport result;
  result.name = std::move(name);
  result.n = 4;
  result.k = 5;
  result.errorOfRounding = rounding;
  result.errorOfClipping = clipping;
  result.error = error;
  result.clippingFactors = {0.5f, 0.75f, 0.875f, 1.0f};
  result.inputMaxima = {1.0f, 2.0f, 50.0f, 2.0f, 3.0f};
  result.damping = 0.01;
  return result;
}

ReportPage twoLayers() {
  ReportPage page;
  page.title = "a<b & \"c\"";
  page.facts = {{"recipe", "lwc & gptq"}};
  page.linears = {report("model.layers.0.self_attn.q_proj", 0.02, 0.015, 0.01),
                  report("model.layers.0.mlp.up_proj", 0.04, 0.03, 0.0125),
                  report("model.layers.1.self_attn.q_proj", 0.03, 0.02, 0.005),
                  report("model.layers.1.mlp.up_proj", 0.05, 0.04, 0.02)};
  return page;
}

size_t count(const std::string &text, const std::string &part) {
  size_t found = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; ++found)
    at += part.size();
  return found;
}

} // namespace

TEST(ReportPage, ShowsWhatItIsGiven) {
  std::string html = twoLayers().html();
  EXPECT_THAT(html, HasSubstr("<h1>a&lt;b &amp; &quot;c&quot;</h1>"));
  EXPECT_THAT(html, HasSubstr("<dt>recipe</dt><dd>lwc &amp; gptq</dd>"));
  EXPECT_THAT(html, HasSubstr("layer 1: 3.000 % rounded, 2.000 % clipped, "
                              "0.500 % in the end"));
  EXPECT_THAT(html, HasSubstr("layer 0: median 0.750, from 0.500 to 0.875"));
  EXPECT_THAT(html, HasSubstr("layer 0: channel 2 reaches 50.00, 25.0 times "
                              "the median"));
  EXPECT_THAT(html, HasSubstr("<td>model.layers.1.mlp.up_proj</td><td>4</td>"
                              "<td>5</td><td>5.0000</td><td>4.0000</td>"
                              "<td>2.0000</td><td>0.750</td><td>0.01</td>"));
  // Errors and factors of two families, and one input: up_proj shares that of
  // gate_proj.
  EXPECT_EQ(count(html, "<svg "), 5u);
}

TEST(ReportPage, PlotsAreToScale) {
  std::string html = twoLayers().html();
  // Of up to 5 % in 122 pixels above 148: 4 %, then 5 % rounded; 1.25 %, then
  // 2 % in the end.
  EXPECT_THAT(html, HasSubstr("class=\"rounded\" points=\"106.0,50.4 "
                              "230.0,26.0 \""));
  EXPECT_THAT(html, HasSubstr("class=\"final\" points=\"106.0,117.5 "
                              "230.0,99.2 \""));
}

TEST(ReportPage, NothingFromElsewhere) {
  std::string html = twoLayers().html();
  for (const char *part : {"http", "<script", "src=", "href=", "@import"})
    EXPECT_THAT(html, Not(HasSubstr(part)));
}

TEST(ReportPage, OneLayerOfZeros) {
  ReportPage page;
  page.title = "zeros";
  LinearReport zeros = report("model.layers.0.mlp.down_proj", 0, 0, 0);
  zeros.clippingFactors = {1, 1};
  zeros.inputMaxima = {0, 0};
  page.linears = {zeros};
  std::string html = page.html();
  EXPECT_THAT(html, Not(HasSubstr("nan")));
  EXPECT_THAT(html, Not(HasSubstr("inf")));
  EXPECT_THAT(html, HasSubstr("<circle class=\"final\""));
}

//===- CalibrationTextTest.cpp --------------------------------------------===//

#include "odyssey/Quantize/CalibrationText.h"

#include "llvm/Support/ConvertUTF.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

using namespace odyssey;
using ::testing::HasSubstr;

static std::vector<int32_t> countTo(int64_t count) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

static CalibrationSamples cut(int64_t tokens, const SampleOptions &options) {
  return llvm::cantFail(cutSamples(countTo(tokens), options));
}

TEST(CalibrationText, SpreadWithoutOverlap) {
  SampleOptions options;
  options.samples = 3;
  options.sequenceLength = 100;
  CalibrationSamples samples = cut(1000, options);
  ASSERT_EQ(samples.size(), 3u);
  int32_t end = 0;
  for (const std::vector<int32_t> &sample : samples) {
    EXPECT_EQ(sample.size(), 100u);
    EXPECT_GE(sample.front(), end);
    EXPECT_EQ(sample.back(), sample.front() + 99);
    end = sample.back() + 1;
  }
  // The same distance to the text's ends.
  EXPECT_NEAR(samples[0].front(), 999 - samples[2].back(), 1);
  EXPECT_EQ(samples[1].front(), 450);
}

TEST(CalibrationText, ShortTextGivesFewer) {
  SampleOptions options;
  options.samples = 64;
  options.sequenceLength = 100;
  EXPECT_EQ(cut(250, options).size(), 2u);
  options.sequenceLength = 512;
  CalibrationSamples samples = cut(250, options);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0], countTo(250));
}

TEST(CalibrationText, Bos) {
  SampleOptions options;
  options.samples = 2;
  options.sequenceLength = 101;
  options.bos = 7777;
  CalibrationSamples samples = cut(200, options);
  ASSERT_EQ(samples.size(), 2u);
  for (const std::vector<int32_t> &sample : samples) {
    EXPECT_EQ(sample.size(), 101u);
    EXPECT_EQ(sample[0], 7777);
  }
  EXPECT_EQ(samples[1][1], 100);
}

TEST(CalibrationText, TooShort) {
  for (int64_t count : {0, 1, 127})
    EXPECT_EQ(llvm::toString(cutSamples(countTo(count), {}).takeError()),
              "the calibration text has " + std::to_string(count) +
                  " tokens, at least 128 are needed");
  EXPECT_EQ(cut(128, {}).size(), 1u);
}

TEST(CalibrationText, Builtin) {
  std::string text = builtinCalibrationText().str();
  EXPECT_GT(text.size(), 6000u);
  const auto *begin = reinterpret_cast<const llvm::UTF8 *>(text.data());
  EXPECT_TRUE(llvm::isLegalUTF8String(&begin, begin + text.size()));
}

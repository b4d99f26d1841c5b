//===- TuningDatabaseTest.cpp ---------------------------------------------===//

#include "odyssey/Schedule/ScheduleSelector.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

using namespace mlir;
using namespace odyssey;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace {

constexpr char kFirst[] = R"({"odyssey_tuning": 2, "entries": [)";

std::string entry(const std::string &gpu, int64_t tokens,
                  const std::string &schedule, int64_t nanoseconds) {
  return R"({"gpu":")" + gpu +
         R"(","target":"sm_80","n":4096,"k":4090,"tokens":)" +
         std::to_string(tokens) + R"(,"schedule":")" + schedule + R"(","ns":)" +
         std::to_string(nanoseconds) + R"(,"spread_ns":1})";
}

const std::string kSlow = "path = mma_sync, channels = 64, tokens = 8, k = 64, "
                          "channel_warps = 2, token_warps = 1, stages = 2";
const std::string kFast = "path = mma_sync, channels = 64, tokens = 8, k = 64, "
                          "channel_warps = 2, token_warps = 1, stages = 4";

class Tuning : public ::testing::Test {
protected:
  Tuning() { context.loadDialect<fastgemm::FastGemmDialect>(); }

  std::string add(const std::string &text) {
    llvm::Error error =
        database.addText("file", text, [&](const llvm::Twine &message) {
          warnings.push_back(message.str());
        });
    return error ? llvm::toString(std::move(error)) : "";
  }
  std::vector<std::string> schedules(const ProductShape &shape) {
    std::vector<std::string> found;
    for (const TuningEntry &entry : database.find(target, shape))
      found.push_back(entry.schedule);
    return found;
  }

  MLIRContext context;
  TargetDescription target = *findTarget("sm_80");
  TuningDatabase database;
  std::vector<std::string> warnings;
};

} // namespace

TEST_F(Tuning, FindsTheFastestFirst) {
  EXPECT_EQ(add(std::string(kFirst) + "\n" +
                entry("NVIDIA A100", 1, kSlow, 20) + ",\n" +
                entry("NVIDIA A100", 1, kFast, 10) + "\n]}\n"),
            "");
  EXPECT_THAT(warnings, IsEmpty());
  // K counts in whole blocks of 64, which is what kernels walk over.
  EXPECT_THAT(schedules({1, 4096, 4090}), ElementsAre(kFast, kSlow));
  EXPECT_THAT(schedules({1, 4096, 4096}), ElementsAre(kFast, kSlow));
  EXPECT_THAT(schedules({8, 4096, 4096}), IsEmpty());
  EXPECT_THAT(schedules({1, 4096, 4097}), IsEmpty());
}

TEST_F(Tuning, OtherGpusDoNotCount) {
  EXPECT_EQ(add(std::string(kFirst) + "\n" + entry("NVIDIA A10", 1, kFast, 10) +
                "\n]}\n"),
            "");
  EXPECT_THAT(schedules({1, 4096, 4096}), IsEmpty());
}

// A schedule that is the fastest for one width of weights says nothing of the
// other. Entries without a width, and databases of version 1, are of 4 bits.
TEST_F(Tuning, OtherWidthsDoNotCount) {
  std::string ofBytes = entry("NVIDIA A100", 1, kSlow, 10), wrong = ofBytes;
  ofBytes.insert(ofBytes.find(R"("schedule")"), R"("weight_bits":8,)");
  wrong.insert(wrong.find(R"("schedule")"), R"("weight_bits":5,)");
  EXPECT_EQ(
      add(std::string(kFirst) + "\n" + ofBytes + ",\n" + wrong + "\n]}\n"), "");
  EXPECT_THAT(warnings, ElementsAre("file:3: skipped a damaged entry"));
  EXPECT_EQ(add("{\"odyssey_tuning\": 1, \"entries\": [\n" +
                entry("NVIDIA A100", 1, kFast, 20) + "\n]}\n"),
            "");
  EXPECT_THAT(schedules({1, 4096, 4096}), ElementsAre(kFast));
  EXPECT_THAT(schedules({1, 4096, 4096, {.bits = 8}}), ElementsAre(kSlow));
  EXPECT_THAT(database.shapes(target),
              ElementsAre(ProductShape{1, 4096, 4090},
                          ProductShape{1, 4096, 4090, {.bits = 8}}));
}

TEST_F(Tuning, SkipsDamagedLinesAndNamesThem) {
  std::string good = entry("NVIDIA A100", 1, kFast, 10);
  EXPECT_EQ(add(std::string(kFirst) + "\n{\"gpu\":,\n" + good + ",\n" +
                entry("", 1, kSlow, 10) + ",\n" +
                entry("NVIDIA A100", 0, kSlow, 10) + ",\n" +
                good.substr(0, 40)),
            "");
  EXPECT_THAT(warnings, ElementsAre("file:2: skipped a damaged entry",
                                    "file:4: skipped a damaged entry",
                                    "file:5: skipped a damaged entry",
                                    "file:6: skipped a damaged entry"));
  EXPECT_THAT(schedules({1, 4096, 4096}), ElementsAre(kFast));
}

TEST_F(Tuning, RefusesWhatItCannotRead) {
  EXPECT_EQ(add("{\"odyssey_tuning\": 3, \"entries\": [\n]}\n"),
            "'file' is a tuning database of version 3, this compiler reads "
            "versions 1 to 2");
  EXPECT_EQ(add(""), "'file' is no tuning database");
  EXPECT_EQ(add("[]"), "'file' is no tuning database");
}

TEST_F(Tuning, SchedulesGoThroughTheirText) {
  fastgemm::ScheduleAttr schedule = parseSchedule(&context, kFast);
  ASSERT_TRUE(schedule);
  EXPECT_EQ(scheduleText(schedule), kFast);
  EXPECT_FALSE(parseSchedule(&context, "path = mma_sync"));
  // Valid text of a schedule that is not.
  EXPECT_FALSE(parseSchedule(
      &context, "path = mma_sync, channels = 33, tokens = 8, k = 64, "
                "channel_warps = 1, token_warps = 1, stages = 4"));
}

TEST_F(Tuning, SelectorPutsMeasuredSchedulesFirst) {
  ProductShape shape{1, 4096, 4096};
  // Slower than any prediction: measured times do not compete with those.
  EXPECT_EQ(add(std::string(kFirst) + "\n" +
                entry("NVIDIA A100", 1, kSlow, 900000) + ",\n" +
                entry("NVIDIA A100", 1, "path = of another compiler", 1) +
                "\n]}\n"),
            "");
  ScheduleSelector selector(&context, target, database);
  const ScheduleChoices &choices = selector.choices(shape);
  EXPECT_EQ(choices.measured, 1u);
  ASSERT_FALSE(choices.candidates.empty());
  EXPECT_EQ(scheduleText(choices.candidates[0].schedule), kSlow);
  EXPECT_DOUBLE_EQ(choices.candidates[0].seconds(), 900000e-9);
  EXPECT_FALSE(choices.candidates[1].measured);
  EXPECT_EQ(&choices, &selector.choices(shape));
}

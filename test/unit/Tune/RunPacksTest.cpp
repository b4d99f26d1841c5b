//===- RunPacksTest.cpp ---------------------------------------------------===//
//
// Tuning on a device made of C++ functions, which can be made to fail.
//
//===----------------------------------------------------------------------===//

#include "BundleBuilder.h"
#include "FakeDevice.h"
#include "Product.h"
#include "Tune.h"

#include "gtest/gtest.h"

#include <cstdio>
#include <unistd.h>

using namespace odyssey;
using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using nlohmann::json;

namespace {

constexpr int64_t kN = 32, kK = 64, kTokens = 2;

/// A pack of `count` candidates of one product, all by kernels of their own.
std::string makePack(int count, const std::string &target = "sm_80") {
  json modules = json::array(), kernels = json::array(),
       functions = json::array(), candidates = json::array();
  BundleBuilder builder;
  for (int i = 0; i < count; ++i) {
    std::string name = "k" + std::to_string(i), section = name + ".ptx";
    modules.push_back({{"name", name}, {"ptx", section}});
    kernels.push_back({{"name", name},
                       {"module", i},
                       {"kind", "matmul"},
                       {"block", {32, 1, 1}},
                       {"shared_bytes", 0}});
    functions.push_back(
        {{"name", "c" + std::to_string(i)},
         {"inputs",
          {{{"name", "x"}, {"type", "i8"}, {"shape", {"tokens", kK}}},
           {{"name", "x_scale"}, {"type", "f32"}, {"shape", {"tokens"}}}}},
         {"outputs",
          {{{"name", "y"}, {"type", "f16"}, {"shape", {"tokens", kN}}}}},
         {"states", json::array()},
         {"buckets",
          {{{"tokens", kTokens},
            {"workspace_bytes", 0},
            {"steps",
             {{{"kernel", i},
               {"grid", {{1, 0}, {1, 0}, {1, 0}}},
               {"arguments",
                {{{"input", 0}},
                 {{"input", 1}},
                 {{"weight", 0}},
                 {{"weight", 1}},
                 {{"output", 0}},
                 {{"tokens", true}}}}}}}}}}});
    candidates.push_back({{"function", i},
                          {"product", 0},
                          {"tokens", kTokens},
                          {"tile_tokens", 0},
                          {"schedule", "schedule " + std::to_string(i)},
                          {"predicted_ns", 1000 + i},
                          {"floor_ns", 10}});
    builder.add(section, "//");
  }
  json plan = {{"format", 1},
               {"producer", "test"},
               {"target", target},
               {"modules", modules},
               {"kernels", kernels},
               {"weights",
                {{{"name", "w"}, {"type", "u8"}, {"shape", {kN * kK / 2}}},
                 {{"name", "ws"}, {"type", "f32"}, {"shape", {kN}}}}},
               {"functions", functions},
               {"states", json::array()}};
  json pack = {{"format", 2},
               {"target", target},
               {"gpu", "a100"},
               {"products",
                {{{"name", "32x64"},
                  {"n", kN},
                  {"k", kK},
                  {"weight_bits", 4},
                  {"panel", 32},
                  {"weights", 0},
                  {"scales", 1}}}},
               {"candidates", candidates}};
  builder.add("plan.json", plan.dump()).add("pack.json", pack.dump());
  return builder.build();
}

/// The product, as a kernel should compute it.
void multiply(const FakeLaunch &launch) {
  PackProduct product{"", kN, kK, 32, 0, 0};
  for (int64_t m = 0; m < launch.i32(5); ++m)
    for (int64_t n = 0; n < kN; ++n) {
      int32_t sum = 0;
      for (int64_t k = 0; k < kK; ++k)
        sum += launch.pointer<int8_t>(0)[m * kK + k] *
               packedWeight(product, launch.pointer<uint8_t>(2), n, k);
      launch.pointer<uint16_t>(4)[m * kN + n] = scaledOutput(
          sum, launch.pointer<float>(3)[n], launch.pointer<float>(1)[m]);
    }
}

class RunPacks : public ::testing::Test {
protected:
  // lit runs parts of this program at once.
  RunPacks()
      : output(::testing::TempDir() + "odyssey-tuning-" +
               std::to_string(::getpid()) + ".json") {
    std::remove(output.c_str());
    device->facts.computeCapability = 80;
    for (const char *name : {"k0", "k1", "k2", "k3"})
      device->kernels[name] = multiply;
    options.output = output;
    options.quiet = true;
  }
  ~RunPacks() override { std::remove(output.c_str()); }

  Status run(const std::vector<const TemporaryFile *> &packs) {
    for (const TemporaryFile *pack : packs)
      options.packs.push_back(pack->path());
    return tune::runPacks(options, device);
  }
  /// The schedules that the database has.
  std::string measured() {
    std::string schedules;
    auto file = TuningFile::read(output);
    for (const auto &[key, time] : file.value().entries)
      schedules += key.schedule + ";";
    return schedules;
  }

  std::string output;
  std::shared_ptr<FakeDevice> device = std::make_shared<FakeDevice>();
  tune::RunOptions options;
};

} // namespace

TEST_F(RunPacks, MeasuresAndLeavesNothingOnTheDevice) {
  TemporaryFile pack(makePack(2));
  Status status = run({&pack});
  EXPECT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(measured(), "schedule 0;schedule 1;");
  EXPECT_EQ(device->liveModules(), 0u);
  EXPECT_EQ(device->liveGraphs(), 0u);
  EXPECT_EQ(device->liveBuffers(), 0u);
}

TEST_F(RunPacks, WrongOutputsDoNotCount) {
  device->kernels["k1"] = [](const FakeLaunch &launch) {
    multiply(launch);
    launch.pointer<uint16_t>(4)[kN * kTokens - 1] ^= 1;
  };
  TemporaryFile pack(makePack(3));
  EXPECT_TRUE(run({&pack}).ok());
  EXPECT_EQ(measured(), "schedule 0;schedule 2;");
}

TEST_F(RunPacks, KeepsWhatWasMeasuredWhenTheDeviceIsLost) {
  // Each candidate is launched twice: for its outputs and for its time.
  device->failAt = "launch";
  device->failAfter = 5;
  device->failCode = StatusCode::DeviceFault;
  TemporaryFile pack(makePack(4));
  Status status = run({&pack});
  EXPECT_EQ(status.code(), StatusCode::DeviceFault);
  EXPECT_NE(status.message().find("<schedule 2>"), std::string::npos)
      << status.message();
  EXPECT_EQ(measured(), "schedule 0;schedule 1;");
}

TEST_F(RunPacks, GoesOnWithOtherPacksWhenMemoryRunsOut) {
  device->failAt = "allocate";
  device->failAfter = 3;
  TemporaryFile large(makePack(2)), small(makePack(3));
  EXPECT_TRUE(run({&large, &small}).ok());
  EXPECT_EQ(measured(), "schedule 0;schedule 1;schedule 2;");
}

TEST_F(RunPacks, KeepsOlderEntries) {
  TuningFile file;
  file.set({"old", "sm_80", 1, 1, 1, 4, "schedule"}, {5, 0});
  file.set({"old", "sm_80", 1, 1, 1, 8, "schedule"}, {7, 0});
  ASSERT_TRUE(file.write(output).ok());
  TemporaryFile pack(makePack(1));
  EXPECT_TRUE(run({&pack}).ok());
  TuningFile read = TuningFile::read(output).value();
  EXPECT_EQ(read.entries.size(), 3u);
  EXPECT_EQ(
      read.entries.at({"old", "sm_80", 1, 1, 1, 4, "schedule"}).nanoseconds, 5);
  EXPECT_EQ(
      read.entries.at({"old", "sm_80", 1, 1, 1, 8, "schedule"}).nanoseconds, 7);
}

TEST_F(RunPacks, APackForAnotherTargetIsAnErrorAlone) {
  TemporaryFile hopper(makePack(1, "sm_90a"));
  Status status = run({&hopper});
  EXPECT_EQ(status.code(), StatusCode::FailedPrecondition);
  EXPECT_NE(status.message().find("is compiled for sm_90a"), std::string::npos);
  EXPECT_EQ(measured(), "");
}

TEST_F(RunPacks, APackForAnotherTargetIsPassedOverAmongOthers) {
  TemporaryFile hopper(makePack(1, "sm_90a")), ampere(makePack(2));
  EXPECT_TRUE(run({&hopper, &ampere}).ok());
  EXPECT_EQ(measured(), "schedule 0;schedule 1;");
}

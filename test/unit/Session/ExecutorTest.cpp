//===- ExecutorTest.cpp - Running the functions of a bundle ---------------===//

#include "odyssey/runtime/Executor.h"

#include "BundleBuilder.h"
#include "FakeDevice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using nlohmann::json;
using ::testing::HasSubstr;

namespace {

/// y = x * w + count, where `count` is a state that every call raises by one.
/// Two kernels, with x * w in the workspace; "fixed" is the same for 2 rows.
json plan() {
  json result = json::parse(R"({
    "format": 1, "producer": "test", "target": "sm_80",
    "modules": [{"name": "code", "ptx": "code.ptx"}],
    "kernels": [
      {"name": "scale", "module": 0, "kind": "matmul", "block": [64, 2, 1],
       "shared_bytes": 512, "cluster": [1, 1, 1],
       "programmatic_dependent_launch": false},
      {"name": "add", "module": 0, "kind": "add", "block": [32, 1, 1],
       "shared_bytes": 0, "cluster": [2, 1, 1],
       "programmatic_dependent_launch": true}],
    "weights": [{"name": "w", "type": "i32", "shape": [3]}],
    "states": [{"name": "count", "type": "i32", "shape": [1]}],
    "functions": [{
      "name": "main",
      "inputs": [{"name": "x", "type": "i32", "shape": ["tokens", 3]}],
      "outputs": [{"name": "y", "type": "i32", "shape": ["tokens", 3]}],
      "states": ["count"],
      "buckets": []}]
  })");
  auto steps = [](int rows, json tokens) {
    json scale = {
        {"kernel", 0},
        {"grid", {{2, 4}, {3, 0}, {1, 0}}},
        {"arguments",
         json::array(
             {{{"input", 0}}, {{"weight", 0}}, {{"workspace", 512}}, tokens})}};
    json add = {{"kernel", 1},
                {"grid", {{2, 0}, {1, 0}, {1, 0}}},
                {"arguments", json::array({{{"workspace", 512}},
                                           {{"state", 0}},
                                           {{"output", 0}},
                                           tokens,
                                           {{"i32", rows}}})}};
    return json::array({scale, add});
  };
  for (int tokens : {4, 16})
    result["functions"][0]["buckets"].push_back(
        {{"tokens", tokens},
         {"workspace_bytes", 512 + tokens * 12},
         {"steps", steps(tokens, {{"tokens", true}})}});
  json fixed = result["functions"][0];
  fixed["name"] = "fixed";
  fixed["inputs"][0]["shape"] = {2, 3};
  fixed["outputs"][0]["shape"] = {2, 3};
  fixed["buckets"] = json::array({{{"tokens", 0},
                                   {"workspace_bytes", 536},
                                   {"steps", steps(2, {{"i32", 2}})}}});
  for (json &step : fixed["buckets"][0]["steps"])
    step["grid"] = {{2, 0}, {1, 0}, {1, 0}};
  result["functions"].push_back(fixed);
  return result;
}

BundleBuilder builder(const json &plan) {
  return BundleBuilder()
      .plan(plan)
      .add("code.ptx", "// nothing that the fake device reads")
      .weights(
          {{"w", makeTensor<int32_t>(ElementType::I32, {3}, {1, 10, 100})}});
}

std::shared_ptr<FakeDevice> makeDevice() {
  auto device = std::make_shared<FakeDevice>();
  device->kernels["scale"] = [](const FakeLaunch &launch) {
    for (int i = 0; i < 3 * launch.i32(3); ++i)
      launch.pointer<int32_t>(2)[i] =
          launch.pointer<int32_t>(0)[i] * launch.pointer<int32_t>(1)[i % 3];
  };
  device->kernels["add"] = [](const FakeLaunch &launch) {
    int32_t &count = *launch.pointer<int32_t>(1);
    ++count;
    for (int i = 0; i < 3 * launch.i32(3); ++i)
      launch.pointer<int32_t>(2)[i] = launch.pointer<int32_t>(0)[i] + count;
  };
  return device;
}

std::shared_ptr<const Bundle> open(const BundleBuilder &bundleBuilder) {
  TemporaryFile file(bundleBuilder.build());
  auto bundle = Bundle::open(file.path());
  EXPECT_TRUE(bundle.ok()) << bundle.status().message();
  return bundle.ok() ? *bundle : nullptr;
}

class ExecutorTest : public ::testing::Test {
protected:
  void SetUp() override {
    auto created = Executor::create(open(builder(plan())), device);
    ASSERT_TRUE(created.ok()) << created.status().message();
    executor = std::move(*created);
  }

  Status record(const Executor::Call &call) {
    return executor->runRecorded({&call, 1});
  }

  Result<std::vector<HostTensor>> run(std::vector<int32_t> values,
                                      const char *function = "main") {
    int64_t rows = static_cast<int64_t>(values.size() / 3);
    return executor->run(
        function, std::array{makeTensor(ElementType::I32, {rows, 3}, values)});
  }
  void expectRun(std::vector<int32_t> values, std::vector<int32_t> expected,
                 const char *function = "main") {
    auto outputs = run(std::move(values), function);
    ASSERT_TRUE(outputs.ok()) << outputs.status().message();
    ASSERT_EQ(outputs->size(), 1u);
    EXPECT_EQ(valuesOf<int32_t>((*outputs)[0]), expected);
    EXPECT_EQ((*outputs)[0].shape,
              (std::vector<int64_t>{int64_t(expected.size() / 3), 3}));
  }

  std::shared_ptr<FakeDevice> device = makeDevice();
  std::unique_ptr<Executor> executor;
};

TEST_F(ExecutorTest, RunsAFunctionOnHostTensors) {
  expectRun({1, 2, 3}, {2, 21, 301});
  // The state has outlived the call.
  expectRun({1, 2, 3, 4, 5, 6}, {3, 22, 302, 6, 52, 602});
  ASSERT_TRUE(executor->clearStates().ok());
  expectRun({1, 2, 3}, {2, 21, 301});
  expectRun({1, 1, 1, 2, 2, 2}, {3, 12, 102, 4, 22, 202}, "fixed");
}

TEST_F(ExecutorTest, LaunchesWhatThePlanSays) {
  ASSERT_TRUE(run(std::vector<int32_t>(15)).ok());
  ASSERT_EQ(device->launches.size(), 2u);
  const FakeLaunch &scale = device->launches[0], &add = device->launches[1];
  EXPECT_EQ(scale.kernel, "scale");
  EXPECT_EQ(scale.grid.x, 4u);
  EXPECT_EQ(scale.grid.y, 3u);
  EXPECT_EQ(scale.block.x, 64u);
  EXPECT_EQ(scale.block.y, 2u);
  EXPECT_EQ(scale.cluster.x, 1u);
  EXPECT_EQ(scale.sharedBytes, 512u);
  EXPECT_FALSE(scale.programmaticDependentLaunch);
  std::vector<uint32_t> sizes;
  for (const KernelArgument &argument : scale.arguments)
    sizes.push_back(argument.size);
  EXPECT_EQ(sizes, (std::vector<uint32_t>{8, 8, 8, 4}));
  EXPECT_EQ(scale.i32(3), 5);
  EXPECT_EQ(add.cluster.x, 2u);
  EXPECT_TRUE(add.programmaticDependentLaunch);
  // Five tokens need the second bucket.
  EXPECT_EQ(add.i32(4), 16);
  EXPECT_EQ(add.arguments[0].bits % 256, 0u);
}

TEST_F(ExecutorTest, TakesTheFirstBucketThatIsLargeEnough) {
  for (auto [tokens, bucket] : {std::pair{1, 4}, {4, 4}, {5, 16}, {16, 16}}) {
    ASSERT_TRUE(run(std::vector<int32_t>(size_t(tokens) * 3)).ok());
    EXPECT_EQ(device->launches.back().i32(4), bucket);
  }
  auto tooMany = run(std::vector<int32_t>(51));
  ASSERT_FALSE(tooMany.ok());
  EXPECT_EQ(tooMany.status().code(), StatusCode::InvalidArgument);
  EXPECT_THAT(tooMany.status().message(),
              HasSubstr("function 'main' takes at most 16 tokens in one call, "
                        "got 17"));
}

TEST_F(ExecutorTest, WrongInputsAreNamed) {
  auto message = [&](std::vector<HostTensor> inputs) {
    auto outputs = executor->run("main", inputs);
    EXPECT_EQ(outputs.status().code(), StatusCode::InvalidArgument);
    return outputs.status().message();
  };
  std::vector<int32_t> six(6);
  HostTensor good = makeTensor(ElementType::I32, {2, 3}, six);
  EXPECT_THAT(message({}), HasSubstr("takes 1 inputs, got 0"));
  EXPECT_THAT(message({good, good}), HasSubstr("takes 1 inputs, got 2"));
  EXPECT_THAT(message({makeTensor(ElementType::F32, {2, 3}, six)}),
              HasSubstr("input 'x' of function 'main' is i32 [tokens, 3], got "
                        "f32 [2, 3]"));
  EXPECT_THAT(message({makeTensor(ElementType::I32, {3, 2}, six)}),
              HasSubstr("got i32 [3, 2]"));
  EXPECT_THAT(message({makeTensor(ElementType::I32, {6}, six)}),
              HasSubstr("got i32 [6]"));
  EXPECT_THAT(message({makeTensor<int32_t>(ElementType::I32, {0, 3}, {})}),
              HasSubstr("got i32 [0, 3]"));
  EXPECT_THAT(message({makeTensor(ElementType::I32, {4, 3}, six)}),
              HasSubstr("does not have the data of its shape"));
  auto unknown = executor->run("other", std::array{good});
  EXPECT_EQ(unknown.status().code(), StatusCode::NotFound);
  auto fixed = executor->run(
      "fixed",
      std::array{makeTensor<int32_t>(ElementType::I32, {1, 3}, {1, 2, 3})});
  EXPECT_EQ(fixed.status().code(), StatusCode::InvalidArgument);
}

TEST_F(ExecutorTest, WrongCallsAreRefused) {
  std::array<DeviceAddress, 1> one = {256};
  auto code = [&](const Executor::Call &call) {
    return executor->run(call).code();
  };
  EXPECT_EQ(code({7, one, one, 1}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({0, {}, one, 1}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({0, one, {}, 1}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({0, one, one, 0}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({0, one, one, -1}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({0, one, one, 17}), StatusCode::InvalidArgument);
  EXPECT_TRUE(device->launches.empty());
}

TEST_F(ExecutorTest, RecordsSeveralCallsAsOneGraph) {
  DeviceAddress x = *device->allocate(192, "x");
  ASSERT_TRUE(device->fill(x, 0, 192).ok());
  std::array both = {x};
  std::array calls = {Executor::Call{0, both, both, 1},
                      Executor::Call{0, both, both, 2}};
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(executor->runRecorded(calls).ok());
  EXPECT_EQ(executor->recordedGraphs(), 1u);
  EXPECT_EQ(device->replays, 2u);
  EXPECT_EQ(device->launches.size(), 8u);
  // A wrong one among them is refused before anything is recorded.
  calls[1].tokens = 0;
  EXPECT_EQ(executor->runRecorded(calls).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(device->liveGraphs(), 1u);
  EXPECT_EQ(device->launches.size(), 8u);
}

TEST_F(ExecutorTest, RunsDirectlyWhereTheDeviceCannotRecord) {
  DeviceAddress x = *device->allocate(192, "x");
  ASSERT_TRUE(device->fill(x, 0, 192).ok());
  std::array both = {x};
  device->cannotRecord = true;
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(record({0, both, both, 1}).ok());
  EXPECT_EQ(device->replays, 0u);
  EXPECT_EQ(device->launches.size(), 6u);
  // It is asked only once.
  EXPECT_EQ(std::ranges::count(device->calls, "beginRecording "), 1);
}

TEST_F(ExecutorTest, RecordsEachDistinctCallOnce) {
  DeviceAddress x = *device->allocate(192, "x"),
                y = *device->allocate(192, "y");
  std::vector<int32_t> zeros(48);
  ASSERT_TRUE(device->copyToDevice(x, zeros.data(), 192).ok());
  std::array inputs = {x}, outputs = {y};
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(record({0, inputs, outputs, 2}).ok());
  EXPECT_EQ(device->liveGraphs(), 1u);
  EXPECT_EQ(device->replays, 3u);
  // The state shows that the kernels ran once for each call.
  int32_t result = 0;
  ASSERT_TRUE(device->copyToHost(&result, y, 4).ok());
  EXPECT_EQ(result, 3);
  ASSERT_TRUE(record({0, inputs, outputs, 3}).ok());
  EXPECT_EQ(device->liveGraphs(), 2u);
  ASSERT_TRUE(record({0, inputs, inputs, 3}).ok());
  EXPECT_EQ(device->liveGraphs(), 3u);
}

TEST_F(ExecutorTest, AFailedRecordingIsEndedAndForgotten) {
  DeviceAddress x = *device->allocate(192, "x");
  ASSERT_TRUE(device->fill(x, 0, 192).ok());
  std::array both = {x};
  device->failAt = "launch";
  device->failAfter = 1;
  Status failed = record({0, both, both, 1});
  EXPECT_THAT(failed.message(),
              HasSubstr("function 'main', kernel 'add': the test lets launch"));
  EXPECT_EQ(device->liveGraphs(), 0u);
  device->failAt.clear();
  EXPECT_TRUE(record({0, both, both, 1}).ok());
  EXPECT_EQ(device->launches.size(), 2u);
}

TEST_F(ExecutorTest, TimesKernelsByKind) {
  DeviceAddress x = *device->allocate(192, "x");
  ASSERT_TRUE(device->fill(x, 0, 192).ok());
  std::array both = {x};
  KernelTimes times;
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(executor->runTimed({0, both, both, 1}, times).ok());
  ASSERT_EQ(times.size(), 2u);
  EXPECT_EQ(times["matmul"].launches, 2u);
  EXPECT_EQ(times["add"].launches, 2u);
  EXPECT_EQ(times["add"].seconds, 2.0);
}

TEST_F(ExecutorTest, GivesEverythingBack) {
  expectRun({1, 2, 3}, {2, 21, 301});
  // Weight, state, workspace.
  EXPECT_EQ(device->liveBuffers(), 3u);
  executor.reset();
  EXPECT_EQ(device->liveBuffers(), 0u);
  EXPECT_EQ(device->liveModules(), 0u);
}

/// Counters are zero when the first kernel begins, whatever the device's memory
/// held; a launch finds what the one before it left, until states are cleared.
TEST(ExecutorCountersTest, BeginAsZeros) {
  json counting = plan();
  for (json &function : counting["functions"])
    for (json &bucket : function["buckets"]) {
      bucket["counter_bytes"] = 8;
      bucket["steps"][1]["arguments"].push_back({{"counters", 4}});
    }
  auto device = makeDevice();
  std::vector<int32_t> found;
  device->kernels["add"] = [&](const FakeLaunch &launch) {
    found.push_back((*launch.pointer<int32_t>(5))++);
  };
  auto executor = Executor::create(open(builder(counting)), device);
  ASSERT_TRUE(executor.ok()) << executor.status().message();
  DeviceAddress x = *device->allocate(192, "x");
  ASSERT_TRUE(device->fill(x, 0, 192).ok());
  std::array both = {x};
  for (int64_t tokens : {1, 5}) // two buckets
    ASSERT_TRUE((*executor)->run({0, both, both, tokens}).ok());
  ASSERT_TRUE((*executor)->clearStates().ok());
  ASSERT_TRUE((*executor)->run({0, both, both, 1}).ok());
  EXPECT_EQ(found, (std::vector<int32_t>{0, 1, 0}));
}

TEST(ExecutorCreateTest, RefusesAnotherTarget) {
  json other = plan();
  other["target"] = "sm_90a";
  auto device = makeDevice();
  device->facts.computeCapability = 89;
  auto created = Executor::create(open(builder(other)), device);
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(created.status().code(), StatusCode::FailedPrecondition);
  EXPECT_THAT(created.status().message(),
              HasSubstr("is compiled for sm_90a, but fake device is sm_89"));
}

TEST(ExecutorCreateTest, RefusesABundleWithoutWeights) {
  auto created = Executor::create(
      open(BundleBuilder().plan(plan()).add("code.ptx", "")), makeDevice());
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(created.status().code(), StatusCode::FailedPrecondition);
  EXPECT_THAT(created.status().message(), HasSubstr("--weights=none"));
}

TEST(ExecutorCreateTest, ABundleWithoutWeightsRunsWithSyntheticOnes) {
  auto device = makeDevice();
  auto created =
      Executor::create(open(BundleBuilder().plan(plan()).add("code.ptx", "")),
                       device, WeightSource::Synthetic);
  ASSERT_TRUE(created.ok()) << created.status().message();
  // Weight, state, workspace.
  EXPECT_EQ(device->liveBuffers(), 3u);
}

TEST(ExecutorCreateTest, ReportsAMissingKernel) {
  auto device = makeDevice();
  device->kernels.erase("add");
  auto created = Executor::create(open(builder(plan())), device);
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(created.status().code(), StatusCode::NotFound);
  EXPECT_THAT(created.status().message(), HasSubstr("'add'"));
  EXPECT_EQ(device->liveModules(), 0u);
}

} // namespace

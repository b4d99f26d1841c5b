//===- CudaDeviceTest.cpp - The CUDA device against a fake driver ---------===//
//
// What the device asks the driver to do, and what it makes of its errors. That
// kernels really run is tested by the conformance suite, on a GPU.
//
//===----------------------------------------------------------------------===//

#include "FakeCuda.h"
#include "odyssey/runtime/Cuda.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dlfcn.h>

using namespace odyssey::runtime;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

namespace {

class CudaDeviceTest : public ::testing::Test {
protected:
  void SetUp() override {
    void *library = dlopen(ODYSSEY_FAKE_CUDA, RTLD_NOW);
    ASSERT_NE(library, nullptr) << dlerror();
    auto state =
        reinterpret_cast<FakeCuda *(*)()>(dlsym(library, "odysseyFakeCuda"));
    ASSERT_NE(state, nullptr);
    fake = state();
    *fake = FakeCuda();
    options.library = ODYSSEY_FAKE_CUDA;
  }

  void open() {
    auto created = createCudaDevice(options);
    ASSERT_TRUE(created.ok()) << created.status().message();
    device = std::move(*created);
    fake->calls.clear();
  }

  KernelHandle loadKernel(const std::string &name) {
    auto module =
        device->loadModule({.name = "code", .ptx = "ptx text", .cubin = {}});
    EXPECT_TRUE(module.ok()) << module.status().message();
    auto kernel = device->getKernel(*module, name);
    EXPECT_TRUE(kernel.ok()) << kernel.status().message();
    fake->calls.clear();
    return kernel.ok() ? *kernel : KernelHandle(0);
  }

  FakeCuda *fake = nullptr;
  CudaOptions options;
  std::unique_ptr<Device> device;
  const std::vector<KernelArgument> arguments = {
      KernelArgument::address(0x123456789abc),
      KernelArgument::address(0xfedcba987654), KernelArgument::i32(-5)};
};

TEST_F(CudaDeviceTest, WithoutALibraryThereIsNoDriver) {
  options.library = "libodyssey-no-such-library.so";
  auto created = createCudaDevice(options);
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(created.status().code(), StatusCode::NotFound);
  EXPECT_THAT(created.status().message(),
              HasSubstr("no NVIDIA driver (libodyssey-no-such-library.so)"));
  EXPECT_EQ(listCudaDevices(options).status().code(), StatusCode::NotFound);
}

TEST_F(CudaDeviceTest, ALibraryWithoutTheFunctionsIsTooOld) {
  options.library = "libm.so.6";
  auto created = createCudaDevice(options);
  ASSERT_FALSE(created.ok());
  EXPECT_EQ(created.status().code(), StatusCode::FailedPrecondition);
  EXPECT_THAT(created.status().message(), HasSubstr("no function cuInit"));
}

TEST_F(CudaDeviceTest, WithoutAGpuThereIsNoDevice) {
  fake->failures["cuInit"] = 100;
  EXPECT_EQ(createCudaDevice(options).status().code(), StatusCode::NotFound);
  fake->failures.clear();
  fake->deviceCount = 0;
  EXPECT_EQ(createCudaDevice(options).status().code(), StatusCode::NotFound);
  fake->deviceCount = 1;
  options.ordinal = 1;
  auto second = createCudaDevice(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), StatusCode::NotFound);
  EXPECT_EQ(second.status().message(),
            "there is no GPU 1, the NVIDIA driver reports 1");
}

TEST_F(CudaDeviceTest, ListsGpus) {
  fake->deviceCount = 2;
  auto gpus = listCudaDevices(options);
  ASSERT_TRUE(gpus.ok());
  ASSERT_EQ(gpus->size(), 2u);
  EXPECT_EQ((*gpus)[0].name, "Fake GPU");
  EXPECT_EQ((*gpus)[1].name, "Other GPU");
  EXPECT_EQ((*gpus)[0].kind, "cuda");
  EXPECT_EQ((*gpus)[0].computeCapability, 90);
  EXPECT_EQ((*gpus)[0].multiprocessors, 132);
  EXPECT_EQ((*gpus)[0].totalMemoryBytes, size_t(1) << 37);
  EXPECT_EQ((*gpus)[0].maxSharedBytesPerBlock, 232448u);
}

TEST_F(CudaDeviceTest, GivesEverythingBack) {
  open();
  loadKernel("add");
  ASSERT_TRUE(device->allocate(100, "a").ok());
  ASSERT_TRUE(device->beginRecording().ok());
  ASSERT_TRUE(device->endRecording().ok());
  device.reset();
  EXPECT_EQ(fake->liveObjects, 0);
}

TEST_F(CudaDeviceTest, EveryFailureWhileOpeningIsReportedAndLeaksNothing) {
  for (const char *function :
       {"cuDeviceGet", "cuDeviceGetName", "cuDevicePrimaryCtxRetain",
        "cuStreamCreate", "cuEventCreate", "cuEventRecord", "cuMemHostAlloc"}) {
    fake->failures = {{function, 2}};
    auto created = createCudaDevice(options);
    ASSERT_FALSE(created.ok()) << function;
    EXPECT_EQ(created.status().code(), StatusCode::ResourceExhausted);
    EXPECT_THAT(created.status().message(),
                HasSubstr("CUDA_ERROR_2 (as the test wants it)"));
    EXPECT_EQ(fake->liveObjects, 0) << function;
  }
}

TEST_F(CudaDeviceTest, SmallCopiesDoNotWaitAndLargeOnesDo) {
  open();
  DeviceAddress buffer = *device->allocate(1 << 20, "buffer");
  std::vector<char> data(1 << 20, 'x');
  fake->calls.clear();
  ASSERT_TRUE(device->copyToDevice(buffer, data.data(), 1000).ok());
  EXPECT_THAT(fake->calls, ElementsAre("cuMemcpyHtoDAsync_v2"));
  fake->calls.clear();
  ASSERT_TRUE(device->copyToDevice(buffer, data.data(), 1 << 20).ok());
  EXPECT_THAT(fake->calls,
              ElementsAre("cuMemcpyHtoDAsync_v2", "cuStreamSynchronize"));
  // The page-locked memory is used up some time; then one copy waits.
  fake->calls.clear();
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(device->copyToDevice(buffer, data.data(), 60000).ok());
  EXPECT_EQ(
      std::count(fake->calls.begin(), fake->calls.end(), "cuStreamSynchronize"),
      1);
}

TEST_F(CudaDeviceTest, LaunchesAreDescribedToTheDriver) {
  open();
  KernelHandle add = loadKernel("add");
  LaunchRequest request;
  request.kernel = add;
  request.grid = {6, 2, 1};
  request.block = {128, 2, 1};
  request.arguments = arguments;
  ASSERT_TRUE(device->launch(request).ok());
  EXPECT_THAT(fake->calls,
              ElementsAre("launch add grid 6,2,1 block 128,2,1 shared 0"));
  EXPECT_THAT(fake->lastArguments,
              ElementsAre(0x123456789abcull, 0xfedcba987654ull, uint32_t(-5)));
  fake->calls.clear();
  request.cluster = {2, 1, 1};
  request.programmaticDependentLaunch = true;
  ASSERT_TRUE(device->launch(request).ok());
  EXPECT_THAT(fake->calls,
              ElementsAre("launch add grid 6,2,1 block 128,2,1 shared 0 "
                          "cluster 2,1,1 programmatic"));
}

TEST_F(CudaDeviceTest, LargeSharedMemoryAndClustersAreAskedForOnce) {
  open();
  LaunchRequest request;
  request.kernel = loadKernel("add");
  request.grid = {16, 1, 1};
  request.arguments = arguments;
  // The kernel has 1024 bytes of its own.
  request.sharedBytes = 47 * 1024;
  ASSERT_TRUE(device->launch(request).ok());
  EXPECT_THAT(fake->calls, Not(Contains(HasSubstr("set attribute"))));
  request.sharedBytes = 100000;
  request.cluster = {16, 1, 1};
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(device->launch(request).ok());
  request.sharedBytes = 90000;
  ASSERT_TRUE(device->launch(request).ok());
  std::vector<std::string> settings;
  for (const std::string &call : fake->calls)
    if (call.starts_with("set attribute"))
      settings.push_back(call);
  EXPECT_THAT(settings,
              ElementsAre("set attribute 8 100000", "set attribute 14 1"));
}

TEST_F(CudaDeviceTest, LaunchesThatCannotBeAreRefused) {
  open();
  LaunchRequest good;
  good.kernel = loadKernel("add");
  good.arguments = arguments;
  ASSERT_TRUE(device->launch(good).ok());
  auto message = [&](auto change) {
    LaunchRequest request = good;
    change(request);
    Status status = device->launch(request);
    EXPECT_EQ(status.code(), StatusCode::InvalidArgument);
    return status.message();
  };
  for (uint64_t handle : {0, 7}) {
    LaunchRequest request = good;
    request.kernel = KernelHandle(handle);
    EXPECT_EQ(device->launch(request).code(), StatusCode::InvalidArgument);
  }
  EXPECT_THAT(message([](auto &r) { r.grid = {0, 1, 1}; }),
              HasSubstr("kernel 'add': a grid of 0 x 1 x 1"));
  EXPECT_THAT(message([](auto &r) { r.grid = {1, 65536, 1}; }),
              HasSubstr("a grid of"));
  EXPECT_THAT(message([](auto &r) { r.block = {513, 1, 1}; }),
              HasSubstr("a block of 513 x 1 x 1 threads"));
  EXPECT_THAT(message([](auto &r) { r.cluster = {2, 1, 1}; }),
              HasSubstr("does not divide into clusters"));
  EXPECT_THAT(message([](auto &r) { r.sharedBytes = 232448; }),
              HasSubstr("233472 bytes of shared memory are more"));
  EXPECT_THAT(message([&](auto &r) { r.arguments = r.arguments.first(2); }),
              HasSubstr("expected 3 arguments, got 2"));
  std::vector<KernelArgument> wrong = arguments;
  wrong[2] = KernelArgument::address(1);
  EXPECT_THAT(message([&](auto &r) { r.arguments = wrong; }),
              HasSubstr("parameter 2 has 4 bytes, its argument 8"));
  EXPECT_TRUE(device->launch(good).ok());
}

TEST_F(CudaDeviceTest, TakesTheCubinWhereItFits) {
  const std::string cubin = "cubin bytes";
  auto imageFor = [&](int major, int minor, int cubinCapability) {
    fake->major = major;
    fake->minor = minor;
    open();
    ModuleImage image{.name = "code",
                      .ptx = "ptx text",
                      .cubin = std::as_bytes(std::span(cubin)),
                      .cubinCapability = cubinCapability};
    EXPECT_TRUE(device->loadModule(image).ok());
    return fake->lastImage.substr(0, 5);
  };
  EXPECT_EQ(imageFor(8, 0, 80), "cubin");
  EXPECT_EQ(imageFor(8, 9, 80), "cubin");
  EXPECT_EQ(imageFor(8, 0, 86), "ptx t");
  EXPECT_EQ(imageFor(9, 0, 80), "ptx t");
  EXPECT_EQ(imageFor(9, 0, 90), "cubin");
}

TEST_F(CudaDeviceTest, TheCompilersLogIsPartOfTheError) {
  open();
  fake->failures["cuModuleLoadDataEx"] = 218;
  fake->compilerLog = "line 7: unknown symbol";
  auto module =
      device->loadModule({.name = "code", .ptx = "ptx text", .cubin = {}});
  ASSERT_FALSE(module.ok());
  EXPECT_EQ(module.status().code(), StatusCode::DataLoss);
  EXPECT_EQ(module.status().message(),
            "cannot load module 'code': CUDA_ERROR_218 (as the test wants it)\n"
            "line 7: unknown symbol");
}

TEST_F(CudaDeviceTest, KernelsThatAreNotThereAreNotFound) {
  open();
  auto module =
      device->loadModule({.name = "code", .ptx = "ptx text", .cubin = {}});
  ASSERT_TRUE(module.ok());
  auto kernel = device->getKernel(*module, "missing");
  EXPECT_EQ(kernel.status().code(), StatusCode::NotFound);
  EXPECT_THAT(kernel.status().message(), HasSubstr("'missing'"));
  EXPECT_EQ(device->getKernel(ModuleHandle{99}, "add").status().code(),
            StatusCode::NotFound);
  // Kernels end with their module.
  LaunchRequest request;
  request.kernel = *device->getKernel(*module, "add");
  request.arguments = arguments;
  ASSERT_TRUE(device->launch(request).ok());
  ASSERT_TRUE(device->unloadModule(*module).ok());
  EXPECT_EQ(device->launch(request).code(), StatusCode::InvalidArgument);
}

TEST_F(CudaDeviceTest, RecordingAndReplaying) {
  open();
  LaunchRequest request;
  request.kernel = loadKernel("add");
  request.arguments = arguments;
  DeviceAddress buffer = *device->allocate(16, "buffer");
  char data[16] = {};
  fake->calls.clear();
  ASSERT_TRUE(device->beginRecording().ok());
  ASSERT_TRUE(device->launch(request).ok());
  auto refused = [](const Status &status) {
    return status.code() == StatusCode::FailedPrecondition;
  };
  EXPECT_TRUE(refused(device->copyToDevice(buffer, data, 16)));
  EXPECT_TRUE(refused(device->copyToHost(data, buffer, 16)));
  EXPECT_TRUE(refused(device->fill(buffer, 0, 16)));
  EXPECT_TRUE(refused(device->synchronize()));
  EXPECT_TRUE(refused(device->beginRecording()));
  EXPECT_TRUE(refused(device->timestamp().status()));
  auto graph = device->endRecording();
  ASSERT_TRUE(graph.ok());
  ASSERT_TRUE(device->replay(*graph).ok());
  ASSERT_TRUE(device->destroyGraph(*graph).ok());
  EXPECT_THAT(fake->calls,
              ElementsAre("cuStreamBeginCapture_v2",
                          "launch add grid 1,1,1 block 1,1,1 shared 0",
                          "cuStreamEndCapture", "cuGraphInstantiateWithFlags",
                          "cuGraphDestroy", "cuGraphLaunch",
                          "cuGraphExecDestroy"));
  EXPECT_EQ(device->replay(*graph).code(), StatusCode::NotFound);
  EXPECT_TRUE(refused(device->endRecording().status()));
}

TEST_F(CudaDeviceTest, TimeIsAddedUp) {
  open();
  // The fake driver says 250 ms between any two events.
  EXPECT_DOUBLE_EQ(*device->timestamp(), 0.25);
  EXPECT_DOUBLE_EQ(*device->timestamp(), 0.5);
  EXPECT_DOUBLE_EQ(*device->timestamp(), 0.75);
}

TEST_F(CudaDeviceTest, ReplaysAreTimedWithoutWaitingInBetween) {
  open();
  ASSERT_TRUE(device->beginRecording().ok());
  auto graph = device->endRecording();
  ASSERT_TRUE(graph.ok());
  fake->calls.clear();
  int liveObjects = fake->liveObjects;
  auto seconds = device->timeReplays(*graph, 2);
  ASSERT_TRUE(seconds.ok()) << seconds.status().message();
  EXPECT_THAT(*seconds, ElementsAre(0.25, 0.25));
  EXPECT_THAT(fake->calls,
              ElementsAre("cuEventCreate", "cuEventCreate", "cuEventCreate",
                          "cuGraphLaunch", "cuEventRecord", "cuGraphLaunch",
                          "cuEventRecord", "cuGraphLaunch", "cuEventRecord",
                          "cuStreamSynchronize", "cuEventElapsedTime",
                          "cuEventElapsedTime", "cuEventDestroy_v2",
                          "cuEventDestroy_v2", "cuEventDestroy_v2"));
  EXPECT_EQ(fake->liveObjects, liveObjects);
  // Events do not leak when something fails.
  fake->failures["cuGraphLaunch"] = 2;
  EXPECT_EQ(device->timeReplays(*graph, 2).status().code(),
            StatusCode::ResourceExhausted);
  EXPECT_EQ(fake->liveObjects, liveObjects);
}

TEST_F(CudaDeviceTest, AfterAFaultOnlyANewProcessCanUseTheGpu) {
  for (const char *function : {"cuDevicePrimaryCtxRetain", "cuStreamCreate"}) {
    fake->failures = {{function, 700}};
    auto created = createCudaDevice(options);
    ASSERT_FALSE(created.ok());
    EXPECT_EQ(created.status().code(), StatusCode::DeviceFault);
    EXPECT_THAT(created.status().message(),
                HasSubstr("after a fault, only a new process can use the GPU"));
  }
}

TEST_F(CudaDeviceTest, KnowsItsRates) {
  open();
  // 2.619 GHz, two transfers a cycle, 5120 bits.
  EXPECT_NEAR(device->properties().memoryBytesPerSecond, 3.352e12, 1e9);
  EXPECT_DOUBLE_EQ(device->properties().clockHertz, 1.98e9);
  EXPECT_EQ(device->properties().cacheBytes, size_t(50) << 20);
  EXPECT_NE(cudaStream(*device), nullptr);
}

TEST_F(CudaDeviceTest, AFaultEndsTheDevice) {
  open();
  LaunchRequest request;
  request.kernel = loadKernel("add");
  request.arguments = arguments;
  ASSERT_TRUE(device->launch(request).ok());
  fake->failures["cuStreamSynchronize"] = 700;
  Status fault = device->synchronize();
  EXPECT_EQ(fault.code(), StatusCode::DeviceFault);
  EXPECT_THAT(fault.message(),
              HasSubstr("waiting for the GPU: CUDA_ERROR_700"));
  fake->failures.clear();
  Status after = device->launch(request);
  EXPECT_EQ(after.code(), StatusCode::DeviceFault);
  EXPECT_THAT(after.message(), HasSubstr("cannot be used after a fault"));
  EXPECT_EQ(device->allocate(16, "more").status().code(),
            StatusCode::DeviceFault);
}

TEST_F(CudaDeviceTest, OtherErrorsDoNot) {
  open();
  EXPECT_EQ(device->allocate(size_t(1) << 40, "much").status().code(),
            StatusCode::ResourceExhausted);
  EXPECT_TRUE(device->allocate(16, "little").ok());
}

} // namespace

//===- ConformanceTest.cpp - What every device has to do ------------------===//
//
// One suite for all implementations of Device: a kernel's user must not be able
// to tell them apart. A device that this machine does not have is skipped, with
// the reason.
//
//===----------------------------------------------------------------------===//

#include "TestKernels.h"
#include "odyssey/runtime/DeviceRegistry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <numeric>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using ::testing::HasSubstr;

namespace {

class ConformanceTest : public ::testing::TestWithParam<const char *> {
protected:
  void SetUp() override {
    auto opened = openDevice(GetParam());
    if (!opened.ok() && opened.status().code() == StatusCode::NotFound)
      GTEST_SKIP() << opened.status().message();
    ASSERT_TRUE(opened.ok()) << opened.status().message();
    device = *opened;
  }

  DeviceAddress allocate(size_t bytes) {
    auto address = device->allocate(bytes, "test buffer");
    EXPECT_TRUE(address.ok()) << address.status().message();
    return address.ok() ? *address : 0;
  }
  template <typename T> DeviceAddress upload(const std::vector<T> &values) {
    DeviceAddress address = allocate(values.size() * sizeof(T));
    expectOk(device->copyToDevice(address, values.data(),
                                  values.size() * sizeof(T)));
    return address;
  }
  template <typename T>
  std::vector<T> download(DeviceAddress address, size_t count) {
    std::vector<T> values(count);
    expectOk(device->copyToHost(values.data(), address, count * sizeof(T)));
    return values;
  }
  static void expectOk(const Status &status) {
    EXPECT_TRUE(status.ok()) << status.message();
  }

  KernelHandle kernel(const char *name) {
    if (module == ModuleHandle(0)) {
      auto loaded = device->loadModule(
          {.name = "test kernels", .ptx = kTestKernels, .cubin = {}});
      EXPECT_TRUE(loaded.ok()) << loaded.status().message();
      if (!loaded.ok())
        return KernelHandle(0);
      module = *loaded;
    }
    auto found = device->getKernel(module, name);
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() ? *found : KernelHandle(0);
  }
  Status launch(const char *name, Dim3 grid, Dim3 block,
                std::vector<KernelArgument> arguments,
                uint32_t sharedBytes = 0) {
    LaunchRequest request;
    request.kernel = kernel(name);
    request.grid = grid;
    request.block = block;
    request.sharedBytes = sharedBytes;
    request.arguments = arguments;
    return device->launch(request);
  }
  /// Adds `by` to the first `n` words at `address`.
  Status increment(DeviceAddress address, int n, int by) {
    return launch("increment", {uint32_t(n + 31) / 32}, {32},
                  {KernelArgument::address(address), KernelArgument::i32(n),
                   KernelArgument::i32(by)});
  }

  std::shared_ptr<Device> device;
  ModuleHandle module = ModuleHandle(0);
};

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

TEST_P(ConformanceTest, HasProperties) {
  const DeviceProperties &facts = device->properties();
  EXPECT_EQ(facts.kind, GetParam());
  EXPECT_FALSE(facts.name.empty());
  EXPECT_GT(facts.multiprocessors, 0);
  EXPECT_GT(facts.totalMemoryBytes, size_t(1) << 28);
  EXPECT_GE(facts.maxSharedBytesPerBlock, size_t(48) << 10);
}

TEST_P(ConformanceTest, AllocationsAreAlignedAndApart) {
  std::vector<std::pair<DeviceAddress, size_t>> buffers;
  for (size_t bytes : {1, 3, 255, 256, 257, 1000, 100000}) {
    DeviceAddress address = allocate(bytes);
    EXPECT_NE(address, 0u);
    EXPECT_EQ(address % 256, 0u);
    for (auto &[other, otherBytes] : buffers)
      EXPECT_TRUE(address + bytes <= other || other + otherBytes <= address);
    buffers.emplace_back(address, bytes);
  }
  for (auto &[address, bytes] : buffers)
    expectOk(device->free(address));
}

TEST_P(ConformanceTest, ImpossibleAllocationsAreErrors) {
  auto huge = device->allocate(size_t(1) << 60, "huge buffer");
  ASSERT_FALSE(huge.ok());
  EXPECT_EQ(huge.status().code(), StatusCode::ResourceExhausted);
  EXPECT_THAT(huge.status().message(), HasSubstr("huge buffer"));
  EXPECT_EQ(device->allocate(0, "empty buffer").status().code(),
            StatusCode::InvalidArgument);
  // The device is none the worse for it.
  EXPECT_NE(allocate(100), 0u);
}

TEST_P(ConformanceTest, OnlyWhatIsAllocatedCanBeFreed) {
  DeviceAddress address = allocate(1000);
  EXPECT_EQ(device->free(0).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(device->free(address + 256).code(), StatusCode::InvalidArgument);
  expectOk(device->free(address));
  EXPECT_EQ(device->free(address).code(), StatusCode::InvalidArgument);
}

TEST_P(ConformanceTest, CopiesRoundTripAtEverySizeAndOffset) {
  constexpr size_t kBytes = 3 << 20;
  DeviceAddress buffer = allocate(kBytes);
  std::vector<uint8_t> data(kBytes);
  for (size_t i = 0; i < kBytes; ++i)
    data[i] = static_cast<uint8_t>(i * 7 + i / 256);
  for (size_t bytes : {size_t(1), size_t(3), size_t(64), size_t(1000),
                       size_t(65536), size_t(65537), kBytes - 5})
    for (size_t offset : {0, 1, 5}) {
      expectOk(device->fill(buffer, 0xee, kBytes));
      expectOk(device->copyToDevice(buffer + offset, data.data(), bytes));
      std::vector<uint8_t> expected(kBytes, 0xee);
      std::copy_n(data.begin(), bytes, expected.begin() + offset);
      EXPECT_EQ(download<uint8_t>(buffer, kBytes), expected);
      std::vector<uint8_t> part(bytes);
      expectOk(device->copyToHost(part.data(), buffer + offset, bytes));
      EXPECT_TRUE(std::equal(part.begin(), part.end(), data.begin()));
    }
}

TEST_P(ConformanceTest, TheSourceOfACopyMayChangeAtOnce) {
  constexpr int kWords = 1000;
  DeviceAddress buffer = allocate(100 * kWords * 4);
  std::vector<int32_t> words(kWords);
  for (int i = 0; i < 100; ++i) {
    std::fill(words.begin(), words.end(), i);
    expectOk(device->copyToDevice(buffer + uint64_t(i) * kWords * 4,
                                  words.data(), kWords * 4));
  }
  std::vector<int32_t> result = download<int32_t>(buffer, 100 * kWords);
  for (int i = 0; i < 100 * kWords; ++i)
    ASSERT_EQ(result[size_t(i)], i / kWords);
}

TEST_P(ConformanceTest, FillsExactlyWhatIsAskedFor) {
  DeviceAddress buffer = upload(std::vector<uint8_t>(100, 1));
  expectOk(device->fill(buffer + 3, 0xab, 50));
  std::vector<uint8_t> expected(100, 1);
  std::fill_n(expected.begin() + 3, 50, 0xab);
  EXPECT_EQ(download<uint8_t>(buffer, 100), expected);
}

TEST_P(ConformanceTest, CopiesStayInsideOfAllocations) {
  DeviceAddress buffer = allocate(1000);
  std::vector<uint8_t> data(2000);
  EXPECT_FALSE(device->copyToDevice(buffer, data.data(), 1001).ok());
  EXPECT_FALSE(device->copyToDevice(buffer + 900, data.data(), 101).ok());
  EXPECT_FALSE(device->copyToHost(data.data(), buffer, 1001).ok());
  EXPECT_FALSE(device->fill(buffer + 1, 0, 1000).ok());
  EXPECT_FALSE(device->fill(0, 0, 1).ok());
  expectOk(device->fill(buffer, 0, 1000));
}

TEST_P(ConformanceTest, HostMemoryIsImported) {
  alignas(256) static float host[64];
  std::iota(std::begin(host), std::end(host), 1.0f);
  auto imported = device->importReadOnly(host, sizeof(host), "weights");
  ASSERT_TRUE(imported.ok()) << imported.status().message();
  EXPECT_EQ(*imported % 256, 0u);
  DeviceAddress sum = allocate(sizeof(host));
  expectOk(launch("vector_add", {2}, {32},
                  {KernelArgument::address(*imported),
                   KernelArgument::address(*imported),
                   KernelArgument::address(sum), KernelArgument::i32(64)}));
  std::vector<float> result = download<float>(sum, 64);
  for (size_t i = 0; i < 64; ++i)
    EXPECT_EQ(result[i], 2 * host[i]);
  expectOk(device->free(*imported));
  EXPECT_FALSE(device->free(*imported).ok());
}

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

TEST_P(ConformanceTest, BrokenModulesAreErrorsWithTheirName) {
  for (const char *ptx : {"this is no PTX",
                          ".version 7.8\n.target sm_80\n.address_size 64\n"
                          ".visible .entry f() { frobnicate.u32 %r1; ret; }",
                          ".version 7.8\n.target sm_80\n.address_size 64\n"
                          ".visible .entry f() { ret;"}) {
    auto broken =
        device->loadModule({.name = "broken module", .ptx = ptx, .cubin = {}});
    ASSERT_FALSE(broken.ok()) << ptx;
    EXPECT_THAT(broken.status().message(), HasSubstr("broken module"));
  }
  // And the next one loads.
  EXPECT_NE(kernel("count"), KernelHandle(0));
}

TEST_P(ConformanceTest, KernelsAreFoundByName) {
  EXPECT_NE(kernel("vector_add"), KernelHandle(0));
  auto missing = device->getKernel(module, "vector_sub");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code(), StatusCode::NotFound);
  EXPECT_THAT(missing.status().message(), HasSubstr("vector_sub"));
  EXPECT_FALSE(device->getKernel(ModuleHandle{12345}, "count").ok());
}

TEST_P(ConformanceTest, ModulesAreIndependent) {
  const char first[] =
      ".version 7.8\n.target sm_80\n.address_size 64\n"
      ".visible .entry f(.param .u64 p) { .reg .b64 %rd<2>; "
      "ld.param.u64 %rd1, [p]; st.global.u32 [%rd1], 1; ret; }";
  std::string second = first;
  second.replace(second.find(", 1;"), 4, ", 2;");
  auto one = device->loadModule({.name = "one", .ptx = first, .cubin = {}});
  auto two = device->loadModule({.name = "two", .ptx = second, .cubin = {}});
  ASSERT_TRUE(one.ok()) << one.status().message();
  ASSERT_TRUE(two.ok()) << two.status().message();
  auto kernelOne = device->getKernel(*one, "f"),
       kernelTwo = device->getKernel(*two, "f");
  ASSERT_TRUE(kernelOne.ok() && kernelTwo.ok());
  DeviceAddress buffer = allocate(4);
  std::array arguments = {KernelArgument::address(buffer)};
  LaunchRequest request;
  request.arguments = arguments;
  request.kernel = *kernelTwo;
  expectOk(device->launch(request));
  EXPECT_EQ(download<int32_t>(buffer, 1)[0], 2);
  expectOk(device->unloadModule(*two));
  EXPECT_FALSE(device->launch(request).ok());
  EXPECT_FALSE(device->unloadModule(*two).ok());
  request.kernel = *kernelOne;
  expectOk(device->launch(request));
  EXPECT_EQ(download<int32_t>(buffer, 1)[0], 1);
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

TEST_P(ConformanceTest, LaunchesAreChecked) {
  DeviceAddress buffer = allocate(1024);
  KernelArgument p = KernelArgument::address(buffer);
  KernelArgument n = KernelArgument::i32(1);
  auto code = [&](Dim3 grid, Dim3 block, std::vector<KernelArgument> arguments,
                  uint32_t sharedBytes = 0) {
    return launch("increment", grid, block, std::move(arguments), sharedBytes)
        .code();
  };
  EXPECT_EQ(code({1}, {1}, {p, n}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({1}, {1}, {p, n, n, n}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({1}, {1}, {p, p, n}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({1}, {1}, {n, n, n}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({1}, {1}, {p, n, {0, 2}}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({0}, {1}, {p, n, n}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({1, 65536}, {1}, {p, n, n}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({1}, {0}, {p, n, n}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({1}, {1025}, {p, n, n}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({1}, {32, 33}, {p, n, n}), StatusCode::InvalidArgument);
  EXPECT_EQ(code({1}, {1}, {p, n, n}, 1 << 30), StatusCode::InvalidArgument);
  LaunchRequest noKernel;
  EXPECT_EQ(device->launch(noKernel).code(), StatusCode::InvalidArgument);
  // None of that is a fault.
  EXPECT_EQ(code({1}, {1}, {p, n, n}), StatusCode::Ok);
  expectOk(device->synchronize());
}

TEST_P(ConformanceTest, ArgumentsArrive) {
  DeviceAddress out = allocate(24);
  expectOk(launch("arguments", {1}, {1},
                  {KernelArgument::address(out),
                   KernelArgument::address(0x0123456789abcdef),
                   KernelArgument::i32(-7),
                   KernelArgument::address(0xfedcba9876543210)}));
  EXPECT_EQ(download<uint64_t>(out, 3),
            (std::vector<uint64_t>{0x0123456789abcdef, uint64_t(-7),
                                   0xfedcba9876543210}));
}

TEST_P(ConformanceTest, VectorAdd) {
  for (size_t n : {1, 31, 32, 33, 1000}) {
    std::vector<float> a(n), b(n);
    std::iota(a.begin(), a.end(), 0.25f);
    std::iota(b.begin(), b.end(), 100.0f);
    DeviceAddress c = allocate(n * 4);
    expectOk(launch(
        "vector_add", {uint32_t(n + 63) / 64}, {64},
        {KernelArgument::address(upload(a)), KernelArgument::address(upload(b)),
         KernelArgument::address(c), KernelArgument::i32(int32_t(n))}));
    std::vector<float> result = download<float>(c, n);
    for (size_t i = 0; i < n; ++i)
      ASSERT_EQ(result[i], a[i] + b[i]);
  }
}

TEST_P(ConformanceTest, SharedMemoryAndBarriers) {
  constexpr int kBlocks = 50;
  std::vector<int32_t> in(kBlocks * 256);
  std::iota(in.begin(), in.end(), -1000);
  DeviceAddress out = allocate(kBlocks * 4);
  expectOk(launch(
      "block_sum", {kBlocks}, {256},
      {KernelArgument::address(upload(in)), KernelArgument::address(out)}));
  std::vector<int32_t> sums = download<int32_t>(out, kBlocks);
  for (int block = 0; block < kBlocks; ++block)
    EXPECT_EQ(sums[size_t(block)],
              std::accumulate(in.begin() + block * 256,
                              in.begin() + (block + 1) * 256, 0));
}

TEST_P(ConformanceTest, AtomicsCountEveryThread) {
  DeviceAddress counter = upload(std::vector<int32_t>{5});
  expectOk(
      launch("count", {37, 2, 1}, {96}, {KernelArgument::address(counter)}));
  EXPECT_EQ(download<int32_t>(counter, 1)[0], 5 + 37 * 2 * 96);
}

TEST_P(ConformanceTest, LargeDynamicSharedMemory) {
  DeviceAddress out = allocate(256 * 4);
  expectOk(
      launch("reverse", {1}, {256}, {KernelArgument::address(out)}, 65536));
  std::vector<int32_t> expected(256);
  std::iota(expected.rbegin(), expected.rend(), 0);
  EXPECT_EQ(download<int32_t>(out, 256), expected);
}

TEST_P(ConformanceTest, ThreadsKnowWhereTheyAre) {
  Dim3 grid{3, 4, 5}, block{8, 2, 3};
  constexpr size_t kThreads = 3 * 4 * 5 * 8 * 2 * 3;
  DeviceAddress out = allocate(kThreads * 4);
  expectOk(launch("indices", grid, block, {KernelArgument::address(out)}));
  std::vector<uint32_t> expected;
  for (uint32_t cz = 0; cz < grid.z; ++cz)
    for (uint32_t cy = 0; cy < grid.y; ++cy)
      for (uint32_t cx = 0; cx < grid.x; ++cx)
        for (uint32_t z = 0; z < block.z; ++z)
          for (uint32_t y = 0; y < block.y; ++y)
            for (uint32_t x = 0; x < block.x; ++x)
              expected.push_back(x | y << 4 | z << 8 | cx << 12 | cy << 16 |
                                 cz << 20);
  EXPECT_EQ(download<uint32_t>(out, kThreads), expected);
}

TEST_P(ConformanceTest, LaunchesCopiesAndFillsKeepTheirOrder) {
  constexpr int kWords = 500;
  DeviceAddress buffer = allocate(kWords * 4);
  std::vector<int32_t> words(kWords, 0);
  for (int32_t round = 0; round < 20; ++round) {
    std::fill(words.begin(), words.end(), round);
    expectOk(device->copyToDevice(buffer, words.data(), kWords * 4));
    expectOk(increment(buffer, kWords, 3));
    expectOk(device->fill(buffer, 0, 40));
    expectOk(increment(buffer, kWords, 4));
    std::vector<int32_t> result = download<int32_t>(buffer, kWords);
    EXPECT_EQ(result[9], 4);
    EXPECT_EQ(result[10], round + 7);
    EXPECT_EQ(result[kWords - 1], round + 7);
  }
  expectOk(device->fill(buffer, 0, kWords * 4));
  for (int i = 0; i < 200; ++i)
    expectOk(increment(buffer, kWords, 1));
  EXPECT_EQ(download<int32_t>(buffer, kWords),
            std::vector<int32_t>(kWords, 200));
}

//===----------------------------------------------------------------------===//
// Graphs and time
//===----------------------------------------------------------------------===//

TEST_P(ConformanceTest, GraphsRunWhenReplayed) {
  DeviceAddress buffer = upload(std::vector<int32_t>(40, 0));
  expectOk(increment(buffer, 40, 0));
  expectOk(device->beginRecording());
  expectOk(increment(buffer, 40, 1));
  expectOk(increment(buffer, 20, 10));
  auto graph = device->endRecording();
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  EXPECT_EQ(download<int32_t>(buffer, 40)[0], 0);
  for (int i = 0; i < 3; ++i)
    expectOk(device->replay(*graph));
  expectOk(increment(buffer, 40, 100));
  std::vector<int32_t> result = download<int32_t>(buffer, 40);
  EXPECT_EQ(result[0], 133);
  EXPECT_EQ(result[39], 103);
  expectOk(device->destroyGraph(*graph));
  EXPECT_FALSE(device->replay(*graph).ok());
  EXPECT_FALSE(device->destroyGraph(*graph).ok());
}

TEST_P(ConformanceTest, OnlyLaunchesCanBeRecorded) {
  DeviceAddress buffer = upload(std::vector<int32_t>(4, 7));
  EXPECT_EQ(device->endRecording().status().code(),
            StatusCode::FailedPrecondition);
  expectOk(device->beginRecording());
  int32_t word = 0;
  EXPECT_EQ(device->copyToDevice(buffer, &word, 4).code(),
            StatusCode::FailedPrecondition);
  EXPECT_EQ(device->copyToHost(&word, buffer, 4).code(),
            StatusCode::FailedPrecondition);
  EXPECT_EQ(device->fill(buffer, 0, 4).code(), StatusCode::FailedPrecondition);
  EXPECT_EQ(device->beginRecording().code(), StatusCode::FailedPrecondition);
  auto empty = device->endRecording();
  ASSERT_TRUE(empty.ok()) << empty.status().message();
  expectOk(device->replay(*empty));
  EXPECT_EQ(download<int32_t>(buffer, 1)[0], 7);
}

TEST_P(ConformanceTest, TimeGoesForward) {
  DeviceAddress buffer = upload(std::vector<int32_t>(100000, 0));
  auto begin = device->timestamp();
  ASSERT_TRUE(begin.ok()) << begin.status().message();
  expectOk(increment(buffer, 100000, 1));
  auto middle = device->timestamp();
  ASSERT_TRUE(middle.ok());
  for (int i = 0; i < 20; ++i)
    expectOk(increment(buffer, 100000, 1));
  auto end = device->timestamp();
  ASSERT_TRUE(end.ok());
  EXPECT_LT(*begin, *middle);
  EXPECT_LT(*middle, *end);
  EXPECT_LT(*end - *begin, 60.0);
}

TEST_P(ConformanceTest, ReplaysAreTimedOneByOne) {
  constexpr int kCount = 100000, kReplays = 5;
  DeviceAddress buffer = upload(std::vector<int32_t>(kCount, 0));
  kernel("increment");
  expectOk(device->beginRecording());
  for (int i = 0; i < 3; ++i)
    expectOk(increment(buffer, kCount, 1));
  auto graph = device->endRecording();
  ASSERT_TRUE(graph.ok()) << graph.status().message();
  auto seconds = device->timeReplays(*graph, kReplays);
  ASSERT_TRUE(seconds.ok()) << seconds.status().message();
  EXPECT_EQ(seconds->size(), size_t(kReplays));
  for (double replay : *seconds) {
    EXPECT_GT(replay, 0.0);
    EXPECT_LT(replay, 60.0);
  }
  // One more replay than is measured.
  EXPECT_EQ(download<int32_t>(buffer, 1)[0], 3 * (kReplays + 1));
  EXPECT_EQ(device->timeReplays(GraphHandle(999), 1).status().code(),
            StatusCode::NotFound);
}

//===----------------------------------------------------------------------===//
// Faults
//===----------------------------------------------------------------------===//

// A fault may end CUDA for the whole process (CUDA_ERROR_ILLEGAL_ADDRESS: "the
// process must be terminated and relaunched"), so that these tests make theirs
// in a process of its own, which exits with 0 when all was as expected.
class ConformanceDeathTest : public ConformanceTest {
protected:
  /// Stores to an address that nobody has allocated.
  Status makeFault(KernelHandle store) {
    Status fault = launchStore(store, 64);
    return fault.ok() ? device->synchronize() : fault;
  }
  Status launchStore(KernelHandle store, DeviceAddress address) {
    const KernelArgument argument = KernelArgument::address(address);
    LaunchRequest request;
    request.kernel = store;
    request.arguments = {&argument, 1};
    return device->launch(request);
  }
  [[noreturn]] static void exitWith(std::initializer_list<bool> expected) {
    int failed = 0, number = 0;
    for (bool isTrue : expected) {
      ++number;
      if (!isTrue && !failed)
        failed = number;
    }
    // Destructors could hang on a device that is lost.
    std::_Exit(failed);
  }
};

TEST_P(ConformanceDeathTest, AnIllegalAddressIsAFault) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        DeviceAddress buffer = allocate(4);
        KernelHandle store = kernel("store");
        Status before = launchStore(store, buffer);
        if (before.ok())
          before = device->synchronize();
        Status fault = makeFault(store);
        exitWith({before.ok(), fault.code() == StatusCode::DeviceFault,
                  !launchStore(store, buffer).ok(),
                  !device->allocate(4, "more").ok() ||
                      device->properties().kind == "emulator"});
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_P(ConformanceDeathTest, ADeviceAfterAFaultedOneWorksOrSaysWhyNot) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        bool faulted = !makeFault(kernel("store")).ok();
        device.reset();
        auto opened = openDevice(GetParam());
        bool works = false;
        if (opened.ok()) {
          device = *opened;
          module = ModuleHandle(0);
          DeviceAddress buffer = allocate(4);
          works = launchStore(kernel("store"), buffer).ok() &&
                  download<int32_t>(buffer, 1)[0] == 1;
        } else {
          works = opened.status().message().find("new process") !=
                  std::string::npos;
        }
        exitWith({faulted, works});
      },
      ::testing::ExitedWithCode(0), "");
}

TEST_P(ConformanceDeathTest, AFaultInAnotherProcessDoesNoHarm) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(exitWith({!makeFault(kernel("store")).ok()}),
              ::testing::ExitedWithCode(0), "");
  DeviceAddress buffer = allocate(4);
  expectOk(launchStore(kernel("store"), buffer));
  EXPECT_EQ(download<int32_t>(buffer, 1)[0], 1);
}

const auto kDevices = ::testing::Values("emulator", "cuda");
const auto kNameOf = [](const auto &info) { return std::string(info.param); };
INSTANTIATE_TEST_SUITE_P(Devices, ConformanceTest, kDevices, kNameOf);
INSTANTIATE_TEST_SUITE_P(Devices, ConformanceDeathTest, kDevices, kNameOf);

} // namespace

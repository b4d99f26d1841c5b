//===- CublasLtTest.cpp - The baselines against a fake library ------------===//
//
// What the benchmark asks cuBLASLt to do: the fake one computes what the
// arguments mean, so that a wrong layout gives wrong numbers.
//
//===----------------------------------------------------------------------===//

#include "CublasLt.h"
#include "FakeCublasLt.h"
#include "SampleCheck.h"

#include "odyssey/runtime/Cuda.h"
#include "odyssey/runtime/Emulator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dlfcn.h>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

class CublasLtTest : public ::testing::Test {
protected:
  void SetUp() override {
    void *library = dlopen(ODYSSEY_FAKE_CUBLASLT, RTLD_NOW);
    ASSERT_NE(library, nullptr) << dlerror();
    auto state = reinterpret_cast<FakeCublasLt *(*)()>(
        dlsym(library, "odysseyFakeCublasLt"));
    ASSERT_NE(state, nullptr);
    fake = state();
    *fake = FakeCublasLt();
    CudaOptions options;
    options.library = ODYSSEY_FAKE_CUDA;
    auto created = createCudaDevice(options);
    ASSERT_TRUE(created.ok()) << created.status().message();
    device = std::move(*created);
  }

  std::unique_ptr<CublasLt> load() {
    auto loaded = CublasLt::load(ODYSSEY_FAKE_CUBLASLT, *device);
    EXPECT_TRUE(loaded.ok()) << loaded.status().message();
    return loaded.ok() ? std::move(loaded).value() : nullptr;
  }

  static void expectOk(const Status &status) {
    EXPECT_TRUE(status.ok()) << status.message();
  }

  FakeCublasLt *fake = nullptr;
  std::unique_ptr<Device> device;
};

/// Operands of a small product in device memory.
struct Operands {
  Operands(Device &device, bool half)
      : xBytes(half ? randomHalves(kM * kK, 1) : randomBytes(kM * kK, 1)),
        x(device), weights(device), y(device) {
    size_t width = half ? 2 : 1;
    auto pattern = half ? randomHalves(kN * kK, 2) : randomBytes(kN * kK, 2);
    EXPECT_TRUE(x.reserve(xBytes.size(), xBytes, "x").ok());
    EXPECT_TRUE(weights.reserve(kN * kK * width, pattern, "w").ok());
    EXPECT_TRUE(y.reserve(kM * kN * 4, {0xff, 0xff, 0xff, 0xff}, "y").ok());
    host.m = kM;
    host.n = kN;
    host.k = kK;
    host.x = host.xHalf = &xBytes;
    host.weights = &weights;
  }

  static constexpr int64_t kM = 5, kN = 24, kK = 40;
  std::vector<uint8_t> xBytes;
  PatternBuffer x, weights, y;
  HostOperands host;
};

TEST_F(CublasLtTest, HasANameWithItsVersion) {
  EXPECT_EQ(load()->name(), "cuBLASLt 13.1.2 (libodyssey_fake_cublaslt.so)");
}

TEST_F(CublasLtTest, ComputesInt8Products) {
  auto library = load();
  Operands operands(*device, /*half=*/false);
  auto product = library->prepare(BaselineKind::Int8, operands.kM, operands.kN,
                                  operands.kK);
  ASSERT_TRUE(product.ok()) << product.status().message();
  expectOk((*product)->launch(0, operands.x.address(),
                              operands.weights.address(),
                              operands.y.address()));
  auto checked = checkInt8(*device, operands.host, operands.y.address());
  ASSERT_TRUE(checked.ok()) << checked.status().message();
  EXPECT_EQ(*checked, operands.kM * operands.kN);
  EXPECT_THAT(fake->products, ElementsAre("int8 m 5 n 24 k 40 algorithm 1"));
  EXPECT_EQ(fake->stream, cudaStream(*device));
  EXPECT_NE(fake->workspace, nullptr);

  // The check is not blind: the last output differs by one.
  auto *results = reinterpret_cast<int32_t *>(operands.y.address());
  ++results[operands.kM * operands.kN - 1];
  auto wrong = checkInt8(*device, operands.host, operands.y.address());
  EXPECT_THAT(wrong.status().message(),
              HasSubstr("wrong result for token 4, channel 23"));
}

TEST_F(CublasLtTest, ComputesHalfProducts) {
  auto library = load();
  Operands operands(*device, /*half=*/true);
  auto product = library->prepare(BaselineKind::Half, operands.kM, operands.kN,
                                  operands.kK);
  ASSERT_TRUE(product.ok()) << product.status().message();
  expectOk((*product)->launch(1, operands.x.address(),
                              operands.weights.address(),
                              operands.y.address()));
  auto checked = checkHalf(*device, operands.host, operands.y.address());
  EXPECT_TRUE(checked.ok()) << checked.status().message();
  // Algorithms that failed or need too much workspace are left out.
  EXPECT_EQ((*product)->algorithms(), 2u);
  EXPECT_THAT(fake->products, ElementsAre("f16 m 5 n 24 k 40 algorithm 4"));

  auto *results = reinterpret_cast<uint16_t *>(operands.y.address());
  results[7] ^= 0x0100;
  EXPECT_FALSE(checkHalf(*device, operands.host, operands.y.address()).ok());
}

TEST_F(CublasLtTest, ProductsWithoutAnAlgorithmAreUnsupported) {
  auto library = load();
  fake->tokenMultiple = 4;
  auto product = library->prepare(BaselineKind::Int8, 5, 24, 40);
  ASSERT_FALSE(product.ok());
  EXPECT_EQ(product.status().code(), StatusCode::Unsupported);
  EXPECT_THAT(product.status().message(), HasSubstr("int8 product of 5 x 24"));
  EXPECT_TRUE(library->prepare(BaselineKind::Int8, 8, 24, 40).ok());
}

TEST_F(CublasLtTest, AFailingProductIsAnError) {
  auto library = load();
  auto product = library->prepare(BaselineKind::Int8, 5, 24, 40);
  ASSERT_TRUE(product.ok());
  Operands operands(*device, /*half=*/false);
  fake->matmulStatus = 13;
  Status status =
      (*product)->launch(0, operands.x.address(), operands.weights.address(),
                         operands.y.address());
  EXPECT_THAT(status.message(), HasSubstr("returns status 13"));
}

TEST_F(CublasLtTest, GivesBackAllItMade) {
  auto library = load();
  (void)library->prepare(BaselineKind::Half, 8, 24, 40);
  fake->tokenMultiple = 4;
  (void)library->prepare(BaselineKind::Int8, 5, 24, 40);
  library.reset();
  EXPECT_EQ(fake->liveObjects, 0);
}

TEST_F(CublasLtTest, ALibraryThatIsNotThereIsNotFound) {
  auto loaded = CublasLt::load("libodyssey-no-such-library.so", *device);
  EXPECT_EQ(loaded.status().code(), StatusCode::NotFound);
  EXPECT_THAT(loaded.status().message(),
              HasSubstr("no cuBLASLt (libodyssey-no-such-library.so)"));
}

TEST_F(CublasLtTest, AnotherLibraryIsRefused) {
  auto loaded = CublasLt::load("libm.so.6", *device);
  EXPECT_EQ(loaded.status().code(), StatusCode::FailedPrecondition);
  EXPECT_THAT(loaded.status().message(),
              HasSubstr("no function cublasLtGetVersion"));
}

TEST_F(CublasLtTest, TheEmulatorHasNoBaselines) {
  auto emulator = std::move(createEmulator()).value();
  auto loaded = CublasLt::load(ODYSSEY_FAKE_CUBLASLT, *emulator);
  EXPECT_EQ(loaded.status().code(), StatusCode::FailedPrecondition);
}

} // namespace

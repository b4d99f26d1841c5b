//===- DeviceRegistryTest.cpp - Devices by name ---------------------------===//

#include "odyssey/runtime/DeviceRegistry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey::runtime;
using ::testing::HasSubstr;

namespace {

DeviceOptions withoutDriver() {
  DeviceOptions options;
  options.cuda.library = "libodyssey-no-such-library.so";
  return options;
}

DeviceOptions withFakeDriver() {
  DeviceOptions options;
  options.cuda.library = ODYSSEY_FAKE_CUDA;
  return options;
}

TEST(DeviceRegistryTest, OpensDevicesByName) {
  auto emulator = openDevice("emulator");
  ASSERT_TRUE(emulator.ok()) << emulator.status().message();
  EXPECT_EQ((*emulator)->properties().kind, "emulator");
  auto gpu = openDevice("cuda", withFakeDriver());
  ASSERT_TRUE(gpu.ok()) << gpu.status().message();
  EXPECT_EQ((*gpu)->properties().kind, "cuda");
  EXPECT_TRUE(openDevice("cuda:0", withFakeDriver()).ok());
  EXPECT_EQ(openDevice("cuda:5", withFakeDriver()).status().code(),
            StatusCode::NotFound);
}

TEST(DeviceRegistryTest, AutoTakesAGpuWhereThereIsOne) {
  auto gpu = openDevice("auto", withFakeDriver());
  ASSERT_TRUE(gpu.ok());
  EXPECT_EQ((*gpu)->properties().kind, "cuda");
  auto emulator = openDevice("auto", withoutDriver());
  ASSERT_TRUE(emulator.ok());
  EXPECT_EQ((*emulator)->properties().kind, "emulator");
}

TEST(DeviceRegistryTest, AutoDoesNotHideABrokenGpu) {
  DeviceOptions options;
  options.cuda.library = "libm.so.6";
  EXPECT_EQ(openDevice("auto", options).status().code(),
            StatusCode::FailedPrecondition);
}

TEST(DeviceRegistryTest, NoGpuIsAClearError) {
  auto gpu = openDevice("cuda", withoutDriver());
  ASSERT_FALSE(gpu.ok());
  EXPECT_EQ(gpu.status().code(), StatusCode::NotFound);
  EXPECT_THAT(gpu.status().message(), HasSubstr("no NVIDIA driver"));
}

TEST(DeviceRegistryTest, OtherNamesAreRefused) {
  for (const char *name :
       {"", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cudax"}) {
    auto device = openDevice(name, withFakeDriver());
    EXPECT_EQ(device.status().code(), StatusCode::InvalidArgument) << name;
  }
}

TEST(DeviceRegistryTest, ListsWhatIsThereAndWhatIsNot) {
  auto devices = listDevices(withFakeDriver());
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[0].name, "cuda:0");
  EXPECT_EQ(devices[0].properties.name, "Fake GPU");
  EXPECT_EQ(devices[1].name, "emulator");
  devices = listDevices(withoutDriver());
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[0].name, "cuda");
  EXPECT_EQ(devices[0].status.code(), StatusCode::NotFound);
  EXPECT_TRUE(devices[1].status.ok());
}

} // namespace

//===- BundleTest.cpp - The frame of a bundle and its weights -------------===//

#include "odyssey/runtime/Bundle.h"

#include "ToyDecoder.h"
#include "odyssey/runtime/BundleFormat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <random>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using nlohmann::json;
using odyssey::bundle::FileHeader;
using odyssey::bundle::SectionEntry;
using ::testing::HasSubstr;

namespace {

json weightsPlan() {
  return json::parse(R"({
    "format": 1, "producer": "test", "target": "sm_80",
    "modules": [], "kernels": [], "functions": [], "states": [],
    "weights": [{"name": "a", "type": "u8", "shape": [300]},
                {"name": "b", "type": "f32", "shape": [2, 3]}]
  })");
}

HostTensor tensorA() {
  std::vector<uint8_t> values(300);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<uint8_t>(i);
  return makeTensor(ElementType::U8, {300}, values);
}

HostTensor tensorB() {
  return makeTensor<float>(ElementType::F32, {2, 3}, {1, 2, 3, 4, 5, 6});
}

BundleBuilder weightsBundle() {
  return BundleBuilder()
      .plan(weightsPlan())
      .weights({{"b", tensorB()}, {"a", tensorA()}, {"unused", tensorB()}})
      .add("notes", "left alone");
}

Status openBytes(const std::string &bytes, BundleOptions options = {}) {
  TemporaryFile file(bytes);
  return Bundle::open(file.path(), options).status();
}

void expectDamage(const std::string &bytes, const std::string &message) {
  Status status = openBytes(bytes);
  EXPECT_EQ(status.code(), StatusCode::DataLoss) << status.message();
  EXPECT_THAT(status.message(), HasSubstr(message));
}

/// Changes a field of the header or of a table entry of `bytes`.
template <typename T> void patch(std::string &bytes, size_t offset, T value) {
  memcpy(bytes.data() + offset, &value, sizeof(value));
}
constexpr size_t entryOffset(size_t index) {
  return sizeof(FileHeader) + index * sizeof(SectionEntry);
}

TEST(BundleTest, OpensAndFindsWeights) {
  TemporaryFile file(weightsBundle().build());
  auto bundle = Bundle::open(file.path());
  ASSERT_TRUE(bundle.ok()) << bundle.status().message();
  EXPECT_EQ((*bundle)->path(), file.path());
  ASSERT_TRUE((*bundle)->hasWeights());
  auto expectBytes = [&](size_t index, const HostTensor &tensor) {
    std::span<const std::byte> bytes = (*bundle)->weight(index);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), tensor.data.begin(),
                           tensor.data.end()));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(bytes.data()) % 256, 0u);
  };
  expectBytes(0, tensorA());
  expectBytes(1, tensorB());
  auto notes = (*bundle)->section("notes");
  ASSERT_TRUE(notes.has_value());
  EXPECT_EQ(notes->size(), strlen("left alone"));
  EXPECT_FALSE((*bundle)->section("none").has_value());
}

TEST(BundleTest, WeightsMayBeLeftOut) {
  TemporaryFile file(BundleBuilder().plan(weightsPlan()).build());
  auto bundle = Bundle::open(file.path());
  ASSERT_TRUE(bundle.ok()) << bundle.status().message();
  EXPECT_FALSE((*bundle)->hasWeights());
}

TEST(BundleTest, MissingFilesAreNotFound) {
  auto bundle = Bundle::open("/no/such/file");
  EXPECT_EQ(bundle.status().code(), StatusCode::NotFound);
  EXPECT_THAT(bundle.status().message(), HasSubstr("/no/such/file"));
  EXPECT_EQ(Bundle::open("/").status().code(), StatusCode::IoError);
}

TEST(BundleTest, OtherFilesAreRefused) {
  expectDamage("", "not an Odyssey bundle");
  expectDamage("hello", "only 5 bytes");
  expectDamage(std::string(5000, 'x'), "begins with other bytes");
}

TEST(BundleTest, EveryTruncationIsNoticed) {
  const std::string whole = weightsBundle().build();
  for (size_t length = 0; length < whole.size();
       length += length < 300 ? 1 : 509)
    EXPECT_EQ(openBytes(whole.substr(0, length)).code(), StatusCode::DataLoss)
        << length;
  expectDamage(whole + '\0', "but its header says");
}

TEST(BundleTest, EveryByteOfHeaderAndTableCounts) {
  const std::string whole = weightsBundle().build();
  for (size_t offset = 0; offset < entryOffset(3); ++offset)
    for (int bit : {1, 0x80}) {
      std::string damaged = whole;
      damaged[offset] = static_cast<char>(damaged[offset] ^ bit);
      EXPECT_EQ(openBytes(damaged).code(), StatusCode::DataLoss) << offset;
    }
}

TEST(BundleTest, ChangedSectionsDoNotMatchTheirHash) {
  const std::string whole = weightsBundle().build();
  std::string damaged = whole;
  damaged[4096 + 20] ^= 1;
  expectDamage(damaged, "section 'plan.json' does not match its hash");
  damaged = whole;
  damaged[whole.find("left alone")] = 'L';
  expectDamage(damaged, "section 'notes' does not match its hash");
}

TEST(BundleTest, TheCheckOfWeightsCanBeSkipped) {
  std::string damaged = weightsBundle().build();
  damaged[damaged.find("\1\2\3\4\5\6")] = 'x';
  expectDamage(damaged, "section 'weights.safetensors' does not match");
  EXPECT_TRUE(openBytes(damaged, {.checkWeights = false}).ok());
}

TEST(BundleTest, LyingTablesAreRefused) {
  const std::string whole = weightsBundle().build();
  auto damage = [&](size_t index, size_t field, uint64_t value,
                    const char *message) {
    std::string damaged = whole;
    patch(damaged, entryOffset(index) + field, value);
    fixHashes(damaged);
    expectDamage(damaged, message);
  };
  constexpr size_t kOffset = offsetof(SectionEntry, offset);
  constexpr size_t kBytes = offsetof(SectionEntry, bytes);
  damage(1, kOffset, 4097, "'weights.safetensors' is not aligned");
  damage(1, kOffset, 0, "outside of the file");
  damage(1, kOffset, uint64_t(1) << 40, "outside of the file");
  damage(1, kOffset, uint64_t(0) - 4096, "outside of the file");
  damage(1, kBytes, uint64_t(0) - 1, "outside of the file");
  damage(1, kBytes, whole.size() - 8191, "outside of the file");
  damage(1, kOffset, 4096, "overlap");
  damage(0, kBytes, 5000, "'plan.json' and 'weights.safetensors' overlap");

  std::string damaged = whole;
  memset(damaged.data() + entryOffset(2), 'x', sizeof(SectionEntry::name));
  fixHashes(damaged);
  expectDamage(damaged, "section 2 has no proper name");
  damaged = whole;
  memset(damaged.data() + entryOffset(2), 0, sizeof(SectionEntry::name));
  fixHashes(damaged);
  expectDamage(damaged, "section 2 has no proper name");
  damaged = whole;
  memcpy(damaged.data() + entryOffset(2), "plan.json", 10);
  fixHashes(damaged);
  expectDamage(damaged, "section 'plan.json' stands twice");
}

TEST(BundleTest, LyingHeadersAreRefused) {
  const std::string whole = weightsBundle().build();
  std::string damaged = whole;
  patch(damaged, offsetof(FileHeader, version), uint32_t(2));
  expectDamage(damaged, "format version 2, but this runtime reads version 1");
  for (uint32_t count : {5000u, 0xffffffffu, 200u}) {
    damaged = whole;
    patch(damaged, offsetof(FileHeader, sectionCount), count);
    expectDamage(damaged, count == 200 ? "does not match its hash"
                                       : "sections does not fit");
  }
}

TEST(BundleTest, NamedSectionsMustExist) {
  expectDamage(BundleBuilder().build(), "section 'plan.json' is missing");
  expectDamage(BundleBuilder().plan(toyPlan()).build(),
               "section 'kernels.sm_80.ptx' of module 'kernels' is missing");
  expectDamage(
      BundleBuilder().plan(toyPlan()).add("kernels.sm_80.ptx", "").build(),
      "section 'tokenizer.json' of the tokenizer is missing");
}

//===----------------------------------------------------------------------===//
// The weights' safetensors file
//===----------------------------------------------------------------------===//

/// A bundle whose weights have this header, and data of `bytes` bytes.
std::string withHeader(json header, size_t bytes) {
  std::string text = header.dump();
  text.resize(1024 - sizeof(uint64_t), ' ');
  return BundleBuilder()
      .plan(weightsPlan())
      .add("weights.safetensors", safetensors(text, std::string(bytes, '\7')))
      .build();
}

json goodHeader() {
  return json::parse(R"({
    "a": {"dtype": "U8", "shape": [300], "data_offsets": [0, 300]},
    "b": {"dtype": "F32", "shape": [2, 3], "data_offsets": [512, 536]},
    "__metadata__": {"format": "odyssey"}})");
}

TEST(WeightTableTest, GoodHeader) {
  Status status = openBytes(withHeader(goodHeader(), 536));
  EXPECT_TRUE(status.ok()) << status.message();
}

TEST(WeightTableTest, BadHeadersAreNamed) {
  auto damage = [](const char *pointer, const char *value,
                   const char *message) {
    json header = goodHeader();
    header[json::json_pointer(pointer)] = json::parse(value);
    expectDamage(withHeader(header, 536), message);
  };
  damage("/a", "7", "weights.safetensors: a: expected an object");
  damage("/a/dtype", "\"I8\"",
         "a.dtype: 'I8' does not agree with the plan's type 'u8'");
  damage("/a/dtype", "8", "a.dtype: expected a string");
  damage("/a/shape", "[301]", "a.shape[0]: expected an integer");
  damage("/b/shape", "[6]", "b.shape: expected an array of 2");
  damage("/b/shape", "[3, 2]", "b.shape[0]");
  damage("/a/data_offsets", "[0]", "a.data_offsets: expected an array of 2");
  damage("/a/data_offsets", "[0, 299]", "a: has 299 bytes, but its shape");
  damage("/a/data_offsets", "[300, 0]", "a.data_offsets[1]");
  damage("/a/data_offsets", "[-1, 299]", "a.data_offsets[0]");
  damage("/a/data_offsets", "[1, 301]", "a: is not aligned to 256 bytes");
  damage("/b/data_offsets", "[256, 280]", "'a' and 'b' overlap");
  damage("/b/data_offsets", "[768, 792]", "b.data_offsets[0]");
  damage("/b/data_offsets", "[0, 18446744073709551615]", "data_offsets[1]");
  damage("/c",
         "{\"dtype\": \"U8\", \"shape\": [9], "
         "\"data_offsets\": [290, 299]}",
         "overlap");
  json header = goodHeader();
  header.erase("b");
  expectDamage(withHeader(header, 536), "'b' is missing");
}

TEST(WeightTableTest, BadFramesAreNamed) {
  auto frame = [](const std::string &content) {
    return BundleBuilder()
        .plan(weightsPlan())
        .add("weights.safetensors", content)
        .build();
  };
  expectDamage(frame(""), "weights.safetensors: truncated");
  expectDamage(frame("1234567"), "weights.safetensors: truncated");
  expectDamage(frame(std::string(8, '\xff')), "does not fit");
  expectDamage(frame(std::string("\1\0\0\0\0\0\0\0", 8)), "does not fit");
  expectDamage(frame(safetensors("{\"a\"", "")), "not valid JSON");
  expectDamage(frame(safetensors("[]", "")), "expected an object");
}

TEST(WeightTableTest, ArbitraryHeadersNeverCrash) {
  std::mt19937 random(4);
  std::string text = goodHeader().dump();
  for (int round = 0; round < 300; ++round) {
    std::string damaged = text;
    for (int i = 0; i < 2; ++i)
      damaged[random() % text.size()] = "0123456789-\"[]{},x"[random() % 18];
    damaged.resize(1016, ' ');
    (void)openBytes(BundleBuilder()
                        .plan(weightsPlan())
                        .add("weights.safetensors",
                             safetensors(damaged, std::string(536, '\1')))
                        .build());
  }
}

//===----------------------------------------------------------------------===//
// Targets
//===----------------------------------------------------------------------===//

TEST(BundleTest, RunsOnItsTargetAndLaterOnes) {
  auto code = [](const char *target, int capability) {
    json plan = weightsPlan();
    plan["target"] = target;
    TemporaryFile file(BundleBuilder().plan(plan).build());
    auto bundle = Bundle::open(file.path());
    EXPECT_TRUE(bundle.ok());
    DeviceProperties device;
    device.name = "some GPU";
    device.computeCapability = capability;
    return (*bundle)->checkRunsOn(device).code();
  };
  EXPECT_EQ(code("sm_80", 80), StatusCode::Ok);
  EXPECT_EQ(code("sm_80", 89), StatusCode::Ok);
  EXPECT_EQ(code("sm_80", 90), StatusCode::Ok);
  EXPECT_EQ(code("sm_80", 75), StatusCode::FailedPrecondition);
  EXPECT_EQ(code("sm_90a", 90), StatusCode::Ok);
  EXPECT_EQ(code("sm_90a", 80), StatusCode::FailedPrecondition);
  EXPECT_EQ(code("sm_90a", 100), StatusCode::FailedPrecondition);
  // The emulator runs everything.
  EXPECT_EQ(code("sm_80", 0), StatusCode::Ok);
  EXPECT_EQ(code("sm_90a", 0), StatusCode::Ok);
}

} // namespace

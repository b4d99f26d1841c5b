//===- SafetensorsTest.cpp ------------------------------------------------===//

#include "odyssey/Frontend/Checkpoint/Safetensors.h"

#include "TestCheckpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

static llvm::Expected<std::unique_ptr<SafetensorsReader>>
open(const std::string &bytes) {
  return SafetensorsReader::create(llvm::MemoryBuffer::getMemBufferCopy(bytes),
                                   "test");
}

static std::string openError(const std::string &bytes) {
  return errorText(open(bytes));
}

/// A file of this header and `size` bytes of data.
static std::string withHeader(const std::string &header, size_t size = 0) {
  return bytesOf64(header.size()) + header + std::string(size, '\0');
}

static const std::string small =
    makeSafetensors({{"a", "F32", {2, 3}, bytesOfFloats({1, 2, 3, 4, 5, 6})},
                     {"b", "I8", {4}, std::string("\x01\xff\x07\xf8", 4)},
                     {"scalar", "BOOL", {}, std::string("\x01", 1)}});

TEST(SafetensorsReader, Tensors) {
  auto file = llvm::cantFail(open(small));
  ASSERT_EQ(file->tensors().size(), 3u);
  const SafetensorsTensor *a = file->find("a");
  ASSERT_NE(a, nullptr);
  EXPECT_EQ(a->type, StorageType::F32);
  EXPECT_THAT(a->shape, ElementsAre(2, 3));
  EXPECT_EQ(a->bytes.size(), 24u);
  EXPECT_THAT(file->find("b")->bytes, ElementsAre(1, 0xff, 7, 0xf8));
  EXPECT_TRUE(file->find("scalar")->shape.empty());
  EXPECT_EQ(file->find("c"), nullptr);
}

TEST(SafetensorsReader, TruncatedAnywhere) {
  for (size_t size = 0; size < small.size(); ++size)
    EXPECT_NE(openError(small.substr(0, size)), "") << size;
}

TEST(SafetensorsReader, AnyByteChanged) {
  for (size_t i = 0; i < small.size() - 29; ++i) {
    for (char value : {'\x00', '"', '9', '{', '\xff'}) {
      std::string changed = small;
      changed[i] = value;
      llvm::consumeError(open(changed).takeError());
    }
  }
}

TEST(SafetensorsReader, Header) {
  EXPECT_EQ(openError("short"), "'test': truncated: no safetensors header");
  EXPECT_THAT(openError(bytesOf64(UINT64_MAX) + "{}"),
              HasSubstr("beyond the format's limit"));
  EXPECT_EQ(openError(bytesOf64(3) + "{}"),
            "'test': truncated: the header has 3 bytes, the file only 2 more");
  EXPECT_EQ(openError(withHeader("[]")), "'test': JSON is not an object");
  EXPECT_NE(openError(withHeader("{")), "");
  EXPECT_THAT(openError(withHeader(std::string(1 << 20, '['))),
              HasSubstr("nested more than"));
}

TEST(SafetensorsReader, Entries) {
  auto error = [](const std::string &entry, size_t size = 4) {
    return openError(withHeader("{\"x\": " + entry + "}", size));
  };
  EXPECT_EQ(error(R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})"), "");
  EXPECT_THAT(error("3"), HasSubstr("tensor 'x' is described by something"));
  EXPECT_THAT(error("{}"), HasSubstr("tensor 'x' has no dtype"));
  EXPECT_THAT(error(R"({"dtype":"F4","shape":[1],"data_offsets":[0,4]})"),
              HasSubstr("tensor 'x' has the unknown dtype 'F4'"));
  EXPECT_THAT(error(R"({"dtype":"F32","data_offsets":[0,4]})"),
              HasSubstr("tensor 'x' has no shape"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[-1],"data_offsets":[0,4]})"),
              HasSubstr("a shape that is no list of sizes"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[0],"data_offsets":[0,0]})"),
              HasSubstr("a dimension of size zero"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[4611686018427387904,4],
                        "data_offsets":[0,4]})"),
              HasSubstr("a shape too large for any file"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[2],"data_offsets":[0,4]})"),
              HasSubstr("has 4 bytes, but its shape needs 8"));
  EXPECT_THAT(error(R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})"),
              HasSubstr("lies outside of the file"));
  for (const char *offsets : {"[4,0]", "[-4,0]", "[0]", "[0,4,8]", "[0,0.5]",
                              "4", "[0,9223372036854775808]"})
    EXPECT_THAT(error(std::string(R"({"dtype":"F32","shape":[1],)") +
                      R"("data_offsets":)" + offsets + "}"),
                HasSubstr("has no valid data_offsets"))
        << offsets;
}

TEST(SafetensorsReader, Coverage) {
  auto entry = [](const char *name, int begin, int end) {
    return std::string("\"") + name + R"(": {"dtype":"I8","shape":[)" +
           std::to_string(end - begin) + R"(],"data_offsets":[)" +
           std::to_string(begin) + "," + std::to_string(end) + "]}";
  };
  auto error = [](const std::string &a, const std::string &b) {
    return openError(withHeader("{" + a + "," + b + "}", 8));
  };
  EXPECT_EQ(error(entry("a", 0, 4), entry("b", 4, 8)), "");
  EXPECT_EQ(error(entry("b", 0, 4), entry("a", 4, 8)), "");
  EXPECT_THAT(error(entry("a", 0, 5), entry("b", 4, 8)),
              HasSubstr("tensors 'a' and 'b' overlap"));
  EXPECT_THAT(error(entry("a", 0, 8), entry("b", 0, 8)),
              HasSubstr("tensors 'a' and 'b' overlap"));
  EXPECT_THAT(error(entry("a", 0, 3), entry("b", 4, 8)),
              HasSubstr("1 bytes before tensor 'b' belong to no tensor"));
  EXPECT_THAT(error(entry("a", 0, 3), entry("b", 3, 6)),
              HasSubstr("2 bytes at the end belong to no tensor"));
  EXPECT_THAT(error(entry("a", 0, 4), entry("a", 4, 8)),
              HasSubstr("'a' appears twice"));
}

namespace {

class SafetensorsWriterTest : public ::testing::Test {
protected:
  std::unique_ptr<SafetensorsWriter> create() {
    return llvm::cantFail(
        SafetensorsWriter::create(path, {{"bytes", StorageType::I8, {3}},
                                         {"wide", StorageType::F32, {2, 1}},
                                         {"half", StorageType::F16, {1}}}));
  }

  TemporaryFolder folder;
  std::string path = folder / "out.safetensors";
  const std::vector<float> wide = {1.5f, -2.0f};
  const std::vector<int8_t> bytes = {-8, 0, 7};
  const std::vector<uint16_t> half = {0x3c00};
};

} // namespace

TEST_F(SafetensorsWriterTest, RoundTrip) {
  auto writer = create();
  // In any order and in pieces.
  llvm::cantFail(writer->write("half", 0, llvm::ArrayRef(half)));
  llvm::cantFail(writer->write("bytes", 1, llvm::ArrayRef(bytes).drop_front()));
  llvm::cantFail(writer->write("wide", 0, llvm::ArrayRef(wide)));
  llvm::cantFail(writer->write("bytes", 0, llvm::ArrayRef(bytes).take_front()));
  EXPECT_EQ(folder.list().size(), 1u) << "the temporary file";
  llvm::cantFail(writer->finish());
  EXPECT_THAT(folder.list(), ElementsAre("out.safetensors"));

  auto file = llvm::cantFail(SafetensorsReader::open(path));
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_THAT(file->find("wide")->shape, ElementsAre(2, 1));
  EXPECT_THAT(file->find("bytes")->bytes, ElementsAre(0xf8, 0, 7));
  EXPECT_THAT(file->find("half")->bytes, ElementsAre(0x00, 0x3c));
  for (const SafetensorsTensor &tensor : file->tensors())
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes.data()) %
                  storageBlock(tensor.type).bytes,
              0u)
        << tensor.name;
}

TEST_F(SafetensorsWriterTest, Incomplete) {
  {
    auto writer = create();
    llvm::cantFail(writer->write("half", 0, llvm::ArrayRef(half)));
    llvm::cantFail(writer->write("wide", 0, llvm::ArrayRef(wide)));
    llvm::cantFail(
        writer->write("bytes", 1, llvm::ArrayRef(bytes).drop_front()));
    EXPECT_THAT(errorText(writer->finish()),
                HasSubstr("tensor 'bytes' has 2 of 3 bytes"));
  }
  EXPECT_THAT(folder.list(), ElementsAre()) << "nothing is left behind";
}

TEST_F(SafetensorsWriterTest, FullDisk) {
  {
    auto writer = llvm::cantFail(SafetensorsWriter::create(
        path, {{"large", StorageType::I8, {1 << 20}}}));
    std::vector<int8_t> large(1 << 20);
    FileSizeLimit limit(1 << 16);
    EXPECT_THAT(errorText(writer->write("large", 0, llvm::ArrayRef(large))),
                HasSubstr("File too large"));
  }
  EXPECT_THAT(folder.list(), ElementsAre());
}

TEST_F(SafetensorsWriterTest, Misuse) {
  auto writer = create();
  EXPECT_THAT(errorText(writer->write("other", 0, llvm::ArrayRef(half))),
              HasSubstr("no tensor 'other' in the layout"));
  EXPECT_THAT(errorText(writer->write("bytes", 1, llvm::ArrayRef(bytes))),
              HasSubstr("bytes beyond the end of tensor 'bytes'"));
  EXPECT_THAT(
      errorText(SafetensorsWriter::create(
          path, {{"x", StorageType::I8, {1}}, {"x", StorageType::I8, {1}}})),
      HasSubstr("tensor 'x' is to be written twice"));
  EXPECT_THAT(errorText(SafetensorsWriter::create(folder / "no/such/file", {})),
              HasSubstr("No such file"));
}

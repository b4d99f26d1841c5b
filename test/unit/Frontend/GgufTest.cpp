//===- GgufTest.cpp - The GGUF container ----------------------------------===//

#include "odyssey/Frontend/Checkpoint/Gguf.h"

#include "GgufBuilder.h"
#include "TestCheckpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::HasSubstr;

namespace {

llvm::Expected<std::unique_ptr<GgufFile>> open(const std::string &bytes) {
  // A copy of exactly this size, so that a sanitizer sees reads beyond it.
  return GgufFile::create(llvm::MemoryBuffer::getMemBufferCopy(bytes), "test");
}

std::string openError(const std::string &bytes) {
  return errorText(open(bytes));
}

/// One pair of each kind, and tensors of two types.
GgufBuilder makeSmall() {
  GgufBuilder gguf;
  gguf.addU32("u32", 7);
  gguf.addF32("f32", 0.5f);
  gguf.addBool("bool", true);
  gguf.addString("string", "text");
  gguf.addStrings("strings", {"a", "", "abc"});
  gguf.addRaw("bytes", 9, bytesOf32(0) + bytesOf64(3) + "xyz");
  gguf.addRaw("i16", 3, std::string("\xfe\xff", 2));
  gguf.addRaw("u64", 10, bytesOf64(1ull << 40));
  gguf.addRaw("f64", 12, bytesOf64(0x3ff8000000000000));
  gguf.addTensor("matrix", {2, 3}, 0, bytesOfFloats({1, 2, 3, 4, 5, 6}));
  gguf.addTensor("blocks", {1, 32}, 8, std::string(34, '\x01'));
  return gguf;
}

/// The small file with `bytes` at the field `name` of the builder.
std::string withField(const std::string &name, const std::string &bytes) {
  GgufBuilder gguf = makeSmall();
  std::string file = gguf.build();
  return file.replace(gguf.offsetOf.at(name), bytes.size(), bytes);
}

} // namespace

TEST(Gguf, Metadata) {
  auto file = llvm::cantFail(open(makeSmall().build()));
  EXPECT_EQ(llvm::cantFail(file->getInteger("u32")), 7);
  EXPECT_EQ(llvm::cantFail(file->getInteger("i16")), -2);
  EXPECT_EQ(llvm::cantFail(file->getInteger("u64")), int64_t(1) << 40);
  EXPECT_EQ(llvm::cantFail(file->getFloat("f32")), 0.5);
  EXPECT_EQ(llvm::cantFail(file->getFloat("f64")), 1.5);
  EXPECT_EQ(llvm::cantFail(file->getBool("bool")), true);
  EXPECT_EQ(llvm::cantFail(file->getString("string")), llvm::StringRef("text"));
  EXPECT_EQ(llvm::cantFail(file->getArraySize("strings")), 3u);
  EXPECT_EQ(llvm::cantFail(file->getArraySize("bytes")), 3u);
  EXPECT_EQ(llvm::cantFail(file->getInteger("absent")), std::nullopt);
  EXPECT_EQ(errorText(file->getInteger("string")),
            "metadata 'string' is not an integer");
  EXPECT_EQ(errorText(file->getString("u32")),
            "metadata 'u32' is not a string");
}

TEST(Gguf, Tensors) {
  for (uint32_t version : {2, 3}) {
    GgufBuilder gguf = makeSmall();
    gguf.version = version;
    auto file = llvm::cantFail(open(gguf.build()));
    ASSERT_EQ(file->tensors().size(), 2u);
    const GgufTensor &matrix = file->tensors()[0];
    EXPECT_EQ(matrix.name, "matrix");
    EXPECT_EQ(matrix.shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(matrix.bytes.size(), 24u);
    EXPECT_EQ(file->tensors()[1].type, StorageType::Q8_0);
    EXPECT_EQ(file->tensors()[1].bytes[33], 1);
  }
}

TEST(Gguf, Alignment) {
  GgufBuilder gguf = makeSmall();
  gguf.addU32("general.alignment", 256);
  gguf.alignment = 256;
  auto file = llvm::cantFail(open(gguf.build()));
  EXPECT_EQ(file->tensors()[1].bytes[0], 1);

  for (uint32_t alignment : {0u, 4u, 48u}) {
    GgufBuilder wrong = makeSmall();
    wrong.addU32("general.alignment", alignment);
    EXPECT_THAT(openError(wrong.build()), HasSubstr("general.alignment is"));
  }
}

TEST(Gguf, TruncatedAnywhere) {
  std::string whole = makeSmall().build();
  for (size_t size = 0; size < whole.size(); ++size)
    EXPECT_NE(openError(whole.substr(0, size)), "") << size;
  EXPECT_EQ(openError(whole), "");
}

TEST(Gguf, AnyByteChanged) {
  // Whatever it becomes: an error or another file, but no crash and no read
  // outside of the file.
  GgufBuilder gguf = makeSmall();
  const std::string whole = gguf.build();
  for (size_t i = 0; i < gguf.dataBegin; ++i) {
    for (char value : {'\x00', '\x01', '\x7f', '\xff'}) {
      std::string changed = whole;
      changed[i] = value;
      llvm::Expected<std::unique_ptr<GgufFile>> file = open(changed);
      if (!file) {
        llvm::consumeError(file.takeError());
        continue;
      }
      for (const GgufTensor &tensor : (*file)->tensors())
        EXPECT_LE(tensor.bytes.size(), whole.size());
    }
  }
}

TEST(Gguf, Header) {
  EXPECT_EQ(openError("GGML" + std::string(60, '\0')),
            "'test': not a GGUF file");
  EXPECT_EQ(openError(withField("version", bytesOf32(1))),
            "'test': GGUF version 1 is not supported, only 2 and 3 are");
  EXPECT_EQ(openError(withField("version", bytesOf32(0x03000000))),
            "'test': big-endian GGUF is not supported");
}

TEST(Gguf, HugeCounts) {
  for (uint64_t count : {uint64_t(1000), uint64_t(1) << 40, UINT64_MAX}) {
    EXPECT_NE(openError(withField("tensor count", bytesOf64(count))), "");
    EXPECT_NE(openError(withField("metadata count", bytesOf64(count))), "");
    GgufBuilder gguf;
    gguf.addRaw("array", 9, bytesOf32(10) + bytesOf64(count));
    EXPECT_THAT(openError(gguf.build()), HasSubstr("array 'array'"));
    GgufBuilder strings;
    strings.addRaw("array", 9, bytesOf32(8) + bytesOf64(count));
    EXPECT_THAT(openError(strings.build()), HasSubstr("truncated"));
    GgufBuilder text;
    text.addRaw("text", 8, bytesOf64(count));
    EXPECT_THAT(openError(text.build()),
                HasSubstr("truncated: metadata 'text' needs"));
  }
}

TEST(Gguf, Types) {
  EXPECT_EQ(openError(withField("blocks type", bytesOf32(13))),
            "'test': tensor 'blocks' has the unsupported type Q5_K");
  EXPECT_EQ(openError(withField("blocks type", bytesOf32(77))),
            "'test': tensor 'blocks' has the unsupported type type 77");
  GgufBuilder metadata;
  metadata.addRaw("odd", 13, "");
  EXPECT_EQ(openError(metadata.build()),
            "'test': metadata 'odd' has the unknown type 13");
  GgufBuilder nested;
  nested.addRaw("nested", 9, bytesOf32(9) + bytesOf64(1));
  EXPECT_THAT(openError(nested.build()), HasSubstr("unsupported type 9"));
}

TEST(Gguf, Shapes) {
  EXPECT_EQ(openError(withField("matrix shape", bytesOf64(0))),
            "'test': tensor 'matrix' has a dimension of size zero");
  EXPECT_EQ(openError(withField("matrix dimensions", bytesOf32(0))),
            "'test': tensor 'matrix' has 0 dimensions");
  EXPECT_EQ(openError(withField("matrix dimensions", bytesOf32(5))),
            "'test': tensor 'matrix' has 5 dimensions");
  EXPECT_EQ(openError(withField("blocks shape", bytesOf64(33))),
            "'test': tensor 'blocks' has rows of 33 values, not a multiple of "
            "the 32 of a Q8_0 block");
  for (uint64_t size : {UINT64_MAX, uint64_t(1) << 63, uint64_t(1) << 62})
    EXPECT_EQ(openError(withField("matrix shape", bytesOf64(size))),
              "'test': tensor 'matrix' has a shape too large for any file");
  EXPECT_THAT(openError(withField("matrix shape", bytesOf64(1000))),
              HasSubstr("tensor 'matrix' lies outside of the file"));
}

TEST(Gguf, Offsets) {
  EXPECT_THAT(openError(withField("blocks offset", bytesOf64(4096))),
              HasSubstr("tensor 'blocks' lies outside of the file"));
  EXPECT_THAT(openError(withField("blocks offset", bytesOf64(UINT64_MAX - 31))),
              HasSubstr("tensor 'blocks' lies outside of the file"));
  EXPECT_THAT(openError(withField("blocks offset", bytesOf64(33))),
              HasSubstr("not aligned to 32"));
  EXPECT_EQ(openError(withField("blocks offset", bytesOf64(0))),
            "'test': tensors 'matrix' and 'blocks' overlap");
}

TEST(Gguf, Duplicates) {
  GgufBuilder keys = makeSmall();
  keys.addU32("u32", 8);
  EXPECT_EQ(openError(keys.build()), "'test': metadata 'u32' appears twice");
  GgufBuilder tensors = makeSmall();
  tensors.addTensor("matrix", {1, 1}, 0, bytesOfFloats({1}));
  EXPECT_EQ(openError(tensors.build()),
            "'test': tensor 'matrix' appears twice");
}

//===- OutputFolderTest.cpp -----------------------------------------------===//

#include "odyssey/Frontend/Checkpoint/OutputFolder.h"

#include "TestCheckpoints.h"

#include "llvm/Support/FileSystem.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace odyssey;
using namespace odyssey::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {

class OutputFolderTest : public ::testing::Test {
protected:
  std::string create(bool replace) {
    auto output = OutputFolder::create(path, replace);
    if (!output)
      return errorText(output.takeError());
    llvm::cantFail((*output)->writeFile("file", "new"));
    return errorText((*output)->commit());
  }

  TemporaryFolder folder;
  std::string path = folder / "out";
};

} // namespace

TEST_F(OutputFolderTest, AppearsWhenComplete) {
  {
    auto output = llvm::cantFail(OutputFolder::create(path, false));
    llvm::cantFail(output->writeFile("file", "bytes"));
    EXPECT_FALSE(llvm::sys::fs::exists(path));
    llvm::cantFail(output->commit());
  }
  EXPECT_THAT(folder.list(), ElementsAre("out"));
  EXPECT_EQ(readFile(path + "/file"), "bytes");
}

TEST_F(OutputFolderTest, AbandonedLeavesNothing) {
  {
    auto output = llvm::cantFail(OutputFolder::create(path, false));
    llvm::cantFail(output->writeFile("file", "bytes"));
  }
  EXPECT_THAT(folder.list(), ElementsAre());
}

TEST_F(OutputFolderTest, FullDisk) {
  {
    auto output = llvm::cantFail(OutputFolder::create(path, false));
    FileSizeLimit limit(1 << 16);
    EXPECT_EQ(errorText(output->writeFile("file", std::string(1 << 20, 'x'))),
              "'" + path + "/file': File too large");
  }
  EXPECT_THAT(folder.list(), ElementsAre());
}

TEST_F(OutputFolderTest, ExistingIsKept) {
  folder.write("out/config.json", R"({"quantization_config": {}})");
  EXPECT_EQ(create(false), "'" + path + "': exists already");
  EXPECT_THAT(folder.list(), ElementsAre("out"));
}

TEST_F(OutputFolderTest, QuantizedCheckpointIsReplaced) {
  folder.write("out/config.json", R"({"quantization_config": {}})");
  EXPECT_EQ(create(true), "");
  EXPECT_THAT(folder.list(), ElementsAre("out"));
  EXPECT_EQ(readFile(path + "/file"), "new");
  EXPECT_FALSE(llvm::sys::fs::exists(path + "/config.json"));
}

TEST_F(OutputFolderTest, EmptyFolderIsReplaced) {
  llvm::sys::fs::create_directory(path);
  EXPECT_EQ(create(true), "");
  EXPECT_EQ(readFile(path + "/file"), "new");
}

TEST_F(OutputFolderTest, AnythingElseIsNotReplaced) {
  folder.write("out/thesis.tex", "");
  EXPECT_THAT(create(true), HasSubstr("is not replaced"));
  EXPECT_THAT(folder.list(), ElementsAre("out"));
  folder.write("out/config.json", R"({"architectures": []})");
  EXPECT_THAT(create(true), HasSubstr("is not replaced"));
}

TEST_F(OutputFolderTest, TrailingSlash) {
  path += "/";
  EXPECT_EQ(create(false), "");
  EXPECT_THAT(folder.list(), ElementsAre("out"));
}

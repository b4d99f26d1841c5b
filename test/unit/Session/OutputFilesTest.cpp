//===- OutputFilesTest.cpp - Files that appear only when complete ---------===//

#include "odyssey/runtime/OutputFiles.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <sys/resource.h>

using namespace odyssey::runtime;
namespace fs = std::filesystem;

namespace {

class OutputFilesTest : public ::testing::Test {
protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "odyssey-output-XXXXXX";
    folder = mkdtemp(name.data());
  }
  void TearDown() override { fs::remove_all(folder); }

  std::string path(const char *name) const { return folder / name; }
  std::string content(const char *name) const {
    std::ostringstream text;
    text << std::ifstream(folder / name).rdbuf();
    return text.str();
  }
  size_t fileCount() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder),
                                             fs::directory_iterator()));
  }

  fs::path folder;
};

TEST_F(OutputFilesTest, AppearTogetherAtTheEnd) {
  OutputFiles files;
  ASSERT_TRUE(files.write(path("a"), "first").ok());
  ASSERT_TRUE(files.write(path("b"), "second").ok());
  EXPECT_FALSE(fs::exists(path("a")));
  ASSERT_TRUE(files.commit().ok());
  EXPECT_EQ(content("a"), "first");
  EXPECT_EQ(content("b"), "second");
  EXPECT_EQ(fileCount(), 2u);
}

TEST_F(OutputFilesTest, LeaveOldOnesAloneUntilThen) {
  std::ofstream(path("a")) << "old";
  {
    OutputFiles files;
    ASSERT_TRUE(files.write(path("a"), "new").ok());
    EXPECT_EQ(content("a"), "old");
  }
  EXPECT_EQ(content("a"), "old");
  EXPECT_EQ(fileCount(), 1u);
}

TEST_F(OutputFilesTest, AFullDiskIsReportedAndLeavesNothing) {
  // A limit on the size of files stands in for the disk.
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = {.rlim_cur = 4096, .rlim_max = before.rlim_max};
  auto *handler = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  {
    OutputFiles files;
    Status written = files.write(path("large"), std::string(10000, 'x'));
    EXPECT_EQ(written.code(), StatusCode::IoError);
    EXPECT_THAT(written.message(), ::testing::HasSubstr("File too large"));
  }
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, handler);
  EXPECT_EQ(fileCount(), 0u);
}

TEST_F(OutputFilesTest, AMissingFolderIsReported) {
  OutputFiles files;
  Status written = files.write(path("no/such/folder"), "x");
  EXPECT_EQ(written.code(), StatusCode::IoError);
  EXPECT_THAT(written.message(), ::testing::HasSubstr("no/such/folder"));
}

TEST_F(OutputFilesTest, AreAsReadableAsOtherFiles) {
  std::ofstream(path("other")) << "x";
  OutputFiles files;
  ASSERT_TRUE(files.write(path("a"), "x").ok());
  ASSERT_TRUE(files.commit().ok());
  EXPECT_EQ(fs::status(path("a")).permissions(),
            fs::status(path("other")).permissions());
}

} // namespace

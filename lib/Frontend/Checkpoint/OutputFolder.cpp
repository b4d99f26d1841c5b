//===- OutputFolder.cpp - Folders that appear when complete ---------------===//

#include "odyssey/Frontend/Checkpoint/OutputFolder.h"

#include "Json.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/Errno.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <unistd.h>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

namespace fs = llvm::sys::fs;

static std::string join(StringRef folder, StringRef name) {
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, name);
  return path.str().str();
}

static bool isEmptyFolder(StringRef path) {
  std::error_code error;
  return fs::directory_iterator(path, error) == fs::directory_iterator() &&
         !error;
}

static bool isQuantizedCheckpoint(StringRef folder) {
  Expected<llvm::json::Object> config =
      readJsonObject(join(folder, "config.json"));
  if (!config) {
    llvm::consumeError(config.takeError());
    return false;
  }
  return config->getObject("quantization_config");
}

/// A folder of a new name that starts with `path`.
static Expected<std::string> createBeside(StringRef path) {
  for (int attempt = 0; attempt < 100; ++attempt) {
    llvm::SmallString<128> name;
    fs::createUniquePath(path + ".tmp-%%%%%%", name, /*MakeAbsolute=*/false);
    std::error_code error =
        fs::create_directory(name, /*IgnoreExisting=*/false, fs::all_all);
    if (!error)
      return name.str().str();
    if (error != std::errc::file_exists)
      return llvm::createFileError(path, error);
  }
  return llvm::createFileError(path, make_error_code(std::errc::file_exists));
}

OutputFolder::OutputFolder(std::string path, std::string temporaryPath)
    : path(std::move(path)), temporaryPath(std::move(temporaryPath)) {}

OutputFolder::~OutputFolder() {
  if (!temporaryPath.empty())
    fs::remove_directories(temporaryPath);
}

Expected<std::unique_ptr<OutputFolder>> OutputFolder::create(StringRef path,
                                                             bool replace) {
  // "Q/" is the same folder as "Q", and its sibling is not inside it.
  while (path.size() > 1 && path.ends_with("/"))
    path = path.drop_back();
  if (fs::exists(path)) {
    if (!replace)
      return llvm::createFileError(path, createStringError("exists already"));
    if (!isEmptyFolder(path) && !isQuantizedCheckpoint(path))
      return llvm::createFileError(
          path, createStringError("is neither empty nor a quantized "
                                  "checkpoint, and is not replaced"));
  }
  Expected<std::string> temporaryPath = createBeside(path);
  if (!temporaryPath)
    return temporaryPath.takeError();
  return std::unique_ptr<OutputFolder>(
      new OutputFolder(path.str(), std::move(*temporaryPath)));
}

std::string OutputFolder::pathOf(StringRef name) const {
  return join(temporaryPath, name);
}

Error OutputFolder::writeFile(StringRef name, StringRef bytes) {
  std::string file = pathOf(name);
  std::error_code error;
  llvm::raw_fd_ostream stream(file, error);
  if (!error) {
    stream << bytes;
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  return error ? llvm::createFileError(join(path, name), error)
               : Error::success();
}

Error OutputFolder::commit() {
  std::string old;
  if (fs::exists(path)) {
    Expected<std::string> aside = createBeside(path);
    if (!aside)
      return aside.takeError();
    old = *aside;
    if (std::error_code error = fs::rename(path, old)) {
      fs::remove(old);
      return llvm::createFileError(path, error);
    }
  }
  if (std::error_code error = fs::rename(temporaryPath, path)) {
    if (!old.empty())
      fs::rename(old, path);
    return llvm::createFileError(path, error);
  }
  temporaryPath.clear();
  if (!old.empty())
    fs::remove_directories(old);
  return Error::success();
}

//===- OutputFiles.cpp - Files that appear only when complete -------------===//

#include "odyssey/runtime/OutputFiles.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <sys/stat.h>
#include <unistd.h>

namespace odyssey::runtime {

/// Writes all of `content`. On an error, errno says which.
static bool writeAll(int descriptor, std::string_view content) {
  while (!content.empty()) {
    ssize_t written = ::write(descriptor, content.data(), content.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return false;
    content.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

OutputFiles::~OutputFiles() {
  for (const File &file : files)
    unlink(file.temporaryPath.c_str());
}

Status OutputFiles::write(const std::string &path, std::string_view content) {
  std::string temporary = path + ".XXXXXX";
  int descriptor = mkstemp(temporary.data());
  if (descriptor < 0)
    return ioError("cannot write '" + path + "': " + strerror(errno));
  files.push_back({path, temporary});
  // mkstemp makes files for the owner alone; a result is as open as any other
  // file of this user.
  mode_t mask = umask(0);
  umask(mask);
  bool written = fchmod(descriptor, 0666 & ~mask) == 0 &&
                 writeAll(descriptor, content) && fsync(descriptor) == 0;
  int problem = errno;
  if (close(descriptor) != 0 && written) {
    written = false;
    problem = errno;
  }
  if (!written)
    return ioError("cannot write '" + path + "': " + strerror(problem));
  return Status::success();
}

Status OutputFiles::commit() {
  while (!files.empty()) {
    const File &file = files.back();
    if (rename(file.temporaryPath.c_str(), file.path.c_str()) != 0)
      return ioError("cannot write '" + file.path + "': " + strerror(errno));
    files.pop_back();
  }
  return Status::success();
}

} // namespace odyssey::runtime

//===- OutputFiles.h - Files that appear only when complete -----*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_OUTPUTFILES_H
#define ODYSSEY_RUNTIME_OUTPUTFILES_H

#include "odyssey/runtime/Status.h"

#include <string>
#include <string_view>
#include <vector>

namespace odyssey::runtime {

/// Files that a program writes together. Each is written beside its place under
/// another name, and all are renamed when all are complete, so that neither a
/// full disk nor an error half-way leaves half of a result behind.
class OutputFiles {
public:
  OutputFiles() = default;
  OutputFiles(const OutputFiles &) = delete;
  OutputFiles &operator=(const OutputFiles &) = delete;
  /// Removes what was not committed.
  ~OutputFiles();

  /// Writes the content of the file that will stand at `path`. IoError with the
  /// reason of the operating system.
  Status write(const std::string &path, std::string_view content);

  /// Puts all files in their places, over older ones.
  Status commit();

private:
  struct File {
    std::string path, temporaryPath;
  };
  std::vector<File> files;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_OUTPUTFILES_H

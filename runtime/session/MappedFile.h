//===- MappedFile.h - A file mapped for reading -----------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_SESSION_MAPPEDFILE_H
#define ODYSSEY_RUNTIME_SESSION_MAPPEDFILE_H

#include "odyssey/runtime/Status.h"

#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace odyssey::runtime {

/// A regular file in memory, read-only. The bytes live as long as the object,
/// and fault if someone truncates the file meanwhile.
class MappedFile {
public:
  /// NotFound when there is no such file; IoError, with the reason of the
  /// operating system, for everything else.
  static Result<MappedFile> open(const std::string &path);

  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept
      : content(std::exchange(other.content, {})) {}
  MappedFile &operator=(MappedFile &&other) noexcept {
    std::swap(content, other.content);
    return *this;
  }
  ~MappedFile();

  std::span<const std::byte> bytes() const { return content; }

private:
  std::span<const std::byte> content;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_MAPPEDFILE_H

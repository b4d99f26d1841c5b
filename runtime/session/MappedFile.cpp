//===- MappedFile.cpp - A file mapped for reading -------------------------===//

#include "MappedFile.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace odyssey::runtime {

Result<MappedFile> MappedFile::open(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    std::string message = "cannot open '" + path + "': " + strerror(errno);
    return errno == ENOENT ? notFound(message) : ioError(message);
  }
  struct stat facts;
  std::string problem;
  void *address = nullptr;
  size_t size = 0;
  if (fstat(descriptor, &facts) != 0) {
    problem = strerror(errno);
  } else if (!S_ISREG(facts.st_mode)) {
    problem = "not a regular file";
  } else if (size = static_cast<size_t>(facts.st_size); size != 0) {
    address = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (address == MAP_FAILED)
      problem = strerror(errno);
    else
      // Only advice: start reading ahead, all of the file will be wanted.
      madvise(address, size, MADV_WILLNEED);
  }
  // The mapping keeps the file open.
  close(descriptor);
  if (!problem.empty())
    return ioError("cannot read '" + path + "': " + problem);

  MappedFile file;
  file.content = {static_cast<const std::byte *>(address), size};
  return file;
}

MappedFile::~MappedFile() {
  if (!content.empty())
    munmap(const_cast<std::byte *>(content.data()), content.size());
}

} // namespace odyssey::runtime

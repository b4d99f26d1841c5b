//===- KernelCache.cpp - Compiled kernels by content ----------------------===//

#include "KernelCache.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/CachePruning.h"
#include "llvm/Support/Caching.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Support/xxhash.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::compiler;

namespace {

/// Raised when the layout of the files below changes.
constexpr StringRef kMagic = "odyssey-kernel-1";
/// llvm::pruneCache touches no files of other names.
constexpr StringRef kPrefix = "llvmcache-";
/// Kept at most; a kernel takes some 50 KB.
constexpr uint64_t kMaxBytes = uint64_t(1) << 30;

std::string hashText(StringRef bytes) {
  llvm::XXH128_hash_t hash = llvm::xxh3_128bits(llvm::ArrayRef<uint8_t>(
      reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()));
  return llvm::utohexstr(hash.high64, /*LowerCase=*/true, 16) +
         llvm::utohexstr(hash.low64, /*LowerCase=*/true, 16);
}

/// The program that runs: a compiler that was built anew makes new kernels.
std::string compilerIdentity() {
  static int inThisProgram;
  std::string path = llvm::sys::fs::getMainExecutable(nullptr, &inThisProgram);
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/false,
                                          /*RequiresNullTerminator=*/false);
  // Without it nothing can be found again, which is only slow.
  std::string content =
      file ? hashText((*file)->getBuffer())
           : std::to_string(llvm::sys::Process::getProcessId());
  return LLVM_VERSION_STRING + (" " + content);
}

std::string assemblerIdentity(const std::string &ptxas) {
  llvm::sys::fs::file_status status;
  if (ptxas.empty() || llvm::sys::fs::status(ptxas, status))
    return ptxas;
  return ptxas + " " + std::to_string(status.getSize()) + " " +
         std::to_string(
             status.getLastModificationTime().time_since_epoch().count());
}

/// Strings and numbers behind each other.
class Writer {
public:
  void add(StringRef bytes) {
    add(bytes.size());
    text += bytes;
  }
  void add(uint64_t number) {
    char bytes[8];
    llvm::support::endian::write64le(bytes, number);
    text.append(bytes, sizeof(bytes));
  }
  std::string text;
};

/// The same read back; what does not fit makes the reader fail.
class Reader {
public:
  explicit Reader(StringRef text) : text(text) {}
  uint64_t number() {
    if (text.size() < 8) {
      text = "";
      failed = true;
      return 0;
    }
    uint64_t value = llvm::support::endian::read64le(text.data());
    text = text.drop_front(8);
    return value;
  }
  std::string string() {
    uint64_t size = number();
    failed |= size > text.size();
    std::string result = text.take_front(size).str();
    text = text.drop_front(std::min<uint64_t>(size, text.size()));
    return result;
  }
  bool complete() const { return !failed && text.empty(); }

private:
  StringRef text;
  bool failed = false;
};

} // namespace

KernelCache::KernelCache(std::string folder,
                         const KernelCompilerOptions &options)
    : folder(std::move(folder)) {
  if (this->folder.empty())
    return;
  Writer writer;
  for (const std::string &part :
       {std::string(kMagic), compilerIdentity(), options.target.name.str(),
        assemblerIdentity(options.ptxas)})
    writer.add(StringRef(part));
  common = std::move(writer.text);
}

std::string KernelCache::key(StringRef kernelText) const {
  return folder.empty() ? "" : hashText(common + kernelText.str());
}

std::optional<CompiledKernel> KernelCache::find(StringRef key) {
  if (folder.empty())
    return std::nullopt;
  SmallString<128> path(folder);
  llvm::sys::path::append(path, kPrefix + key);
  auto descriptor =
      llvm::sys::fs::openNativeFileForRead(path, llvm::sys::fs::OF_UpdateAtime);
  if (!descriptor) {
    llvm::consumeError(descriptor.takeError());
    return std::nullopt;
  }
  auto file = llvm::MemoryBuffer::getOpenFile(
      *descriptor, path, /*FileSize=*/-1, /*RequiresNullTerminator=*/false);
  llvm::sys::fs::closeFile(*descriptor);
  if (!file)
    return std::nullopt;
  StringRef content = (*file)->getBuffer();
  Reader reader(content.drop_front(std::min<size_t>(32, content.size())));
  CompiledKernel kernel;
  kernel.attributes = reader.string();
  kernel.ptx = reader.string();
  kernel.cubin = reader.string();
  kernel.resources.name = reader.string();
  kernel.resources.registers = static_cast<int>(reader.number());
  kernel.resources.sharedBytes = static_cast<int>(reader.number());
  kernel.resources.stackBytes = static_cast<int>(reader.number());
  kernel.fromCache = true;
  if (content.size() < 32 || !reader.complete() ||
      hashText(content.drop_front(32)) != content.take_front(32)) {
    // Whoever compiles the kernel now puts a sound file there.
    llvm::sys::fs::remove(path);
    return std::nullopt;
  }
  return kernel;
}

void KernelCache::store(StringRef key, const CompiledKernel &kernel) {
  if (folder.empty())
    return;
  Writer writer;
  writer.add(StringRef(kernel.attributes));
  writer.add(StringRef(kernel.ptx));
  writer.add(StringRef(kernel.cubin));
  writer.add(StringRef(kernel.resources.name));
  writer.add(static_cast<uint64_t>(kernel.resources.registers));
  writer.add(static_cast<uint64_t>(kernel.resources.sharedBytes));
  writer.add(static_cast<uint64_t>(kernel.resources.stackBytes));

  auto write = [&]() -> llvm::Error {
    auto cache = llvm::localCache("kernel", "odyssey", folder);
    if (!cache)
      return cache.takeError();
    auto add = (*cache)(/*Task=*/0, key, kernel.resources.name);
    if (!add)
      return add.takeError();
    if (!*add) // another compiler was faster
      return llvm::Error::success();
    auto stream = (*add)(/*Task=*/0, kernel.resources.name);
    if (!stream)
      return stream.takeError();
    *(*stream)->OS << hashText(writer.text) << writer.text;
    return (*stream)->commit();
  };
  if (llvm::Error error = write()) {
    std::string message = llvm::toString(std::move(error));
    std::call_once(warned, [&] {
      llvm::WithColor::warning(llvm::errs(), "odyssey-compile")
          << "compiled kernels are not kept in '" << folder << "': " << message
          << '\n';
    });
  }
}

void KernelCache::prune() const {
  if (folder.empty())
    return;
  llvm::CachePruningPolicy policy;
  policy.Expiration = std::chrono::hours(24 * 60);
  policy.MaxSizeBytes = kMaxBytes;
  llvm::pruneCache(folder, policy);
}

std::string compiler::defaultCacheFolder() {
  SmallString<128> folder;
  if (auto base = llvm::sys::Process::GetEnv("XDG_CACHE_HOME");
      base && llvm::sys::path::is_absolute(*base))
    folder = *base;
  else if (auto home = llvm::sys::Process::GetEnv("HOME");
           home && llvm::sys::path::is_absolute(*home)) {
    folder = *home;
    llvm::sys::path::append(folder, ".cache");
  } else
    return "";
  llvm::sys::path::append(folder, "odyssey", "kernels");
  return std::string(folder);
}

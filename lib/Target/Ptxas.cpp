//===- Ptxas.cpp - Assembling PTX with ptxas ------------------------------===//

#include "odyssey/Target/Ptx.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"

#include <cstdlib>

using namespace mlir;
using namespace odyssey;

std::string odyssey::findPtxas() {
  if (const char *path = std::getenv("ODYSSEY_PTXAS"))
    return path;
  if (llvm::ErrorOr<std::string> path = llvm::sys::findProgramByName("ptxas"))
    return *path;
  return "";
}

/// The number that `pattern` captures in `line`, if it matches.
static bool matchNumber(StringRef pattern, StringRef line, int &number) {
  SmallVector<StringRef> groups;
  return llvm::Regex(pattern).match(line, &groups) &&
         !groups[1].getAsInteger(10, number);
}

static std::vector<KernelResources> parseResources(StringRef log) {
  std::vector<KernelResources> kernels;
  SmallVector<StringRef> lines, groups;
  log.split(lines, '\n');
  llvm::Regex entry("Compiling entry function '([^']+)'");
  for (StringRef line : lines) {
    if (entry.match(line, &groups)) {
      kernels.emplace_back();
      kernels.back().name = groups[1].str();
    }
    if (kernels.empty())
      continue;
    KernelResources &kernel = kernels.back();
    matchNumber("Used ([0-9]+) registers", line, kernel.registers);
    matchNumber("([0-9]+) bytes stack frame", line, kernel.stackBytes);
    matchNumber("([0-9]+) bytes smem", line, kernel.sharedBytes);
    int stores = 0, loads = 0;
    if (matchNumber("([0-9]+) bytes spill stores", line, stores) &&
        matchNumber("([0-9]+) bytes spill loads", line, loads))
      kernel.spillBytes = stores + loads;
  }
  return kernels;
}

/// The first line that says that what was generated is not what was meant.
static StringRef findComplaint(StringRef log) {
  SmallVector<StringRef> lines;
  log.split(lines, '\n');
  llvm::Regex serialized("C75[0-9][0-9]");
  for (StringRef line : lines)
    if (serialized.match(line))
      return line;
  return "";
}

llvm::Expected<Cubin> odyssey::assemble(StringRef ptxas, StringRef ptx,
                                        const TargetDescription &target) {
  SmallString<128> source, image, log;
  auto remove = llvm::scope_exit([&] {
    for (StringRef path : {StringRef(source), StringRef(image), StringRef(log)})
      if (!path.empty())
        llvm::sys::fs::remove(path);
  });
  auto temporary = [](StringRef suffix, SmallString<128> &path) {
    return llvm::errorCodeToError(
        llvm::sys::fs::createTemporaryFile("odyssey", suffix, path));
  };
  if (llvm::Error error = temporary("ptx", source))
    return error;
  if (llvm::Error error = temporary("cubin", image))
    return error;
  if (llvm::Error error = temporary("log", log))
    return error;
  {
    std::error_code code;
    llvm::raw_fd_ostream stream(source, code);
    stream << ptx;
    if (code || stream.has_error())
      return llvm::createStringError("cannot write a temporary file");
  }

  std::string arch = ("-arch=" + target.name).str();
  StringRef arguments[] = {ptxas, "-v", arch, source, "-o", image};
  std::optional<StringRef> redirects[] = {StringRef(), StringRef(log),
                                          StringRef(log)};
  std::string message;
  int code = llvm::sys::ExecuteAndWait(ptxas, arguments, std::nullopt,
                                       redirects, 0, 0, &message);
  auto logText = llvm::MemoryBuffer::getFile(log);
  StringRef output = logText ? (*logText)->getBuffer() : StringRef();
  if (code != 0)
    return llvm::createStringError("ptxas failed: " + message +
                                   output.take_front(4000));
  if (StringRef complaint = findComplaint(output); !complaint.empty())
    return llvm::createStringError("ptxas complains: " + complaint);

  Cubin cubin;
  cubin.kernels = parseResources(output);
  for (const KernelResources &kernel : cubin.kernels) {
    if (kernel.spillBytes > 0)
      return llvm::createStringError("kernel '" + kernel.name + "' spills " +
                                     std::to_string(kernel.spillBytes) +
                                     " bytes of registers");
    if (kernel.stackBytes > 0)
      return llvm::createStringError(
          "kernel '" + kernel.name + "' has a stack frame of " +
          std::to_string(kernel.stackBytes) + " bytes");
  }
  auto buffer = llvm::MemoryBuffer::getFile(image, /*IsText=*/false);
  if (!buffer)
    return llvm::createStringError("cannot read what ptxas wrote");
  cubin.image = (*buffer)->getBuffer().str();
  return cubin;
}

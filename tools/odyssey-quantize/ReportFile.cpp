//===- ReportFile.cpp - The page of --report on disk ----------------------===//

#include "ReportFile.h"

#include "llvm/Support/raw_ostream.h"

using namespace odyssey;
using llvm::Error;
using llvm::Expected;

Expected<std::optional<ReportFile>> ReportFile::create(llvm::StringRef path) {
  if (path.empty())
    return std::nullopt;
  auto file = llvm::sys::fs::TempFile::create(path + ".tmp-%%%%%%");
  if (!file)
    return llvm::createFileError(path, file.takeError());
  return ReportFile(path, std::move(*file));
}

ReportFile::~ReportFile() {
  if (!path.empty())
    llvm::consumeError(file.discard());
}

Error ReportFile::finish(const ReportPage &page) {
  llvm::raw_fd_ostream out(file.FD, /*shouldClose=*/false);
  out << page.html();
  out.flush();
  if (std::error_code error = out.error()) {
    out.clear_error();
    return llvm::createFileError(path, error);
  }
  if (Error error = file.keep(path))
    return llvm::createFileError(path, std::move(error));
  path.clear();
  return Error::success();
}

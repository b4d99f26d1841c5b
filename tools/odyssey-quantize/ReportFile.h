//===- ReportFile.h - The page of --report on disk --------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYQUANTIZE_REPORTFILE_H
#define ODYSSEY_TOOLS_ODYSSEYQUANTIZE_REPORTFILE_H

#include "odyssey/Quantize/ReportPage.h"

#include "llvm/Support/FileSystem.h"

#include <optional>

namespace odyssey {

/// A file that appears under its name when it is finished, and leaves nothing
/// when that is not reached. Created before the work, so that a path that
/// cannot be written is known early.
class ReportFile {
public:
  /// Nothing for an empty path.
  static llvm::Expected<std::optional<ReportFile>> create(llvm::StringRef path);
  ReportFile(ReportFile &&) = default;
  ~ReportFile();

  llvm::Error finish(const ReportPage &page);

private:
  ReportFile(llvm::StringRef path, llvm::sys::fs::TempFile file)
      : path(path.str()), file(std::move(file)) {}

  /// Empty when there is nothing left to do.
  std::string path;
  llvm::sys::fs::TempFile file;
};

} // namespace odyssey

#endif // ODYSSEY_TOOLS_ODYSSEYQUANTIZE_REPORTFILE_H

//===- OutputFolder.h - Folders that appear when complete -------*- C++ -*-===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_OUTPUTFOLDER_H
#define ODYSSEY_FRONTEND_CHECKPOINT_OUTPUTFOLDER_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <memory>
#include <string>

namespace odyssey {

/// A folder that is filled under a temporary name beside its own, and gets its
/// own name when it is complete. One that is destroyed before leaves nothing.
class OutputFolder {
public:
  /// Fails if `path` exists, unless `replace` is set and it is an empty folder
  /// or one that holds a quantized checkpoint: a slip of the pen must not cost
  /// a home directory.
  static llvm::Expected<std::unique_ptr<OutputFolder>>
  create(llvm::StringRef path, bool replace);

  ~OutputFolder();

  /// Where to write the file `name` of the folder.
  std::string pathOf(llvm::StringRef name) const;

  /// Writes a whole file.
  llvm::Error writeFile(llvm::StringRef name, llvm::StringRef bytes);

  /// Gives the folder its name; a folder that it replaces goes only then.
  llvm::Error commit();

private:
  OutputFolder(std::string path, std::string temporaryPath);

  std::string path;
  /// Empty after `commit`.
  std::string temporaryPath;
};

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_OUTPUTFOLDER_H

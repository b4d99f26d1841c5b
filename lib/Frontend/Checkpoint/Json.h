//===- Json.h - JSON from files that may lie --------------------*- C++ -*-===//
//
// Private to the checkpoint readers.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_FRONTEND_CHECKPOINT_JSON_H
#define ODYSSEY_LIB_FRONTEND_CHECKPOINT_JSON_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

namespace odyssey {

/// Parses text that must be an object. Beyond what LLVM's parser checks, fails
/// on nesting so deep that its recursion would exhaust the stack, and on a key
/// of the outermost object that appears twice.
llvm::Expected<llvm::json::Object> parseJsonObject(llvm::StringRef text);

/// Reads and parses a file; errors name it.
llvm::Expected<llvm::json::Object> readJsonObject(llvm::StringRef path);

} // namespace odyssey

#endif // ODYSSEY_LIB_FRONTEND_CHECKPOINT_JSON_H

//===- BuiltinTuning.h - The databases of the folder tuning/ ----*- C++ -*-===//

#ifndef ODYSSEY_LIB_SCHEDULE_BUILTINTUNING_H
#define ODYSSEY_LIB_SCHEDULE_BUILTINTUNING_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

namespace odyssey {

/// A file of the folder, by its path in the project.
struct BuiltinTuning {
  llvm::StringRef name, text;
};

/// All files, in the order of their names. The definition is made from them
/// when the compiler is built (cmake/EmbedTuning.cmake).
llvm::ArrayRef<BuiltinTuning> builtinTuning();

} // namespace odyssey

#endif // ODYSSEY_LIB_SCHEDULE_BUILTINTUNING_H

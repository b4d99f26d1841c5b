//===- CheckpointFormats.h - The formats behind Checkpoint ------*- C++ -*-===//
//
// Private to the checkpoint readers.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_FRONTEND_CHECKPOINT_CHECKPOINTFORMATS_H
#define ODYSSEY_LIB_FRONTEND_CHECKPOINT_CHECKPOINTFORMATS_H

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"

namespace odyssey {

llvm::Expected<std::unique_ptr<Checkpoint>>
openGgufCheckpoint(llvm::StringRef path);

llvm::Expected<std::unique_ptr<Checkpoint>>
openHuggingFaceCheckpoint(llvm::StringRef folder);

} // namespace odyssey

#endif // ODYSSEY_LIB_FRONTEND_CHECKPOINT_CHECKPOINTFORMATS_H

//===- ModelShapes.h - Shapes of well-known models --------------*- C++ -*-===//
//
// For compiling and timing a model's kernels without its weights.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_MODELSHAPES_H
#define ODYSSEY_FRONTEND_MODELSHAPES_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"

#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>

namespace odyssey {

/// The shape that is called `name`, or nothing. The numbers are those of the
/// config.json that the model's authors published.
std::optional<ModelConfig> findModelShape(llvm::StringRef name);

/// All names, for messages: "llama-2-7b, llama-2-13b, ...".
std::string modelShapeNames();

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_MODELSHAPES_H

//===- HuggingFaceConfig.h - config.json ------------------------*- C++ -*-===//
//
// Private to the checkpoint readers and writers.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_FRONTEND_CHECKPOINT_HUGGINGFACECONFIG_H
#define ODYSSEY_LIB_FRONTEND_CHECKPOINT_HUGGINGFACECONFIG_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"

#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

namespace odyssey {

/// What config.json says of the model. `addBos` is the tokenizer's to say.
llvm::Expected<ModelConfig>
parseHuggingFaceConfig(const llvm::json::Object &object);

/// The inverse, complete enough for transformers to build the model.
llvm::json::Object makeHuggingFaceConfig(const ModelConfig &config);

/// The value of "eos_token_id", in config.json or generation_config.json: a
/// number, a list of numbers, null, or absent.
llvm::Expected<std::vector<int64_t>>
parseEosIds(const llvm::json::Object &object);

} // namespace odyssey

#endif // ODYSSEY_LIB_FRONTEND_CHECKPOINT_HUGGINGFACECONFIG_H

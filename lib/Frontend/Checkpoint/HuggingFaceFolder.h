//===- HuggingFaceFolder.h - What stands beside the weights -----*- C++ -*-===//
//
// Private to the checkpoint readers.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_FRONTEND_CHECKPOINT_HUGGINGFACEFOLDER_H
#define ODYSSEY_LIB_FRONTEND_CHECKPOINT_HUGGINGFACEFOLDER_H

#include "odyssey/Frontend/Checkpoint/ModelConfig.h"
#include "odyssey/Frontend/Checkpoint/TokenizerFiles.h"

#include "llvm/Support/Error.h"
#include "llvm/Support/JSON.h"

#include <optional>
#include <string>
#include <vector>

namespace odyssey {

/// `folder`/`name`.
std::string pathInFolder(llvm::StringRef folder, llvm::StringRef name);

/// A Hugging Face folder but for its weights.
struct HuggingFaceFolder {
  ModelConfig config;
  /// The first file is the tokenizer itself.
  std::vector<TokenizerFile> tokenizer;
};

/// Reads config.json, generation_config.json and the tokenizer, and checks the
/// config. Errors name the file.
llvm::Expected<HuggingFaceFolder> readHuggingFaceFolder(llvm::StringRef folder);

/// The "quantization_config" of the folder's config.json, or the
/// quantize_config.json that older versions of AutoGPTQ wrote; nothing if there
/// is neither.
llvm::Expected<std::optional<llvm::json::Object>>
readQuantizationConfig(llvm::StringRef folder);

/// Whether `tensor` is the constant that older versions of transformers
/// saved with the weights although it follows from the config.
bool isRotaryConstant(llvm::StringRef tensor);

} // namespace odyssey

#endif // ODYSSEY_LIB_FRONTEND_CHECKPOINT_HUGGINGFACEFOLDER_H

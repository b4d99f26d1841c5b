//===- TokenizerFiles.h - Tokenizers travel as files ------------*- C++ -*-===//
//
// The compiler does not interpret tokenizers; it carries their files from the
// checkpoint to the bundle, and looks inside only to refuse kinds that the
// runtime does not know and to learn whether a text starts with BOS.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_FRONTEND_CHECKPOINT_TOKENIZERFILES_H
#define ODYSSEY_FRONTEND_CHECKPOINT_TOKENIZERFILES_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace odyssey {

class GgufFile;

struct TokenizerFile {
  /// "tokenizer.json"
  std::string name;
  std::string bytes;
};

struct TokenizerInfo {
  std::vector<TokenizerFile> files;
  bool addBos = false;
};

/// The tokenizer of a Hugging Face folder or of a quantized checkpoint:
/// tokenizer.json, else tokenizer.model, else tokenizer.gguf, followed by
/// tokenizer_config.json and special_tokens_map.json where these are there.
llvm::Expected<TokenizerInfo> readTokenizerFolder(llvm::StringRef folder);

/// The tokenizer in the metadata of a GGUF file, as a GGUF file of its own,
/// "tokenizer.gguf": version 3, no tensors, general.architecture and all keys
/// that start with "tokenizer.".
llvm::Expected<TokenizerInfo> readTokenizerGguf(const GgufFile &file);

} // namespace odyssey

#endif // ODYSSEY_FRONTEND_CHECKPOINT_TOKENIZERFILES_H

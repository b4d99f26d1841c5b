//===- Texts.h - What models are measured on --------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYEVAL_TEXTS_H
#define ODYSSEY_TOOLS_ODYSSEYEVAL_TEXTS_H

#include "Model.h"

#include "odyssey/Reference/LastWords.h"

#include <string>
#include <vector>

namespace odyssey::eval {

/// A text, or its beginning, as a model reads it. Without BOS.
struct TokenizedText {
  std::vector<int32_t> tokens;
  /// Of UTF-8 that these tokens stand for.
  int64_t bytes = 0;
};

/// Reads a UTF-8 file. With `maxTokens` above 0, no more than so many tokens
/// of it. Fails where fewer than two are left.
runtime::Result<TokenizedText>
readText(const Model &model, const std::string &path, int64_t maxTokens);

/// Reads the passages of a JSON Lines file: an object {"text": "..."} on each
/// line. With `maxPassages` above 0, the first so many. The last word of a
/// passage is what follows its last space, and that space. Passages begin with
/// BOS where the model expects it. Errors name the line.
runtime::Result<std::vector<reference::Passage>>
readPassages(const Model &model, const std::string &path, int64_t maxPassages);

} // namespace odyssey::eval

#endif // ODYSSEY_TOOLS_ODYSSEYEVAL_TEXTS_H

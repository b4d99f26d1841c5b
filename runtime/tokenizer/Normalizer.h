//===- Normalizer.h - What happens to a text first --------------*- C++ -*-===//
//
// The rewriting steps before a text is split into words. None of them changes
// characters other than spaces unless the tokenizer's file says so.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_NORMALIZER_H
#define ODYSSEY_RUNTIME_TOKENIZER_NORMALIZER_H

#include "Regex.h"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace odyssey::runtime::tokenizer {

/// U+2581, which stands for a space in SentencePiece's vocabularies.
inline constexpr std::string_view kMetaspace = "\xe2\x96\x81";

/// Puts `text` in front of a text that is not empty.
struct PrependStep {
  std::string text;
};

/// Puts `content` in the place of every match.
struct ReplaceStep {
  Regex pattern;
  std::string content;
};

/// One of Unicode's normalization forms (UAX #15): NFC, and the like.
struct UnicodeStep {
  /// Characters and their marks become one character where there is one;
  /// otherwise, characters are taken apart.
  bool compose = true;
  /// Characters that are only written differently become the same (the forms
  /// with a K).
  bool compatibility = false;
};

/// SentencePiece's normalizer with the identity rule.
struct SentencePieceStep {
  bool addDummyPrefix = true;
  /// Drops spaces at both ends and makes one of several.
  bool removeExtraWhitespaces = false;
  bool escapeWhitespaces = true;
};

using NormalizerStep =
    std::variant<PrependStep, ReplaceStep, UnicodeStep, SentencePieceStep>;

/// Applies the steps in their order. Fails only where a regular expression
/// does.
Result<std::string> normalize(const std::vector<NormalizerStep> &steps,
                              std::string_view text);

/// `text` with `to` in the place of every `from`, which is not empty.
std::string replaceAll(std::string_view text, std::string_view from,
                       std::string_view to);

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_NORMALIZER_H

//===- PreTokenizer.h - Texts into words ------------------------*- C++ -*-===//
//
// The steps that split a normalized text into the words that byte pair encoding
// works on, one by one. No merge crosses a border that they set.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_PRETOKENIZER_H
#define ODYSSEY_RUNTIME_TOKENIZER_PRETOKENIZER_H

#include "Regex.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace odyssey::runtime::tokenizer {

/// GPT-2's pattern, from its encoder.py.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// What becomes of the matches of a splitting pattern, by Hugging Face's names.
enum class SplitBehavior {
  /// Words of their own, as is what lies between.
  Isolated,
  Removed,
  /// Joined with the text before, or after, the match.
  MergedWithPrevious,
  MergedWithNext,
  /// Adjoining matches are one word.
  Contiguous,
};

struct SplitStep {
  Regex pattern;
  SplitBehavior behavior = SplitBehavior::Isolated;
  /// What lies between the matches counts as the match.
  bool invert = false;
};

/// Writes every byte as a character of GPT-2's alphabet.
struct ByteLevelStep {
  /// Puts a space in front of a word that does not begin with one. Runs before
  /// the pattern that belongs to the same pre-tokenizer.
  bool addPrefixSpace = false;
  /// GPT-2's pattern; without one the words stay as they are.
  std::optional<Regex> pattern;
};

/// Writes spaces as `replacement`.
struct MetaspaceStep {
  enum class Prepend { First, Never, Always };
  std::string replacement;
  Prepend prepend = Prepend::Always;
  /// Matches the replacement, where a word begins at each; none keeps words
  /// whole.
  std::optional<Regex> split;
};

using PreTokenizerStep = std::variant<SplitStep, ByteLevelStep, MetaspaceStep>;

/// Words as ranges of a text.
struct Words {
  std::string text;
  std::vector<Span> spans;
  /// Whether the first word begins where the text that was encoded begins.
  bool firstBeginsText = false;
};

/// Splits `text`. `beginsText`: nothing stood in front of it in the text that
/// is encoded. Fails only where a regular expression does.
Result<Words> preTokenize(const std::vector<PreTokenizerStep> &steps,
                          std::string_view text, bool beginsText);

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_PRETOKENIZER_H

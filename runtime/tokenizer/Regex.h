//===- Regex.h - Regular expressions over UTF-8 -----------------*- C++ -*-===//
//
// A thin wrapper of PCRE2 (10.40 or newer) for the patterns that tokenizers
// split text with. Character classes are those of Unicode. Subjects must be
// valid UTF-8; the wrapper does not check that again at every match.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_REGEX_H
#define ODYSSEY_RUNTIME_TOKENIZER_REGEX_H

#include "odyssey/runtime/Status.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace odyssey::runtime::tokenizer {

/// A class, without its brackets, of the characters that words are made of by
/// UTS #18, annex C. Oniguruma's `\w` has all numbers and no joiners instead.
#define ODYSSEY_WORD_CHARACTERS                                                \
  "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200c}\\x{200d}"

/// A range of bytes.
struct Span {
  size_t begin = 0, end = 0;
};

class Regex {
public:
  /// Compiles a pattern in Oniguruma's syntax, the one of Hugging Face's files,
  /// as far as it can be said in PCRE2's: `\s`, `\w`, `\d` get Oniguruma's
  /// meaning. Unsupported for class intersections and nested classes; DataLoss
  /// for a malformed pattern.
  static Result<Regex> compile(std::string_view pattern);

  /// A pattern that matches exactly `text`.
  static Result<Regex> compileLiteral(std::string_view text);

private:
  friend class Matcher;
  static Result<Regex> compilePcre(std::string_view pattern, bool literal);

  struct FreeCode {
    void operator()(pcre2_code *code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, FreeCode> code;
};

/// Finds the matches of a Regex, one subject after the other. Not thread safe;
/// the Regex itself is, and must outlive the matcher.
class Matcher {
public:
  explicit Matcher(const Regex &regex);

  /// Starts over with `subject`, which must stay alive.
  void setSubject(std::string_view subject);

  /// The next match, none at the end. ResourceExhausted when PCRE2 gives up.
  Result<std::optional<Span>> next();

private:
  struct FreeData {
    void operator()(pcre2_match_data *data) const {
      pcre2_match_data_free(data);
    }
  };
  struct FreeContext {
    void operator()(pcre2_match_context *context) const {
      pcre2_match_context_free(context);
    }
  };
  struct FreeStack {
    void operator()(pcre2_jit_stack *stack) const {
      pcre2_jit_stack_free(stack);
    }
  };

  const Regex &regex;
  std::unique_ptr<pcre2_match_data, FreeData> data;
  std::unique_ptr<pcre2_jit_stack, FreeStack> stack;
  std::unique_ptr<pcre2_match_context, FreeContext> context;
  std::string_view subject;
  size_t offset = 0;
};

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_REGEX_H

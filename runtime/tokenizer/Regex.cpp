//===- Regex.cpp - Regular expressions over UTF-8 -------------------------===//
//
// Translates Oniguruma's syntax to PCRE2's and runs the matches.
//
//===----------------------------------------------------------------------===//

#include "Regex.h"

#include "Utf8.h"

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

namespace {

/// The members of Oniguruma's `\w`, for use inside a class.
constexpr std::string_view kWordClass = "\\p{Alphabetic}\\p{M}\\p{N}\\p{Pc}";

/// JIT-compiled code starts with the small stack and grows to the large one.
constexpr size_t kInitialStackBytes = size_t(32) << 10;
constexpr size_t kMaximalStackBytes = size_t(16) << 20;

/// Writes `pattern` (Oniguruma, Ruby syntax, Unicode) in PCRE2's syntax.
/// PCRE2's own `\s` would differ by U+180E and its `\w` by marks.
Result<std::string> translateOniguruma(std::string_view pattern) {
  std::string out;
  bool inClass = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    std::string_view rest = pattern.substr(i);
    if (c == '\\') {
      if (++i == pattern.size())
        return dataLoss("regular expression '" + std::string(pattern) +
                        "' ends in a backslash");
      char escaped = pattern[i];
      if (escaped == 's')
        out += "\\p{White_Space}";
      else if (escaped == 'S')
        out += "\\P{White_Space}";
      else if (escaped == 'w' && inClass)
        out += kWordClass;
      else if (escaped == 'w')
        out.append("[").append(kWordClass).append("]");
      else if (escaped == 'W' && !inClass)
        out.append("[^").append(kWordClass).append("]");
      else if (escaped == 'W' || escaped == 'h' || escaped == 'H')
        return unsupported("'\\" + std::string(1, escaped) +
                           "' in regular expression '" + std::string(pattern) +
                           "' is not supported");
      else
        out.append({'\\', escaped});
      continue;
    }
    if (inClass) {
      if (rest.starts_with("&&"))
        return unsupported("class intersection in regular expression '" +
                           std::string(pattern) + "' is not supported");
      if (rest.starts_with("[:")) {
        size_t end = rest.find(":]");
        if (end == std::string_view::npos)
          return dataLoss("unclosed '[:' in regular expression '" +
                          std::string(pattern) + "'");
        out += rest.substr(0, end + 2);
        i += end + 1;
        continue;
      }
      if (c == '[')
        return unsupported("nested class in regular expression '" +
                           std::string(pattern) + "' is not supported");
      if (c == ']')
        inClass = false;
    } else if (c == '[') {
      inClass = true;
      out += c;
      if (rest.starts_with("[^")) {
        out += '^';
        ++i;
      }
      // Directly after the opening a ']' stands for itself.
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') {
        out += "\\]";
        ++i;
      }
      continue;
    }
    out += c;
  }
  return out;
}

std::string describePcreError(int error) {
  PCRE2_UCHAR buffer[128];
  if (pcre2_get_error_message(error, buffer, sizeof(buffer)) < 0)
    return "error " + std::to_string(error);
  return reinterpret_cast<const char *>(buffer);
}

} // namespace

Result<Regex> Regex::compilePcre(std::string_view pattern, bool literal) {
  // `^` and `$` match at line ends, as in Oniguruma's Ruby syntax.
  uint32_t options = PCRE2_UTF | (literal ? PCRE2_LITERAL
                                          : PCRE2_UCP | PCRE2_MULTILINE |
                                                PCRE2_NEVER_BACKSLASH_C);
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)>
      context(pcre2_compile_context_create(nullptr),
              &pcre2_compile_context_free);
  if (!context)
    return resourceExhausted("no memory for a regular expression");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE errorOffset = 0;
  Regex regex;
  regex.code.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()),
                                 pattern.size(), options, &error, &errorOffset,
                                 context.get()));
  if (!regex.code)
    return dataLoss("regular expression '" + std::string(pattern) +
                    "' does not compile at offset " +
                    std::to_string(errorOffset) + ": " +
                    describePcreError(error));
  // Without JIT on this machine PCRE2 interprets, more slowly.
  pcre2_jit_compile(regex.code.get(), PCRE2_JIT_COMPLETE);
  return regex;
}

Result<Regex> Regex::compile(std::string_view pattern) {
  ODYSSEY_ASSIGN_OR_RETURN(std::string translated, translateOniguruma(pattern));
  return compilePcre(translated, /*literal=*/false);
}

Result<Regex> Regex::compileLiteral(std::string_view text) {
  return compilePcre(text, /*literal=*/true);
}

Matcher::Matcher(const Regex &regex)
    : regex(regex),
      data(pcre2_match_data_create_from_pattern(regex.code.get(), nullptr)),
      stack(pcre2_jit_stack_create(kInitialStackBytes, kMaximalStackBytes,
                                   nullptr)),
      context(pcre2_match_context_create(nullptr)) {
  if (context && stack)
    pcre2_jit_stack_assign(context.get(), nullptr, stack.get());
}

void Matcher::setSubject(std::string_view text) {
  subject = text;
  offset = 0;
}

Result<std::optional<Span>> Matcher::next() {
  if (!data)
    return resourceExhausted("no memory for matching a regular expression");
  if (offset > subject.size())
    return std::optional<Span>();
  int count = pcre2_match(
      regex.code.get(), reinterpret_cast<PCRE2_SPTR>(subject.data()),
      subject.size(), offset, PCRE2_NO_UTF_CHECK, data.get(), context.get());
  if (count == PCRE2_ERROR_NOMATCH) {
    offset = subject.size() + 1;
    return std::optional<Span>();
  }
  if (count < 0)
    return resourceExhausted("regular expression failed at byte " +
                             std::to_string(offset) + " of a text of " +
                             std::to_string(subject.size()) +
                             " bytes: " + describePcreError(count));
  const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(data.get());
  Span match{bounds[0], bounds[1]};
  offset = match.end;
  // An empty match must not be found again.
  if (match.begin == match.end)
    offset +=
        offset < subject.size() ? decodeUtf8(subject.substr(offset)).length : 1;
  return std::optional<Span>(match);
}

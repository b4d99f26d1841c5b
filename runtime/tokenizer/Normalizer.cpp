//===- Normalizer.cpp - What happens to a text first ----------------------===//
//
// The steps of `Normalizer.h`, after Hugging Face tokenizers' `normalizers` and
// SentencePiece's `normalizer.cc`.
//
//===----------------------------------------------------------------------===//

#include "Normalizer.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

std::string tokenizer::replaceAll(std::string_view text, std::string_view from,
                                  std::string_view to) {
  std::string out;
  out.reserve(text.size());
  size_t done = 0;
  for (size_t at; (at = text.find(from, done)) != std::string_view::npos;
       done = at + from.size())
    out.append(text, done, at - done).append(to);
  return out.append(text, done);
}

static Result<std::string> applyStep(const PrependStep &step,
                                     const std::string &text) {
  if (text.empty())
    return text;
  return step.text + text;
}

static Result<std::string> applyStep(const ReplaceStep &step,
                                     const std::string &text) {
  std::string out;
  out.reserve(text.size());
  size_t done = 0;
  Matcher matcher(step.pattern);
  matcher.setSubject(text);
  while (true) {
    ODYSSEY_ASSIGN_OR_RETURN(std::optional<Span> match, matcher.next());
    if (!match)
      return out.append(text, done);
    out.append(text, done, match->begin - done).append(step.content);
    done = match->end;
  }
}

static Result<std::string> applyStep(const UnicodeStep &step,
                                     const std::string &text) {
  int options = UTF8PROC_STABLE;
  options |= step.compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (step.compatibility)
    options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t *out = nullptr;
  utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t *>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &out,
                   static_cast<utf8proc_option_t>(options));
  std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owned(out, std::free);
  if (size < 0)
    return invalidArgument(std::string("Unicode normalization: ") +
                           utf8proc_errmsg(size));
  return std::string(reinterpret_cast<const char *>(out),
                     static_cast<size_t>(size));
}

static Result<std::string> applyStep(const SentencePieceStep &step,
                                     const std::string &text) {
  std::string_view space = step.escapeWhitespaces ? kMetaspace : " ";
  std::string_view rest = text;
  if (step.removeExtraWhitespaces)
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  std::string out;
  if (rest.empty())
    return out;
  out.reserve(rest.size() + rest.size() / 2);
  if (step.addDummyPrefix)
    out += space;
  bool afterSpace = step.removeExtraWhitespaces;
  for (char c : rest) {
    if (c != ' ')
      out += c;
    else if (!afterSpace)
      out += space;
    afterSpace = step.removeExtraWhitespaces && c == ' ';
  }
  // As in SentencePiece, a U+2581 of the text itself counts here.
  while (step.removeExtraWhitespaces && out.ends_with(space))
    out.resize(out.size() - space.size());
  return out;
}

Result<std::string>
tokenizer::normalize(const std::vector<NormalizerStep> &steps,
                     std::string_view text) {
  std::string normalized(text);
  for (const NormalizerStep &step : steps) {
    Result<std::string> result = std::visit(
        [&](const auto &s) { return applyStep(s, normalized); }, step);
    ODYSSEY_ASSIGN_OR_RETURN(normalized, std::move(result));
  }
  return normalized;
}

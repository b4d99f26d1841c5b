//===- PreTokenizer.cpp - Texts into words --------------------------------===//
//
// The steps of `PreTokenizer.h`, after Hugging Face tokenizers'
// `pre_tokenizers` and `NormalizedString::split`.
//
//===----------------------------------------------------------------------===//

#include "PreTokenizer.h"

#include "Normalizer.h"
#include "Vocabulary.h"

#include <algorithm>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

namespace {

/// A part of a word that a pattern matched, or that lies between matches.
struct Part {
  Span span;
  bool matched = false;
};

/// All parts of `word`, in order, without gaps.
Status findParts(Matcher &matcher, std::string_view word, bool invert,
                 std::vector<Part> &parts) {
  parts.clear();
  size_t done = 0;
  matcher.setSubject(word);
  while (true) {
    ODYSSEY_ASSIGN_OR_RETURN(std::optional<Span> match, matcher.next());
    if (!match)
      break;
    if (done < match->begin)
      parts.push_back({{done, match->begin}, invert});
    parts.push_back({*match, !invert});
    done = match->end;
  }
  if (done < word.size())
    parts.push_back({{done, word.size()}, invert});
  return Status::success();
}

/// Joins parts as `behavior` says.
void joinParts(std::vector<Part> &parts, SplitBehavior behavior) {
  std::vector<Part> joined;
  bool previousMatched = false;
  auto joinForwards = [&](auto joins) {
    for (const Part &part : parts) {
      if (joins(part) && !joined.empty())
        joined.back().span.end = part.span.end;
      else
        joined.push_back(part);
      previousMatched = part.matched;
    }
  };
  switch (behavior) {
  case SplitBehavior::Isolated:
    return;
  case SplitBehavior::Removed:
    std::erase_if(parts, [](const Part &part) { return part.matched; });
    return;
  case SplitBehavior::Contiguous:
    joinForwards([&](const Part &p) { return p.matched == previousMatched; });
    break;
  case SplitBehavior::MergedWithPrevious:
    joinForwards([&](const Part &p) { return p.matched && !previousMatched; });
    break;
  case SplitBehavior::MergedWithNext:
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
      if (part->matched && !previousMatched && !joined.empty())
        joined.back().span.begin = part->span.begin;
      else
        joined.push_back(*part);
      previousMatched = part->matched;
    }
    std::ranges::reverse(joined);
    break;
  }
  parts = std::move(joined);
}

Status splitWords(const Regex &pattern, SplitBehavior behavior, bool invert,
                  Words &words) {
  Matcher matcher(pattern);
  std::vector<Part> parts;
  std::vector<Span> spans;
  bool firstBeginsText = words.firstBeginsText;
  for (Span word : words.spans) {
    std::string_view text =
        std::string_view(words.text).substr(word.begin, word.end - word.begin);
    ODYSSEY_RETURN_IF_ERROR(findParts(matcher, text, invert, parts));
    joinParts(parts, behavior);
    for (const Part &part : parts)
      if (part.span.begin < part.span.end)
        spans.push_back(
            {word.begin + part.span.begin, word.begin + part.span.end});
  }
  words.firstBeginsText = firstBeginsText && !spans.empty() &&
                          spans.front().begin == words.spans.front().begin;
  words.spans = std::move(spans);
  return Status::success();
}

/// Gives every word the text that `rewrite(word, isFirst, out)` appends.
template <typename Rewrite> void rewriteWords(Words &words, Rewrite rewrite) {
  std::string text;
  text.reserve(words.text.size() + words.text.size() / 2);
  bool isFirst = true;
  for (Span &span : words.spans) {
    size_t begin = text.size();
    rewrite(
        std::string_view(words.text).substr(span.begin, span.end - span.begin),
        isFirst, text);
    span = {begin, text.size()};
    isFirst = false;
  }
  words.text = std::move(text);
}

Status applyStep(const SplitStep &step, Words &words) {
  return splitWords(step.pattern, step.behavior, step.invert, words);
}

Status applyStep(const ByteLevelStep &step, Words &words) {
  if (step.addPrefixSpace)
    rewriteWords(words, [](std::string_view word, bool, std::string &out) {
      if (!word.starts_with(' '))
        out += ' ';
      out += word;
    });
  if (step.pattern)
    ODYSSEY_RETURN_IF_ERROR(splitWords(*step.pattern, SplitBehavior::Isolated,
                                       /*invert=*/false, words));
  rewriteWords(words, [](std::string_view word, bool, std::string &out) {
    appendByteLevel(out, word);
  });
  return Status::success();
}

Status applyStep(const MetaspaceStep &step, Words &words) {
  bool firstBeginsText = words.firstBeginsText;
  rewriteWords(
      words, [&](std::string_view word, bool isFirst, std::string &out) {
        std::string replaced = replaceAll(word, " ", step.replacement);
        bool prepend = step.prepend == MetaspaceStep::Prepend::Always ||
                       (step.prepend == MetaspaceStep::Prepend::First &&
                        isFirst && firstBeginsText);
        if (prepend && !replaced.starts_with(step.replacement))
          out += step.replacement;
        out += replaced;
      });
  if (!step.split)
    return Status::success();
  return splitWords(*step.split, SplitBehavior::MergedWithNext,
                    /*invert=*/false, words);
}

} // namespace

Result<Words> tokenizer::preTokenize(const std::vector<PreTokenizerStep> &steps,
                                     std::string_view text, bool beginsText) {
  Words words;
  words.text = text;
  words.firstBeginsText = beginsText;
  if (!text.empty())
    words.spans.push_back({0, text.size()});
  for (const PreTokenizerStep &step : steps)
    ODYSSEY_RETURN_IF_ERROR(
        std::visit([&](const auto &s) { return applyStep(s, words); }, step));
  return words;
}

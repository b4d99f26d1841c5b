//===- AddedTokens.cpp - Tokens found before all others -------------------===//
//
// The rules are those of Hugging Face tokenizers' `AddedVocabulary`.
//
//===----------------------------------------------------------------------===//

#include "AddedTokens.h"

#include "Utf8.h"

#include <algorithm>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

void PrefixTrie::insert(std::string_view text, int32_t value) {
  firstBytes.set(static_cast<unsigned char>(text[0]));
  uint32_t node = 0;
  for (char byte : text) {
    uint64_t edge = uint64_t(node) << 8 | static_cast<unsigned char>(byte);
    auto [entry, isNew] =
        edges.try_emplace(edge, static_cast<uint32_t>(values.size()));
    if (isNew)
      values.push_back(kNoToken);
    node = entry->second;
  }
  values[node] = value;
}

PrefixTrie::Match PrefixTrie::longestPrefix(std::string_view text) const {
  Match longest;
  if (text.empty() || !firstBytes.test(static_cast<unsigned char>(text[0])))
    return longest;
  uint32_t node = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    auto entry =
        edges.find(uint64_t(node) << 8 | static_cast<unsigned char>(text[i]));
    if (entry == edges.end())
      break;
    node = entry->second;
    if (values[node] != kNoToken)
      longest = {i + 1, values[node]};
  }
  return longest;
}

void AddedTokens::add(AddedToken token) {
  trie.insert(token.content, static_cast<int32_t>(tokens.size()));
  tokens.push_back(std::move(token));
}

/// Whether the character is one that words are made of.
static bool isWordCharacter(std::string_view character) {
  static const Result<Regex> word =
      Regex::compile("\\A[" ODYSSEY_WORD_CHARACTERS "]");
  if (!word.ok())
    return false;
  Matcher matcher(*word);
  matcher.setSubject(character);
  Result<std::optional<Span>> match = matcher.next();
  return match.ok() && match->has_value();
}

/// The last character of a non-empty text.
static std::string_view lastCharacter(std::string_view text) {
  size_t begin = text.size() - 1;
  while (begin > 0 && (text[begin] & 0xc0) == 0x80)
    --begin;
  return text.substr(begin);
}

bool AddedTokens::standsAlone(std::string_view text, Span match) const {
  std::string_view before = text.substr(0, match.begin);
  std::string_view after = text.substr(match.end);
  return (before.empty() || !isWordCharacter(lastCharacter(before))) &&
         (after.empty() || !isWordCharacter(after));
}

std::vector<AddedTokens::Fragment> AddedTokens::split(std::string_view text,
                                                      bool parseSpecial) const {
  std::vector<Fragment> fragments;
  size_t done = 0;
  for (size_t offset = 0; !empty() && offset < text.size();) {
    PrefixTrie::Match match = trie.longestPrefix(text.substr(offset));
    if (match.length == 0) {
      ++offset;
      continue;
    }
    const AddedToken &token = tokens[match.value];
    Span span{offset, offset + match.length};
    offset = span.end;
    if ((token.special && !parseSpecial) ||
        (token.singleWord && !standsAlone(text, span)))
      continue;
    while (token.stripLeft && span.begin > done) {
      std::string_view last =
          lastCharacter(text.substr(done, span.begin - done));
      if (!isWhitespace(decodeUtf8(last).codePoint))
        break;
      span.begin -= last.size();
    }
    while (token.stripRight && span.end < text.size()) {
      Utf8Unit unit = decodeUtf8(text.substr(span.end));
      if (!isWhitespace(unit.codePoint))
        break;
      span.end += unit.length;
    }
    // White space that the token before took may hold this match.
    if (span.begin < done)
      continue;
    if (done < span.begin)
      fragments.push_back({{done, span.begin}, kNoToken});
    fragments.push_back({span, token.id});
    done = offset = span.end;
  }
  if (done < text.size())
    fragments.push_back({{done, text.size()}, kNoToken});
  return fragments;
}

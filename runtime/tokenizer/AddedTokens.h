//===- AddedTokens.h - Tokens found before all others -----------*- C++ -*-===//
//
// Special and added tokens are cut out of a text before it is normalized and
// split: at every position the longest one that matches, from left to right.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_ADDEDTOKENS_H
#define ODYSSEY_RUNTIME_TOKENIZER_ADDEDTOKENS_H

#include "Regex.h"
#include "Vocabulary.h"

#include <bitset>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace odyssey::runtime::tokenizer {

/// Finds the longest of a set of texts at the beginning of another.
class PrefixTrie {
public:
  bool empty() const { return firstBytes.none(); }
  /// `text` must not be empty. A second value for the same text wins.
  void insert(std::string_view text, int32_t value);

  struct Match {
    size_t length = 0;
    int32_t value = kNoToken;
  };
  /// A match of length 0 is none.
  Match longestPrefix(std::string_view text) const;

private:
  std::bitset<256> firstBytes;
  /// From node << 8 | byte to node. Node 0 is the root.
  std::unordered_map<uint64_t, uint32_t> edges;
  std::vector<int32_t> values = {kNoToken};
};

struct AddedToken {
  int32_t id = kNoToken;
  /// What is looked for.
  std::string content;
  /// Only where no letter or digit stands directly before or after.
  bool singleWord = false;
  /// Takes the white space in front of it, or behind it, along.
  bool stripLeft = false, stripRight = false;
  /// Recognised only where the caller allows special tokens.
  bool special = false;
};

class AddedTokens {
public:
  bool empty() const { return trie.empty(); }

  /// `token.content` must not be empty.
  void add(AddedToken token);

  /// A part of a text: an added token, or with kNoToken what lies between.
  struct Fragment {
    Span span;
    int32_t token = kNoToken;
  };
  /// The parts of `text` in order, none of them empty.
  std::vector<Fragment> split(std::string_view text, bool parseSpecial) const;

private:
  bool standsAlone(std::string_view text, Span match) const;

  PrefixTrie trie;
  std::vector<AddedToken> tokens;
};

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_ADDEDTOKENS_H

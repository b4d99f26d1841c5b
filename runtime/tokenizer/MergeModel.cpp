//===- MergeModel.cpp - Byte pair encoding --------------------------------===//
//
// The merge loop that both kinds share, and what they differ in: how two
// neighbours are looked up and what becomes of unknown characters. The rules
// are those of SentencePiece's `bpe_model.cc` and of Hugging Face tokenizers'
// `models/bpe`.
//
//===----------------------------------------------------------------------===//

#include "MergeModel.h"

#include "Utf8.h"

#include <algorithm>
#include <cmath>
#include <optional>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

namespace {

/// A part of the word that has not been merged further yet.
struct Symbol {
  /// Bytes of the word.
  uint32_t begin = 0;
  /// 0 once the symbol has become a part of the one before it.
  uint32_t length = 0;
  int32_t previous = -1;
  int32_t next = -1;
  /// kNoToken for a character without a token.
  int32_t token = kNoToken;
  /// Never merged.
  bool frozen = false;
};

/// What two neighbours become. Lower costs merge first.
struct Merge {
  double cost = 0;
  int32_t token = kNoToken;
};

struct Candidate {
  Merge merge;
  /// Index of the left symbol.
  int32_t left = 0;
  /// Length of the result. As symbols only grow, a pair that still has this
  /// length is still the pair that was looked up.
  uint32_t length = 0;

  /// The order of a heap: the cheapest on top, of equals the leftmost.
  bool operator<(const Candidate &other) const {
    if (merge.cost != other.merge.cost)
      return merge.cost > other.merge.cost;
    return left > other.left;
  }
};

/// Merges neighbours, always the pair with the lowest cost, until
/// `findMerge(left, right)` finds none.
template <typename FindMerge>
void mergeSymbols(std::vector<Symbol> &symbols, FindMerge findMerge) {
  for (size_t i = 0; i < symbols.size(); ++i) {
    symbols[i].previous = static_cast<int32_t>(i) - 1;
    symbols[i].next = i + 1 < symbols.size() ? static_cast<int32_t>(i) + 1 : -1;
  }

  std::vector<Candidate> heap;
  auto findCandidate = [&](int32_t left, int32_t right) -> bool {
    if (left < 0 || right < 0)
      return false;
    std::optional<Merge> merge = findMerge(symbols[left], symbols[right]);
    if (!merge)
      return false;
    heap.push_back(
        {*merge, left, symbols[left].length + symbols[right].length});
    return true;
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i)
    findCandidate(static_cast<int32_t>(i), static_cast<int32_t>(i) + 1);
  std::make_heap(heap.begin(), heap.end());

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    Candidate best = heap.back();
    heap.pop_back();
    Symbol &left = symbols[best.left];
    if (left.length == 0 || left.next < 0)
      continue;
    Symbol &right = symbols[left.next];
    if (left.length + right.length != best.length)
      continue;

    left.length = best.length;
    left.token = best.merge.token;
    left.next = right.next;
    right.length = 0;
    if (left.next >= 0)
      symbols[left.next].previous = best.left;

    if (findCandidate(left.previous, best.left))
      std::push_heap(heap.begin(), heap.end());
    if (findCandidate(best.left, left.next))
      std::push_heap(heap.begin(), heap.end());
  }
}

//===----------------------------------------------------------------------===//
// SentencePiece
//===----------------------------------------------------------------------===//

class ScoreModel final : public MergeModel {
public:
  ScoreModel(const Vocabulary &vocabulary, bool byteFallback,
             int32_t unknownToken)
      : vocabulary(vocabulary), byteFallback(byteFallback),
        unknownToken(unknownToken) {
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      const Token &token = vocabulary[id];
      if (token.kind == TokenKind::UserDefined && !token.text.empty())
        userDefined.insert(token.text, id);
    }
  }

  void encode(std::string_view word,
              std::vector<int32_t> &tokens) const override;

private:
  /// Where a piece that must not be used came from: the length of its left
  /// half, by the piece's text.
  using Halves = std::unordered_map<std::string_view, uint32_t>;

  /// The piece with this text. Control, unknown and byte pieces are not found
  /// in a text.
  int32_t findPiece(std::string_view text) const {
    if (text.size() > vocabulary.longestToken())
      return kNoToken;
    int32_t id = vocabulary.find(text);
    if (id == kNoToken)
      return kNoToken;
    TokenKind kind = vocabulary[id].kind;
    bool isPiece = kind == TokenKind::Normal ||
                   kind == TokenKind::UserDefined || kind == TokenKind::Unused;
    return isPiece ? id : kNoToken;
  }

  std::vector<Symbol> splitCharacters(std::string_view word) const;
  void emit(std::string_view piece, int32_t id, const Halves &halves,
            std::vector<int32_t> &tokens, bool &afterUnknown) const;

  const Vocabulary &vocabulary;
  const bool byteFallback;
  const int32_t unknownToken;
  /// Kept whole wherever they occur.
  PrefixTrie userDefined;
};

std::vector<Symbol> ScoreModel::splitCharacters(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (size_t offset = 0; offset < word.size();) {
    std::string_view rest = word.substr(offset);
    Symbol symbol;
    symbol.begin = static_cast<uint32_t>(offset);
    PrefixTrie::Match match = userDefined.longestPrefix(rest);
    symbol.frozen = match.length != 0;
    symbol.length = static_cast<uint32_t>(
        symbol.frozen ? match.length : decodeUtf8(rest).length);
    symbol.token =
        symbol.frozen ? match.value : findPiece(rest.substr(0, symbol.length));
    symbols.push_back(symbol);
    offset += symbol.length;
  }
  return symbols;
}

/// Appends the tokens of one final piece. A piece that the trainer marked as
/// unused falls apart into the halves that it was merged from.
void ScoreModel::emit(std::string_view piece, int32_t id, const Halves &halves,
                      std::vector<int32_t> &tokens, bool &afterUnknown) const {
  if (id != kNoToken && vocabulary[id].kind == TokenKind::Unused) {
    if (auto half = halves.find(piece); half != halves.end()) {
      std::string_view left = piece.substr(0, half->second);
      std::string_view right = piece.substr(half->second);
      emit(left, findPiece(left), halves, tokens, afterUnknown);
      emit(right, findPiece(right), halves, tokens, afterUnknown);
      return;
    }
  }
  if (id != kNoToken) {
    tokens.push_back(id);
    afterUnknown = false;
  } else if (byteFallback) {
    for (char byte : piece)
      tokens.push_back(vocabulary.byteToken(static_cast<unsigned char>(byte)));
  } else if (!afterUnknown) {
    tokens.push_back(unknownToken);
    afterUnknown = true;
  }
}

void ScoreModel::encode(std::string_view word,
                        std::vector<int32_t> &tokens) const {
  std::vector<Symbol> symbols = splitCharacters(word);
  Halves halves;
  mergeSymbols(
      symbols,
      [&](const Symbol &left, const Symbol &right) -> std::optional<Merge> {
        if (left.frozen || right.frozen)
          return std::nullopt;
        std::string_view text =
            word.substr(left.begin, left.length + right.length);
        int32_t id = findPiece(text);
        if (id == kNoToken)
          return std::nullopt;
        if (vocabulary[id].kind == TokenKind::Unused)
          halves[text] = left.length;
        return Merge{-double(vocabulary[id].score), id};
      });
  bool afterUnknown = false;
  for (const Symbol &symbol : symbols)
    if (symbol.length != 0)
      emit(word.substr(symbol.begin, symbol.length), symbol.token, halves,
           tokens, afterUnknown);
}

//===----------------------------------------------------------------------===//
// Hugging Face and GPT-2
//===----------------------------------------------------------------------===//

class RankModel final : public MergeModel {
public:
  RankModel(const Vocabulary &vocabulary, const RankModelOptions &options)
      : vocabulary(vocabulary), options(options) {}

  Status addMerges(const std::vector<MergePair> &pairs);
  void encode(std::string_view word,
              std::vector<int32_t> &tokens) const override;

private:
  static uint64_t key(int32_t left, int32_t right) {
    return uint64_t(uint32_t(left)) << 32 | uint32_t(right);
  }

  std::vector<Symbol> splitCharacters(std::string_view word) const;
  bool appendByteTokens(std::string_view character, uint32_t begin,
                        std::vector<Symbol> &symbols) const;

  const Vocabulary &vocabulary;
  const RankModelOptions options;
  std::unordered_map<uint64_t, Merge> merges;
};

Status RankModel::addMerges(const std::vector<MergePair> &pairs) {
  merges.reserve(pairs.size());
  std::string merged;
  for (size_t rank = 0; rank < pairs.size(); ++rank) {
    auto [left, right] = pairs[rank];
    merged.assign(left).append(right);
    int32_t ids[3] = {vocabulary.find(left), vocabulary.find(right),
                      vocabulary.find(merged)};
    for (int32_t id : ids)
      if (id == kNoToken)
        return dataLoss("merge " + std::to_string(rank) + " ('" +
                        std::string(left) + "' with '" + std::string(right) +
                        "') uses a text that is not in the vocabulary");
    // Of a pair that stands twice the last rank counts, as at Hugging Face.
    merges[key(ids[0], ids[1])] = {double(rank), ids[2]};
  }
  return Status::success();
}

/// Appends one symbol per byte, unless a byte has no token.
bool RankModel::appendByteTokens(std::string_view character, uint32_t begin,
                                 std::vector<Symbol> &symbols) const {
  size_t sizeBefore = symbols.size();
  for (size_t i = 0; i < character.size(); ++i) {
    int32_t id = vocabulary.byteToken(static_cast<unsigned char>(character[i]));
    if (id == kNoToken) {
      symbols.resize(sizeBefore);
      return false;
    }
    symbols.push_back({begin + static_cast<uint32_t>(i), 1, -1, -1, id});
  }
  return true;
}

std::vector<Symbol> RankModel::splitCharacters(std::string_view word) const {
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  bool afterUnknown = false;
  for (uint32_t begin = 0; begin < word.size();) {
    auto length = static_cast<uint32_t>(decodeUtf8(word.substr(begin)).length);
    std::string_view character = word.substr(begin, length);
    int32_t id = vocabulary.find(character);
    if (id != kNoToken) {
      symbols.push_back({begin, length, -1, -1, id});
      afterUnknown = false;
    } else if (options.byteFallback &&
               appendByteTokens(character, begin, symbols)) {
      afterUnknown = false;
    } else if (afterUnknown && options.fuseUnknown) {
      symbols.back().length += length;
    } else if (options.unknownToken != kNoToken) {
      symbols.push_back({begin, length, -1, -1, options.unknownToken});
      afterUnknown = true;
    }
    begin += length;
  }
  return symbols;
}

void RankModel::encode(std::string_view word,
                       std::vector<int32_t> &tokens) const {
  if (options.ignoreMerges) {
    if (int32_t id = vocabulary.find(word); id != kNoToken) {
      tokens.push_back(id);
      return;
    }
  }
  std::vector<Symbol> symbols = splitCharacters(word);
  mergeSymbols(
      symbols,
      [&](const Symbol &left, const Symbol &right) -> std::optional<Merge> {
        auto merge = merges.find(key(left.token, right.token));
        if (merge == merges.end())
          return std::nullopt;
        return merge->second;
      });
  for (const Symbol &symbol : symbols)
    if (symbol.length != 0)
      tokens.push_back(symbol.token);
}

} // namespace

MergeModel::~MergeModel() = default;

Result<std::unique_ptr<MergeModel>>
tokenizer::createScoreModel(const Vocabulary &vocabulary, bool byteFallback,
                            int32_t unknownToken) {
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    if (std::isnan(vocabulary[id].score))
      return dataLoss("score of token " + std::to_string(id) +
                      " is not a number");
  if (byteFallback && !vocabulary.hasAllByteTokens())
    return dataLoss("byte fallback without a token for every byte");
  if (!byteFallback && unknownToken == kNoToken)
    return dataLoss("neither byte tokens nor an unknown token");
  return std::unique_ptr<MergeModel>(
      std::make_unique<ScoreModel>(vocabulary, byteFallback, unknownToken));
}

Result<std::unique_ptr<MergeModel>>
tokenizer::createRankModel(const Vocabulary &vocabulary,
                           const std::vector<MergePair> &merges,
                           const RankModelOptions &options) {
  auto model = std::make_unique<RankModel>(vocabulary, options);
  ODYSSEY_RETURN_IF_ERROR(model->addMerges(merges));
  return std::unique_ptr<MergeModel>(std::move(model));
}

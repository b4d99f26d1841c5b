//===- MergeModel.h - Byte pair encoding ------------------------*- C++ -*-===//
//
// Both kinds of byte pair encoding: SentencePiece's, where two neighbours may
// merge when their concatenation is a piece and the piece with the best score
// goes first, and GPT-2's, where a list of merges gives the order. A heap of
// the possible merges makes both O(n log n).
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_MERGEMODEL_H
#define ODYSSEY_RUNTIME_TOKENIZER_MERGEMODEL_H

#include "AddedTokens.h"
#include "Vocabulary.h"

#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace odyssey::runtime::tokenizer {

class MergeModel {
public:
  virtual ~MergeModel();

  /// Appends the tokens of `word`, which is valid UTF-8 shorter than 2 GiB.
  virtual void encode(std::string_view word,
                      std::vector<int32_t> &tokens) const = 0;
};

/// SentencePiece's BPE. `vocabulary` must outlive the model. Characters without
/// a piece become byte tokens with `byteFallback`, else `unknownToken`.
/// DataLoss when neither exists, or a score
/// is not a number.
Result<std::unique_ptr<MergeModel>>
createScoreModel(const Vocabulary &vocabulary, bool byteFallback,
                 int32_t unknownToken);

struct RankModelOptions {
  bool byteFallback = false;
  /// Characters without a token are left out when there is none.
  int32_t unknownToken = kNoToken;
  /// Neighbouring unknown characters become one token.
  bool fuseUnknown = false;
  /// A word that is a token is not taken apart, whatever the merges say.
  bool ignoreMerges = false;
};

/// Two token texts that merge. They live in the file's content.
using MergePair = std::pair<std::string_view, std::string_view>;

/// Hugging Face's BPE. `vocabulary` must outlive the model; `merges` come in
/// the order of their rank. DataLoss when one of them is made of texts that are
/// no tokens.
Result<std::unique_ptr<MergeModel>>
createRankModel(const Vocabulary &vocabulary,
                const std::vector<MergePair> &merges,
                const RankModelOptions &options);

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_MERGEMODEL_H

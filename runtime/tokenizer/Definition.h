//===- Definition.h - What a tokenizer is made of ---------------*- C++ -*-===//
//
// The common form that the readers of the three kinds of file produce and that
// `Tokenizer` executes:
//
//   text -> added tokens cut out -> normalizer -> added tokens that are looked
//   for in normalized text cut out -> pre-tokenizer -> byte pair encoding
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_DEFINITION_H
#define ODYSSEY_RUNTIME_TOKENIZER_DEFINITION_H

#include "AddedTokens.h"
#include "MergeModel.h"
#include "Normalizer.h"
#include "PreTokenizer.h"
#include "Vocabulary.h"

#include <limits>
#include <span>

namespace odyssey::runtime::tokenizer {

/// How the text of a token becomes a part of the decoded text.
struct DecoderRules {
  struct Replacement {
    std::string from, to;
  };
  /// Token texts are in GPT-2's alphabet of bytes.
  bool byteLevel = false;
  /// Applied to each token, in order.
  std::vector<Replacement> replacements;
  /// "<0x0A>" stands for a byte.
  bool byteFallback = false;
  /// What vanishes from the first token of a text, where it is not empty.
  std::string droppedFromFirst;
  /// How many spaces at the beginning of a text are not part of it.
  size_t leadingSpaces = 0;
};

inline constexpr size_t kAllLeadingSpaces = std::numeric_limits<size_t>::max();

/// Not movable, as the model refers to the vocabulary.
struct Definition {
  Definition() = default;
  Definition(const Definition &) = delete;
  Definition &operator=(const Definition &) = delete;

  Vocabulary vocabulary;
  AddedTokens addedTokens;
  AddedTokens normalizedAddedTokens;
  std::vector<NormalizerStep> normalizer;
  /// Without steps the text is one word.
  std::vector<PreTokenizerStep> preTokenizer;
  std::unique_ptr<MergeModel> model;
  DecoderRules decoder;

  /// What `addBos` puts in front of the text.
  std::vector<int32_t> prefix;
  bool addPrefixByDefault = false;
  std::optional<int32_t> bos;
  /// In ascending order.
  std::vector<int32_t> eos;

  bool isSpecial(int32_t id) const {
    TokenKind kind = vocabulary[id].kind;
    return kind == TokenKind::Control || kind == TokenKind::Unknown;
  }

  /// Appends the bytes that token `id`, in the vocabulary, stands for.
  void appendTokenBytes(int32_t id, bool isFirst, std::string &out) const;

  /// Enters the control tokens that by their customary name end a sequence or
  /// a turn into `eos`, and puts it in order.
  void completeEos();
};

/// Readers of the kinds of file. Errors as `Tokenizer::load`.
using DefinitionResult = Result<std::unique_ptr<const Definition>>;
DefinitionResult readHuggingFace(std::string_view content);
DefinitionResult readSentencePiece(std::span<const std::byte> content);
DefinitionResult readGguf(std::span<const std::byte> content);

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_DEFINITION_H

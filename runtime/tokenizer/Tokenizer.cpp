//===- Tokenizer.cpp - Text to tokens and back ----------------------------===//
//
// Runs a tokenizer's definition in both directions.
//
//===----------------------------------------------------------------------===//

#include "odyssey/runtime/Tokenizer.h"

#include "Definition.h"
#include "Utf8.h"

#include <algorithm>
#include <limits>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

//===----------------------------------------------------------------------===//
// Tokenizer
//===----------------------------------------------------------------------===//

Tokenizer::Tokenizer(std::unique_ptr<const Definition> definition)
    : definition(std::move(definition)) {}

Tokenizer::~Tokenizer() = default;

Result<std::unique_ptr<Tokenizer>>
Tokenizer::load(std::string_view fileName, std::span<const std::byte> content) {
  DefinitionResult definition = [&]() -> DefinitionResult {
    if (fileName.ends_with(".json"))
      return readHuggingFace(
          {reinterpret_cast<const char *>(content.data()), content.size()});
    if (fileName.ends_with(".model"))
      return readSentencePiece(content);
    if (fileName.ends_with(".gguf"))
      return readGguf(content);
    return invalidArgument(
        "the name of a tokenizer ends in '.json', '.model' or '.gguf'");
  }();
  if (!definition.ok())
    return definition.status().withContext(std::string(fileName));
  return std::unique_ptr<Tokenizer>(
      new Tokenizer(std::move(definition).value()));
}

/// Appends the tokens of normalized text without added tokens.
static Status encodeWords(const Definition &definition, std::string_view text,
                          bool beginsText, std::vector<int32_t> &tokens) {
  if (definition.preTokenizer.empty()) {
    definition.model->encode(text, tokens);
    return Status::success();
  }
  ODYSSEY_ASSIGN_OR_RETURN(
      Words words, preTokenize(definition.preTokenizer, text, beginsText));
  for (Span span : words.spans)
    definition.model->encode(
        std::string_view(words.text).substr(span.begin, span.end - span.begin),
        tokens);
  return Status::success();
}

/// Appends the tokens of text in which the added tokens that are looked for
/// before normalization have been found already.
static Status encodeFragment(const Definition &definition,
                             std::string_view text, bool beginsText,
                             bool parseSpecial, std::vector<int32_t> &tokens) {
  ODYSSEY_ASSIGN_OR_RETURN(std::string normalized,
                           normalize(definition.normalizer, text));
  if (normalized.size() > size_t(std::numeric_limits<int32_t>::max()))
    return resourceExhausted("normalized text of " +
                             std::to_string(normalized.size()) + " bytes");
  for (const AddedTokens::Fragment &fragment :
       definition.normalizedAddedTokens.split(normalized, parseSpecial)) {
    if (fragment.token != kNoToken) {
      tokens.push_back(fragment.token);
      continue;
    }
    Span span = fragment.span;
    ODYSSEY_RETURN_IF_ERROR(encodeWords(
        definition,
        std::string_view(normalized).substr(span.begin, span.end - span.begin),
        beginsText && span.begin == 0, tokens));
  }
  return Status::success();
}

Result<std::vector<int32_t>>
Tokenizer::encode(std::string_view text, const EncodeOptions &options) const {
  if (size_t wrong = findInvalidUtf8(text); wrong != std::string_view::npos)
    return invalidArgument("text is not valid UTF-8 at byte " +
                           std::to_string(wrong));
  std::vector<int32_t> tokens;
  if (options.addBos.value_or(definition->addPrefixByDefault)) {
    if (definition->prefix.empty())
      return invalidArgument(
          "the tokenizer has no beginning-of-sequence token");
    tokens = definition->prefix;
  }
  for (const AddedTokens::Fragment &fragment :
       definition->addedTokens.split(text, options.parseSpecial)) {
    if (fragment.token != kNoToken) {
      tokens.push_back(fragment.token);
      continue;
    }
    Span span = fragment.span;
    ODYSSEY_RETURN_IF_ERROR(encodeFragment(
        *definition, text.substr(span.begin, span.end - span.begin),
        span.begin == 0, options.parseSpecial, tokens));
  }
  return tokens;
}

std::string Tokenizer::decode(std::span<const int32_t> tokens,
                              const DecodeOptions &options) const {
  StreamingDecoder decoder(*this, options);
  std::string text;
  for (int32_t token : tokens)
    text += decoder.append(token);
  return text += decoder.finish();
}

int32_t Tokenizer::vocabularySize() const {
  return definition->vocabulary.size();
}

std::optional<int32_t> Tokenizer::bosToken() const { return definition->bos; }

std::span<const int32_t> Tokenizer::eosTokens() const {
  return definition->eos;
}

std::string_view Tokenizer::tokenText(int32_t token) const {
  if (!definition->vocabulary.contains(token))
    return {};
  return definition->vocabulary[token].text;
}

bool Tokenizer::isSpecial(int32_t token) const {
  return definition->vocabulary.contains(token) && definition->isSpecial(token);
}

//===----------------------------------------------------------------------===//
// StreamingDecoder
//===----------------------------------------------------------------------===//

StreamingDecoder::StreamingDecoder(const Tokenizer &tokenizer,
                                   const DecodeOptions &options)
    : tokenizer(tokenizer), options(options) {
  reset();
}

void StreamingDecoder::reset() {
  isFirstToken = !options.continuation;
  spacesToStrip =
      options.continuation ? 0 : tokenizer.definition->decoder.leadingSpaces;
}

std::string StreamingDecoder::append(int32_t token) {
  const Definition &definition = *tokenizer.definition;
  std::string text;
  if (!definition.vocabulary.contains(token) ||
      (options.skipSpecial && definition.isSpecial(token)))
    return text;
  definition.appendTokenBytes(token, isFirstToken, pending);
  isFirstToken = false;
  if (spacesToStrip != 0 && !pending.empty()) {
    size_t spaces = std::min(pending.find_first_not_of(' '), pending.size());
    size_t stripped = std::min(spaces, spacesToStrip);
    pending.erase(0, stripped);
    spacesToStrip = pending.empty() ? spacesToStrip - stripped : 0;
  }
  drainUtf8(pending, text, /*atEnd=*/false);
  return text;
}

std::string StreamingDecoder::finish() {
  std::string text;
  drainUtf8(pending, text, /*atEnd=*/true);
  reset();
  return text;
}

//===- GgufReader.cpp - Tokenizers in GGUF files --------------------------===//
//
// Reads the `tokenizer.ggml.*` metadata. What the keys mean, their defaults and
// the splitting patterns behind `tokenizer.ggml.pre` follow llama.cpp's
// `llama-vocab.cpp`; a pattern is taken up here only where it is the one of the
// model's own tokenizer.
//
//===----------------------------------------------------------------------===//

#include "Definition.h"
#include "GgufMetadata.h"

#include <algorithm>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

namespace {

//===----------------------------------------------------------------------===//
// Splitting patterns
//===----------------------------------------------------------------------===//

// Parts that several patterns share. Each is an alternative, or several.
#define CONTRACTIONS "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define WORDS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define SYMBOLS " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define SYMBOLS_SLASH " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
// Words of changing case: "getHTTPResponse" is "get", "HTTPResponse".
#define LOWER_WORDS                                                            \
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*"                \
  "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
#define UPPER_WORDS                                                            \
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"                \
  "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"

/// How a family of tokenizers splits: each pattern splits the words that the
/// one before it left; matches become words of their own.
struct SplittingRule {
  std::vector<std::string_view> names;
  std::vector<std::string_view> patterns;
  bool ignoreMerges = false;
  /// Unless `tokenizer.ggml.add_bos_token` says otherwise.
  bool addBos = false;
};

const std::vector<SplittingRule> &splittingRules() {
  static const std::vector<SplittingRule> rules = {
      {{"default"},
       {"[\\p{P}\\$\\+<=>\\^~\\|]+", kGpt2Pattern, "\\p{N}+",
        "[0-9][0-9][0-9]"}},
      {{"gpt-2", "phi-2", "mpt", "olmo", "exaone4"}, {kGpt2Pattern}},
      {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone",
        "minerva-7b"},
       {"\\p{N}", kGpt2Pattern}},
      {{"falcon"},
       {"[\\p{P}\\$\\+<=>\\^~\\|`]+", kGpt2Pattern, "[0-9][0-9][0-9]"}},
      {{"deepseek-coder"},
       {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+",
        "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+",
        "\\p{N}"}},
      {{"llama3", "llama-v3", "llama-bpe", "falcon3"},
       {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}|" SYMBOLS "|" SPACES},
       /*ignoreMerges=*/true,
       /*addBos=*/true},
      {{"dbrx", "smaug-bpe"},
       {CONTRACTIONS "|" WORDS "|\\p{N}{1,3}|" SYMBOLS "|" SPACES}},
      {{"qwen2", "deepseek-r1-qwen", "stablelm2", "megrez"},
       {CONTRACTIONS "|" WORDS "|\\p{N}|" SYMBOLS "|" SPACES}},
      {{"tekken"},
       {LOWER_WORDS "|" UPPER_WORDS "|\\p{N}|" SYMBOLS_SLASH "|" SPACES},
       /*ignoreMerges=*/true,
       /*addBos=*/true},
      {{"gpt-4o", "llama4"},
       {LOWER_WORDS CONTRACTIONS "?|" UPPER_WORDS CONTRACTIONS
                                 "?|\\p{N}{1,3}|" SYMBOLS_SLASH "|" SPACES}},
  };
  return rules;
}

#undef CONTRACTIONS
#undef WORDS
#undef SYMBOLS
#undef SYMBOLS_SLASH
#undef SPACES
#undef LOWER_WORDS
#undef UPPER_WORDS

Result<const SplittingRule *> findSplittingRule(std::string_view name) {
  for (const SplittingRule &rule : splittingRules())
    if (std::ranges::find(rule.names, name) != rule.names.end())
      return &rule;
  return unsupported("tokenizer.ggml.pre '" + std::string(name) +
                     "' is not supported");
}

//===----------------------------------------------------------------------===//
// Reader
//===----------------------------------------------------------------------===//

std::string keyOf(const char *name) {
  return std::string("tokenizer.ggml.") + name;
}

TokenKind kindFromGguf(int32_t type) {
  switch (type) {
  case 2:
    return TokenKind::Unknown;
  case 3:
    return TokenKind::Control;
  case 4:
    return TokenKind::UserDefined;
  case 5:
    return TokenKind::Unused;
  case 6:
    return TokenKind::Byte;
  default:
    return TokenKind::Normal;
  }
}

class GgufReader {
public:
  explicit GgufReader(const GgufMetadata &metadata)
      : metadata(metadata), definition(std::make_unique<Definition>()) {}

  DefinitionResult read();

private:
  Status readVocabulary();
  void collectAddedTokens();
  Status readSentencePieceKind();
  Status readByteLevelKind();
  Status readEnds(bool addBosByDefault);
  Result<int32_t> readTokenId(const char *name) const;

  const GgufMetadata &metadata;
  std::unique_ptr<Definition> definition;
};

DefinitionResult GgufReader::read() {
  ODYSSEY_ASSIGN_OR_RETURN(std::optional<std::string_view> kind,
                           metadata.getString(keyOf("model")));
  if (!kind)
    return dataLoss("no metadata 'tokenizer.ggml.model'");
  if (*kind != "llama" && *kind != "gpt2")
    return unsupported("tokenizer.ggml.model '" + std::string(*kind) +
                       "' is not supported, 'llama' and 'gpt2' are");
  ODYSSEY_RETURN_IF_ERROR(readVocabulary());
  collectAddedTokens();
  ODYSSEY_RETURN_IF_ERROR(*kind == "llama" ? readSentencePieceKind()
                                           : readByteLevelKind());
  return std::unique_ptr<const Definition>(std::move(definition));
}

Status GgufReader::readVocabulary() {
  ODYSSEY_ASSIGN_OR_RETURN(auto texts, metadata.getStrings(keyOf("tokens")));
  ODYSSEY_ASSIGN_OR_RETURN(auto scores, metadata.getFloats(keyOf("scores")));
  ODYSSEY_ASSIGN_OR_RETURN(auto types, metadata.getInts(keyOf("token_type")));
  if (!texts || texts->empty())
    return dataLoss("no tokens in metadata 'tokenizer.ggml.tokens'");
  auto fits = [&](const auto &array, const char *name) -> Status {
    if (!array || array->size() == texts->size())
      return Status::success();
    return dataLoss(std::to_string(array->size()) + " values in '" +
                    keyOf(name) + "' for " + std::to_string(texts->size()) +
                    " tokens");
  };
  ODYSSEY_RETURN_IF_ERROR(fits(scores, "scores"));
  ODYSSEY_RETURN_IF_ERROR(fits(types, "token_type"));

  std::vector<Token> tokens(texts->size());
  for (size_t id = 0; id < tokens.size(); ++id) {
    tokens[id].text = (*texts)[id];
    if (scores)
      tokens[id].score = (*scores)[id];
    if (types)
      tokens[id].kind = kindFromGguf((*types)[id]);
    else if (parseByteToken(tokens[id].text))
      tokens[id].kind = TokenKind::Byte;
  }
  ODYSSEY_ASSIGN_OR_RETURN(definition->vocabulary,
                           Vocabulary::create(std::move(tokens)));
  return Status::success();
}

void GgufReader::collectAddedTokens() {
  const Vocabulary &vocabulary = definition->vocabulary;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    bool isAdded = definition->isSpecial(id) ||
                   vocabulary[id].kind == TokenKind::UserDefined;
    if (!isAdded || vocabulary[id].text.empty())
      continue;
    AddedToken token;
    token.id = id;
    token.content = vocabulary[id].text;
    token.special = definition->isSpecial(id);
    definition->addedTokens.add(std::move(token));
  }
}

/// The id under `name`, or kNoToken. Converters write 2^32 - 1 for none.
Result<int32_t> GgufReader::readTokenId(const char *name) const {
  ODYSSEY_ASSIGN_OR_RETURN(std::optional<int64_t> id,
                           metadata.getInteger(keyOf(name)));
  if (!id || *id == -1 || *id == int64_t(0xffffffff))
    return kNoToken;
  if (*id < 0 || *id >= definition->vocabulary.size())
    return dataLoss("'" + keyOf(name) + "' is " + std::to_string(*id) +
                    " in a vocabulary of " +
                    std::to_string(definition->vocabulary.size()) + " tokens");
  return static_cast<int32_t>(*id);
}

/// Reads the tokens that begin and end a sequence.
Status GgufReader::readEnds(bool addBosByDefault) {
  ODYSSEY_ASSIGN_OR_RETURN(int32_t bos, readTokenId("bos_token_id"));
  ODYSSEY_ASSIGN_OR_RETURN(std::optional<bool> addBos,
                           metadata.getBool(keyOf("add_bos_token")));
  if (bos != kNoToken) {
    definition->bos = bos;
    definition->prefix = {bos};
  }
  definition->addPrefixByDefault =
      addBos.value_or(addBosByDefault && bos != kNoToken);
  if (definition->addPrefixByDefault && bos == kNoToken)
    return dataLoss("a beginning-of-sequence token is to be added, but there "
                    "is no 'tokenizer.ggml.bos_token_id'");
  for (const char *name : {"eos_token_id", "eot_token_id", "eom_token_id"}) {
    ODYSSEY_ASSIGN_OR_RETURN(int32_t eos, readTokenId(name));
    if (eos != kNoToken)
      definition->eos.push_back(eos);
  }
  definition->completeEos();
  return Status::success();
}

/// `llama`: SentencePiece's BPE.
Status GgufReader::readSentencePieceKind() {
  ODYSSEY_ASSIGN_OR_RETURN(auto scores, metadata.getFloats(keyOf("scores")));
  if (!scores)
    return dataLoss("no metadata 'tokenizer.ggml.scores'");
  ODYSSEY_ASSIGN_OR_RETURN(std::optional<bool> addSpacePrefix,
                           metadata.getBool(keyOf("add_space_prefix")));
  ODYSSEY_ASSIGN_OR_RETURN(std::optional<bool> removeExtraWhitespaces,
                           metadata.getBool(keyOf("remove_extra_whitespaces")));
  SentencePieceStep step;
  step.addDummyPrefix = addSpacePrefix.value_or(true);
  step.removeExtraWhitespaces = removeExtraWhitespaces.value_or(false);
  definition->normalizer.push_back(step);
  definition->decoder.replacements.push_back({std::string(kMetaspace), " "});
  definition->decoder.byteFallback = true;
  definition->decoder.leadingSpaces = step.removeExtraWhitespaces
                                          ? kAllLeadingSpaces
                                          : size_t(step.addDummyPrefix);

  const Vocabulary &vocabulary = definition->vocabulary;
  ODYSSEY_ASSIGN_OR_RETURN(int32_t unknown, readTokenId("unknown_token_id"));
  ODYSSEY_ASSIGN_OR_RETURN(
      definition->model,
      createScoreModel(vocabulary, vocabulary.hasAllByteTokens(), unknown));
  return readEnds(/*addBosByDefault=*/true);
}

/// `gpt2`: byte-level BPE.
Status GgufReader::readByteLevelKind() {
  ODYSSEY_ASSIGN_OR_RETURN(std::optional<std::string_view> pre,
                           metadata.getString(keyOf("pre")));
  ODYSSEY_ASSIGN_OR_RETURN(const SplittingRule *rule,
                           findSplittingRule(pre.value_or("default")));
  for (std::string_view pattern : rule->patterns) {
    ODYSSEY_ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern));
    definition->preTokenizer.push_back(SplitStep{std::move(regex)});
  }
  definition->preTokenizer.push_back(ByteLevelStep{});
  definition->decoder.byteLevel = true;

  ODYSSEY_ASSIGN_OR_RETURN(auto merges, metadata.getStrings(keyOf("merges")));
  if (!merges)
    return dataLoss("no metadata 'tokenizer.ggml.merges'");
  std::vector<MergePair> pairs;
  pairs.reserve(merges->size());
  for (std::string_view merge : *merges) {
    // A text may begin with a space, but not be empty.
    size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos)
      return dataLoss("merge '" + std::string(merge) + "' has no space");
    pairs.emplace_back(merge.substr(0, space), merge.substr(space + 1));
  }
  RankModelOptions options;
  options.ignoreMerges = rule->ignoreMerges;
  ODYSSEY_ASSIGN_OR_RETURN(
      definition->model,
      createRankModel(definition->vocabulary, pairs, options));
  return readEnds(rule->addBos);
}

} // namespace

DefinitionResult tokenizer::readGguf(std::span<const std::byte> content) {
  ODYSSEY_ASSIGN_OR_RETURN(GgufMetadata metadata, GgufMetadata::parse(content));
  return GgufReader(metadata).read();
}

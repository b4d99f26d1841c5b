//===- HuggingFaceReader.cpp - tokenizer.json files -----------------------===//
//
// Reads a Hugging Face `tokenizer.json` with a BPE model: the vocabulary, the
// merges and the added tokens here, the rest in HuggingFacePipeline.cpp.
//
//===----------------------------------------------------------------------===//

#include "HuggingFacePipeline.h"

#include <limits>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

namespace {

/// How many ids without a token a vocabulary may have. Bounds the memory that a
/// wrong id can ask for.
constexpr uint64_t kMaximalUnusedIds = 1 << 20;

/// An entry of `added_tokens`.
struct AddedEntry {
  AddedToken token;
  /// Looked for in normalized text.
  bool normalized = false;
};

class HuggingFaceReader {
public:
  explicit HuggingFaceReader(const Json &root)
      : root(root), model(member(root, "model")),
        definition(std::make_unique<Definition>()) {}

  DefinitionResult read();

private:
  Status checkModel() const;
  Status readAddedEntries();
  Status readVocabulary();
  Status setToken(uint64_t id, std::string_view text, TokenKind kind,
                  std::vector<Token> &tokens) const;
  Status registerAddedTokens();
  Status readMerges(std::vector<MergePair> &merges) const;
  Status readModel();

  const Json &root;
  const Json &model;
  std::vector<AddedEntry> addedEntries;
  std::unique_ptr<Definition> definition;
};

DefinitionResult HuggingFaceReader::read() {
  if (!root.is_object())
    return dataLoss("not a JSON object");
  ODYSSEY_RETURN_IF_ERROR(checkModel());
  ODYSSEY_RETURN_IF_ERROR(readAddedEntries());
  ODYSSEY_RETURN_IF_ERROR(readVocabulary());
  ODYSSEY_RETURN_IF_ERROR(
      readNormalizer(member(root, "normalizer"), definition->normalizer));
  ODYSSEY_RETURN_IF_ERROR(registerAddedTokens());
  ODYSSEY_RETURN_IF_ERROR(readPreTokenizer(member(root, "pre_tokenizer"),
                                           definition->preTokenizer));
  ODYSSEY_RETURN_IF_ERROR(readModel());
  ODYSSEY_RETURN_IF_ERROR(
      readDecoder(member(root, "decoder"), definition->decoder));
  ODYSSEY_RETURN_IF_ERROR(
      readPostProcessor(member(root, "post_processor"), *definition));
  definition->completeEos();
  return std::unique_ptr<const Definition>(std::move(definition));
}

/// Refuses models other than BPE and options of BPE that change its result.
Status HuggingFaceReader::checkModel() const {
  if (!model.is_object())
    return dataLoss("no 'model'");
  // Files from before the field existed are recognised by the merges.
  if (!member(model, "type").is_null() || member(model, "merges").is_null()) {
    ODYSSEY_ASSIGN_OR_RETURN(std::string_view type,
                             stringMember(model, "type"));
    if (type != "BPE")
      return unsupported("model.type '" + std::string(type) +
                         "' is not supported, 'BPE' is");
  }
  for (const char *key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json &value = member(model, key);
    if (!value.is_null() && value != "")
      return unsupported("'model." + std::string(key) + "' is not supported");
  }
  const Json &dropout = member(model, "dropout");
  if (!dropout.is_null() && dropout != 0.0)
    return unsupported("'model.dropout' is not supported");
  return Status::success();
}

Status HuggingFaceReader::readAddedEntries() {
  const Json &list = member(root, "added_tokens");
  if (list.is_null())
    return Status::success();
  if (!list.is_array())
    return dataLoss("'added_tokens' is not a list");
  for (const Json &json : list) {
    AddedEntry entry;
    Status status = [&]() -> Status {
      ODYSSEY_ASSIGN_OR_RETURN(std::string_view content,
                               stringMember(json, "content"));
      entry.token.content = content;
      const Json &id = member(json, "id");
      if (!id.is_number_unsigned() ||
          id.get<uint64_t>() > uint64_t(std::numeric_limits<int32_t>::max()))
        return dataLoss("'id' is not a token id");
      entry.token.id = id.get<int32_t>();
      ODYSSEY_ASSIGN_OR_RETURN(entry.token.singleWord,
                               boolMember(json, "single_word", false));
      ODYSSEY_ASSIGN_OR_RETURN(entry.token.stripLeft,
                               boolMember(json, "lstrip", false));
      ODYSSEY_ASSIGN_OR_RETURN(entry.token.stripRight,
                               boolMember(json, "rstrip", false));
      ODYSSEY_ASSIGN_OR_RETURN(entry.token.special,
                               boolMember(json, "special", false));
      ODYSSEY_ASSIGN_OR_RETURN(
          entry.normalized,
          boolMember(json, "normalized", !entry.token.special));
      return Status::success();
    }();
    if (!status.ok())
      return status.withContext("added token " +
                                std::to_string(addedEntries.size()));
    if (!entry.token.content.empty())
      addedEntries.push_back(std::move(entry));
  }
  return Status::success();
}

/// Enters a token. The added tokens repeat tokens of the model.
Status HuggingFaceReader::setToken(uint64_t id, std::string_view text,
                                   TokenKind kind,
                                   std::vector<Token> &tokens) const {
  if (id >= tokens.size())
    tokens.resize(id + 1);
  Token &token = tokens[id];
  if (!token.text.empty() && token.text != text)
    return dataLoss("id " + std::to_string(id) + " belongs to '" + token.text +
                    "' and to '" + std::string(text) + "'");
  token.text = text;
  token.kind = kind;
  return Status::success();
}

Status HuggingFaceReader::readVocabulary() {
  const Json &vocabulary = member(model, "vocab");
  if (!vocabulary.is_object())
    return dataLoss("'model.vocab' is not an object");
  uint64_t idLimit =
      vocabulary.size() + addedEntries.size() + kMaximalUnusedIds;
  std::vector<Token> tokens;
  for (const auto &entry : vocabulary.items()) {
    if (!entry.value().is_number_unsigned() ||
        entry.value().get<uint64_t>() >= idLimit)
      return dataLoss("token '" + entry.key() +
                      "' of the model has no id or "
                      "one far beyond the number of tokens");
    ODYSSEY_RETURN_IF_ERROR(setToken(entry.value().get<uint64_t>(), entry.key(),
                                     TokenKind::Normal, tokens));
  }
  for (const AddedEntry &entry : addedEntries) {
    auto id = static_cast<uint64_t>(entry.token.id);
    if (id >= idLimit)
      return dataLoss("added token '" + entry.token.content +
                      "' has an id far beyond the number of tokens");
    ODYSSEY_RETURN_IF_ERROR(setToken(
        id, entry.token.content,
        entry.token.special ? TokenKind::Control : TokenKind::UserDefined,
        tokens));
  }
  if (tokens.empty())
    return dataLoss("empty 'model.vocab'");
  ODYSSEY_ASSIGN_OR_RETURN(definition->vocabulary,
                           Vocabulary::create(std::move(tokens)));
  return Status::success();
}

Status HuggingFaceReader::registerAddedTokens() {
  for (AddedEntry &entry : addedEntries) {
    if (!entry.normalized) {
      definition->addedTokens.add(std::move(entry.token));
      continue;
    }
    ODYSSEY_ASSIGN_OR_RETURN(
        entry.token.content,
        normalize(definition->normalizer, entry.token.content));
    if (!entry.token.content.empty())
      definition->normalizedAddedTokens.add(std::move(entry.token));
  }
  return Status::success();
}

/// Reads merges written as "a b" or as ["a", "b"].
Status HuggingFaceReader::readMerges(std::vector<MergePair> &merges) const {
  const Json &list = member(model, "merges");
  if (!list.is_array())
    return dataLoss("'model.merges' is not a list");
  merges.reserve(list.size());
  for (const Json &merge : list) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
        merge[1].is_string()) {
      merges.emplace_back(merge[0].get_ref<const std::string &>(),
                          merge[1].get_ref<const std::string &>());
      continue;
    }
    std::string_view text;
    if (merge.is_string())
      text = merge.get_ref<const std::string &>();
    size_t space = text.find(' ');
    if (space == std::string_view::npos ||
        text.find(' ', space + 1) != std::string_view::npos)
      return dataLoss("merge " + std::to_string(merges.size()) +
                      " is not a pair of texts");
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return Status::success();
}

Status HuggingFaceReader::readModel() {
  RankModelOptions options;
  ODYSSEY_ASSIGN_OR_RETURN(options.byteFallback,
                           boolMember(model, "byte_fallback", false));
  ODYSSEY_ASSIGN_OR_RETURN(options.fuseUnknown,
                           boolMember(model, "fuse_unk", false));
  ODYSSEY_ASSIGN_OR_RETURN(options.ignoreMerges,
                           boolMember(model, "ignore_merges", false));
  if (!member(model, "unk_token").is_null()) {
    ODYSSEY_ASSIGN_OR_RETURN(std::string_view unknown,
                             stringMember(model, "unk_token"));
    options.unknownToken = definition->vocabulary.find(unknown);
    if (options.unknownToken == kNoToken)
      return dataLoss("unknown token '" + std::string(unknown) +
                      "' is not in the vocabulary");
  }
  std::vector<MergePair> merges;
  ODYSSEY_RETURN_IF_ERROR(readMerges(merges));
  ODYSSEY_ASSIGN_OR_RETURN(
      definition->model,
      createRankModel(definition->vocabulary, merges, options));
  return Status::success();
}

} // namespace

DefinitionResult tokenizer::readHuggingFace(std::string_view content) {
  Json root = Json::parse(content, /*cb=*/nullptr, /*allow_exceptions=*/false);
  if (root.is_discarded())
    return dataLoss("not valid JSON");
  return HuggingFaceReader(root).read();
}

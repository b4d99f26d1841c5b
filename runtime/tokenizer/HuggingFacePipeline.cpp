//===- HuggingFacePipeline.cpp - Parts of a tokenizer.json ----------------===//
//
// The names and defaults of fields are those of Hugging Face tokenizers' serde
// definitions.
//
//===----------------------------------------------------------------------===//

#include "HuggingFacePipeline.h"

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

/// How deep sequences of sequences may be nested.
static constexpr int kMaximalDepth = 8;

const Json &tokenizer::member(const Json &object, const char *key) {
  static const Json null;
  if (!object.is_object())
    return null;
  auto entry = object.find(key);
  return entry == object.end() ? null : *entry;
}

Result<std::string_view> tokenizer::stringMember(const Json &object,
                                                 const char *key) {
  const Json &value = member(object, key);
  if (!value.is_string())
    return dataLoss("'" + std::string(key) + "' is not a string");
  return std::string_view(value.get_ref<const std::string &>());
}

Result<bool> tokenizer::boolMember(const Json &object, const char *key,
                                   bool otherwise) {
  const Json &value = member(object, key);
  if (value.is_null())
    return otherwise;
  if (!value.is_boolean())
    return dataLoss("'" + std::string(key) + "' is not a boolean");
  return value.get<bool>();
}

/// Calls `visit(type, step)` for a step, or for each in a sequence whose list
/// is called `listKey`.
template <typename Visit>
static Status visitSteps(const Json &step, const char *listKey, Visit visit,
                         int depth = 0) {
  if (step.is_null())
    return Status::success();
  if (depth > kMaximalDepth)
    return dataLoss("sequences nested more than " +
                    std::to_string(kMaximalDepth) + " deep");
  ODYSSEY_ASSIGN_OR_RETURN(std::string_view type, stringMember(step, "type"));
  if (type != "Sequence")
    return visit(type, step).withContext(std::string(type));
  const Json &list = member(step, listKey);
  if (!list.is_array())
    return dataLoss("'" + std::string(listKey) + "' is not a list");
  for (const Json &inner : list)
    ODYSSEY_RETURN_IF_ERROR(visitSteps(inner, listKey, visit, depth + 1));
  return Status::success();
}

/// The regular expression under `pattern`: {"String": ...} or {"Regex": ...}.
static Result<Regex> readPattern(const Json &step) {
  const Json &pattern = member(step, "pattern");
  bool isLiteral = !member(pattern, "String").is_null();
  ODYSSEY_ASSIGN_OR_RETURN(
      std::string_view text,
      stringMember(pattern, isLiteral ? "String" : "Regex"));
  if (text.empty())
    return dataLoss("empty 'pattern'");
  return isLiteral ? Regex::compileLiteral(text) : Regex::compile(text);
}

//===----------------------------------------------------------------------===//
// Normalizer
//===----------------------------------------------------------------------===//

Status tokenizer::readNormalizer(const Json &normalizer,
                                 std::vector<NormalizerStep> &steps) {
  auto readStep = [&](std::string_view type, const Json &step) -> Status {
    if (type == "Prepend") {
      ODYSSEY_ASSIGN_OR_RETURN(std::string_view text,
                               stringMember(step, "prepend"));
      steps.push_back(PrependStep{std::string(text)});
      return Status::success();
    }
    if (type == "Replace") {
      ODYSSEY_ASSIGN_OR_RETURN(Regex pattern, readPattern(step));
      ODYSSEY_ASSIGN_OR_RETURN(std::string_view content,
                               stringMember(step, "content"));
      steps.push_back(ReplaceStep{std::move(pattern), std::string(content)});
      return Status::success();
    }
    if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
      steps.push_back(UnicodeStep{.compose = type.ends_with('C'),
                                  .compatibility = type.size() == 4});
      return Status::success();
    }
    return unsupported("is not supported");
  };
  return visitSteps(normalizer, "normalizers", readStep)
      .withContext("normalizer");
}

//===----------------------------------------------------------------------===//
// Pre-tokenizer
//===----------------------------------------------------------------------===//

static Result<SplitBehavior> readBehavior(const Json &step) {
  ODYSSEY_ASSIGN_OR_RETURN(std::string_view name,
                           stringMember(step, "behavior"));
  const std::pair<std::string_view, SplitBehavior> behaviors[] = {
      {"Isolated", SplitBehavior::Isolated},
      {"Removed", SplitBehavior::Removed},
      {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
      {"MergedWithNext", SplitBehavior::MergedWithNext},
      {"Contiguous", SplitBehavior::Contiguous},
  };
  for (auto [behaviorName, behavior] : behaviors)
    if (name == behaviorName)
      return behavior;
  return dataLoss("'behavior' is '" + std::string(name) + "'");
}

static Result<SplitStep> readSplit(const Json &step) {
  ODYSSEY_ASSIGN_OR_RETURN(Regex pattern, readPattern(step));
  ODYSSEY_ASSIGN_OR_RETURN(SplitBehavior behavior, readBehavior(step));
  ODYSSEY_ASSIGN_OR_RETURN(bool invert, boolMember(step, "invert", false));
  return SplitStep{std::move(pattern), behavior, invert};
}

static Result<ByteLevelStep> readByteLevel(const Json &step) {
  ByteLevelStep byteLevel;
  ODYSSEY_ASSIGN_OR_RETURN(byteLevel.addPrefixSpace,
                           boolMember(step, "add_prefix_space", true));
  ODYSSEY_ASSIGN_OR_RETURN(bool useRegex, boolMember(step, "use_regex", true));
  if (useRegex) {
    ODYSSEY_ASSIGN_OR_RETURN(byteLevel.pattern, Regex::compile(kGpt2Pattern));
  }
  return byteLevel;
}

static Result<MetaspaceStep> readMetaspace(const Json &step) {
  MetaspaceStep metaspace;
  ODYSSEY_ASSIGN_OR_RETURN(std::string_view replacement,
                           stringMember(step, "replacement"));
  if (replacement.empty())
    return dataLoss("empty 'replacement'");
  metaspace.replacement = replacement;
  ODYSSEY_ASSIGN_OR_RETURN(bool split, boolMember(step, "split", true));
  if (split) {
    ODYSSEY_ASSIGN_OR_RETURN(metaspace.split,
                             Regex::compileLiteral(replacement));
  }
  if (!member(step, "prepend_scheme").is_null()) {
    ODYSSEY_ASSIGN_OR_RETURN(std::string_view scheme,
                             stringMember(step, "prepend_scheme"));
    if (scheme == "first")
      metaspace.prepend = MetaspaceStep::Prepend::First;
    else if (scheme == "never")
      metaspace.prepend = MetaspaceStep::Prepend::Never;
    else if (scheme != "always")
      return dataLoss("'prepend_scheme' is '" + std::string(scheme) + "'");
  }
  // Files from before `prepend_scheme` say the same with a boolean.
  ODYSSEY_ASSIGN_OR_RETURN(bool addPrefixSpace,
                           boolMember(step, "add_prefix_space", true));
  if (!addPrefixSpace)
    metaspace.prepend = MetaspaceStep::Prepend::Never;
  return metaspace;
}

static Result<PreTokenizerStep> readPreTokenizerStep(std::string_view type,
                                                     const Json &step) {
  auto split = [](std::string_view pattern, SplitBehavior behavior,
                  bool invert) -> Result<PreTokenizerStep> {
    ODYSSEY_ASSIGN_OR_RETURN(Regex regex, Regex::compile(pattern));
    return PreTokenizerStep(SplitStep{std::move(regex), behavior, invert});
  };
  if (type == "Split") {
    ODYSSEY_ASSIGN_OR_RETURN(SplitStep result, readSplit(step));
    return PreTokenizerStep(std::move(result));
  }
  if (type == "ByteLevel") {
    ODYSSEY_ASSIGN_OR_RETURN(ByteLevelStep result, readByteLevel(step));
    return PreTokenizerStep(std::move(result));
  }
  if (type == "Metaspace") {
    ODYSSEY_ASSIGN_OR_RETURN(MetaspaceStep result, readMetaspace(step));
    return PreTokenizerStep(std::move(result));
  }
  if (type == "Digits") {
    ODYSSEY_ASSIGN_OR_RETURN(bool individual,
                             boolMember(step, "individual_digits", false));
    return split("\\p{N}",
                 individual ? SplitBehavior::Isolated
                            : SplitBehavior::Contiguous,
                 /*invert=*/false);
  }
  if (type == "Whitespace")
    return split("[" ODYSSEY_WORD_CHARACTERS "]+|[^" ODYSSEY_WORD_CHARACTERS
                 "\\s]+",
                 SplitBehavior::Removed, /*invert=*/true);
  if (type == "WhitespaceSplit")
    return split("\\s", SplitBehavior::Removed, /*invert=*/false);
  return unsupported("is not supported");
}

Status tokenizer::readPreTokenizer(const Json &preTokenizer,
                                   std::vector<PreTokenizerStep> &steps) {
  auto readStep = [&](std::string_view type, const Json &step) -> Status {
    ODYSSEY_ASSIGN_OR_RETURN(PreTokenizerStep result,
                             readPreTokenizerStep(type, step));
    steps.push_back(std::move(result));
    return Status::success();
  };
  return visitSteps(preTokenizer, "pretokenizers", readStep)
      .withContext("pre_tokenizer");
}

//===----------------------------------------------------------------------===//
// Decoder
//===----------------------------------------------------------------------===//

static Status readReplaceDecoder(const Json &step, DecoderRules &rules) {
  ODYSSEY_ASSIGN_OR_RETURN(std::string_view from,
                           stringMember(member(step, "pattern"), "String"));
  ODYSSEY_ASSIGN_OR_RETURN(std::string_view to, stringMember(step, "content"));
  if (from.empty())
    return dataLoss("empty 'pattern'");
  rules.replacements.push_back({std::string(from), std::string(to)});
  return Status::success();
}

static Status readMetaspaceDecoder(const Json &step, DecoderRules &rules) {
  ODYSSEY_ASSIGN_OR_RETURN(MetaspaceStep metaspace, readMetaspace(step));
  rules.replacements.push_back({metaspace.replacement, " "});
  if (metaspace.prepend != MetaspaceStep::Prepend::Never)
    rules.droppedFromFirst = metaspace.replacement;
  return Status::success();
}

/// Reads a `Strip`, which the rules can only say for spaces in front of the
/// whole text, that is, after a `Fuse`.
static Status readStripDecoder(const Json &step, bool afterFuse,
                               DecoderRules &rules) {
  ODYSSEY_ASSIGN_OR_RETURN(std::string_view content,
                           stringMember(step, "content"));
  const Json &start = member(step, "start"), &stop = member(step, "stop");
  if (!start.is_number_unsigned() || !stop.is_number_unsigned())
    return dataLoss("'start' or 'stop' is not a count");
  if (content != " " || stop.get<uint64_t>() != 0 || !afterFuse)
    return unsupported("is supported for spaces at the beginning of fused "
                       "text only");
  rules.leadingSpaces = start.get<uint64_t>();
  return Status::success();
}

Status tokenizer::readDecoder(const Json &decoder, DecoderRules &rules) {
  if (decoder.is_null())
    return unsupported("a tokenizer without a decoder is not supported");
  bool fused = false;
  auto readStep = [&](std::string_view type, const Json &step) -> Status {
    if (type == "Strip")
      return readStripDecoder(step, fused, rules);
    if (type == "Fuse") {
      fused = true;
      return Status::success();
    }
    if (fused)
      return unsupported("is not supported after a Fuse");
    if (type == "ByteLevel") {
      rules.byteLevel = true;
      return Status::success();
    }
    if (type == "ByteFallback") {
      rules.byteFallback = true;
      return Status::success();
    }
    if (type == "Replace")
      return readReplaceDecoder(step, rules);
    if (type == "Metaspace")
      return readMetaspaceDecoder(step, rules);
    return unsupported("is not supported");
  };
  ODYSSEY_RETURN_IF_ERROR(
      visitSteps(decoder, "decoders", readStep).withContext("decoder"));
  if (rules.byteLevel && (rules.byteFallback || !rules.replacements.empty()))
    return unsupported(
        "decoder: ByteLevel is not supported together with others");
  return Status::success();
}

//===----------------------------------------------------------------------===//
// Post-processor
//===----------------------------------------------------------------------===//

/// Appends the ids that a template's special token `name` stands for.
static Status appendTemplateToken(const Json &step, std::string_view name,
                                  const Definition &definition,
                                  std::vector<int32_t> &ids) {
  const Json &entry =
      member(member(step, "special_tokens"), std::string(name).c_str());
  const Json &list = member(entry, "ids");
  if (!list.is_array())
    return dataLoss("special token '" + std::string(name) + "' has no 'ids'");
  for (const Json &id : list) {
    if (!id.is_number_unsigned() ||
        id.get<uint64_t>() >= uint64_t(definition.vocabulary.size()))
      return dataLoss("special token '" + std::string(name) +
                      "' has an id outside the vocabulary");
    ids.push_back(id.get<int32_t>());
  }
  return Status::success();
}

/// Reads the template for a single text: special tokens, the text, special
/// tokens. Those behind the text do not end a prompt, but tell how a sequence
/// ends.
static Status readTemplate(const Json &step, Definition &definition) {
  const Json &single = member(step, "single");
  if (!single.is_array())
    return dataLoss("'single' is not a list");
  bool afterText = false;
  for (const Json &piece : single) {
    if (!member(piece, "Sequence").is_null()) {
      if (afterText)
        return unsupported("a template with two sequences is not supported");
      afterText = true;
      continue;
    }
    ODYSSEY_ASSIGN_OR_RETURN(std::string_view name,
                             stringMember(member(piece, "SpecialToken"), "id"));
    ODYSSEY_RETURN_IF_ERROR(
        appendTemplateToken(step, name, definition,
                            afterText ? definition.eos : definition.prefix));
  }
  return Status::success();
}

Status tokenizer::readPostProcessor(const Json &postProcessor,
                                    Definition &definition) {
  auto readStep = [&](std::string_view type, const Json &step) -> Status {
    if (type == "TemplateProcessing")
      return readTemplate(step, definition);
    // Concerns the offsets of tokens in the text only.
    if (type == "ByteLevel")
      return Status::success();
    return unsupported("is not supported");
  };
  ODYSSEY_RETURN_IF_ERROR(visitSteps(postProcessor, "processors", readStep)
                              .withContext("post_processor"));
  definition.addPrefixByDefault = !definition.prefix.empty();
  if (!definition.prefix.empty())
    definition.bos = definition.prefix.front();
  return Status::success();
}

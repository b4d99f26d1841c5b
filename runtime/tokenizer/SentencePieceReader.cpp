//===- SentencePieceReader.cpp - SentencePiece models ---------------------===//
//
// Reads a SentencePiece `.model` file, the protocol buffer `ModelProto` of
// sentencepiece_model.proto, without a protocol buffer library: of the wire
// format (protobuf.dev/programming-guides/encoding) a reader needs only
// variable-length integers, 4 and 8 byte fields and length-delimited fields.
//
//===----------------------------------------------------------------------===//

#include "Definition.h"

#include <bit>
#include <limits>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

namespace {

//===----------------------------------------------------------------------===//
// Protocol buffers
//===----------------------------------------------------------------------===//

enum class WireType { Varint = 0, Fixed64 = 1, Bytes = 2, Fixed32 = 5 };

/// One field of a message.
struct Field {
  uint32_t number = 0;
  WireType type = WireType::Varint;
  /// The value of an integer or the bits of a fixed-size field.
  uint64_t bits = 0;
  std::string_view bytes;
};

/// Takes a message apart, field by field.
class MessageReader {
public:
  explicit MessageReader(std::string_view message) : rest(message) {}

  bool atEnd() const { return rest.empty(); }

  Result<Field> next() {
    Field field;
    ODYSSEY_ASSIGN_OR_RETURN(uint64_t tag, readVarint());
    uint64_t number = tag >> 3;
    if (number == 0 || number > kLargestFieldNumber)
      return dataLoss("field number " + std::to_string(number));
    field.number = static_cast<uint32_t>(number);
    field.type = static_cast<WireType>(tag & 7);
    switch (field.type) {
    case WireType::Varint: {
      ODYSSEY_ASSIGN_OR_RETURN(field.bits, readVarint());
      return field;
    }
    case WireType::Fixed64: {
      ODYSSEY_ASSIGN_OR_RETURN(field.bits, readFixed(8));
      return field;
    }
    case WireType::Fixed32: {
      ODYSSEY_ASSIGN_OR_RETURN(field.bits, readFixed(4));
      return field;
    }
    case WireType::Bytes: {
      ODYSSEY_ASSIGN_OR_RETURN(uint64_t length, readVarint());
      if (length > rest.size())
        return dataLoss("field " + std::to_string(number) + " of " +
                        std::to_string(length) + " bytes where " +
                        std::to_string(rest.size()) + " are left");
      field.bytes = rest.substr(0, length);
      rest.remove_prefix(length);
      return field;
    }
    }
    return dataLoss("field " + std::to_string(number) + " of wire type " +
                    std::to_string(tag & 7));
  }

private:
  static constexpr uint64_t kLargestFieldNumber = (1 << 29) - 1;

  Result<uint64_t> readVarint() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !rest.empty(); shift += 7) {
      auto byte = static_cast<unsigned char>(rest[0]);
      rest.remove_prefix(1);
      value |= uint64_t(byte & 0x7f) << shift;
      if (byte < 0x80)
        return value;
    }
    return dataLoss("cut-off or overlong integer");
  }

  Result<uint64_t> readFixed(size_t size) {
    if (rest.size() < size)
      return dataLoss("cut-off field");
    uint64_t value = 0;
    for (size_t i = size; i-- > 0;)
      value = value << 8 | static_cast<unsigned char>(rest[i]);
    rest.remove_prefix(size);
    return value;
  }

  std::string_view rest;
};

/// Calls `visit(field)` for every field of `message`.
template <typename Visit>
Status visitFields(std::string_view message, Visit visit) {
  MessageReader reader(message);
  while (!reader.atEnd()) {
    ODYSSEY_ASSIGN_OR_RETURN(Field field, reader.next());
    ODYSSEY_RETURN_IF_ERROR(visit(field));
  }
  return Status::success();
}

Status expectType(const Field &field, WireType type, const char *name) {
  if (field.type == type)
    return Status::success();
  return dataLoss("field '" + std::string(name) + "' of wire type " +
                  std::to_string(static_cast<int>(field.type)));
}

//===----------------------------------------------------------------------===//
// ModelProto
//===----------------------------------------------------------------------===//

// Values of `TrainerSpec.ModelType`.
constexpr int64_t kUnigramType = 1;
constexpr int64_t kBpeType = 2;

/// A field of one of the two specifications that matter, by its number there.
struct IntegerField {
  uint32_t number;
  const char *name;
  int64_t *value;
};

/// What the file says besides its pieces, with the defaults of the .proto file.
struct ModelSpec {
  int64_t modelType = kUnigramType;
  int64_t treatWhitespaceAsSuffix = 0;
  int64_t byteFallback = 0;
  int64_t unknownId = 0, bosId = 1, eosId = 2;

  std::string_view normalizerName;
  std::string_view characterMap;
  int64_t addDummyPrefix = 1;
  int64_t removeExtraWhitespaces = 1;
  int64_t escapeWhitespaces = 1;
};

/// Reads the integers among the fields of `message`.
Status readIntegers(std::string_view message,
                    std::span<const IntegerField> integers) {
  return visitFields(message, [&](const Field &field) -> Status {
    for (const IntegerField &integer : integers) {
      if (integer.number != field.number)
        continue;
      ODYSSEY_RETURN_IF_ERROR(
          expectType(field, WireType::Varint, integer.name));
      *integer.value = static_cast<int64_t>(field.bits);
    }
    return Status::success();
  });
}

Status readTrainerSpec(std::string_view message, ModelSpec &spec) {
  const IntegerField integers[] = {
      {3, "model_type", &spec.modelType},
      {24, "treat_whitespace_as_suffix", &spec.treatWhitespaceAsSuffix},
      {35, "byte_fallback", &spec.byteFallback},
      {40, "unk_id", &spec.unknownId},
      {41, "bos_id", &spec.bosId},
      {42, "eos_id", &spec.eosId},
  };
  return readIntegers(message, integers);
}

Status readNormalizerSpec(std::string_view message, ModelSpec &spec) {
  const IntegerField integers[] = {
      {3, "add_dummy_prefix", &spec.addDummyPrefix},
      {4, "remove_extra_whitespaces", &spec.removeExtraWhitespaces},
      {5, "escape_whitespaces", &spec.escapeWhitespaces},
  };
  ODYSSEY_RETURN_IF_ERROR(readIntegers(message, integers));
  return visitFields(message, [&](const Field &field) -> Status {
    if (field.number == 1) {
      ODYSSEY_RETURN_IF_ERROR(expectType(field, WireType::Bytes, "name"));
      spec.normalizerName = field.bytes;
    } else if (field.number == 2) {
      ODYSSEY_RETURN_IF_ERROR(
          expectType(field, WireType::Bytes, "precompiled_charsmap"));
      spec.characterMap = field.bytes;
    }
    return Status::success();
  });
}

Result<TokenKind> kindFromSentencePiece(uint64_t type) {
  switch (type) {
  case 1:
    return TokenKind::Normal;
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
    return dataLoss("type " + std::to_string(type));
  }
}

Result<Token> readPiece(std::string_view message) {
  Token token;
  Status status = visitFields(message, [&](const Field &field) -> Status {
    if (field.number == 1) {
      ODYSSEY_RETURN_IF_ERROR(expectType(field, WireType::Bytes, "piece"));
      token.text = field.bytes;
    } else if (field.number == 2) {
      ODYSSEY_RETURN_IF_ERROR(expectType(field, WireType::Fixed32, "score"));
      token.score = std::bit_cast<float>(static_cast<uint32_t>(field.bits));
    } else if (field.number == 3) {
      ODYSSEY_RETURN_IF_ERROR(expectType(field, WireType::Varint, "type"));
      ODYSSEY_ASSIGN_OR_RETURN(token.kind, kindFromSentencePiece(field.bits));
    }
    return Status::success();
  });
  ODYSSEY_RETURN_IF_ERROR(status);
  if (token.text.empty())
    return dataLoss("no text");
  if (token.kind == TokenKind::Byte && !parseByteToken(token.text))
    return dataLoss("byte piece with the text '" + token.text + "'");
  return token;
}

/// Refuses what the pieces cannot be used without.
Status checkSupported(const ModelSpec &spec) {
  if (spec.modelType == kUnigramType)
    return unsupported("a SentencePiece model of type unigram is not "
                       "supported, BPE is");
  if (spec.modelType != kBpeType)
    return unsupported("a SentencePiece model of type " +
                       std::to_string(spec.modelType) +
                       " is not supported, BPE is");
  if (!spec.characterMap.empty())
    return unsupported("SentencePiece normalization rule '" +
                       std::string(spec.normalizerName) +
                       "' is not supported, 'identity' is");
  if (spec.treatWhitespaceAsSuffix)
    return unsupported("treat_whitespace_as_suffix is not supported");
  return Status::success();
}

Status buildDefinition(const ModelSpec &spec, std::vector<Token> tokens,
                       Definition &definition) {
  ODYSSEY_ASSIGN_OR_RETURN(definition.vocabulary,
                           Vocabulary::create(std::move(tokens)));
  const Vocabulary &vocabulary = definition.vocabulary;
  // User-defined pieces are left to the model: unlike control symbols they do
  // not begin the text behind them anew, with a dummy prefix of its own.
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (!definition.isSpecial(id))
      continue;
    AddedToken token;
    token.id = id;
    token.content = vocabulary[id].text;
    token.special = true;
    definition.addedTokens.add(std::move(token));
  }

  SentencePieceStep step;
  step.addDummyPrefix = spec.addDummyPrefix != 0;
  step.removeExtraWhitespaces = spec.removeExtraWhitespaces != 0;
  step.escapeWhitespaces = spec.escapeWhitespaces != 0;
  definition.normalizer.push_back(step);
  definition.decoder.replacements.push_back({std::string(kMetaspace), " "});
  definition.decoder.byteFallback = true;
  definition.decoder.leadingSpaces = step.removeExtraWhitespaces
                                         ? kAllLeadingSpaces
                                         : size_t(step.addDummyPrefix);

  bool hasUnknown = spec.unknownId >= 0 && spec.unknownId < vocabulary.size();
  ODYSSEY_ASSIGN_OR_RETURN(
      definition.model,
      createScoreModel(vocabulary, spec.byteFallback != 0,
                       hasUnknown ? static_cast<int32_t>(spec.unknownId)
                                  : kNoToken));
  // -1 says that there is none.
  auto optionalId = [&](int64_t id,
                        const char *name) -> Result<std::optional<int32_t>> {
    if (id < 0)
      return std::optional<int32_t>();
    if (id >= vocabulary.size())
      return dataLoss(std::string(name) + " is " + std::to_string(id) +
                      " in a vocabulary of " +
                      std::to_string(vocabulary.size()) + " pieces");
    return std::optional(static_cast<int32_t>(id));
  };
  ODYSSEY_ASSIGN_OR_RETURN(definition.bos, optionalId(spec.bosId, "bos_id"));
  ODYSSEY_ASSIGN_OR_RETURN(std::optional<int32_t> eos,
                           optionalId(spec.eosId, "eos_id"));
  if (definition.bos)
    definition.prefix = {*definition.bos};
  // SentencePiece itself leaves it to the caller; LLaMA's begins with it.
  definition.addPrefixByDefault = definition.bos.has_value();
  if (eos)
    definition.eos.push_back(*eos);
  definition.completeEos();
  return Status::success();
}

} // namespace

DefinitionResult
tokenizer::readSentencePiece(std::span<const std::byte> content) {
  std::string_view message(reinterpret_cast<const char *>(content.data()),
                           content.size());
  ModelSpec spec;
  std::vector<Token> tokens;
  Status status = visitFields(message, [&](const Field &field) -> Status {
    if (field.number > 3)
      return Status::success();
    ODYSSEY_RETURN_IF_ERROR(expectType(field, WireType::Bytes, "ModelProto"));
    if (field.number == 2)
      return readTrainerSpec(field.bytes, spec).withContext("trainer_spec");
    if (field.number == 3)
      return readNormalizerSpec(field.bytes, spec)
          .withContext("normalizer_spec");
    Result<Token> token = readPiece(field.bytes);
    if (!token.ok())
      return token.status().withContext("piece " +
                                        std::to_string(tokens.size()));
    tokens.push_back(std::move(token).value());
    return Status::success();
  });
  ODYSSEY_RETURN_IF_ERROR(status);
  if (tokens.empty())
    return dataLoss("no pieces");
  ODYSSEY_RETURN_IF_ERROR(checkSupported(spec));
  auto definition = std::make_unique<Definition>();
  ODYSSEY_RETURN_IF_ERROR(
      buildDefinition(spec, std::move(tokens), *definition));
  return std::unique_ptr<const Definition>(std::move(definition));
}

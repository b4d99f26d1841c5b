//===- Vocabulary.cpp - Tokens by id and by text --------------------------===//
//
// The table of tokens and the two spellings of bytes.
//
//===----------------------------------------------------------------------===//

#include "Vocabulary.h"

#include "Utf8.h"

#include <algorithm>
#include <limits>

using namespace odyssey::runtime;
using namespace odyssey::runtime::tokenizer;

namespace {

/// GPT-2's alphabet, after `bytes_to_unicode` in its encoder.py.
struct ByteLevelAlphabet {
  std::array<uint16_t, 256> characters;
  /// The byte of a character, -1 for one outside the alphabet.
  std::array<int16_t, 512> bytes;

  ByteLevelAlphabet() {
    bytes.fill(-1);
    uint16_t nextSubstitute = 256;
    for (int byte = 0; byte < 256; ++byte) {
      bool printable = (byte >= '!' && byte <= '~') ||
                       (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
      characters[byte] = printable ? byte : nextSubstitute++;
      bytes[characters[byte]] = static_cast<int16_t>(byte);
    }
  }
};

const ByteLevelAlphabet &byteLevelAlphabet() {
  static const ByteLevelAlphabet alphabet;
  return alphabet;
}

int hexDigit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return -1;
}

} // namespace

Result<Vocabulary> Vocabulary::create(std::vector<Token> tokens) {
  if (tokens.size() > size_t(std::numeric_limits<int32_t>::max()))
    return dataLoss("vocabulary of " + std::to_string(tokens.size()) +
                    " tokens");
  Vocabulary vocabulary;
  vocabulary.tokens = std::move(tokens);
  vocabulary.index.reserve(vocabulary.tokens.size());
  vocabulary.byteTokens.fill(kNoToken);
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    const Token &token = vocabulary.tokens[id];
    if (token.text.empty())
      continue;
    auto [entry, isNew] = vocabulary.index.try_emplace(token.text, id);
    if (!isNew)
      return dataLoss("token '" + token.text + "' has the ids " +
                      std::to_string(entry->second) + " and " +
                      std::to_string(id));
    vocabulary.longest = std::max(vocabulary.longest, token.text.size());
    if (std::optional<unsigned char> byte = parseByteToken(token.text))
      vocabulary.byteTokens[*byte] = id;
  }
  return vocabulary;
}

int32_t Vocabulary::find(std::string_view text) const {
  auto entry = index.find(text);
  return entry == index.end() ? kNoToken : entry->second;
}

bool Vocabulary::hasAllByteTokens() const {
  return std::ranges::none_of(byteTokens,
                              [](int32_t id) { return id == kNoToken; });
}

std::optional<unsigned char> tokenizer::parseByteToken(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>')
    return std::nullopt;
  int high = hexDigit(text[3]), low = hexDigit(text[4]);
  if (high < 0 || low < 0)
    return std::nullopt;
  return static_cast<unsigned char>(high * 16 + low);
}

void tokenizer::appendByteLevel(std::string &out, std::string_view bytes) {
  for (char byte : bytes)
    appendUtf8(
        out, byteLevelAlphabet().characters[static_cast<unsigned char>(byte)]);
}

void tokenizer::appendFromByteLevel(std::string &out, std::string_view text) {
  const ByteLevelAlphabet &alphabet = byteLevelAlphabet();
  size_t sizeBefore = out.size();
  for (size_t offset = 0; offset < text.size();) {
    Utf8Unit unit = decodeUtf8(text.substr(offset));
    int byte = unit.valid && unit.codePoint < alphabet.bytes.size()
                   ? alphabet.bytes[unit.codePoint]
                   : -1;
    if (byte < 0) {
      out.resize(sizeBefore);
      out += text;
      return;
    }
    out += static_cast<char>(byte);
    offset += unit.length;
  }
}

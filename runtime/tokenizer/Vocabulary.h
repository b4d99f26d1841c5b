//===- Vocabulary.h - Tokens by id and by text ------------------*- C++ -*-===//
//
// What every kind of tokenizer has: a table of tokens, and the two customary
// ways to write a byte as a token.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_VOCABULARY_H
#define ODYSSEY_RUNTIME_TOKENIZER_VOCABULARY_H

#include "odyssey/runtime/Status.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace odyssey::runtime::tokenizer {

/// SentencePiece's types of pieces, which GGUF took over.
enum class TokenKind : uint8_t {
  Normal,
  Unknown,
  Control,
  UserDefined,
  Unused,
  Byte,
};

struct Token {
  /// Empty for an id that has no token.
  std::string text;
  /// Pieces with a higher score are merged first (SentencePiece only).
  float score = 0;
  TokenKind kind = TokenKind::Normal;
};

/// The id of no token.
inline constexpr int32_t kNoToken = -1;

class Vocabulary {
public:
  Vocabulary() = default;
  /// Takes the tokens in the order of their ids. DataLoss when two have the
  /// same text or there are more than ids.
  static Result<Vocabulary> create(std::vector<Token> tokens);

  Vocabulary(Vocabulary &&) = default;
  Vocabulary &operator=(Vocabulary &&) = default;

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  bool contains(int32_t id) const { return id >= 0 && id < size(); }
  const Token &operator[](int32_t id) const { return tokens[id]; }

  /// The id of the token with exactly this text, or kNoToken.
  int32_t find(std::string_view text) const;

  /// The token "<0x0A>" that stands for a byte, or kNoToken.
  int32_t byteToken(unsigned char byte) const { return byteTokens[byte]; }
  bool hasAllByteTokens() const;

  /// The length of the longest token in bytes.
  size_t longestToken() const { return longest; }

private:
  std::vector<Token> tokens;
  /// Keys point into `tokens`, which does not change any more.
  std::unordered_map<std::string_view, int32_t> index;
  std::array<int32_t, 256> byteTokens = {};
  size_t longest = 0;
};

/// The byte that a token of the form "<0x0A>" stands for.
std::optional<unsigned char> parseByteToken(std::string_view text);

/// GPT-2's alphabet: each byte as one printable character, itself where it is
/// printable Latin-1, else one from U+0100 on.
void appendByteLevel(std::string &out, std::string_view bytes);

/// The inverse of `appendByteLevel`. A text with a character outside the
/// alphabet is appended as it is, as Hugging Face's decoder does.
void appendFromByteLevel(std::string &out, std::string_view text);

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_VOCABULARY_H

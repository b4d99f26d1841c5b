//===- Utf8.h - UTF-8 checked and taken apart -------------------*- C++ -*-===//
//
// The few operations on UTF-8 that tokenizers need. "Valid" is the meaning of
// the Unicode Standard, table 3-7: no surrogates, no overlong forms, nothing
// above U+10FFFF.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TOKENIZER_UTF8_H
#define ODYSSEY_RUNTIME_TOKENIZER_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace odyssey::runtime::tokenizer {

/// What stands at the beginning of a text.
struct Utf8Unit {
  /// Bytes of the character, or of the part that is wrong or incomplete; 0
  /// only at the end of the text.
  size_t length = 0;
  uint32_t codePoint = 0;
  bool valid = false;
  /// Not valid, but more bytes could complete it.
  bool incomplete = false;
};

/// Decodes the first character of `text`. A wrong sequence has the length of
/// its "maximal subpart", what one U+FFFD stands for.
Utf8Unit decodeUtf8(std::string_view text);

/// The offset of the first byte that is not part of a valid character, or npos.
size_t findInvalidUtf8(std::string_view text);

/// Appends the UTF-8 of `codePoint`, which must be valid.
void appendUtf8(std::string &text, uint32_t codePoint);

/// Moves the characters at the beginning of `bytes` to `text`, wrong sequences
/// as U+FFFD. An incomplete sequence at the end stays in `bytes`, unless
/// `atEnd`, which makes it U+FFFD.
void drainUtf8(std::string &bytes, std::string &text, bool atEnd);

/// Unicode's White_Space property.
bool isWhitespace(uint32_t codePoint);

} // namespace odyssey::runtime::tokenizer

#endif // ODYSSEY_RUNTIME_TOKENIZER_UTF8_H

//===- Lexer.h - PTX text to tokens -----------------------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_LEXER_H
#define ODYSSEY_RUNTIME_EMULATOR_LEXER_H

#include "odyssey/runtime/Status.h"

#include <cstdint>
#include <string_view>
#include <vector>

namespace odyssey::runtime::emulator {

struct Token {
  enum class Kind : uint8_t {
    /// A name with everything that follows after dots: `%r1`, `%tid.x`,
    /// `ld.global.nc.b32`.
    Name,
    /// A dot and one name: `.reg`, `.b32`.
    Directive,
    Integer,
    /// `bits` holds an f32 pattern (written 0f...).
    Single,
    /// `bits` holds an f64 pattern (written 0d... or in decimal).
    Double,
    String,
    Punctuation,
    End,
  };
  Kind kind = Kind::End;
  int line = 0;
  /// Points into the lexed text.
  std::string_view text;
  uint64_t bits = 0;

  bool is(char c) const {
    return kind == Kind::Punctuation && text.size() == 1 && text[0] == c;
  }
  bool isDirective(std::string_view name) const {
    return kind == Kind::Directive && text == name;
  }
};

/// Splits PTX text. The tokens point into `text`; the last one is End.
Result<std::vector<Token>> tokenize(std::string_view text);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_LEXER_H

//===- Lexer.cpp - PTX text to tokens -------------------------------------===//

#include "Lexer.h"

#include <bit>
#include <charconv>
#include <string>

namespace odyssey::runtime::emulator {

namespace {

bool isDigit(char c) { return c >= '0' && c <= '9'; }
bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '$' || c == '%';
}
bool isNameRest(char c) { return isNameStart(c) || isDigit(c); }

class Lexer {
public:
  explicit Lexer(std::string_view text) : text(text) {}

  Result<std::vector<Token>> run() {
    tokens.reserve(text.size() / 4);
    for (;;) {
      ODYSSEY_RETURN_IF_ERROR(skipBlanks());
      if (at >= text.size())
        break;
      ODYSSEY_RETURN_IF_ERROR(lexToken());
    }
    tokens.push_back({Token::Kind::End, line, text.substr(text.size()), 0});
    return std::move(tokens);
  }

private:
  char peek(size_t ahead = 0) const {
    return at + ahead < text.size() ? text[at + ahead] : '\0';
  }

  Status error(const std::string &what) const {
    return invalidArgument("line " + std::to_string(line) + ": " + what);
  }

  Status skipBlanks() {
    while (at < text.size()) {
      char c = text[at];
      if (c == '\n') {
        ++line;
        ++at;
      } else if (c == ' ' || c == '\t' || c == '\r' || c == '\0') {
        ++at;
      } else if (c == '/' && peek(1) == '/') {
        while (at < text.size() && text[at] != '\n')
          ++at;
      } else if (c == '/' && peek(1) == '*') {
        size_t end = text.find("*/", at + 2);
        if (end == std::string_view::npos)
          return error("comment is not closed");
        for (; at < end + 2; ++at)
          line += text[at] == '\n';
      } else {
        break;
      }
    }
    return Status::success();
  }

  void push(Token::Kind kind, size_t begin, uint64_t bits = 0) {
    tokens.push_back({kind, line, text.substr(begin, at - begin), bits});
  }

  Status lexToken() {
    size_t begin = at;
    char c = text[at];
    if (isNameStart(c)) {
      lexName();
      push(Token::Kind::Name, begin);
      return Status::success();
    }
    if (c == '.' && isNameStart(peek(1))) {
      ++at;
      while (isNameRest(peek()))
        ++at;
      push(Token::Kind::Directive, begin);
      return Status::success();
    }
    if (isDigit(c))
      return lexNumber();
    if (c == '"') {
      size_t end = text.find('"', at + 1);
      if (end == std::string_view::npos)
        return error("string is not closed");
      at = end + 1;
      push(Token::Kind::String, begin);
      return Status::success();
    }
    static constexpr std::string_view kPunctuation = "@!,;:{}[]()<>+-=|~";
    if (kPunctuation.find(c) == std::string_view::npos)
      return error(std::string("unexpected character '") + c + "'");
    ++at;
    push(Token::Kind::Punctuation, begin);
    return Status::success();
  }

  /// A name, then any number of `.suffix` and `::suffix`.
  void lexName() {
    for (;;) {
      while (isNameRest(peek()))
        ++at;
      if (peek() == '.' && isNameRest(peek(1)))
        ++at;
      else if (peek() == ':' && peek(1) == ':' && isNameRest(peek(2)))
        at += 2;
      else
        return;
    }
  }

  Status lexHexFloat(unsigned digits, Token::Kind kind) {
    size_t begin = at;
    at += 2;
    uint64_t bits = 0;
    auto [end, failure] = std::from_chars(
        text.data() + at, text.data() + std::min(at + digits, text.size()),
        bits, 16);
    if (failure != std::errc() || end != text.data() + at + digits)
      return error("bad floating-point constant");
    at += digits;
    push(kind, begin, bits);
    return Status::success();
  }

  Status lexNumber() {
    size_t begin = at;
    if (text[at] == '0') {
      char next = peek(1);
      if (next == 'f' || next == 'F')
        return lexHexFloat(8, Token::Kind::Single);
      if (next == 'd' || next == 'D')
        return lexHexFloat(16, Token::Kind::Double);
    }
    int base = 10;
    if (text[at] == '0' && (peek(1) == 'x' || peek(1) == 'X')) {
      base = 16;
      at += 2;
    } else if (text[at] == '0' && (peek(1) == 'b' || peek(1) == 'B')) {
      base = 2;
      at += 2;
    } else if (text[at] == '0' && isDigit(peek(1))) {
      base = 8;
      ++at;
    }
    const char *last = text.data() + text.size();
    uint64_t value = 0;
    auto [end, failure] = std::from_chars(text.data() + at, last, value, base);
    if (failure != std::errc())
      return error("bad integer constant");
    if (base == 10 && end != last && (*end == '.' || *end == 'e')) {
      double number = 0;
      auto parsed = std::from_chars(text.data() + begin, last, number);
      if (parsed.ec != std::errc())
        return error("bad floating-point constant");
      at = parsed.ptr - text.data();
      push(Token::Kind::Double, begin, std::bit_cast<uint64_t>(number));
      return Status::success();
    }
    at = end - text.data();
    if (peek() == 'U')
      ++at;
    if (isNameRest(peek()))
      return error("bad integer constant");
    push(Token::Kind::Integer, begin, value);
    return Status::success();
  }

  std::string_view text;
  size_t at = 0;
  int line = 1;
  std::vector<Token> tokens;
};

} // namespace

Result<std::vector<Token>> tokenize(std::string_view text) {
  return Lexer(text).run();
}

} // namespace odyssey::runtime::emulator

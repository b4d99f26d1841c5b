//===- FunctionParser.h - Parser of one function body -----------*- C++ -*-===//
//
// Shared by Parser.cpp (module level) and FunctionParser.cpp (bodies).
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_FUNCTIONPARSER_H
#define ODYSSEY_RUNTIME_EMULATOR_FUNCTIONPARSER_H

#include "Lexer.h"
#include "Ptx.h"

namespace odyssey::runtime::emulator {

/// A position in the tokens of a module, and what every parser needs.
class TokenStream {
public:
  explicit TokenStream(std::vector<Token> tokens) : tokens(std::move(tokens)) {}

  const Token &peek(size_t ahead = 0) const {
    return tokens[std::min(position + ahead, tokens.size() - 1)];
  }
  const Token &next() {
    const Token &token = peek();
    if (position + 1 < tokens.size())
      ++position;
    return token;
  }
  /// Steps over `c` if it comes next.
  bool take(char c) {
    if (!peek().is(c))
      return false;
    next();
    return true;
  }
  Status expect(char c);
  Result<uint64_t> expectInteger();
  Result<std::string> expectName();
  /// Drops the rest of the present line (`.loc`, `.file`).
  void skipLine();
  Status error(const std::string &what) const;

private:
  std::vector<Token> tokens;
  size_t position = 0;
};

/// Parses the part of a declaration after its state space: alignment, type,
/// name, array size and initialiser. `stream` stands behind the space.
Result<Variable *> parseVariable(TokenStream &stream, PtxModule &module,
                                 Space space);

/// Parses a body, from its opening brace to its closing one, into `function`.
Status parseBody(TokenStream &stream, PtxModule &module, Function &function);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_FUNCTIONPARSER_H

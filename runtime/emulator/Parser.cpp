//===- Parser.cpp - PTX text to a module ----------------------------------===//

#include "Parser.h"
#include "FunctionParser.h"

#include <bit>
#include <cstring>

namespace odyssey::runtime::emulator {

Status TokenStream::error(const std::string &what) const {
  const Token &token = peek();
  std::string at = token.kind == Token::Kind::End
                       ? std::string("the end of the module")
                       : "'" + std::string(token.text.substr(0, 40)) + "'";
  return invalidArgument("line " + std::to_string(token.line) + ": " + what +
                         " at " + at);
}

Status TokenStream::expect(char c) {
  if (take(c))
    return Status::success();
  return error(std::string("expected '") + c + "'");
}

Result<uint64_t> TokenStream::expectInteger() {
  if (peek().kind != Token::Kind::Integer)
    return error("expected an integer");
  return next().bits;
}

Result<std::string> TokenStream::expectName() {
  if (peek().kind != Token::Kind::Name)
    return error("expected a name");
  return std::string(next().text);
}

void TokenStream::skipLine() {
  int line = peek().line;
  while (peek().line == line && peek().kind != Token::Kind::End)
    next();
}

namespace {

/// Appends the little-endian `bytes` low bytes of `bits`.
void appendBytes(std::vector<uint8_t> &out, uint64_t bits, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i)
    out.push_back(static_cast<uint8_t>(bits >> (8 * i)));
}

/// One element of an initialiser: a number, or a symbol with an addend that
/// `generic(...)` may enclose.
Status parseInitializerElement(TokenStream &stream, Variable &variable,
                               PtxType type) {
  unsigned bytes = bitWidth(type) / 8;
  bool negative = stream.take('-');
  const Token &token = stream.next();
  switch (token.kind) {
  case Token::Kind::Integer:
    appendBytes(variable.initializer, negative ? -token.bits : token.bits,
                bytes);
    return Status::success();
  case Token::Kind::Single:
  case Token::Kind::Double: {
    uint64_t bits = token.bits;
    if (token.kind == Token::Kind::Double && type == PtxType::F32)
      bits = std::bit_cast<uint32_t>(
          static_cast<float>(std::bit_cast<double>(bits)));
    if (negative)
      bits ^= uint64_t(1) << (bitWidth(type) - 1);
    appendBytes(variable.initializer, bits, bytes);
    return Status::success();
  }
  case Token::Kind::Name: {
    Relocation relocation;
    relocation.offset = variable.initializer.size();
    relocation.bytes = bytes;
    bool generic = token.text == "generic" && stream.take('(');
    if (generic) {
      ODYSSEY_ASSIGN_OR_RETURN(relocation.symbol, stream.expectName());
    } else {
      relocation.symbol = std::string(token.text);
    }
    if (generic)
      ODYSSEY_RETURN_IF_ERROR(stream.expect(')'));
    if (stream.take('+')) {
      bool minus = stream.take('-');
      ODYSSEY_ASSIGN_OR_RETURN(uint64_t addend, stream.expectInteger());
      relocation.addend =
          minus ? -static_cast<int64_t>(addend) : static_cast<int64_t>(addend);
    }
    variable.relocations.push_back(relocation);
    appendBytes(variable.initializer, 0, bytes);
    return Status::success();
  }
  default:
    return stream.error("expected an initialiser");
  }
}

/// A list in braces (nested for several dimensions), or one element.
Status parseInitializer(TokenStream &stream, Variable &variable, PtxType type) {
  if (!stream.take('{'))
    return parseInitializerElement(stream, variable, type);
  while (!stream.take('}')) {
    if (stream.peek().is('{'))
      ODYSSEY_RETURN_IF_ERROR(parseInitializer(stream, variable, type));
    else
      ODYSSEY_RETURN_IF_ERROR(parseInitializerElement(stream, variable, type));
    if (!stream.peek().is('}'))
      ODYSSEY_RETURN_IF_ERROR(stream.expect(','));
  }
  return Status::success();
}

} // namespace

Result<Variable *> parseVariable(TokenStream &stream, PtxModule &module,
                                 Space space) {
  Variable variable;
  variable.space = space;
  PtxType type = PtxType::None;
  unsigned vector = 1;
  while (stream.peek().kind == Token::Kind::Directive) {
    std::string_view name = stream.peek().text.substr(1);
    if (name == "align") {
      stream.next();
      ODYSSEY_ASSIGN_OR_RETURN(uint64_t align, stream.expectInteger());
      variable.align = static_cast<uint32_t>(align);
      continue;
    }
    if (name == "ptr") {
      // `.ptr .space .align n` of a kernel parameter is a hint.
      stream.next();
      while (stream.peek().kind == Token::Kind::Directive)
        if (stream.next().text == ".align")
          ODYSSEY_RETURN_IF_ERROR(stream.expectInteger().status());
      break;
    }
    if (name == "v2" || name == "v4")
      vector = name == "v2" ? 2 : 4;
    else if (std::optional<PtxType> parsed = parseType(name))
      type = *parsed;
    else
      return stream.error("unsupported attribute of a variable");
    stream.next();
  }
  if (type == PtxType::None || type == PtxType::Pred)
    return stream.error("expected the type of a variable");
  ODYSSEY_ASSIGN_OR_RETURN(variable.name, stream.expectName());
  uint64_t elementBytes = bitWidth(type) / 8 * vector;
  variable.align =
      std::max<uint32_t>(variable.align, static_cast<uint32_t>(elementBytes));
  uint64_t count = 1;
  while (stream.take('[')) {
    if (stream.take(']')) {
      variable.unsized = true;
      continue;
    }
    ODYSSEY_ASSIGN_OR_RETURN(uint64_t extent, stream.expectInteger());
    count *= extent;
    ODYSSEY_RETURN_IF_ERROR(stream.expect(']'));
  }
  variable.size = variable.unsized ? 0 : count * elementBytes;
  if (stream.take('=')) {
    ODYSSEY_RETURN_IF_ERROR(parseInitializer(stream, variable, type));
    if (variable.unsized) {
      variable.size = variable.initializer.size();
      variable.unsized = false;
    }
    if (variable.initializer.size() > variable.size)
      return stream.error("too many initialisers of '" + variable.name + "'");
  }
  module.variables.push_back(std::move(variable));
  return &module.variables.back();
}

namespace {

class ModuleParser {
public:
  explicit ModuleParser(std::vector<Token> tokens)
      : stream(std::move(tokens)), module(std::make_unique<PtxModule>()) {}

  Result<std::unique_ptr<PtxModule>> run() {
    while (stream.peek().kind != Token::Kind::End)
      ODYSSEY_RETURN_IF_ERROR(parseTopLevel());
    if (module->target.empty())
      return invalidArgument("module has no .target");
    return std::move(module);
  }

private:
  Status parseTopLevel() {
    const Token &token = stream.peek();
    if (token.kind != Token::Kind::Directive)
      return stream.error("expected a directive");
    std::string_view name = token.text.substr(1);
    if (name == "version") {
      stream.next();
      stream.next();
      return Status::success();
    }
    if (name == "target")
      return parseTarget();
    if (name == "address_size") {
      stream.next();
      ODYSSEY_ASSIGN_OR_RETURN(uint64_t bits, stream.expectInteger());
      if (bits != 64)
        return unsupported("only 64-bit addresses are supported");
      return Status::success();
    }
    if (name == "file" || name == "loc") {
      stream.skipLine();
      return Status::success();
    }
    if (name == "section")
      return skipSection();
    if (name == "pragma") {
      while (!stream.take(';'))
        if (stream.next().kind == Token::Kind::End)
          return stream.error("expected ';'");
      return Status::success();
    }
    return parseDeclaration();
  }

  Status parseTarget() {
    stream.next();
    ODYSSEY_ASSIGN_OR_RETURN(module->target, stream.expectName());
    if (module->target.rfind("sm_", 0) != 0)
      return stream.error("expected an sm_ target");
    module->architecture =
        static_cast<unsigned>(std::atoi(module->target.c_str() + 3));
    while (stream.take(','))
      ODYSSEY_RETURN_IF_ERROR(stream.expectName().status());
    return Status::success();
  }

  Status skipSection() {
    while (!stream.peek().is('{'))
      if (stream.next().kind == Token::Kind::End)
        return stream.error("expected '{'");
    stream.next();
    while (!stream.take('}'))
      if (stream.next().kind == Token::Kind::End)
        return stream.error("section is not closed");
    return Status::success();
  }

  Status parseDeclaration() {
    bool isExtern = false;
    for (;;) {
      const Token &token = stream.peek();
      if (token.kind != Token::Kind::Directive)
        return stream.error("expected a declaration");
      std::string_view name = token.text.substr(1);
      if (name == "visible" || name == "weak" || name == "extern") {
        isExtern |= name == "extern";
        stream.next();
        continue;
      }
      std::optional<Space> space;
      if (name == "global")
        space = Space::Global;
      else if (name == "const")
        space = Space::Const;
      else if (name == "shared")
        space = Space::Shared;
      if (space) {
        stream.next();
        ODYSSEY_ASSIGN_OR_RETURN(Variable * variable,
                                 parseVariable(stream, *module, *space));
        variable->isExtern = isExtern;
        module->moduleVariables[variable->name] = variable;
        return stream.expect(';');
      }
      if (name == "entry" || name == "func")
        return parseFunction();
      return stream.error("unsupported directive");
    }
  }

  Status parseParameters(std::vector<const Variable *> &list, bool isEntry) {
    uint64_t offset = 0;
    if (!stream.take('('))
      return Status::success();
    while (!stream.take(')')) {
      if (!stream.next().isDirective(".param"))
        return stream.error("expected '.param' before");
      ODYSSEY_ASSIGN_OR_RETURN(Variable * variable,
                               parseVariable(stream, *module, Space::Param));
      if (isEntry) {
        variable->isKernelParam = true;
        offset =
            (offset + variable->align - 1) / variable->align * variable->align;
        variable->paramOffset = offset;
        offset += variable->size;
      }
      list.push_back(variable);
      if (!stream.peek().is(')'))
        ODYSSEY_RETURN_IF_ERROR(stream.expect(','));
    }
    return Status::success();
  }

  Status parseFunction() {
    Function function;
    function.line = stream.peek().line;
    function.isEntry = stream.next().text == ".entry";
    if (!function.isEntry)
      ODYSSEY_RETURN_IF_ERROR(parseParameters(function.returns, false));
    ODYSSEY_ASSIGN_OR_RETURN(function.name, stream.expectName());
    ODYSSEY_RETURN_IF_ERROR(
        parseParameters(function.parameters, function.isEntry));
    ODYSSEY_RETURN_IF_ERROR(parseFunctionDirectives(function));

    Function *&known = module->functionsByName[function.name];
    if (known && known->hasBody && stream.peek().is('{'))
      return stream.error("function '" + function.name + "' is defined twice");
    if (!known || !known->hasBody) {
      module->functions.push_back(std::move(function));
      known = &module->functions.back();
    }
    if (stream.take(';'))
      return Status::success();
    known->hasBody = true;
    return parseBody(stream, *module, *known);
  }

  Status parseTriple(std::array<uint32_t, 3> &out) {
    out = {1, 1, 1};
    for (unsigned i = 0; i < 3; ++i) {
      ODYSSEY_ASSIGN_OR_RETURN(uint64_t value, stream.expectInteger());
      out[i] = static_cast<uint32_t>(value);
      if (!stream.take(','))
        break;
    }
    return Status::success();
  }

  Status parseFunctionDirectives(Function &function) {
    while (stream.peek().kind == Token::Kind::Directive) {
      std::string_view name = stream.next().text.substr(1);
      std::array<uint32_t, 3> ignored;
      if (name == "maxntid") {
        ODYSSEY_RETURN_IF_ERROR(parseTriple(function.maxThreads));
      } else if (name == "reqntid") {
        ODYSSEY_RETURN_IF_ERROR(parseTriple(function.requiredThreads));
      } else if (name == "reqnctapercluster") {
        ODYSSEY_RETURN_IF_ERROR(parseTriple(function.requiredCluster));
      } else if (name == "maxnreg") {
        ODYSSEY_ASSIGN_OR_RETURN(uint64_t count, stream.expectInteger());
        function.maxRegisters = static_cast<uint32_t>(count);
      } else if (name == "minnctapersm" || name == "maxclusterrank") {
        ODYSSEY_RETURN_IF_ERROR(parseTriple(ignored));
      } else if (name == "pragma") {
        while (!stream.take(';'))
          if (stream.next().kind == Token::Kind::End)
            return stream.error("expected ';'");
      } else if (name != "explicitcluster" && name != "noreturn") {
        return stream.error("unsupported directive '." + std::string(name) +
                            "' of a function");
      }
    }
    return Status::success();
  }

  TokenStream stream;
  std::unique_ptr<PtxModule> module;
};

} // namespace

Result<std::unique_ptr<PtxModule>> parsePtx(std::string_view text) {
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(text));
  return ModuleParser(std::move(tokens)).run();
}

} // namespace odyssey::runtime::emulator

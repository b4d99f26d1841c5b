//===- FunctionParser.cpp - Parser of one function body -------------------===//
//
// Names live in nested scopes: every `{` of the body (inline assembly and call
// sequences bring many) may declare registers, variables and labels of its own.
//
//===----------------------------------------------------------------------===//

#include "FunctionParser.h"

#include <bit>

namespace odyssey::runtime::emulator {

namespace {

constexpr size_t kNotPlaced = ~size_t(0);

struct Scope {
  int parent = -1;
  /// `%r<n>` declares n registers; the prefix maps to the first and the count.
  std::unordered_map<std::string, std::pair<uint32_t, uint32_t>> ranges;
  std::unordered_map<std::string, uint32_t> registers;
  std::unordered_map<std::string, const Variable *> variables;
  std::unordered_map<std::string, uint32_t> labels;
};

class BodyParser {
public:
  BodyParser(TokenStream &stream, PtxModule &module, Function &function)
      : stream(stream), module(module), function(function) {}

  Status run() {
    ODYSSEY_RETURN_IF_ERROR(stream.expect('{'));
    enterScope();
    for (const Variable *parameter : function.parameters)
      scopes[0].variables[parameter->name] = parameter;
    for (const Variable *value : function.returns)
      scopes[0].variables[value->name] = value;
    while (current >= 0)
      ODYSSEY_RETURN_IF_ERROR(parseStatement());
    return resolveLabels();
  }

private:
  void enterScope() {
    scopes.push_back({current, {}, {}, {}, {}});
    current = static_cast<int>(scopes.size()) - 1;
  }

  Status parseStatement() {
    const Token &token = stream.peek();
    if (token.kind == Token::Kind::End)
      return stream.error("function '" + function.name + "' is not closed");
    if (stream.take('{')) {
      enterScope();
      return Status::success();
    }
    if (stream.take('}')) {
      current = scopes[current].parent;
      return Status::success();
    }
    if (stream.take(';'))
      return Status::success();
    if (token.kind == Token::Kind::Directive)
      return parseDirective();
    if (token.kind == Token::Kind::Name && stream.peek(1).is(':'))
      return parseLabel();
    return parseInstruction();
  }

  Status parseDirective() {
    std::string_view name = stream.peek().text.substr(1);
    if (name == "loc" || name == "file") {
      stream.skipLine();
      return Status::success();
    }
    stream.next();
    if (name == "pragma") {
      while (!stream.take(';'))
        if (stream.next().kind == Token::Kind::End)
          return stream.error("expected ';'");
      return Status::success();
    }
    if (name == "reg")
      return parseRegisters();
    std::optional<Space> space;
    if (name == "shared")
      space = Space::Shared;
    else if (name == "local")
      space = Space::Local;
    else if (name == "param")
      space = Space::Param;
    else if (name == "global")
      space = Space::Global;
    else if (name == "const")
      space = Space::Const;
    else
      return stream.error("unsupported directive '." + std::string(name) +
                          "' before");
    ODYSSEY_ASSIGN_OR_RETURN(Variable * variable,
                             parseVariable(stream, module, *space));
    scopes[current].variables[variable->name] = variable;
    return stream.expect(';');
  }

  Status parseRegisters() {
    std::optional<PtxType> type;
    if (stream.peek().kind == Token::Kind::Directive)
      type = parseType(stream.next().text.substr(1));
    if (!type || bitWidth(*type) == 8)
      return stream.error("unsupported type of a register before");
    do {
      ODYSSEY_ASSIGN_OR_RETURN(std::string name, stream.expectName());
      auto first = static_cast<uint32_t>(function.registers.size());
      if (stream.take('<')) {
        ODYSSEY_ASSIGN_OR_RETURN(uint64_t count, stream.expectInteger());
        ODYSSEY_RETURN_IF_ERROR(stream.expect('>'));
        if (count > (1u << 24))
          return stream.error("too many registers before");
        for (uint64_t i = 0; i < count; ++i)
          function.registers.push_back({*type, name + std::to_string(i)});
        scopes[current].ranges[name] = {first, static_cast<uint32_t>(count)};
      } else {
        function.registers.push_back({*type, name});
        scopes[current].registers[name] = first;
      }
    } while (stream.take(','));
    return stream.expect(';');
  }

  uint32_t newLabel() {
    function.labels.push_back(kNotPlaced);
    return static_cast<uint32_t>(function.labels.size() - 1);
  }

  Status parseLabel() {
    std::string name(stream.next().text);
    stream.next();
    if (scopes[current].labels.count(name))
      return stream.error("label '" + name + "' is defined twice, before");
    uint32_t label = newLabel();
    scopes[current].labels[name] = label;
    function.labels[label] = function.body.size();
    if (!stream.peek().isDirective(".branchtargets"))
      return Status::success();
    stream.next();
    std::vector<uint32_t> &targets = function.branchTargets[label];
    do {
      ODYSSEY_ASSIGN_OR_RETURN(std::string target, stream.expectName());
      references.push_back(
          {current, target, Place::Target, label, targets.size()});
      targets.push_back(0);
    } while (stream.take(','));
    return stream.expect(';');
  }

  std::optional<uint32_t> findRegister(const std::string &name) const {
    size_t digits = name.find_last_not_of("0123456789") + 1;
    // A number too long for the conversion below is no register of a range.
    bool numbered = digits < name.size() && name.size() - digits < 9;
    std::string prefix = name.substr(0, digits);
    uint32_t number =
        numbered ? static_cast<uint32_t>(std::stoul(name.substr(digits))) : 0;
    for (int s = current; s >= 0; s = scopes[s].parent) {
      auto exact = scopes[s].registers.find(name);
      if (exact != scopes[s].registers.end())
        return exact->second;
      if (!numbered)
        continue;
      auto range = scopes[s].ranges.find(prefix);
      if (range != scopes[s].ranges.end() && number < range->second.second)
        return range->second.first + number;
    }
    return std::nullopt;
  }

  const Variable *findVariable(const std::string &name) const {
    for (int s = current; s >= 0; s = scopes[s].parent) {
      auto found = scopes[s].variables.find(name);
      if (found != scopes[s].variables.end())
        return found->second;
    }
    auto found = module.moduleVariables.find(name);
    return found == module.moduleVariables.end() ? nullptr : found->second;
  }

  Status parseInstruction() {
    Instruction instruction;
    const char *begin = stream.peek().text.data();
    if (stream.take('@')) {
      instruction.guardNegated = stream.take('!');
      ODYSSEY_ASSIGN_OR_RETURN(std::string name, stream.expectName());
      instruction.guard = findRegister(name);
      if (!instruction.guard)
        return stream.error("unknown predicate '" + name + "' before");
    }
    instruction.line = stream.peek().line;
    if (stream.peek().kind != Token::Kind::Name)
      return stream.error("expected an instruction");
    std::string_view full = stream.next().text;
    size_t dot = full.find('.');
    instruction.opcode = std::string(full.substr(0, dot));
    while (dot != std::string_view::npos) {
      size_t end = full.find('.', dot + 1);
      instruction.modifiers.emplace_back(full.substr(
          dot + 1, end == std::string_view::npos ? end : end - dot - 1));
      dot = end;
    }
    while (!stream.peek().is(';')) {
      Operand operand;
      ODYSSEY_RETURN_IF_ERROR(parseOperand(operand));
      instruction.operands.push_back(std::move(operand));
      if (!stream.peek().is(';'))
        ODYSSEY_RETURN_IF_ERROR(stream.expect(','));
    }
    instruction.text = collapse(
        {begin, static_cast<size_t>(stream.peek().text.data() - begin)});
    stream.next();
    // Labels are found once the whole body is known.
    for (size_t i = 0; i < instruction.operands.size(); ++i)
      if (instruction.operands[i].kind == Operand::Kind::Symbol &&
          (instruction.opcode == "bra" || instruction.opcode == "brx"))
        references.push_back({current, instruction.operands[i].name,
                              Place::Operand,
                              static_cast<uint32_t>(function.body.size()), i});
    function.body.push_back(std::move(instruction));
    return Status::success();
  }

  static std::string collapse(std::string_view text) {
    std::string out;
    for (char c : text) {
      bool blank = c == ' ' || c == '\t' || c == '\n' || c == '\r';
      if (!blank)
        out.push_back(c);
      else if (!out.empty() && out.back() != ' ')
        out.push_back(' ');
    }
    while (!out.empty() && out.back() == ' ')
      out.pop_back();
    return out;
  }

  Status parseList(Operand &operand, Operand::Kind kind, char close) {
    operand.kind = kind;
    while (!stream.take(close)) {
      Operand element;
      ODYSSEY_RETURN_IF_ERROR(parseOperand(element));
      operand.elements.push_back(std::move(element));
      if (!stream.peek().is(close))
        ODYSSEY_RETURN_IF_ERROR(stream.expect(','));
    }
    return Status::success();
  }

  Status parseOffset(int64_t &offset) {
    bool minus = stream.peek().is('-');
    if (!stream.take('+') && !stream.take('-'))
      return Status::success();
    minus ^= stream.take('-');
    ODYSSEY_ASSIGN_OR_RETURN(uint64_t value, stream.expectInteger());
    offset = static_cast<int64_t>(minus ? -value : value);
    return Status::success();
  }

  Status parseOperand(Operand &operand) {
    if (stream.take('{'))
      return parseList(operand, Operand::Kind::Vector, '}');
    if (stream.take('('))
      return parseList(operand, Operand::Kind::List, ')');
    if (stream.take('[')) {
      operand.kind = Operand::Kind::Address;
      operand.elements.emplace_back();
      ODYSSEY_RETURN_IF_ERROR(parseOperand(operand.elements[0]));
      std::swap(operand.offset, operand.elements[0].offset);
      ODYSSEY_RETURN_IF_ERROR(parseOffset(operand.offset));
      return stream.expect(']');
    }
    operand.negated = stream.take('!');
    if (stream.peek().is('-') || stream.peek().is('~') ||
        stream.peek().kind == Token::Kind::Integer ||
        stream.peek().kind == Token::Kind::Single ||
        stream.peek().kind == Token::Kind::Double)
      return parseNumber(operand);
    ODYSSEY_ASSIGN_OR_RETURN(operand.name, stream.expectName());
    if (operand.name == "_") {
      operand.kind = Operand::Kind::Sink;
    } else if (std::optional<uint32_t> found = findRegister(operand.name)) {
      operand.kind = Operand::Kind::Register;
      operand.index = *found;
    } else if (const Variable *variable = findVariable(operand.name)) {
      operand.kind = Operand::Kind::Variable;
      operand.variable = variable;
      ODYSSEY_RETURN_IF_ERROR(parseOffset(operand.offset));
    } else {
      operand.kind = Operand::Kind::Symbol;
    }
    if (stream.take('|')) {
      operand.elements.emplace_back();
      return parseOperand(operand.elements[0]);
    }
    return Status::success();
  }

  Status parseNumber(Operand &operand) {
    bool minus = stream.take('-');
    bool complement = !minus && stream.take('~');
    const Token &token = stream.next();
    if (token.kind == Token::Kind::Integer) {
      operand.kind = Operand::Kind::Integer;
      operand.bits = minus        ? -token.bits
                     : complement ? ~token.bits
                                  : token.bits;
      return Status::success();
    }
    if (complement)
      return stream.error("expected an integer before");
    operand.kind = Operand::Kind::Float;
    if (token.kind == Token::Kind::Single) {
      uint32_t bits = static_cast<uint32_t>(token.bits);
      operand.singleBits = minus ? bits ^ 0x80000000u : bits;
      operand.bits = std::bit_cast<uint64_t>(
          static_cast<double>(std::bit_cast<float>(*operand.singleBits)));
      return Status::success();
    }
    if (token.kind != Token::Kind::Double)
      return stream.error("expected a number before");
    operand.bits = minus ? token.bits ^ (uint64_t(1) << 63) : token.bits;
    return Status::success();
  }

  Status resolveLabels() {
    for (const Reference &reference : references) {
      std::optional<uint32_t> label;
      for (int s = reference.scope; s >= 0 && !label; s = scopes[s].parent) {
        auto found = scopes[s].labels.find(reference.name);
        if (found != scopes[s].labels.end())
          label = found->second;
      }
      if (!label)
        return invalidArgument("function '" + function.name +
                               "': unknown label '" + reference.name + "'");
      if (reference.place == Place::Target) {
        function.branchTargets[reference.owner][reference.slot] = *label;
      } else {
        Operand &operand =
            function.body[reference.owner].operands[reference.slot];
        operand.kind = Operand::Kind::Label;
        operand.index = *label;
      }
    }
    return Status::success();
  }

  /// A use of a label, and where its number has to go.
  enum class Place { Operand, Target };
  struct Reference {
    int scope;
    std::string name;
    Place place;
    /// Instruction index, or label number of the `.branchtargets` list.
    uint32_t owner;
    size_t slot;
  };

  TokenStream &stream;
  PtxModule &module;
  Function &function;
  std::vector<Scope> scopes;
  int current = -1;
  std::vector<Reference> references;
};

} // namespace

Status parseBody(TokenStream &stream, PtxModule &module, Function &function) {
  return BodyParser(stream, module, function).run();
}

} // namespace odyssey::runtime::emulator

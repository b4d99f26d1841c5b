//===- Ptx.h - A parsed PTX module ------------------------------*- C++ -*-===//
//
// What the parser makes of PTX text: variables, functions and instructions with
// their names resolved, but with no meaning given to any instruction yet.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_PTX_H
#define ODYSSEY_RUNTIME_EMULATOR_PTX_H

#include <array>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace odyssey::runtime::emulator {

enum class PtxType : uint8_t {
  None,
  Pred,
  B8,
  U8,
  S8,
  B16,
  U16,
  S16,
  B32,
  U32,
  S32,
  B64,
  U64,
  S64,
  F16,
  F16x2,
  BF16,
  BF16x2,
  F32,
  F64,
};

/// The type called `name` ("u32"), without the dot.
std::optional<PtxType> parseType(std::string_view name);
const char *typeName(PtxType type);
/// Width in bits; a predicate has 1.
unsigned bitWidth(PtxType type);
bool isSigned(PtxType type);
bool isFloat(PtxType type);
/// An integer or an untyped bit string.
bool isInteger(PtxType type);

enum class Space : uint8_t { Generic, Global, Shared, Local, Const, Param };

/// A place in a variable's initialiser that holds an address.
struct Relocation {
  size_t offset = 0;
  std::string symbol;
  int64_t addend = 0;
  unsigned bytes = 8;
};

struct Variable {
  std::string name;
  Space space = Space::Global;
  uint64_t size = 0;
  uint32_t align = 1;
  /// Declared with empty brackets and `.extern`: the dynamic shared memory.
  bool unsized = false;
  bool isExtern = false;
  /// Kernel parameters only: the offset in the parameter block.
  uint64_t paramOffset = 0;
  bool isKernelParam = false;
  std::vector<uint8_t> initializer;
  std::vector<Relocation> relocations;
};

struct Operand {
  enum class Kind : uint8_t {
    Register,
    /// A special register such as %tid.x, or a name that nobody declared.
    Symbol,
    /// The address of a variable.
    Variable,
    Integer,
    Float,
    /// [base + offset]; the base is `elements[0]`.
    Address,
    /// {a, b, ...}
    Vector,
    /// (a, b, ...) of a call
    List,
    Label,
    /// `_`
    Sink,
  };
  Kind kind = Kind::Sink;
  /// `!p`
  bool negated = false;
  /// Register or label number.
  uint32_t index = 0;
  /// Value of an integer, or the f64 bits of a Float.
  uint64_t bits = 0;
  /// A Float written as 0f...: its exact f32 bits.
  std::optional<uint32_t> singleBits;
  int64_t offset = 0;
  const Variable *variable = nullptr;
  std::string name;
  /// For `p|q`, q is the second element and p this operand.
  std::vector<Operand> elements;
};

struct Instruction {
  int line = 0;
  /// The instruction as it was written, with blanks collapsed.
  std::string text;
  std::string opcode;
  std::vector<std::string> modifiers;
  std::vector<Operand> operands;
  std::optional<uint32_t> guard;
  bool guardNegated = false;
};

struct Register {
  PtxType type = PtxType::None;
  std::string name;
};

struct Function {
  std::string name;
  int line = 0;
  bool isEntry = false;
  bool hasBody = false;
  std::vector<const Variable *> returns;
  std::vector<const Variable *> parameters;
  std::vector<Register> registers;
  std::vector<Instruction> body;
  /// For each label the index of the instruction that it stands before.
  std::vector<size_t> labels;
  /// Label number of a `.branchtargets` list to the labels in it.
  std::unordered_map<uint32_t, std::vector<uint32_t>> branchTargets;
  /// `.maxntid` and `.reqntid`: 0 where absent.
  std::array<uint32_t, 3> maxThreads = {0, 0, 0};
  std::array<uint32_t, 3> requiredThreads = {0, 0, 0};
  /// `.reqnctapercluster`, 0 where absent.
  std::array<uint32_t, 3> requiredCluster = {0, 0, 0};
  uint32_t maxRegisters = 0;
};

struct PtxModule {
  std::string target;
  /// The number in the target's name: 80 for sm_80, 90 for sm_90a.
  unsigned architecture = 0;
  /// Owns every variable of the module and of its functions.
  std::deque<Variable> variables;
  /// Those declared outside functions, by name.
  std::unordered_map<std::string, Variable *> moduleVariables;
  std::deque<Function> functions;
  std::unordered_map<std::string, Function *> functionsByName;
};

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_PTX_H

//===- Decoder.h - Instructions to operations -------------------*- C++ -*-===//
//
// The decoder binds everything about an instruction that is known before it
// runs. Each family of instructions has a file of its own (Decode*.cpp) with
// functions that take the modifiers of an instruction apart from left to right;
// what they do not take is an error, so no modifier is ever ignored by
// accident.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_DECODER_H
#define ODYSSEY_RUNTIME_EMULATOR_DECODER_H

#include "Memory.h"
#include "Program.h"
#include "odyssey/runtime/Emulator.h"

#include <functional>
#include <memory>

namespace odyssey::runtime::emulator {

/// Where the module's global and constant variables are.
using VariableAddresses = std::unordered_map<const Variable *, uint64_t>;

/// Decodes one kernel and the functions that it calls.
Result<std::shared_ptr<const Program>>
decodeKernel(const PtxModule &module, const Function &kernel,
             const VariableAddresses &addresses,
             const EmulatorOptions &options);

/// A row before it has a place among the registers. Ops hold indices of these
/// until the end of decoding.
struct RowInfo {
  enum class Kind : uint8_t { Register, Constant, Special, Object };
  Kind kind = Kind::Register;
  /// Bytes per lane; 0 for a predicate.
  uint32_t bytes = 0;
  uint64_t bits = 0;
  Special special = Special::Zero;
  uint32_t offset = 0;
};

/// The rows that one operation reads and writes.
struct RowUse {
  uint32_t op = 0;
  uint32_t row = 0;
  bool isDef = false;
};

class ProgramBuilder;

/// Takes one instruction apart. The first thing that does not fit is kept as
/// the error; everything after it is harmless and without meaning.
class InstructionDecoder {
public:
  InstructionDecoder(ProgramBuilder &builder, const Instruction &instruction)
      : builder(builder), instruction(instruction) {}

  // Modifiers, from left to right.
  bool take(std::string_view modifier);
  /// The next modifier, or an empty string.
  std::string_view peek() const;
  std::string_view takeAny();
  /// The next modifier must be a type of those that `accepts` allows.
  PtxType takeType();
  bool modifiersLeft() const { return position < instruction.modifiers.size(); }

  // Operands.
  size_t operandCount() const { return instruction.operands.size(); }
  void expectOperands(size_t least, size_t most);
  void expectOperands(size_t count) { expectOperands(count, count); }
  const Operand &operand(size_t index) const {
    return instruction.operands[index];
  }
  /// Row that `operand` is read from. Immediates are converted to `type`.
  uint32_t use(const Operand &operand, PtxType type);
  uint32_t use(size_t index, PtxType type);
  /// Row that `operand` is written to; `_` gives a row that nobody reads.
  uint32_t def(const Operand &operand, PtxType type);
  uint32_t def(size_t index, PtxType type);
  /// A predicate that is read; `!p` sets `flip` to all ones.
  uint32_t usePredicate(const Operand &operand, uint32_t &flip);
  /// A register of any width, with its width in bits (ld, st, cvt widen).
  uint32_t useAny(const Operand &operand, unsigned &bits);
  uint32_t defAny(const Operand &operand, unsigned &bits);
  /// A row with the same value in each lane.
  uint32_t constant(uint64_t bits, unsigned width);
  uint32_t special(Special value);
  /// An immediate integer, or an error.
  int64_t integer(const Operand &operand);
  /// Notes that the operation also reads a row that it writes.
  void alsoUses(uint32_t row);
  /// Notes a row that the operation writes and that is no operand.
  void alsoDefines(uint32_t row);

  // Errors.
  void fail(const std::string &what);
  bool failed() const { return !error.ok(); }
  /// The message for a form that nobody implements.
  void unsupportedForm();

  /// Fills in the op's guard and source and appends it. The rows named since
  /// the last emit are its rows.
  Op &emit(Op op);
  /// Puts rows into the pool of the program; returns the first one's index.
  uint32_t addRows(const std::vector<uint32_t> &rows);

  Status takeError() { return std::move(error); }

  ProgramBuilder &builder;
  const Instruction &instruction;

private:
  size_t position = 0;
  std::vector<RowUse> pending;
  Status error;
};

/// Collects the operations of a kernel.
class ProgramBuilder {
public:
  ProgramBuilder(const PtxModule &module, const Function &kernel,
                 const VariableAddresses &addresses,
                 const EmulatorOptions &options);
  Status build();
  std::shared_ptr<Program> take() { return std::move(program); }

  uint32_t addRow(RowInfo info);
  uint32_t constantRow(uint64_t bits, uint32_t bytes);
  uint32_t specialRow(Special special);
  uint32_t registerRow(uint32_t index) const;
  PtxType registerType(uint32_t index) const;
  /// Row of a parameter object (32 lanes times its size).
  uint32_t objectRow(const Variable *variable);
  /// The address that naming `variable` stands for, in its state space.
  Result<uint64_t> addressOf(const Variable &variable) const;
  /// Index of the first op of a function, which is decoded if need be.
  Result<const Function *> callee(const std::string &name);
  /// Ops that need the index of a label or function once all are placed.
  void patchLabel(uint32_t op, uint32_t label);
  void patchTable(uint32_t table, const std::vector<uint32_t> &labels);
  void patchCall(uint32_t call, const Function *callee);

  const PtxModule &module;
  const Function &kernel;
  const VariableAddresses &addresses;
  const EmulatorOptions &options;
  std::shared_ptr<Program> program;
  std::vector<RowInfo> rows;
  std::vector<RowUse> uses;
  const Function *function = nullptr;
  /// Vector loads: the op, and the number of its elements.
  std::vector<std::pair<uint32_t, unsigned>> vectorLoads;

private:
  struct DecodedFunction {
    uint32_t firstRow = 0;
    uint32_t firstOp = 0;
    std::vector<uint32_t> labelOps;
  };
  struct LabelPatch {
    const Function *function;
    uint32_t op, label;
  };
  struct TablePatch {
    const Function *function;
    uint32_t table;
    std::vector<uint32_t> labels;
  };

  Status layOutVariables();
  Status decodeFunction(const Function &function);
  Status checkNoRecursion();
  void findDeadElements();
  void listOpRows();
  void finish();

  std::unordered_map<const Function *, DecodedFunction> decoded;
  std::vector<const Function *> queue;
  std::vector<std::pair<const Function *, const Function *>> callEdges;
  std::vector<LabelPatch> labelPatches;
  std::vector<TablePatch> tablePatches;
  std::vector<std::pair<uint32_t, const Function *>> callPatches;
  std::unordered_map<const Variable *, uint64_t> placed;
  std::unordered_map<const Variable *, uint32_t> objects;
  std::unordered_map<uint64_t, uint32_t> constantIndex[4];
  std::unordered_map<uint32_t, uint32_t> specialIndex;
};

/// Decodes the instructions of one opcode.
using DecodeFunction = void (*)(InstructionDecoder &);
using DecodeTable = std::unordered_map<std::string_view, DecodeFunction>;

void addControl(DecodeTable &table);
void addInteger(DecodeTable &table);
void addFloat(DecodeTable &table);
void addConvert(DecodeTable &table);
void addCompare(DecodeTable &table);
void addMemory(DecodeTable &table);
void addAtomic(DecodeTable &table);
void addWarpWide(DecodeTable &table);
void addAsync(DecodeTable &table);
void addMatrix(DecodeTable &table);
void addMbarrier(DecodeTable &table);
void addWarpgroup(DecodeTable &table);
void addCluster(DecodeTable &table);

/// Forms of barrier and fence that exist for clusters and asynchronous copies.
void decodeClusterBarrier(InstructionDecoder &in);
void decodeProxyFence(InstructionDecoder &in);

/// Gives each row its place in the register file of a warp.
void assignRows(Program &program, std::vector<RowInfo> &rows,
                const std::vector<RowUse> &uses);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_DECODER_H

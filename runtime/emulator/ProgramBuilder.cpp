//===- ProgramBuilder.cpp - A kernel and the functions it calls -----------===//

#include "Decoder.h"
#include "MemoryOps.h"

#include <algorithm>

namespace odyssey::runtime::emulator {

namespace {

const DecodeTable &decodeTable() {
  static const DecodeTable table = [] {
    DecodeTable all;
    addControl(all);
    addInteger(all);
    addFloat(all);
    addConvert(all);
    addCompare(all);
    addMemory(all);
    addAtomic(all);
    addWarpWide(all);
    addAsync(all);
    addMatrix(all);
    addMbarrier(all);
    addWarpgroup(all);
    addCluster(all);
    return all;
  }();
  return table;
}

uint64_t alignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

/// Calls `visit` for each variable that an operand names.
template <typename Visitor>
void forEachVariable(const std::vector<Operand> &operands, Visitor visit) {
  for (const Operand &operand : operands) {
    if (operand.kind == Operand::Kind::Variable)
      visit(operand.variable);
    forEachVariable(operand.elements, visit);
  }
}

} // namespace

ProgramBuilder::ProgramBuilder(const PtxModule &module, const Function &kernel,
                               const VariableAddresses &addresses,
                               const EmulatorOptions &options)
    : module(module), kernel(kernel), addresses(addresses), options(options),
      program(std::make_shared<Program>()) {
  program->name = kernel.name;
  program->architecture = module.architecture;
  program->maxThreads = kernel.maxThreads;
  program->requiredThreads = kernel.requiredThreads;
  program->requiredCluster = kernel.requiredCluster;
  for (const Variable *parameter : kernel.parameters) {
    program->parameters.push_back(
        {parameter->name, parameter->paramOffset, parameter->size});
    program->parameterBytes = parameter->paramOffset + parameter->size;
  }
  // Row 0 is the predicate that is always true: the guard of an operation that
  // has none.
  constantRow(1, 0);
}

uint32_t ProgramBuilder::addRow(RowInfo info) {
  rows.push_back(info);
  return static_cast<uint32_t>(rows.size() - 1);
}

uint32_t ProgramBuilder::constantRow(uint64_t bits, uint32_t bytes) {
  unsigned index = bytes == 0 ? 0 : bytes == 2 ? 1 : bytes == 4 ? 2 : 3;
  auto [slot, added] = constantIndex[index].try_emplace(bits, 0);
  if (added)
    slot->second =
        addRow({RowInfo::Kind::Constant, bytes, bits, Special::Zero, 0});
  return slot->second;
}

uint32_t ProgramBuilder::specialRow(Special special) {
  auto [slot, added] =
      specialIndex.try_emplace(static_cast<uint32_t>(special), 0);
  if (added)
    slot->second = addRow({RowInfo::Kind::Special, 4, 0, special, 0});
  return slot->second;
}

uint32_t ProgramBuilder::registerRow(uint32_t index) const {
  return decoded.at(function).firstRow + index;
}

PtxType ProgramBuilder::registerType(uint32_t index) const {
  return function->registers[index].type;
}

uint32_t ProgramBuilder::objectRow(const Variable *variable) {
  auto [slot, added] = objects.try_emplace(variable, 0);
  if (added)
    slot->second =
        addRow({RowInfo::Kind::Object, static_cast<uint32_t>(variable->size), 0,
                Special::Zero, 0});
  return slot->second;
}

Result<uint64_t> ProgramBuilder::addressOf(const Variable &variable) const {
  if (variable.isKernelParam)
    return kParamWindow + variable.paramOffset;
  auto inKernel = placed.find(&variable);
  if (inKernel != placed.end())
    return inKernel->second;
  auto inModule = addresses.find(&variable);
  if (inModule != addresses.end())
    return inModule->second;
  return unsupported("the address of '" + variable.name + "' is not known");
}

Result<const Function *> ProgramBuilder::callee(const std::string &name) {
  auto found = module.functionsByName.find(name);
  if (found == module.functionsByName.end() || !found->second->hasBody)
    return unsupported("call of '" + name +
                       "', which is not defined in this module");
  callEdges.push_back({function, found->second});
  if (std::find(queue.begin(), queue.end(), found->second) == queue.end())
    queue.push_back(found->second);
  return found->second;
}

void ProgramBuilder::patchLabel(uint32_t op, uint32_t label) {
  labelPatches.push_back({function, op, label});
}

void ProgramBuilder::patchTable(uint32_t table,
                                const std::vector<uint32_t> &labels) {
  tablePatches.push_back({function, table, labels});
}

void ProgramBuilder::patchCall(uint32_t call, const Function *callee) {
  callPatches.push_back({call, callee});
}

/// Gives the shared and local variables that the kernel can reach their
/// addresses. Dynamic shared memory begins behind the static one.
Status ProgramBuilder::layOutVariables() {
  uint64_t sharedEnd = 0, dynamicAlign = 16, localEnd = 0;
  std::vector<const Variable *> dynamic;
  std::vector<const Function *> reachable = {&kernel};
  for (size_t i = 0; i < reachable.size(); ++i)
    for (const Instruction &instruction : reachable[i]->body) {
      if (instruction.opcode == "call")
        for (const Operand &operand : instruction.operands) {
          auto called = module.functionsByName.find(operand.name);
          if (called != module.functionsByName.end() &&
              std::find(reachable.begin(), reachable.end(), called->second) ==
                  reachable.end())
            reachable.push_back(called->second);
        }
      forEachVariable(instruction.operands, [&](const Variable *variable) {
        if (placed.count(variable))
          return;
        if (variable->space == Space::Shared && variable->unsized) {
          dynamic.push_back(variable);
          dynamicAlign = std::max<uint64_t>(dynamicAlign, variable->align);
          placed[variable] = 0;
        } else if (variable->space == Space::Shared) {
          sharedEnd = alignUp(sharedEnd, variable->align);
          placed[variable] = kSharedBase + sharedEnd;
          sharedEnd += variable->size;
        } else if (variable->space == Space::Local) {
          localEnd = alignUp(localEnd, variable->align);
          placed[variable] = kLocalBase + localEnd;
          localEnd += variable->size;
        }
      });
    }
  if (!dynamic.empty())
    sharedEnd = alignUp(sharedEnd, dynamicAlign);
  for (const Variable *variable : dynamic)
    placed[variable] = kSharedBase + sharedEnd;
  program->staticSharedBytes = static_cast<uint32_t>(sharedEnd);
  program->localBytes = static_cast<uint32_t>(alignUp(localEnd, 16));
  return Status::success();
}

Status ProgramBuilder::decodeFunction(const Function &toDecode) {
  function = &toDecode;
  DecodedFunction info;
  info.firstRow = static_cast<uint32_t>(rows.size());
  info.firstOp = static_cast<uint32_t>(program->ops.size());
  for (const Register &reg : toDecode.registers)
    addRow({RowInfo::Kind::Register,
            reg.type == PtxType::Pred ? 0 : bitWidth(reg.type) / 8, 0,
            Special::Zero, 0});
  decoded[&toDecode] = info;

  const DecodeTable &table = decodeTable();
  std::vector<uint32_t> opOfInstruction;
  for (const Instruction &instruction : toDecode.body) {
    opOfInstruction.push_back(static_cast<uint32_t>(program->ops.size()));
    program->sources.push_back(
        {instruction.line, instruction.text, toDecode.name});
    InstructionDecoder decoder(*this, instruction);
    auto found = table.find(instruction.opcode);
    if (found == table.end())
      decoder.fail("unknown instruction");
    else
      found->second(decoder);
    if (decoder.failed())
      return decoder.takeError().withContext("line " +
                                             std::to_string(instruction.line) +
                                             " '" + instruction.text + "'");
  }
  // Falling off the end of a function is a return.
  opOfInstruction.push_back(static_cast<uint32_t>(program->ops.size()));
  Instruction end;
  end.opcode = "ret";
  end.text = "end of '" + toDecode.name + "'";
  end.line = toDecode.body.empty() ? toDecode.line : toDecode.body.back().line;
  program->sources.push_back({end.line, end.text, toDecode.name});
  InstructionDecoder decoder(*this, end);
  table.at("ret")(decoder);

  for (size_t place : toDecode.labels)
    decoded[&toDecode].labelOps.push_back(
        opOfInstruction[std::min(place, opOfInstruction.size() - 1)]);
  return Status::success();
}

/// Each function has one set of registers per lane, so it must not call itself.
Status ProgramBuilder::checkNoRecursion() {
  for (const Function *start : queue) {
    std::vector<const Function *> seen;
    std::vector<const Function *> open = {start};
    while (!open.empty()) {
      const Function *from = open.back();
      open.pop_back();
      for (auto &[caller, called] : callEdges) {
        if (caller != from)
          continue;
        if (called == start)
          return unsupported("function '" + start->name + "' is recursive");
        if (std::find(seen.begin(), seen.end(), called) == seen.end()) {
          seen.push_back(called);
          open.push_back(called);
        }
      }
    }
  }
  return Status::success();
}

/// Compilers widen loads: of three words that are needed they make one vector
/// of four. What nobody uses of it counts as not read.
void ProgramBuilder::findDeadElements() {
  std::vector<bool> used(rows.size());
  for (const RowUse &use : uses)
    if (!use.isDef)
      used[use.row] = true;
  for (auto &[index, count] : vectorLoads) {
    Op &op = program->ops[index];
    op.flags |= count << kVectorShift;
    for (unsigned v = 0; v < count; ++v)
      if (!used[program->rows[op.rows + v]])
        op.flags |= 1u << (kDeadElementShift + v);
  }
}

void ProgramBuilder::finish() {
  findDeadElements();
  for (const LabelPatch &patch : labelPatches)
    program->ops[patch.op].imm =
        decoded.at(patch.function).labelOps[patch.label];
  for (const TablePatch &patch : tablePatches)
    for (uint32_t label : patch.labels)
      program->branchTables[patch.table].push_back(
          decoded.at(patch.function).labelOps[label]);
  for (auto &[call, called] : callPatches)
    program->calls[call].target = decoded.at(called).firstOp;
  assignRows(*program, rows, uses);
  if (options.checkHazards)
    listOpRows();
}

/// What the hazard checker needs to follow the registers of wgmma.
void ProgramBuilder::listOpRows() {
  bool multiplies = false;
  for (const Source &source : program->sources)
    multiplies |= source.text.find("wgmma.mma_async") != std::string::npos;
  if (!multiplies)
    return;
  // The uses are in the order of the operations.
  for (const RowUse &use : uses) {
    while (program->opRowBegin.size() <= use.op)
      program->opRowBegin.push_back(
          static_cast<uint32_t>(program->opRows.size()));
    program->opRows.push_back({rows[use.row].offset, use.isDef});
  }
  while (program->opRowBegin.size() <= program->ops.size())
    program->opRowBegin.push_back(
        static_cast<uint32_t>(program->opRows.size()));
}

Status ProgramBuilder::build() {
  ODYSSEY_RETURN_IF_ERROR(layOutVariables());
  queue.push_back(&kernel);
  for (size_t i = 0; i < queue.size(); ++i)
    ODYSSEY_RETURN_IF_ERROR(decodeFunction(*queue[i]));
  ODYSSEY_RETURN_IF_ERROR(checkNoRecursion());
  finish();
  return Status::success();
}

Result<std::shared_ptr<const Program>>
decodeKernel(const PtxModule &module, const Function &kernel,
             const VariableAddresses &addresses,
             const EmulatorOptions &options) {
  ProgramBuilder builder(module, kernel, addresses, options);
  Status status = builder.build();
  if (!status.ok())
    return status.withContext("kernel '" + kernel.name + "'");
  return std::shared_ptr<const Program>(builder.take());
}

} // namespace odyssey::runtime::emulator

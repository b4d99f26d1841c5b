//===- Decoder.cpp - Taking one instruction apart -------------------------===//

#include "Decoder.h"

#include <bit>

namespace odyssey::runtime::emulator {

bool InstructionDecoder::take(std::string_view modifier) {
  if (peek() != modifier)
    return false;
  ++position;
  return true;
}

std::string_view InstructionDecoder::peek() const {
  return modifiersLeft() ? std::string_view(instruction.modifiers[position])
                         : std::string_view();
}

std::string_view InstructionDecoder::takeAny() {
  std::string_view next = peek();
  if (modifiersLeft())
    ++position;
  return next;
}

PtxType InstructionDecoder::takeType() {
  std::optional<PtxType> type = parseType(peek());
  if (!type) {
    unsupportedForm();
    return PtxType::None;
  }
  ++position;
  return *type;
}

void InstructionDecoder::fail(const std::string &what) {
  if (error.ok())
    error = unsupported(what);
}

void InstructionDecoder::unsupportedForm() {
  fail(modifiersLeft() ? "unsupported modifier '." + std::string(peek()) + "'"
                       : "unsupported form");
}

void InstructionDecoder::expectOperands(size_t least, size_t most) {
  if (modifiersLeft())
    return unsupportedForm();
  size_t count = instruction.operands.size();
  if (count < least || count > most)
    fail("expected " + std::to_string(least) +
         (most == least ? "" : " to " + std::to_string(most)) +
         " operands, got " + std::to_string(count));
}

uint32_t InstructionDecoder::constant(uint64_t bits, unsigned width) {
  return builder.constantRow(bits, width == 1 ? 0 : width / 8);
}

uint32_t InstructionDecoder::special(Special value) {
  return builder.specialRow(value);
}

void InstructionDecoder::alsoUses(uint32_t row) {
  pending.push_back({0, row, false});
}

void InstructionDecoder::alsoDefines(uint32_t row) {
  pending.push_back({0, row, true});
}

namespace {

const std::unordered_map<std::string_view, Special> &specialNames() {
  static const std::unordered_map<std::string_view, Special> names = {
      {"%tid.x", Special::TidX},
      {"%tid.y", Special::TidY},
      {"%tid.z", Special::TidZ},
      {"%ntid.x", Special::NtidX},
      {"%ntid.y", Special::NtidY},
      {"%ntid.z", Special::NtidZ},
      {"%ctaid.x", Special::CtaidX},
      {"%ctaid.y", Special::CtaidY},
      {"%ctaid.z", Special::CtaidZ},
      {"%nctaid.x", Special::NctaidX},
      {"%nctaid.y", Special::NctaidY},
      {"%nctaid.z", Special::NctaidZ},
      {"%laneid", Special::LaneId},
      {"%warpid", Special::WarpId},
      {"%nwarpid", Special::NwarpId},
      {"%smid", Special::SmId},
      {"%nsmid", Special::NsmId},
      {"%gridid", Special::GridId},
      {"%lanemask_eq", Special::LanemaskEq},
      {"%lanemask_le", Special::LanemaskLe},
      {"%lanemask_lt", Special::LanemaskLt},
      {"%lanemask_ge", Special::LanemaskGe},
      {"%lanemask_gt", Special::LanemaskGt},
      {"%dynamic_smem_size", Special::DynamicSharedBytes},
      {"%total_smem_size", Special::TotalSharedBytes},
      {"%cluster_ctaid.x", Special::ClusterCtaidX},
      {"%cluster_ctaid.y", Special::ClusterCtaidY},
      {"%cluster_ctaid.z", Special::ClusterCtaidZ},
      {"%cluster_nctaid.x", Special::ClusterNctaidX},
      {"%cluster_nctaid.y", Special::ClusterNctaidY},
      {"%cluster_nctaid.z", Special::ClusterNctaidZ},
      {"%cluster_ctarank", Special::ClusterCtaRank},
      {"%cluster_nctarank", Special::ClusterNctaRank},
      {"%clusterid.x", Special::ClusteridX},
      {"%clusterid.y", Special::ClusteridY},
      {"%clusterid.z", Special::ClusteridZ},
      {"%nclusterid.x", Special::NclusteridX},
      {"%nclusterid.y", Special::NclusteridY},
      {"%nclusterid.z", Special::NclusteridZ},
  };
  return names;
}

uint64_t truncated(uint64_t bits, unsigned width) {
  return width >= 64 ? bits : bits & ((uint64_t(1) << width) - 1);
}

/// The bits of a floating-point constant in `type`.
uint64_t floatBits(const Operand &operand, PtxType type) {
  switch (type) {
  case PtxType::F64:
  case PtxType::B64:
    return operand.bits;
  default:
    return operand.singleBits ? *operand.singleBits
                              : std::bit_cast<uint32_t>(static_cast<float>(
                                    std::bit_cast<double>(operand.bits)));
  }
}

} // namespace

uint32_t InstructionDecoder::use(const Operand &operand, PtxType type) {
  unsigned width = bitWidth(type);
  if (operand.negated) {
    fail("'!' before an operand that is no predicate");
    return 0;
  }
  switch (operand.kind) {
  case Operand::Kind::Register: {
    unsigned actual = bitWidth(builder.registerType(operand.index));
    if (actual != width && !failed())
      fail("operand '" + operand.name + "' has " + std::to_string(actual) +
           " bits where " + std::to_string(width) + " are expected");
    uint32_t row = builder.registerRow(operand.index);
    pending.push_back({0, row, false});
    return row;
  }
  case Operand::Kind::Integer:
    if (type == PtxType::F32 || type == PtxType::F64) {
      fail("integer constant where a float is expected");
      return 0;
    }
    return constant(truncated(operand.bits, width), width);
  case Operand::Kind::Float:
    if (width < 32) {
      fail("floating-point constant where " + std::to_string(width) +
           " bits are expected");
      return 0;
    }
    return constant(floatBits(operand, type), width);
  case Operand::Kind::Variable: {
    Result<uint64_t> address = builder.addressOf(*operand.variable);
    if (!address.ok()) {
      fail(address.status().message());
      return 0;
    }
    if (width < 32) {
      fail("an address needs 32 or 64 bits");
      return 0;
    }
    return constant(truncated(*address + operand.offset, width), width);
  }
  case Operand::Kind::Symbol: {
    auto found = specialNames().find(operand.name);
    if (found != specialNames().end() && width == 32)
      return special(found->second);
    fail("unsupported operand '" + operand.name + "'");
    return 0;
  }
  default:
    fail("unexpected operand");
    return 0;
  }
}

uint32_t InstructionDecoder::use(size_t index, PtxType type) {
  if (index >= operandCount()) {
    fail("operand " + std::to_string(index) + " is missing");
    return 0;
  }
  return use(operand(index), type);
}

uint32_t InstructionDecoder::def(const Operand &operand, PtxType type) {
  unsigned width = bitWidth(type);
  if (operand.kind == Operand::Kind::Sink)
    return builder.addRow({RowInfo::Kind::Register, width == 1 ? 0 : width / 8,
                           0, Special::Zero, 0});
  if (operand.kind != Operand::Kind::Register || operand.negated) {
    fail("expected a register as destination");
    return 0;
  }
  unsigned actual = bitWidth(builder.registerType(operand.index));
  if (actual != width && !failed())
    fail("destination '" + operand.name + "' has " + std::to_string(actual) +
         " bits where " + std::to_string(width) + " are expected");
  uint32_t row = builder.registerRow(operand.index);
  pending.push_back({0, row, true});
  return row;
}

uint32_t InstructionDecoder::def(size_t index, PtxType type) {
  if (index >= operandCount()) {
    fail("destination is missing");
    return 0;
  }
  return def(operand(index), type);
}

uint32_t InstructionDecoder::usePredicate(const Operand &operand,
                                          uint32_t &flip) {
  flip = operand.negated ? kAllLanes : 0;
  if (operand.kind == Operand::Kind::Integer)
    return constant(operand.bits != 0, 1);
  if (operand.kind != Operand::Kind::Register ||
      builder.registerType(operand.index) != PtxType::Pred) {
    fail("expected a predicate");
    return 0;
  }
  uint32_t row = builder.registerRow(operand.index);
  pending.push_back({0, row, false});
  return row;
}

uint32_t InstructionDecoder::useAny(const Operand &operand, unsigned &bits) {
  if (operand.kind != Operand::Kind::Register)
    return use(operand, bits == 64   ? PtxType::B64
                        : bits == 32 ? PtxType::B32
                                     : PtxType::B16);
  bits = bitWidth(builder.registerType(operand.index));
  if (bits < 16)
    fail("predicate '" + operand.name + "' where a number is expected");
  uint32_t row = builder.registerRow(operand.index);
  pending.push_back({0, row, false});
  return row;
}

uint32_t InstructionDecoder::defAny(const Operand &operand, unsigned &bits) {
  if (operand.kind == Operand::Kind::Register) {
    bits = bitWidth(builder.registerType(operand.index));
    if (bits < 16)
      fail("predicate '" + operand.name + "' where a number is expected");
  }
  return def(operand, bits == 64   ? PtxType::B64
                      : bits == 32 ? PtxType::B32
                                   : PtxType::B16);
}

int64_t InstructionDecoder::integer(const Operand &operand) {
  if (operand.kind != Operand::Kind::Integer) {
    fail("expected an integer constant");
    return 0;
  }
  return static_cast<int64_t>(operand.bits);
}

uint32_t InstructionDecoder::addRows(const std::vector<uint32_t> &rows) {
  std::vector<uint32_t> &pool = builder.program->rows;
  auto first = static_cast<uint32_t>(pool.size());
  pool.insert(pool.end(), rows.begin(), rows.end());
  return first;
}

Op &InstructionDecoder::emit(Op op) {
  if (instruction.guard) {
    op.guard = builder.registerRow(*instruction.guard);
    op.guardFlip = instruction.guardNegated ? kAllLanes : 0;
    if (builder.registerType(*instruction.guard) != PtxType::Pred)
      fail("the guard is no predicate");
    pending.push_back({0, op.guard, false});
    // Lanes that the guard switches off keep what they had.
    for (size_t i = 0, count = pending.size(); i < count; ++i)
      if (pending[i].isDef)
        pending.push_back({0, pending[i].row, false});
  }
  std::vector<Op> &ops = builder.program->ops;
  op.source = static_cast<uint32_t>(builder.program->sources.size() - 1);
  for (RowUse use : pending) {
    use.op = static_cast<uint32_t>(ops.size());
    builder.uses.push_back(use);
  }
  pending.clear();
  ops.push_back(op);
  return ops.back();
}

} // namespace odyssey::runtime::emulator

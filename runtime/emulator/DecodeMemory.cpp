//===- DecodeMemory.cpp - ld, st, and parameters --------------------------===//

#include "MemoryOps.h"

#include <cstring>

namespace odyssey::runtime::emulator {

void takeSpace(InstructionDecoder &in, Op &op) {
  Space space = Space::Generic;
  if (in.take("global"))
    space = Space::Global;
  else if (in.take("shared") || in.take("shared::cta"))
    space = Space::Shared;
  else if (in.take("shared::cluster"))
    space = Space::Shared, op.flags |= kClusterAddress;
  else if (in.take("local"))
    space = Space::Local;
  else if (in.take("const"))
    space = Space::Const;
  else if (in.take("param") || in.take("param::entry"))
    space = Space::Param;
  op.flags = (op.flags & ~kSpaceMask) | static_cast<uint32_t>(space);
}

void decodeAddress(InstructionDecoder &in, const Operand &operand, Op &op) {
  if (operand.kind != Operand::Kind::Address)
    return in.fail("expected an address in brackets");
  const Operand &base = operand.elements[0];
  op.imm = operand.offset;
  unsigned bits = 64;
  if (base.kind == Operand::Kind::Register) {
    op.a = in.useAny(base, bits);
    if (bits < 32)
      in.fail("an address needs 32 or 64 bits");
    if (bits == 32)
      op.flags |= kAddress32;
    return;
  }
  if (base.kind == Operand::Kind::Variable) {
    // Naming a variable of a state space in a generic access means its generic
    // address.
    Space space = static_cast<Space>(op.flags & kSpaceMask);
    if (space == Space::Generic && base.variable->space == Space::Shared)
      op.imm += kSharedWindow;
    if (space == Space::Generic && base.variable->space == Space::Local)
      op.imm += kLocalWindow;
  }
  op.a = in.use(base, PtxType::B64);
}

namespace {

/// .weak, .volatile, .relaxed.scope, .acquire.scope, ...
void takeSemantics(InstructionDecoder &in, bool load, Op &op) {
  if (in.take("weak"))
    return;
  if (in.take("volatile")) {
    op.flags |= kSynchronizing;
    return;
  }
  bool ordered = in.take("relaxed") || in.take(load ? "acquire" : "release");
  if (!ordered)
    return;
  op.flags |= kSynchronizing;
  if (!in.take("cta") && !in.take("cluster") && !in.take("gpu") &&
      !in.take("sys"))
    in.fail("expected a scope");
}

/// Caching hints. They are allowed, in their places, and change no value.
void takeCacheHints(InstructionDecoder &in, bool load) {
  static constexpr std::string_view kLoadOps[] = {"ca", "cg", "cs", "lu", "cv"};
  static constexpr std::string_view kStoreOps[] = {"wb", "cg", "cs", "wt"};
  if (load) {
    for (std::string_view name : kLoadOps)
      if (in.take(name))
        break;
  } else {
    for (std::string_view name : kStoreOps)
      if (in.take(name))
        break;
  }
  static constexpr std::string_view kEviction[] = {
      "L1::evict_normal", "L1::evict_unchanged", "L1::evict_first",
      "L1::evict_last", "L1::no_allocate"};
  for (std::string_view name : kEviction)
    if (in.take(name))
      break;
  static constexpr std::string_view kPrefetch[] = {"L2::64B", "L2::128B",
                                                   "L2::256B"};
  for (std::string_view name : kPrefetch)
    if (load && in.take(name))
      break;
}

unsigned takeVector(InstructionDecoder &in) {
  return in.take("v2") ? 2 : in.take("v4") ? 4 : 1;
}

/// The registers that are loaded or stored; all must have the same width.
std::vector<uint32_t> valueRows(InstructionDecoder &in, const Operand &values,
                                PtxType type, unsigned vector, bool load,
                                unsigned &bits) {
  std::vector<uint32_t> rows;
  std::vector<Operand> single = {values};
  bool isVector = values.kind == Operand::Kind::Vector;
  const std::vector<Operand> &list = isVector ? values.elements : single;
  if (isVector != (vector > 1) || list.size() != vector) {
    in.fail("expected " + std::to_string(vector) + " values");
    return rows;
  }
  bits = 0;
  for (const Operand &value : list) {
    if (value.kind != Operand::Kind::Register)
      continue;
    unsigned width = bitWidth(in.builder.registerType(value.index));
    if (bits && width != bits)
      in.fail("registers of different widths");
    bits = width;
  }
  if (!bits)
    bits = std::max(16u, bitWidth(type));
  for (const Operand &value : list) {
    unsigned width = bits;
    if (load)
      rows.push_back(in.defAny(value, width));
    else if (value.kind == Operand::Kind::Float)
      rows.push_back(in.use(value, type));
    else
      rows.push_back(in.useAny(value, width));
  }
  return rows;
}

// Parameters of functions and of calls: objects of the thread, named only
// directly. Op::a (load) or Op::d (store) is the object, Op::imm the offset,
// Op::flags the bytes of one element and of the object.

template <typename R>
const Op *loadObject(Warp &warp, const Op *op, LaneMask mask) {
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  unsigned bytes = op->flags & 15, vector = op->flags >> 4 & 15;
  size_t stride = op->flags >> 8;
  for (unsigned v = 0; v < vector; ++v)
    for (unsigned lane = 0; lane < kWarpLanes; ++lane) {
      if (!(mask >> lane & 1))
        continue;
      R value = 0;
      std::memcpy(&value,
                  warp.registers + op->a + lane * stride + op->imm + v * bytes,
                  bytes);
      warp.row<R>(rows[v])[lane] = value;
    }
  return op + 1;
}

template <typename R>
const Op *storeObject(Warp &warp, const Op *op, LaneMask mask) {
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  unsigned bytes = op->flags & 15, vector = op->flags >> 4 & 15;
  size_t stride = op->flags >> 8;
  for (unsigned v = 0; v < vector; ++v)
    for (unsigned lane = 0; lane < kWarpLanes; ++lane)
      if (mask >> lane & 1)
        std::memcpy(warp.registers + op->d + lane * stride + op->imm +
                        v * bytes,
                    &warp.row<R>(rows[v])[lane], bytes);
  return op + 1;
}

bool isObjectAccess(const Operand &address) {
  return address.kind == Operand::Kind::Address &&
         address.elements[0].kind == Operand::Kind::Variable &&
         address.elements[0].variable->space == Space::Param &&
         !address.elements[0].variable->isKernelParam;
}

void decodeObjectAccess(InstructionDecoder &in, const Operand &address,
                        const Operand &values, PtxType type, unsigned vector,
                        bool load) {
  const Variable *variable = address.elements[0].variable;
  unsigned bits = 0, bytes = bitWidth(type) / 8;
  Op op;
  std::vector<uint32_t> rows = valueRows(in, values, type, vector, load, bits);
  int64_t offset = address.offset + address.elements[0].offset;
  if (offset < 0 || uint64_t(offset) + bytes * vector > variable->size)
    return in.fail("access outside '" + variable->name + "'");
  if (isSigned(type) && bits > bitWidth(type))
    return in.fail("sign-extending access to a parameter");
  if (bits < bitWidth(type))
    return in.fail("register is narrower than its type");
  op.rows = in.addRows(rows);
  (load ? op.a : op.d) = in.builder.objectRow(variable);
  op.imm = offset;
  op.flags = bytes | vector << 4 | static_cast<uint32_t>(variable->size) << 8;
  if (load)
    op.run = bits == 16   ? loadObject<uint16_t>
             : bits == 32 ? loadObject<uint32_t>
                          : loadObject<uint64_t>;
  else
    op.run = bits == 16   ? storeObject<uint16_t>
             : bits == 32 ? storeObject<uint32_t>
                          : storeObject<uint64_t>;
  in.emit(op);
}

template <bool Load> void decodeLoadStore(InstructionDecoder &in) {
  Op op;
  takeSemantics(in, Load, op);
  if (Load && in.take("mmio"))
    in.fail("unsupported modifier '.mmio'");
  takeSpace(in, op);
  // The order of `.nc` and of the caching operator differs between versions.
  takeCacheHints(in, Load);
  if (Load && in.take("nc"))
    op.flags |= kNonCoherent;
  takeCacheHints(in, Load);
  unsigned vector = takeVector(in);
  PtxType type = in.takeType();
  in.expectOperands(2);
  if (in.failed())
    return;
  const Operand &address = in.operand(Load ? 1 : 0);
  const Operand &values = in.operand(Load ? 0 : 1);
  if (type == PtxType::Pred)
    return in.fail("predicates have no place in memory");
  if (isObjectAccess(address))
    return decodeObjectAccess(in, address, values, type, vector, Load);
  unsigned bits = 0;
  decodeAddress(in, address, op);
  std::vector<uint32_t> rows = valueRows(in, values, type, vector, Load, bits);
  if (in.failed())
    return;
  op.rows = in.addRows(rows);
  op.run =
      Load ? loadHandler(type, bits, vector) : storeHandler(type, bits, vector);
  if (!op.run)
    return in.fail("unsupported combination of type, vector and registers");
  if (Load && vector > 1)
    in.builder.vectorLoads.push_back(
        {static_cast<uint32_t>(in.builder.program->ops.size()), vector});
  in.emit(op);
}

} // namespace

void addMemory(DecodeTable &table) {
  table["ld"] = decodeLoadStore<true>;
  table["ldu"] = decodeLoadStore<true>;
  table["st"] = decodeLoadStore<false>;
}

} // namespace odyssey::runtime::emulator

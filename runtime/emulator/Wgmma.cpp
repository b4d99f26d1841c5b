//===- Wgmma.cpp - wgmma.mma_async on s8 and u8 ---------------------------===//
//
// Each warp of a warpgroup computes its own 16 of the 64 rows, so the four
// warps need not meet here. A multiplication is computed when it is issued or,
// with late asynchronous copies, in the wait that covers it: a kernel that
// changes A, B or reads D too early gets wrong numbers, as it may on a GPU.
//
// The hazard checker follows the registers of multiplications in flight: row by
// row, what was touched last by an ordinary instruction and what is still in
// use.
//
//===----------------------------------------------------------------------===//

#include "Hazards.h"
#include "MatrixMath.h"

#include <cstring>

namespace odyssey::runtime::emulator {

namespace {

// Op::flags.
constexpr uint32_t kColumnBlocks = 0x3F; // N / 8
constexpr uint32_t kADescriptor = 0x40;
constexpr uint32_t kASigned = 0x80;
constexpr uint32_t kBSigned = 0x100;
constexpr uint32_t kSaturate = 0x200;
// Rows: N / 2 of D, then four of A or one descriptor, then B's descriptor.
// Op::c is the predicate scale-d.

constexpr unsigned kRowBytes = 32;

/// A matrix descriptor (PTX ISA, "Matrix descriptor format").
struct Descriptor {
  uint32_t start, leading, stride;
  unsigned baseOffset, swizzle;

  explicit Descriptor(uint64_t bits)
      : start(static_cast<uint32_t>(bits & 0x3FFF) << 4),
        leading(static_cast<uint32_t>(bits >> 16 & 0x3FFF) << 4),
        stride(static_cast<uint32_t>(bits >> 32 & 0x3FFF) << 4),
        baseOffset(bits >> 49 & 7), swizzle(bits >> 62 & 3) {}

  /// Shared address of the 16 bytes of k half `half` in row `row` of a K-major
  /// operand: groups of 8 rows are `stride` apart; inside a group a row takes
  /// the swizzle's width, and the 16-byte pieces of it are exchanged by the
  /// address bits from 7 on. Without a swizzle, 8 rows of 16 bytes lie
  /// together, and `leading` leads to the next piece of k.
  uint32_t piece(unsigned row, unsigned half) const {
    if (swizzle == 0)
      return start + row / 8 * stride + half * leading + row % 8 * 16;
    // 1: 128 bytes, 2: 64, 3: 32.
    uint32_t width = 256u >> swizzle;
    uint32_t address = start + row / 8 * stride + row % 8 * width + half * 16;
    return address ^ ((address >> 3) & (width - 16));
  }
};

/// Checks that the pieces lie in shared memory; true if they do.
bool checkOperand(Warp &warp, const Op *op, const Descriptor &descriptor,
                  unsigned firstRow, unsigned rows) {
  if (descriptor.baseOffset) {
    warp.fault(op, -1, "a matrix descriptor with a base offset");
    return false;
  }
  for (unsigned row = firstRow; row < firstRow + rows; ++row)
    for (unsigned half = 0; half < 2; ++half) {
      uint64_t offset = uint64_t(descriptor.piece(row, half)) - kSharedBase;
      if (offset + 16 > warp.launch->sharedBytes ||
          offset > warp.launch->sharedBytes) {
        warp.fault(op, -1,
                   "matrix operand at shared address " +
                       std::to_string(descriptor.piece(row, half)) +
                       " is outside shared memory");
        return false;
      }
      HazardChecker *hazards = warp.cta->hazards.get();
      if (hazards && !hazards->asyncRead(warp, op, 0, offset, 16))
        return false;
    }
  return true;
}

void operandDone(Warp &warp, const Op *op, const Descriptor &descriptor,
                 unsigned firstRow, unsigned rows) {
  for (unsigned row = firstRow; row < firstRow + rows; ++row)
    for (unsigned half = 0; half < 2; ++half)
      warp.cta->hazards->asyncReadDone(
          warp, op, descriptor.piece(row, half) - kSharedBase, 16);
}

/// Copies 8 rows of a K-major operand into two rows of fragment registers.
void loadFragment(const Warp &warp, const Descriptor &descriptor,
                  unsigned firstRow, uint32_t (&first)[kWarpLanes],
                  uint32_t (&second)[kWarpLanes]) {
  const uint8_t *shared = warp.cta->shared;
  for (unsigned row = 0; row < 8; ++row) {
    std::memcpy(first + row * 4,
                shared + descriptor.piece(firstRow + row, 0) - kSharedBase, 16);
    std::memcpy(second + row * 4,
                shared + descriptor.piece(firstRow + row, 1) - kSharedBase, 16);
  }
}

unsigned firstRowOf(const Warp &warp) { return warp.index % 4 * 16; }

void compute(Warp &warp, const PendingMultiply &multiply) {
  const Op *op = multiply.op;
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  unsigned blocks = op->flags & kColumnBlocks;
  const uint32_t *aRows = rows + blocks * 4;
  IntegerTile tile{kRowBytes, (op->flags & kASigned) != 0,
                   (op->flags & kBSigned) != 0, (op->flags & kSaturate) != 0};
  TileOperands operands = {};
  uint32_t a[4][kWarpLanes], b[2][kWarpLanes], zero[kWarpLanes] = {};
  if (op->flags & kADescriptor) {
    Descriptor descriptor(multiply.aDescriptor);
    unsigned first = firstRowOf(warp);
    loadFragment(warp, descriptor, first, a[0], a[2]);
    loadFragment(warp, descriptor, first + 8, a[1], a[3]);
  }
  for (unsigned i = 0; i < 4; ++i)
    operands.a[i] =
        op->flags & kADescriptor ? a[i] : warp.row<uint32_t>(aRows[i]);
  operands.b[0] = b[0];
  operands.b[1] = b[1];
  Descriptor descriptor(multiply.bDescriptor);
  for (unsigned block = 0; block < blocks; ++block) {
    loadFragment(warp, descriptor, block * 8, b[0], b[1]);
    for (unsigned i = 0; i < 4; ++i) {
      operands.d[i] = warp.row<uint32_t>(rows[block * 4 + i]);
      operands.c[i] = multiply.accumulate ? operands.d[i] : zero;
    }
    multiplyIntegers(tile, operands);
  }
}

void finish(Warp &warp, const PendingMultiply &multiply) {
  if (!warp.cta->hazards)
    return;
  const Op *op = multiply.op;
  operandDone(warp, op, Descriptor(multiply.bDescriptor), 0,
              (op->flags & kColumnBlocks) * 8);
  if (op->flags & kADescriptor)
    operandDone(warp, op, Descriptor(multiply.aDescriptor), firstRowOf(warp),
                16);
  warp.registerFlow.done(warp, op);
}

const Op *multiplyHandler(Warp &warp, const Op *op, LaneMask mask) {
  if (!warp.wholeWarpMeets(op, mask))
    return nullptr;
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  unsigned blocks = op->flags & kColumnBlocks;
  unsigned aCount = op->flags & kADescriptor ? 1 : 4;
  const uint32_t *aRows = rows + blocks * 4, *bRow = aRows + aCount;
  PendingMultiply multiply;
  multiply.op = op;
  multiply.bDescriptor = *warp.row<uint64_t>(*bRow);
  multiply.accumulate = warp.predicate(op->c) & 1;
  if (!checkOperand(warp, op, Descriptor(multiply.bDescriptor), 0, blocks * 8))
    return nullptr;
  if (op->flags & kADescriptor) {
    multiply.aDescriptor = *warp.row<uint64_t>(*aRows);
    if (!checkOperand(warp, op, Descriptor(multiply.aDescriptor),
                      firstRowOf(warp), 16))
      return nullptr;
  }
  if (warp.cta->hazards && !warp.registerFlow.issue(warp, op))
    return nullptr;
  if (warp.launch->options->asyncCopies == AsyncCopies::Eager)
    compute(warp, multiply);
  warp.multiplies.push_back(multiply);
  return op + 1;
}

const Op *fenceHandler(Warp &warp, const Op *op, LaneMask mask) {
  if (!warp.wholeWarpMeets(op, mask))
    return nullptr;
  warp.registerFlow.fence();
  return op + 1;
}

const Op *commitHandler(Warp &warp, const Op *op, LaneMask mask) {
  if (!warp.wholeWarpMeets(op, mask))
    return nullptr;
  ++warp.multiplyGroups;
  for (PendingMultiply &multiply : warp.multiplies)
    if (!multiply.group)
      multiply.group = warp.multiplyGroups;
  return op + 1;
}

const Op *waitHandler(Warp &warp, const Op *op, LaneMask mask) {
  if (!warp.wholeWarpMeets(op, mask))
    return nullptr;
  auto open = static_cast<uint32_t>(op->imm);
  size_t done = 0;
  for (const PendingMultiply &multiply : warp.multiplies) {
    if (!multiply.group || multiply.group + open > warp.multiplyGroups)
      break;
    if (warp.launch->options->asyncCopies != AsyncCopies::Eager)
      compute(warp, multiply);
    finish(warp, multiply);
    ++done;
  }
  warp.multiplies.erase(warp.multiplies.begin(),
                        warp.multiplies.begin() + static_cast<ptrdiff_t>(done));
  return op + 1;
}

/// .m64nNk32.s32.{s8,u8}.{s8,u8}{.satfinite} D, A, B, scale-d
void decodeMultiply(InstructionDecoder &in) {
  std::string_view shape = in.takeAny();
  unsigned n = 0;
  if (shape.rfind("m64n", 0) == 0 && shape.size() > 7 &&
      shape.substr(shape.size() - 3) == "k32")
    for (char digit : shape.substr(4, shape.size() - 7))
      n = n * 10 + static_cast<unsigned>(digit - '0');
  bool known = n == 8 || n == 24 || (n >= 16 && n <= 256 && n % 16 == 0);
  if (!known)
    return in.fail("unsupported shape '." + std::string(shape) + "'");
  Op op;
  op.flags = n / 8;
  if (!in.take("s32"))
    return in.unsupportedForm();
  for (uint32_t flag : {kASigned, kBSigned}) {
    bool isSigned = in.take("s8");
    if (!isSigned && !in.take("u8"))
      return in.unsupportedForm();
    op.flags |= isSigned ? flag : 0;
  }
  if (in.take("satfinite"))
    op.flags |= kSaturate;
  in.expectOperands(4);
  if (in.failed())
    return;
  const Operand &d = in.operand(0), &a = in.operand(1), &b = in.operand(2);
  bool registers = a.kind == Operand::Kind::Vector;
  if (d.kind != Operand::Kind::Vector || d.elements.size() != n / 2 ||
      (registers && a.elements.size() != 4))
    return in.fail("the operands do not have the shape's registers");
  std::vector<uint32_t> rows;
  for (const Operand &value : d.elements) {
    rows.push_back(in.def(value, PtxType::B32));
    in.alsoUses(rows.back());
  }
  if (registers)
    for (const Operand &value : a.elements)
      rows.push_back(in.use(value, PtxType::B32));
  else
    rows.push_back(in.use(a, PtxType::B64));
  rows.push_back(in.use(b, PtxType::B64));
  uint32_t flip = 0;
  op.c = in.usePredicate(in.operand(3), flip);
  if (flip)
    in.fail("negated scale-d");
  op.flags |= registers ? 0 : kADescriptor;
  op.rows = in.addRows(rows);
  op.run = multiplyHandler;
  in.emit(op);
}

void decodeWarpgroup(InstructionDecoder &in) {
  Op op;
  bool multiply = in.take("mma_async");
  if (!multiply) {
    if (in.take("fence"))
      op.run = fenceHandler;
    else if (in.take("commit_group"))
      op.run = commitHandler;
    else if (in.take("wait_group"))
      op.run = waitHandler;
    else
      return in.unsupportedForm();
  }
  if (!in.take("sync") || !in.take("aligned"))
    return in.unsupportedForm();
  if (multiply)
    return decodeMultiply(in);
  bool waits = op.run == waitHandler;
  in.expectOperands(waits ? 1 : 0);
  if (in.failed())
    return;
  if (waits)
    op.imm = in.integer(in.operand(0));
  in.emit(op);
}

} // namespace

void RegisterFlow::reset(const Program &program) {
  rows.clear();
  time = lastFence = 1;
  active = !program.opRows.empty();
}

bool RegisterFlow::issue(Warp &warp, const Op *op) {
  const uint32_t *list = warp.program->rows.data() + op->rows;
  unsigned accumulators = (op->flags & kColumnBlocks) * 4;
  unsigned registers = op->flags & kADescriptor ? 0 : 4;
  for (unsigned i = 0; i < accumulators + registers; ++i) {
    Row &row = rows[list[i]];
    bool isA = i >= accumulators;
    if (row.touched > lastFence) {
      warp.fault(op, -1,
                 std::string(isA ? "register of A" : "accumulator") +
                     " is used without wgmma.fence after it was touched");
      return false;
    }
    if (isA ? row.accumulators != 0 : row.operands != 0) {
      warp.fault(op, -1,
                 "register is an accumulator and an operand of "
                 "multiplications in flight");
      return false;
    }
    ++(isA ? row.operands : row.accumulators);
  }
  return true;
}

void RegisterFlow::done(Warp &warp, const Op *op) {
  const uint32_t *list = warp.program->rows.data() + op->rows;
  unsigned accumulators = (op->flags & kColumnBlocks) * 4;
  unsigned registers = op->flags & kADescriptor ? 0 : 4;
  for (unsigned i = 0; i < accumulators + registers; ++i) {
    Row &row = rows[list[i]];
    --(i >= accumulators ? row.operands : row.accumulators);
  }
}

bool RegisterFlow::execute(Warp &warp, const Op *op) {
  ++time;
  if (op->run == multiplyHandler)
    return true;
  auto index = static_cast<size_t>(op - warp.program->ops.data());
  for (uint32_t i = warp.program->opRowBegin[index];
       i < warp.program->opRowBegin[index + 1]; ++i) {
    const OpRow &use = warp.program->opRows[i];
    Row &row = rows[use.offset];
    row.touched = time;
    if (row.accumulators || (use.isDef && row.operands)) {
      warp.fault(op, -1,
                 "touches a register that wgmma.mma_async still uses, before "
                 "wgmma.wait_group");
      return false;
    }
  }
  return true;
}

void addWarpgroup(DecodeTable &table) { table["wgmma"] = decodeWarpgroup; }

} // namespace odyssey::runtime::emulator

//===- DecodeMatrix.cpp - ldmatrix, stmatrix, mma -------------------------===//

#include "MatrixMath.h"
#include "MemoryOps.h"

#include <cstring>

namespace odyssey::runtime::emulator {

namespace {

// ldmatrix and stmatrix move 8 x 8 matrices of 16-bit elements. Lane 8 j + r
// has the address of row r of matrix j; lane l holds elements 2 (l % 4) and
// 2 (l % 4) + 1 of row l / 4 in register j. So a register's row is the matrix,
// row after row.

constexpr unsigned kMatrixRow = 16;

void transposeMatrix(uint16_t *matrix) {
  for (unsigned i = 0; i < 8; ++i)
    for (unsigned j = 0; j < i; ++j)
      std::swap(matrix[i * 8 + j], matrix[j * 8 + i]);
}

template <unsigned Count, bool Transposed>
const Op *loadMatrix(Warp &warp, const Op *op, LaneMask mask) {
  if (!warp.wholeWarpMeets(op, mask))
    return nullptr;
  constexpr LaneMask kLanes = Count == 4 ? kAllLanes : (1u << 8 * Count) - 1;
  Access access;
  if (!resolve(warp, op, kLanes, kMatrixRow, AccessKind::Read, access))
    return nullptr;
  uint16_t matrices[Count][64];
  for (unsigned row = 0; row < Count * 8; ++row)
    std::memcpy(&matrices[row / 8][row % 8 * 8], access.pointer(row),
                kMatrixRow);
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  for (unsigned j = 0; j < Count; ++j) {
    if (Transposed)
      transposeMatrix(matrices[j]);
    std::memcpy(warp.row<uint32_t>(rows[j]), matrices[j], sizeof(matrices[j]));
  }
  return op + 1;
}

template <unsigned Count, bool Transposed>
const Op *storeMatrix(Warp &warp, const Op *op, LaneMask mask) {
  if (!warp.wholeWarpMeets(op, mask))
    return nullptr;
  constexpr LaneMask kLanes = Count == 4 ? kAllLanes : (1u << 8 * Count) - 1;
  Access access;
  if (!resolve(warp, op, kLanes, kMatrixRow, AccessKind::Write, access))
    return nullptr;
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  for (unsigned j = 0; j < Count; ++j) {
    uint16_t matrix[64];
    std::memcpy(matrix, warp.row<uint32_t>(rows[j]), sizeof(matrix));
    if (Transposed)
      transposeMatrix(matrix);
    for (unsigned row = 0; row < 8; ++row)
      std::memcpy(access.pointer(j * 8 + row), matrix + row * 8, kMatrixRow);
  }
  return op + 1;
}

template <bool Transposed> Handler matrixHandler(unsigned count, bool load) {
  if (load)
    return count == 1   ? loadMatrix<1, Transposed>
           : count == 2 ? loadMatrix<2, Transposed>
                        : loadMatrix<4, Transposed>;
  return count == 1   ? storeMatrix<1, Transposed>
         : count == 2 ? storeMatrix<2, Transposed>
                      : storeMatrix<4, Transposed>;
}

/// {ld,st}matrix.sync.aligned.m8n8.x{1,2,4}{.trans}.shared.b16
template <bool Load> void decodeMatrixMove(InstructionDecoder &in) {
  if (!in.take("sync") || !in.take("aligned") || !in.take("m8n8"))
    return in.unsupportedForm();
  unsigned count = in.take("x1") ? 1 : in.take("x2") ? 2 : 4;
  if (count == 4 && !in.take("x4"))
    return in.unsupportedForm();
  bool transposed = in.take("trans");
  Op op;
  takeSpace(in, op);
  Space space = static_cast<Space>(op.flags & kSpaceMask);
  if ((space != Space::Shared && space != Space::Generic) || !in.take("b16"))
    return in.unsupportedForm();
  in.expectOperands(2);
  if (in.failed())
    return;
  const Operand &registers = in.operand(Load ? 0 : 1);
  std::vector<Operand> single = {registers};
  const std::vector<Operand> &list =
      registers.kind == Operand::Kind::Vector ? registers.elements : single;
  if (list.size() != count)
    return in.fail("expected " + std::to_string(count) + " registers");
  decodeAddress(in, in.operand(Load ? 1 : 0), op);
  std::vector<uint32_t> rows;
  for (const Operand &value : list)
    rows.push_back(Load ? in.def(value, PtxType::B32)
                        : in.use(value, PtxType::B32));
  op.rows = in.addRows(rows);
  op.run = transposed ? matrixHandler<true>(count, Load)
                      : matrixHandler<false>(count, Load);
  in.emit(op);
}

// mma.sync. The rows are those of a, b, c, d; Op::flags says how many of each.

struct MmaShape {
  unsigned a = 4, b = 2, c = 4;
};

TileOperands operandsOf(Warp &warp, const Op *op) {
  const uint32_t *rows = warp.program->rows.data() + op->rows;
  unsigned a = op->flags & 7, b = op->flags >> 3 & 7, c = op->flags >> 6 & 7;
  TileOperands operands = {};
  for (unsigned i = 0; i < a; ++i)
    operands.a[i] = warp.row<uint32_t>(*rows++);
  for (unsigned i = 0; i < b; ++i)
    operands.b[i] = warp.row<uint32_t>(*rows++);
  for (unsigned i = 0; i < c; ++i)
    operands.c[i] = warp.row<uint32_t>(*rows++);
  for (unsigned i = 0; i < c; ++i)
    operands.d[i] = warp.row<uint32_t>(*rows++);
  return operands;
}

template <unsigned K, bool ASigned, bool BSigned, bool Saturate>
const Op *integerMma(Warp &warp, const Op *op, LaneMask mask) {
  if (!warp.wholeWarpMeets(op, mask))
    return nullptr;
  multiplyIntegers({K, ASigned, BSigned, Saturate}, operandsOf(warp, op));
  return op + 1;
}

template <unsigned K, bool Saturate>
Handler integerMma(bool aSigned, bool bSigned) {
  if (aSigned)
    return bSigned ? integerMma<K, true, true, Saturate>
                   : integerMma<K, true, false, Saturate>;
  return bSigned ? integerMma<K, false, true, Saturate>
                 : integerMma<K, false, false, Saturate>;
}

template <unsigned K, bool Bfloat, bool HalfAccumulator>
const Op *floatMma(Warp &warp, const Op *op, LaneMask mask) {
  if (!warp.wholeWarpMeets(op, mask))
    return nullptr;
  FloatTile tile = floatTileOf(warp.program->architecture);
  tile.k = K;
  tile.bfloat = Bfloat;
  tile.halfAccumulator = HalfAccumulator;
  multiplyFloats(tile, operandsOf(warp, op));
  return op + 1;
}

void emitMma(InstructionDecoder &in, Handler handler, const MmaShape &shape) {
  in.expectOperands(4);
  if (in.failed())
    return;
  unsigned counts[] = {shape.c, shape.a, shape.b, shape.c};
  for (unsigned i = 0; i < 4; ++i)
    if (in.operand(i).kind != Operand::Kind::Vector ||
        in.operand(i).elements.size() != counts[i])
      return in.fail("operand " + std::to_string(i) + " must have " +
                     std::to_string(counts[i]) + " registers");
  std::vector<uint32_t> rows;
  for (unsigned i = 1; i < 4; ++i)
    for (const Operand &value : in.operand(i).elements)
      rows.push_back(in.use(value, value.kind == Operand::Kind::Float
                                       ? PtxType::F32
                                       : PtxType::B32));
  for (const Operand &value : in.operand(0).elements)
    rows.push_back(in.def(value, PtxType::B32));
  Op op;
  op.run = handler;
  op.rows = in.addRows(rows);
  op.flags = shape.a | shape.b << 3 | shape.c << 6;
  in.emit(op);
}

void decodeIntegerMma(InstructionDecoder &in, unsigned k) {
  bool saturate = in.take("satfinite");
  if (!in.take("s32"))
    return in.unsupportedForm();
  bool isSignedOperand[2];
  for (bool &flag : isSignedOperand) {
    flag = in.take("s8");
    if (!flag && !in.take("u8"))
      return in.unsupportedForm();
  }
  if (!in.take("s32"))
    return in.unsupportedForm();
  auto [a, b] = isSignedOperand;
  Handler handler = k == 32 ? (saturate ? integerMma<32, true>(a, b)
                                        : integerMma<32, false>(a, b))
                            : (saturate ? integerMma<16, true>(a, b)
                                        : integerMma<16, false>(a, b));
  emitMma(in, handler, {k / 8, k / 16, 4});
}

void decodeFloatMma(InstructionDecoder &in, unsigned k) {
  bool half = in.take("f16");
  if (!half && !in.take("f32"))
    return in.unsupportedForm();
  bool bfloat = in.take("bf16");
  if (bfloat ? !in.take("bf16") : !in.take("f16") || !in.take("f16"))
    return in.unsupportedForm();
  if (!in.take(half ? "f16" : "f32") || (half && bfloat))
    return in.unsupportedForm();
  Handler handler =
      bfloat ? (k == 16 ? floatMma<16, true, false> : floatMma<8, true, false>)
      : half
          ? (k == 16 ? floatMma<16, false, true> : floatMma<8, false, true>)
          : (k == 16 ? floatMma<16, false, false> : floatMma<8, false, false>);
  emitMma(in, handler, {k / 4, k / 8, half ? 2u : 4u});
}

/// mma.sync.aligned.shape.row.col{.satfinite}.dtype.atype.btype.ctype
void decodeMma(InstructionDecoder &in) {
  if (!in.take("sync") || !in.take("aligned"))
    return in.unsupportedForm();
  unsigned k = in.take("m16n8k32")   ? 32
               : in.take("m16n8k16") ? 16
               : in.take("m16n8k8")  ? 8
                                     : 0;
  if (!k || !in.take("row") || !in.take("col"))
    return in.unsupportedForm();
  bool integer = in.peek() == "s32" || in.peek() == "satfinite";
  if (integer ? k == 8 : k == 32)
    return in.unsupportedForm();
  if (integer)
    decodeIntegerMma(in, k);
  else
    decodeFloatMma(in, k);
}

} // namespace

void addMatrix(DecodeTable &table) {
  table["ldmatrix"] = decodeMatrixMove<true>;
  table["stmatrix"] = decodeMatrixMove<false>;
  table["mma"] = decodeMma;
}

} // namespace odyssey::runtime::emulator

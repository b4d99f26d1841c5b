//===- Program.h - Decoded kernels ------------------------------*- C++ -*-===//
//
// A kernel after decoding: a flat array of operations whose types, modifiers
// and operands are bound, so that running one is a single indirect call.
//
// Registers live in rows. A row holds one value for each of the 32 lanes of a
// warp, lane after lane: 32 x 2, 4 or 8 bytes; a predicate's row is one 32-bit
// mask. Immediates and special registers are rows too, which the decoder and
// the launch fill, so that an operation never asks what kind of operand it has.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_PROGRAM_H
#define ODYSSEY_RUNTIME_EMULATOR_PROGRAM_H

#include "Ptx.h"

namespace odyssey::runtime::emulator {

class Warp;
struct Op;

using LaneMask = uint32_t;
inline constexpr unsigned kWarpLanes = 32;
inline constexpr LaneMask kAllLanes = ~LaneMask(0);

/// Runs `op` for the lanes of `mask` (at least one) and returns the operation
/// that comes next, or null when the warp has to choose anew what it runs (a
/// divergent branch, a wait, an exit, a fault). Whoever returns null has stored
/// the present lane group's program counter.
using Handler = const Op *(*)(Warp & warp, const Op *op, LaneMask mask);

struct Op {
  Handler run = nullptr;
  /// Row of the guard predicate, and all ones where it is negated.
  uint32_t guard = 0;
  uint32_t guardFlip = 0;
  /// Rows (byte offsets into the warp's registers): destination and sources.
  uint32_t d = 0, a = 0, b = 0, c = 0;
  int64_t imm = 0;
  /// Where the operation's further rows begin in Program::rows.
  uint32_t rows = 0;
  /// Whatever the handler's family wants to know.
  uint32_t flags = 0;
  /// Index into Program::sources.
  uint32_t source = 0;
};

/// The special registers that are the same for a lane during its whole life.
enum class Special : uint8_t {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NwarpId,
  SmId,
  NsmId,
  GridId,
  LanemaskEq,
  LanemaskLe,
  LanemaskLt,
  LanemaskGe,
  LanemaskGt,
  DynamicSharedBytes,
  TotalSharedBytes,
  ClusterCtaidX,
  ClusterCtaidY,
  ClusterCtaidZ,
  ClusterNctaidX,
  ClusterNctaidY,
  ClusterNctaidZ,
  ClusterCtaRank,
  ClusterNctaRank,
  ClusteridX,
  ClusteridY,
  ClusteridZ,
  NclusteridX,
  NclusteridY,
  NclusteridZ,
  IsExplicitCluster,
  Zero,
};

struct ConstantRow {
  uint32_t offset = 0;
  /// 0 for a predicate, else 2, 4 or 8.
  uint32_t bytes = 0;
  uint64_t bits = 0;
};

struct SpecialRow {
  uint32_t offset = 0;
  Special value = Special::Zero;
};

/// Bytes per lane to move between two parameter objects at a call or return.
struct ParamCopy {
  uint32_t from = 0, to = 0;
  uint32_t bytes = 0;
};

struct CallSite {
  uint32_t target = 0;
  std::vector<ParamCopy> arguments;
  std::vector<ParamCopy> results;
};

struct KernelParameter {
  std::string name;
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct Source {
  int line = 0;
  std::string text;
  std::string function;
};

/// A register row that an operation reads or writes.
struct OpRow {
  uint32_t offset = 0;
  bool isDef = false;
};

struct Program {
  std::string name;
  unsigned architecture = 80;
  std::vector<Op> ops;
  std::vector<uint32_t> rows;
  std::vector<Source> sources;
  std::vector<CallSite> calls;
  /// Tables of `brx.idx`: indices into `ops`.
  std::vector<std::vector<uint32_t>> branchTables;
  std::vector<ConstantRow> constants;
  std::vector<SpecialRow> specials;
  std::vector<KernelParameter> parameters;
  uint64_t parameterBytes = 0;
  /// Bytes of one warp's registers.
  uint32_t registerBytes = 0;
  /// Bytes of one thread's local memory.
  uint32_t localBytes = 0;
  uint32_t staticSharedBytes = 0;
  std::array<uint32_t, 3> maxThreads = {0, 0, 0};
  std::array<uint32_t, 3> requiredThreads = {0, 0, 0};
  std::array<uint32_t, 3> requiredCluster = {0, 0, 0};
  /// The register rows of each operation, for the hazard checker: those of op i
  /// are opRows[opRowBegin[i]] and on. Empty without wgmma.
  std::vector<OpRow> opRows;
  std::vector<uint32_t> opRowBegin;
};

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_PROGRAM_H

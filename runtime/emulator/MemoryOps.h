//===- MemoryOps.h - Loads and stores ---------------------------*- C++ -*-===//
//
// A warp's access is resolved as a whole: one bounds and alignment check for
// all lanes, and one of a few shapes that can be moved at vector speed.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_MEMORYOPS_H
#define ODYSSEY_RUNTIME_EMULATOR_MEMORYOPS_H

#include "Decoder.h"
#include "Machine.h"

namespace odyssey::runtime::emulator {

enum class AccessKind : uint8_t { Read, Write, Atomic };

/// Where the lanes of a warp access memory.
struct Access {
  enum class Shape : uint8_t {
    /// All 32 lanes, one behind the other from `base` on.
    Contiguous,
    /// All lanes at `base`.
    Uniform,
    /// Lane i at base + offset[i].
    Scattered,
    /// Lane i at lane[i].
    Individual,
  };
  Shape shape = Shape::Scattered;
  uint8_t *base = nullptr;
  uint64_t offset[kWarpLanes];
  uint8_t *lane[kWarpLanes];

  uint8_t *pointer(unsigned index) const {
    switch (shape) {
    case Shape::Contiguous:
    case Shape::Scattered:
      return base + offset[index];
    case Shape::Uniform:
      return base;
    case Shape::Individual:
      return lane[index];
    }
    return nullptr;
  }
};

// Op::flags of a memory operation.
/// The low bits are the Space.
inline constexpr uint32_t kSpaceMask = 7;
/// The address register has 32 bits.
inline constexpr uint32_t kAddress32 = 8;
/// Addresses of other CTAs of the cluster are allowed.
inline constexpr uint32_t kClusterAddress = 16;
/// A volatile, relaxed, acquire or release access: not part of a race.
inline constexpr uint32_t kSynchronizing = 32;
/// ld.nc: the memory must not change while the kernel runs.
inline constexpr uint32_t kNonCoherent = 64;
/// Loads of vectors: a bit for each element that no operation uses, and the
/// number of elements (0 for other operations).
inline constexpr uint32_t kDeadElementShift = 16;
inline constexpr uint32_t kVectorShift = 20;

/// Resolves the access of `mask`'s lanes to `bytes` bytes each, at the address
/// in row op->a plus op->imm. False after a fault.
bool resolve(Warp &warp, const Op *op, LaneMask mask, unsigned bytes,
             AccessKind kind, Access &access);

/// The same for addresses that are no operand of the usual form.
bool resolveAddresses(Warp &warp, const Op *op, LaneMask mask,
                      const uint64_t *addresses, Space space, unsigned bytes,
                      AccessKind kind, Access &access);

/// The handlers of ld and st: values of `type` in registers of `registerBits`,
/// `vector` of them per lane.
Handler loadHandler(PtxType type, unsigned registerBits, unsigned vector);
Handler storeHandler(PtxType type, unsigned registerBits, unsigned vector);

/// Decodes `[base + offset]` into op.a, op.imm and kAddress32.
void decodeAddress(InstructionDecoder &in, const Operand &operand, Op &op);
/// Takes `.shared`, `.shared::cta`, `.shared::cluster`, `.global`, ... and sets
/// op.flags; generic if there is none.
void takeSpace(InstructionDecoder &in, Op &op);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_MEMORYOPS_H

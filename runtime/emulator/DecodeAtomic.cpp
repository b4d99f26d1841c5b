//===- DecodeAtomic.cpp - atom and red ------------------------------------===//
//
// Lanes of a warp act one after another, in the order of their numbers; lanes
// of warps on other host threads in between. Floating-point additions round to
// nearest and flush nothing (global) as PTX demands.
//
//===----------------------------------------------------------------------===//

#include "MemoryOps.h"

#include <algorithm>
#include <atomic>

namespace odyssey::runtime::emulator {

namespace portable {
#include "Half.inc"
} // namespace portable

namespace {

using namespace portable;

enum class AtomicOp : uint8_t {
  Add,
  Min,
  Max,
  And,
  Or,
  Xor,
  Exchange,
  CompareAndSwap,
  Increment,
  Decrement,
};

uint16_t addHalf(uint16_t a, uint16_t b, bool bf) {
  return bf ? floatToBfloat(bfloatToFloat(a) + bfloatToFloat(b))
            : floatToHalf(halfToFloat(a) + halfToFloat(b));
}

struct AddHalf {
  static uint16_t apply(uint16_t a, uint16_t b) { return addHalf(a, b, false); }
};
struct AddBfloat {
  static uint16_t apply(uint16_t a, uint16_t b) { return addHalf(a, b, true); }
};
template <bool Bf> struct AddPair {
  static uint32_t apply(uint32_t a, uint32_t b) {
    return uint32_t(addHalf(uint16_t(a >> 16), uint16_t(b >> 16), Bf)) << 16 |
           addHalf(uint16_t(a), uint16_t(b), Bf);
  }
};
struct AddSingle {
  static uint32_t apply(uint32_t a, uint32_t b) {
    float sum = asFloat(a) + asFloat(b);
    return sum != sum ? 0x7FFFFFFFu : asBits(sum);
  }
};
struct AddDouble {
  static uint64_t apply(uint64_t a, uint64_t b) {
    return asBits(asDouble(a) + asDouble(b));
  }
};

template <AtomicOp Kind, typename T> struct IntegerAtomic {
  template <typename U> static U apply(U before, U operand) {
    T a = static_cast<T>(before), b = static_cast<T>(operand);
    switch (Kind) {
    case AtomicOp::Add:
      return before + operand;
    case AtomicOp::Min:
      return static_cast<U>(std::min(a, b));
    case AtomicOp::Max:
      return static_cast<U>(std::max(a, b));
    case AtomicOp::And:
      return before & operand;
    case AtomicOp::Or:
      return before | operand;
    case AtomicOp::Xor:
      return before ^ operand;
    case AtomicOp::Increment:
      return before >= operand ? U(0) : before + 1;
    case AtomicOp::Decrement:
      return before == 0 || before > operand ? operand : before - 1;
    default:
      return operand;
    }
  }
};

/// d = old value where the op has one (flag kReturns); b and c are operands.
constexpr uint32_t kReturns = 1u << 16;

template <typename U, typename F>
const Op *atomicHandler(Warp &warp, const Op *op, LaneMask mask) {
  Access access;
  if (!resolve(warp, op, mask, sizeof(U), AccessKind::Atomic, access))
    return nullptr;
  const U *operand = warp.row<U>(op->b);
  U *d = op->flags & kReturns ? warp.row<U>(op->d) : nullptr;
  for (LaneMask left = mask; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    std::atomic_ref<U> target(*reinterpret_cast<U *>(access.pointer(lane)));
    U value = operand[lane], before = target.load(std::memory_order_relaxed);
    while (!target.compare_exchange_weak(before, F::apply(before, value),
                                         std::memory_order_acq_rel)) {
    }
    if (d)
      d[lane] = before;
  }
  return op + 1;
}

template <typename U>
const Op *compareAndSwap(Warp &warp, const Op *op, LaneMask mask) {
  Access access;
  if (!resolve(warp, op, mask, sizeof(U), AccessKind::Atomic, access))
    return nullptr;
  const U *expected = warp.row<U>(op->b), *desired = warp.row<U>(op->c);
  U *d = warp.row<U>(op->d);
  for (LaneMask left = mask; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    std::atomic_ref<U> target(*reinterpret_cast<U *>(access.pointer(lane)));
    U before = expected[lane];
    target.compare_exchange_strong(before, desired[lane],
                                   std::memory_order_acq_rel);
    d[lane] = before;
  }
  return op + 1;
}

template <AtomicOp Kind> Handler integerAtomic(PtxType type) {
  constexpr bool kOrdered = Kind == AtomicOp::Min || Kind == AtomicOp::Max;
  switch (type) {
  case PtxType::B32:
    return kOrdered ? nullptr
                    : atomicHandler<uint32_t, IntegerAtomic<Kind, uint32_t>>;
  case PtxType::U32:
    return atomicHandler<uint32_t, IntegerAtomic<Kind, uint32_t>>;
  case PtxType::S32:
    return atomicHandler<uint32_t, IntegerAtomic<Kind, int32_t>>;
  case PtxType::B64:
    return kOrdered ? nullptr
                    : atomicHandler<uint64_t, IntegerAtomic<Kind, uint64_t>>;
  case PtxType::U64:
    return atomicHandler<uint64_t, IntegerAtomic<Kind, uint64_t>>;
  case PtxType::S64:
    return atomicHandler<uint64_t, IntegerAtomic<Kind, int64_t>>;
  default:
    return nullptr;
  }
}

Handler addAtomic(PtxType type, bool noftz) {
  switch (type) {
  case PtxType::F32:
    return atomicHandler<uint32_t, AddSingle>;
  case PtxType::F64:
    return atomicHandler<uint64_t, AddDouble>;
  case PtxType::F16:
    return noftz ? atomicHandler<uint16_t, AddHalf> : nullptr;
  case PtxType::BF16:
    return noftz ? atomicHandler<uint16_t, AddBfloat> : nullptr;
  case PtxType::F16x2:
    return noftz ? atomicHandler<uint32_t, AddPair<false>> : nullptr;
  case PtxType::BF16x2:
    return noftz ? atomicHandler<uint32_t, AddPair<true>> : nullptr;
  default:
    return integerAtomic<AtomicOp::Add>(type);
  }
}

Handler atomicOf(AtomicOp op, PtxType type, bool noftz) {
  switch (op) {
  case AtomicOp::Add:
    return addAtomic(type, noftz);
  case AtomicOp::Min:
    return integerAtomic<AtomicOp::Min>(type);
  case AtomicOp::Max:
    return integerAtomic<AtomicOp::Max>(type);
  case AtomicOp::And:
    return integerAtomic<AtomicOp::And>(type);
  case AtomicOp::Or:
    return integerAtomic<AtomicOp::Or>(type);
  case AtomicOp::Xor:
    return integerAtomic<AtomicOp::Xor>(type);
  case AtomicOp::Exchange:
    return integerAtomic<AtomicOp::Exchange>(type);
  case AtomicOp::CompareAndSwap:
    return bitWidth(type) == 64   ? compareAndSwap<uint64_t>
           : bitWidth(type) == 32 ? compareAndSwap<uint32_t>
           : bitWidth(type) == 16 ? compareAndSwap<uint16_t>
                                  : nullptr;
  case AtomicOp::Increment:
    return type == PtxType::U32 ? integerAtomic<AtomicOp::Increment>(type)
                                : nullptr;
  case AtomicOp::Decrement:
    return type == PtxType::U32 ? integerAtomic<AtomicOp::Decrement>(type)
                                : nullptr;
  }
  return nullptr;
}

/// atom{.sem}{.scope}{.space}.op{.noftz}.type, and red without a result.
template <bool Returns> void decodeAtomic(InstructionDecoder &in) {
  Op op;
  op.flags = kSynchronizing | (Returns ? kReturns : 0);
  if (Returns)
    in.take("relaxed") || in.take("acquire") || in.take("release") ||
        in.take("acq_rel");
  else
    in.take("relaxed") || in.take("release");
  in.take("cta") || in.take("cluster") || in.take("gpu") || in.take("sys");
  takeSpace(in, op);
  static constexpr std::pair<std::string_view, AtomicOp> kNames[] = {
      {"add", AtomicOp::Add},       {"min", AtomicOp::Min},
      {"max", AtomicOp::Max},       {"and", AtomicOp::And},
      {"or", AtomicOp::Or},         {"xor", AtomicOp::Xor},
      {"exch", AtomicOp::Exchange}, {"cas", AtomicOp::CompareAndSwap},
      {"inc", AtomicOp::Increment}, {"dec", AtomicOp::Decrement}};
  std::optional<AtomicOp> kind;
  for (auto &[name, value] : kNames)
    if (in.take(name)) {
      kind = value;
      break;
    }
  if (!kind)
    return in.unsupportedForm();
  bool noftz = in.take("noftz");
  PtxType type = in.takeType();
  bool cas = *kind == AtomicOp::CompareAndSwap;
  size_t first = Returns ? 1 : 0;
  in.expectOperands(first + (cas ? 3 : 2));
  op.run = atomicOf(*kind, type, noftz);
  if (!op.run || (!Returns && (cas || *kind == AtomicOp::Exchange)))
    in.fail("unsupported atomic operation");
  if (in.failed())
    return;
  if (Returns)
    op.d = in.def(0, type);
  decodeAddress(in, in.operand(first), op);
  op.b = in.use(first + 1, type);
  if (cas)
    op.c = in.use(first + 2, type);
  in.emit(op);
}

} // namespace

void addAtomic(DecodeTable &table) {
  table["atom"] = decodeAtomic<true>;
  table["red"] = decodeAtomic<false>;
}

} // namespace odyssey::runtime::emulator

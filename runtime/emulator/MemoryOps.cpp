//===- MemoryOps.cpp - Loads and stores -----------------------------------===//

#include "MemoryOps.h"
#include "Hazards.h"
#include "Targets.h"

namespace odyssey::runtime::emulator {

#define ODYSSEY_HANDLERS "MemoryOps.inc"
#include "Targets.inc"

Handler loadHandler(PtxType type, unsigned registerBits, unsigned vector) {
  return ODYSSEY_SELECT(selectLoad(type, registerBits, vector));
}

Handler storeHandler(PtxType type, unsigned registerBits, unsigned vector) {
  return ODYSSEY_SELECT(selectStore(type, registerBits, vector));
}

namespace {

const char *spaceName(Space space) {
  switch (space) {
  case Space::Generic:
    return "generic";
  case Space::Global:
    return "global";
  case Space::Shared:
    return "shared";
  case Space::Local:
    return "local";
  case Space::Const:
    return "constant";
  case Space::Param:
    return "parameter";
  }
  return "";
}

/// One lane of an access in the making.
struct LaneAccess {
  Space space;
  uint64_t address;
  unsigned bytes;
  AccessKind kind;
  unsigned lane;
};

std::string describe(const LaneAccess &access, const char *problem) {
  const char *verb = access.kind == AccessKind::Read    ? "read"
                     : access.kind == AccessKind::Write ? "write"
                                                        : "atomic access";
  return std::string(problem) + " " + spaceName(access.space) + " " + verb +
         " of " + std::to_string(access.bytes) + " bytes at " +
         hexText(access.address);
}

/// Calls check(offset, bytes) for the parts of a lane's access that matter:
/// all, or the elements of a vector that somebody uses.
template <typename Check>
bool checkElements(const Op *op, uint64_t offset, unsigned bytes,
                   const Check &check) {
  unsigned count = op->flags >> kVectorShift & 7;
  unsigned dead = op->flags >> kDeadElementShift & 15;
  if (!count || !dead)
    return check(offset, bytes);
  unsigned size = bytes / count;
  for (unsigned v = 0; v < count; ++v)
    if (!(dead >> v & 1) && !check(offset + v * size, size))
      return false;
  return true;
}

uint8_t *sharedPointer(Warp &warp, const Op *op, LaneAccess &access) {
  Cta *owner = warp.cta;
  uint64_t offset = access.address;
  if (offset >= kClusterStride) {
    uint64_t rank = offset / kClusterStride - 1;
    if (rank >= owner->cluster.ctas.size()) {
      warp.fault(op, static_cast<int>(access.lane),
                 describe(access, "illegal") + ", there is no such shared "
                                               "memory");
      return nullptr;
    }
    owner = owner->cluster.ctas[rank].get();
    offset %= kClusterStride;
  }
  offset -= kSharedBase;
  uint64_t size = warp.launch->sharedBytes;
  if (offset > size || access.bytes > size - offset) {
    warp.fault(op, static_cast<int>(access.lane),
               describe(access, "illegal") + ", the CTA has " +
                   std::to_string(size) + " bytes of shared memory from " +
                   hexText(kSharedBase) + " on");
    return nullptr;
  }
  HazardChecker *hazards = warp.cta->hazards.get();
  auto check = [&](uint64_t at, unsigned bytes) {
    return hazards->shared(warp, op, access.lane, *owner, at, bytes,
                           access.kind);
  };
  if (hazards && !checkElements(op, offset, access.bytes, check))
    return nullptr;
  return owner->shared + offset;
}

uint8_t *globalPointer(Warp &warp, const Op *op, LaneAccess &access) {
  const AddressSpace &memory = *warp.launch->memory;
  const Allocation *&cached =
      warp.allocationCache[op->source % Warp::kCacheSlots];
  if (!cached || !cached->contains(access.address, access.bytes))
    cached = memory.find(access.address);
  if (!cached || !cached->contains(access.address, access.bytes)) {
    cached = nullptr;
    warp.fault(op, static_cast<int>(access.lane),
               describe(access, "illegal") + ", " +
                   memory.describe(access.address));
    return nullptr;
  }
  if (cached->readOnly && access.kind != AccessKind::Read) {
    warp.fault(op, static_cast<int>(access.lane),
               describe(access, "illegal") + ", '" + cached->label +
                   "' can only be read");
    return nullptr;
  }
  uint64_t offset = access.address - cached->base;
  HazardChecker *hazards = warp.cta->hazards.get();
  auto check = [&](uint64_t at, unsigned bytes) {
    return hazards->global(warp, op, access.lane, *cached, at, bytes,
                           access.kind);
  };
  if (hazards && !checkElements(op, offset, access.bytes, check))
    return nullptr;
  return cached->host + offset;
}

/// Host address of one lane's access, or null after a fault.
uint8_t *lanePointer(Warp &warp, const Op *op, LaneAccess access) {
  int lane = static_cast<int>(access.lane);
  if (access.address & (access.bytes - 1)) {
    warp.fault(op, lane, describe(access, "misaligned"));
    return nullptr;
  }
  if (access.space == Space::Generic) {
    if (access.address - kSharedWindow < kWindowBytes) {
      access.space = Space::Shared;
      access.address -= kSharedWindow;
    } else if (access.address - kLocalWindow < kWindowBytes) {
      access.space = Space::Local;
      access.address -= kLocalWindow;
    } else if (access.address - kParamWindow < kWindowBytes) {
      access.space = Space::Param;
    } else {
      access.space = Space::Global;
    }
  }
  switch (access.space) {
  case Space::Shared:
    return sharedPointer(warp, op, access);
  case Space::Local: {
    uint64_t offset = access.address - kLocalBase;
    uint64_t size = warp.program->localBytes;
    if (offset > size || access.bytes > size - offset) {
      warp.fault(op, lane,
                 describe(access, "illegal") + ", a thread has " +
                     std::to_string(size) + " bytes of local memory");
      return nullptr;
    }
    return warp.local + access.lane * size + offset;
  }
  case Space::Param: {
    uint64_t offset = access.address - kParamWindow;
    uint64_t size = warp.launch->parameters.size();
    if (offset > size || access.bytes > size - offset ||
        access.kind != AccessKind::Read) {
      warp.fault(op, lane,
                 describe(access, "illegal") + ", the kernel has " +
                     std::to_string(size) + " bytes of parameters");
      return nullptr;
    }
    return warp.launch->parameters.data() + offset;
  }
  default:
    return globalPointer(warp, op, access);
  }
}

} // namespace

bool resolveAddresses(Warp &warp, const Op *op, LaneMask mask,
                      const uint64_t *addresses, Space space, unsigned bytes,
                      AccessKind kind, Access &access) {
  access.shape = Access::Shape::Individual;
  for (LaneMask left = mask; left; left &= left - 1) {
    auto lane = static_cast<unsigned>(__builtin_ctz(left));
    access.lane[lane] =
        lanePointer(warp, op, {space, addresses[lane], bytes, kind, lane});
    if (!access.lane[lane])
      return false;
  }
  return true;
}

bool resolve(Warp &warp, const Op *op, LaneMask mask, unsigned bytes,
             AccessKind kind, Access &access) {
  return ODYSSEY_SELECT(resolveOperand(warp, op, mask, bytes, kind, access));
}

} // namespace odyssey::runtime::emulator

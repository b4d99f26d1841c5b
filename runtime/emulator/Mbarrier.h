//===- Mbarrier.h - mbarrier objects and what arrives at them ---*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_MBARRIER_H
#define ODYSSEY_RUNTIME_EMULATOR_MBARRIER_H

#include "Decoder.h"
#include "Machine.h"

namespace odyssey::runtime::emulator {

/// A place in the shared memory of a CTA of the cluster.
struct SharedPlace {
  Cta *owner = nullptr;
  uint32_t offset = 0;
};

/// Where the generic or shared address is; `owner` is null after a fault.
SharedPlace sharedPlace(Warp &warp, const Op *op, unsigned lane,
                        uint64_t address, uint32_t bytes, uint32_t alignment);

/// The live mbarrier at a place, or null after a fault.
Mbarrier *findMbarrier(Warp &warp, const Op *op, unsigned lane,
                       const SharedPlace &place);

/// `count` arrivals. Completes the phase if they were the last. False after a
/// fault (more arrivals than the phase expects).
bool arriveAt(Warp &warp, const Op *op, unsigned lane, const SharedPlace &place,
              uint32_t count);
/// Adds to the bytes that the phase waits for; negative when they have come.
bool addBytes(Warp &warp, const Op *op, unsigned lane, const SharedPlace &place,
              int64_t bytes);

/// Writes the asynchronous copies that signal this mbarrier, in their order,
/// until its phase is complete.
bool landCopies(Warp &warp, const Op *op, const SharedPlace &place);

/// Row of the 64-bit address that an operand in brackets means, its offset
/// included. Emits the operations for that.
uint32_t addressRow(InstructionDecoder &in, const Operand &operand);

void decodeBulkCopy(InstructionDecoder &in);
void decodeCopyArrival(InstructionDecoder &in);

/// Completes all cp.async copies of some lanes.
void completeCopies(Warp &warp, LaneMask lanes);

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_MBARRIER_H

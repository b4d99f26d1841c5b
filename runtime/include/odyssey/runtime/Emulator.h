//===- Emulator.h - A device that runs PTX on the CPU -----------*- C++ -*-===//
//
// The emulator executes the same PTX text that a GPU would get, so that every
// kernel can be run and checked on a machine without one. docs/emulator.md says
// what it covers, what it checks and what it cannot tell.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_H
#define ODYSSEY_RUNTIME_EMULATOR_H

#include "odyssey/runtime/Device.h"

namespace odyssey::runtime {

/// When an asynchronous copy (`cp.async`, bulk copies) writes its destination.
/// A GPU may do it at any moment between the issue and the wait, so a right
/// kernel gives the same result under each of these.
enum class AsyncCopies {
  /// At once, when it is issued.
  Eager,
  /// As late as possible: in the wait that covers it.
  Late,
  /// At a moment drawn from the seed.
  Random,
};

struct EmulatorOptions {
  /// Host threads that CTAs are spread over; 0 takes all cores.
  unsigned threads = 0;
  using AsyncCopies = runtime::AsyncCopies;
  AsyncCopies asyncCopies = AsyncCopies::Late;
  /// Order in which the warps of a CTA run: 0 is a fixed order in which each
  /// warp runs until it has to wait; any other value draws order and time
  /// slices at random.
  uint64_t seed = 0;
  /// Reports uses of memory that no GPU gives a meaning to: uninitialised
  /// shared and global bytes, races inside a CTA, asynchronous copies that are
  /// read too early. Several times slower. Bounds, use after free and alignment
  /// are checked always.
  bool checkHazards = false;
  /// Moves the result of every approximate instruction (ex2.approx,
  /// rsqrt.approx, ...) by a pseudo-random amount within the error bound of the
  /// PTX ISA. Without it they are correctly rounded.
  bool perturbApproximations = false;
};

/// Creates an emulator. Its devices are independent of each other.
Result<std::unique_ptr<Device>>
createEmulator(const EmulatorOptions &options = {});

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_EMULATOR_H

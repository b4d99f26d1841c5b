//===- Target.h - What is known about the GPUs ------------------*- C++ -*-===//
//
// A target is an architecture that PTX is made for; GPUs of one architecture
// differ in their number of multiprocessors, clocks and memory, and so in which
// schedule is the best. Every number has its source in lib/Schedule/Target.cpp.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_SCHEDULE_TARGET_H
#define ODYSSEY_SCHEDULE_TARGET_H

#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>
#include <string>

namespace odyssey {

/// A GPU, and the architecture that its code is compiled for.
struct TargetDescription {
  /// "sm_80", "sm_90a", ...
  llvm::StringRef name;
  /// Compute capability as major * 10 + minor.
  int capability;
  /// Shared memory that one CTA may use, in bytes.
  int64_t sharedBytesPerBlock;
  int64_t multiprocessors;
  /// PTX version as LLVM's feature string, for example "+ptx80".
  llvm::StringRef ptxFeature;

  /// The GPU: a short name, for example "h100", and what its driver's name for
  /// it contains, for example "H100".
  llvm::StringRef gpu;
  llvm::StringRef driverName;
  /// Clock under load, in GHz.
  double clockGhz;
  /// Bandwidth of the memory and of the L2 cache, in GB/s.
  double memoryGbs, l2Gbs;
  int64_t l2Bytes;
  /// Of one multiprocessor.
  int64_t sharedBytes, registers, maxThreads, maxBlocks;
  /// int8 multiply-adds per clock and multiprocessor: mma.sync, and wgmma (0
  /// where there is none).
  double mmaPerClock, wgmmaPerClock;

  /// Whether products can take the path wgmma: a GPU of this capability, and a
  /// target that allows what no other one has.
  bool hasWgmma() const { return wgmmaPerClock > 0; }
  /// Whether a kernel can be launched before the one in front of it has ended
  /// (`griddepcontrol`).
  bool hasDependentLaunch() const { return capability >= 90; }
  /// Clocks in a second.
  double clock() const { return clockGhz * 1e9; }
};

/// The GPU of that target, given its short name; by default the target's first.
/// Nothing for names that do not exist or do not belong together.
std::optional<TargetDescription> findTarget(llvm::StringRef name,
                                            llvm::StringRef gpu = "");
/// The target's names, for messages: "sm_80, sm_86, sm_89, sm_90a".
std::string targetNames();
/// The short names of a target's GPUs, for messages.
std::string gpuNames(llvm::StringRef target);

} // namespace odyssey

#endif // ODYSSEY_SCHEDULE_TARGET_H

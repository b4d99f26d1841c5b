//===- Target.cpp - What is known about the GPUs --------------------------===//
//
// Sources, by column:
//
// * shared memory, registers, threads and blocks: CUDA C++ Programming Guide,
//   "Technical specifications per compute capability";
// * multiprocessors, clocks, memory bandwidth, L2: NVIDIA's A100, GA102, Ada
//   and H100 architecture whitepapers and the data sheets of A10, L40S, H200
//   (the SXM versions of A100 80 GB, H100 and H200); the clock is the boost
//   clock at which the data sheet's tensor rate is reached;
// * mma.sync per clock: the data sheets' dense int8 rate / clock /
//   multiprocessors / 2: A100 624 TOPS = 2048, A10 250 = 1024, L40S 733 = 1024,
//   RTX 4090 661 = 1024, H100 1979 = 4096 by wgmma; of that mma.sync reaches 62
//   % on Hopper (arXiv 2402.13499, table of mma against wgmma);
// * L2 bandwidth: 5120 bytes per clock on A100 (its whitepaper), the same taken
//   for H100 and H200; 64 bytes per clock and multiprocessor on the others.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Schedule/Target.h"

using namespace odyssey;
using llvm::StringRef;

static constexpr int64_t kKb = 1024, kMb = 1024 * 1024;

static const TargetDescription kTargets[] = {
    {"sm_80", 80, 163 * kKb, 108, "+ptx80", "a100", "A100", 1.41, 2039, 7219,
     40 * kMb, 164 * kKb, 65536, 2048, 32, 2048, 0},
    {"sm_86", 86, 99 * kKb, 72, "+ptx80", "a10", "A10", 1.695, 600, 7811,
     6 * kMb, 100 * kKb, 65536, 1536, 16, 1024, 0},
    {"sm_89", 89, 99 * kKb, 142, "+ptx80", "l40s", "L40S", 2.52, 864, 22902,
     96 * kMb, 100 * kKb, 65536, 1536, 24, 1024, 0},
    {"sm_89", 89, 99 * kKb, 128, "+ptx80", "rtx4090", "RTX 4090", 2.52, 1008,
     20644, 72 * kMb, 100 * kKb, 65536, 1536, 24, 1024, 0},
    {"sm_90a", 90, 227 * kKb, 132, "+ptx86", "h100", "H100", 1.83, 3350, 9370,
     50 * kMb, 228 * kKb, 65536, 2048, 32, 2540, 4096},
    {"sm_90a", 90, 227 * kKb, 132, "+ptx86", "h200", "H200", 1.83, 4800, 9370,
     50 * kMb, 228 * kKb, 65536, 2048, 32, 2540, 4096},
};

std::optional<TargetDescription> odyssey::findTarget(StringRef name,
                                                     StringRef gpu) {
  for (const TargetDescription &target : kTargets)
    if (target.name == name && (gpu.empty() || target.gpu == gpu))
      return target;
  return std::nullopt;
}

std::string odyssey::targetNames() {
  std::string names;
  StringRef last;
  for (const TargetDescription &target : kTargets)
    if (target.name != last) {
      names += (names.empty() ? "" : ", ") + target.name.str();
      last = target.name;
    }
  return names;
}

std::string odyssey::gpuNames(StringRef name) {
  std::string names;
  for (const TargetDescription &target : kTargets)
    if (target.name == name)
      names += (names.empty() ? "" : ", ") + target.gpu.str();
  return names;
}

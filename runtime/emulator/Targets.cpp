//===- Targets.cpp - What this host can run -------------------------------===//

#include "Targets.h"

namespace odyssey::runtime::emulator {

bool hasAvx512() {
#ifdef ODYSSEY_HAS_AVX512
  static const bool available =
      __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("bmi2") &&
      __builtin_cpu_supports("fma");
  return available;
#else
  return false;
#endif
}

bool hasAvx2() {
#ifdef ODYSSEY_HAS_AVX2
  static const bool available =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") &&
      __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
      __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  return available;
#else
  return false;
#endif
}

} // namespace odyssey::runtime::emulator

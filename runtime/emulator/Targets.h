//===- Targets.h - One source, several instruction sets ---------*- C++ -*-===//
//
// The hot handlers are compiled three times, for any x86-64 (or other) host,
// for AVX2 and for AVX-512, and chosen at run time. A file X.cpp names its
// X.inc in ODYSSEY_HANDLERS and includes Targets.inc, which includes that in
// the namespaces `portable`, `avx2` and `avx512`. Nothing from the standard
// library may be instantiated first in there: its code would carry such
// instructions into the rest of the program.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EMULATOR_TARGETS_H
#define ODYSSEY_RUNTIME_EMULATOR_TARGETS_H

// In two steps, so that macros in the pragma are expanded: a compiler cache
// compares what the preprocessor prints.
#define ODYSSEY_STRING_PRAGMA(...) _Pragma(#__VA_ARGS__)
#define ODYSSEY_PRAGMA(...) ODYSSEY_STRING_PRAGMA(__VA_ARGS__)

// Only clang carries the target over to templates and lambdas; other compilers
// get the portable handlers.
#if defined(__x86_64__) && defined(__clang__)
#define ODYSSEY_HAS_AVX512 1
#include <immintrin.h>
#define ODYSSEY_AVX512_FEATURES                                                \
  "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx512vnni,f16c,fma,bmi,bmi2,"  \
  "lzcnt,popcnt"
#define ODYSSEY_BEGIN_AVX512                                                   \
  ODYSSEY_PRAGMA(clang attribute push(                                         \
      __attribute__((target(ODYSSEY_AVX512_FEATURES))), apply_to = function))
#define ODYSSEY_END_AVX512 ODYSSEY_PRAGMA(clang attribute pop)
#define ODYSSEY_HAS_AVX2 1
#define ODYSSEY_BEGIN_AVX2                                                     \
  ODYSSEY_PRAGMA(clang attribute push(                                         \
      __attribute__((target("avx2,f16c,fma,bmi,bmi2,popcnt"))),                \
      apply_to = function))
#define ODYSSEY_END_AVX2 ODYSSEY_PRAGMA(clang attribute pop)
#endif

/// A call of a function that is in all three namespaces, in that of this host.
#ifdef ODYSSEY_HAS_AVX512
#define ODYSSEY_SELECT(...)                                                    \
  (hasAvx512() ? avx512::__VA_ARGS__                                           \
   : hasAvx2() ? avx2::__VA_ARGS__                                             \
               : portable::__VA_ARGS__)
#else
#define ODYSSEY_SELECT(...) portable::__VA_ARGS__
#endif

/// Before a loop over the 32 lanes: its iterations do not depend on each other,
/// though destination and source may be the same row. Without `unroll(disable)`
/// clang unrolls such a loop before it gets to vectorise it.
#if defined(__clang__)
#define ODYSSEY_LANES                                                          \
  ODYSSEY_PRAGMA(clang loop vectorize(assume_safety) vectorize_width(32)       \
                     interleave(disable) unroll(disable))
#else
#define ODYSSEY_LANES ODYSSEY_PRAGMA(GCC ivdep)
#endif

namespace odyssey::runtime::emulator {

/// Whether this host runs the AVX-512 handlers.
bool hasAvx512();
/// Whether this host runs what is compiled for AVX2, F16C, FMA and BMI2.
bool hasAvx2();

} // namespace odyssey::runtime::emulator

#endif // ODYSSEY_RUNTIME_EMULATOR_TARGETS_H

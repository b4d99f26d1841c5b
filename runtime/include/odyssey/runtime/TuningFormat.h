//===- TuningFormat.h - The frame of a tuning database ----------*- C++ -*-===//
//
// First and last line of a database, between which every line is one entry.
// Shared by the runtime, which writes databases, and the compiler, which reads
// them; depends on nothing. docs/tuning.md describes the entries.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TUNINGFORMAT_H
#define ODYSSEY_RUNTIME_TUNINGFORMAT_H

#include <cstdint>

namespace odyssey::tuning {

/// Raised when a reader of the version before would misread entries. Version 2
/// has entries of other widths of weights than 4 bits.
inline constexpr int64_t kVersion = 2;
/// The oldest version that is still read.
inline constexpr int64_t kOldestVersion = 1;
/// The width of an entry without "weight_bits".
inline constexpr int64_t kDefaultWeightBits = 4;

inline constexpr char kBegin[] = R"({"odyssey_tuning": 2, "entries": [)";
inline constexpr char kEnd[] = "]}";

} // namespace odyssey::tuning

#endif // ODYSSEY_RUNTIME_TUNINGFORMAT_H

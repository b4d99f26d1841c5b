//===- BundleFormat.h - The file that compiler and runtime share *- C++ -*-===//
//
// The binary frame of a bundle: a header, a table of named sections, and the
// sections. The compiler writes it (lib/Target/Bundle), the runtime maps it
// (runtime/session/Bundle). This is the one header that both sides include, so
// it depends on nothing but the standard library. What the sections hold, above
// all plan.json, is in docs/bundle.md.
//
// All integers are little-endian. Every section begins at a multiple of
// `kSectionAlignment` and is followed by zero bytes up to the next one.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_BUNDLEFORMAT_H
#define ODYSSEY_RUNTIME_BUNDLEFORMAT_H

#include <cstdint>

namespace odyssey::bundle {

inline constexpr char kMagic[8] = {'O', 'D', 'Y', 'S', 'S', 'E', 'Y', '\0'};

/// Raised on every change that an older runtime would misread; a runtime loads
/// exactly its own version.
inline constexpr uint32_t kVersion = 1;

/// In bytes; a page, so that the weights can be mapped.
inline constexpr uint64_t kSectionAlignment = 4096;

/// At most so many sections, so that a lying header cannot ask for much memory.
inline constexpr uint32_t kMaxSections = 4096;

struct FileHeader {
  char magic[8];
  uint32_t version;
  uint32_t sectionCount;
  /// Size of the whole file in bytes: a truncated file is noticed at once.
  uint64_t fileBytes;
  /// XXH3-64 (seed 0) of the section table, `sectionCount` SectionEntry's right
  /// behind this header.
  uint64_t tableHash;
};
static_assert(sizeof(FileHeader) == 32, "part of the file format");

struct SectionEntry {
  /// Zero-terminated, for example "plan.json" or "kernel.0.ptx".
  char name[40];
  uint64_t offset;
  uint64_t bytes;
  /// XXH3-64 (seed 0) of the section's `bytes` bytes.
  uint64_t hash;
};
static_assert(sizeof(SectionEntry) == 64, "part of the file format");

/// Section names with a fixed meaning.
inline constexpr char kPlanSection[] = "plan.json";
inline constexpr char kWeightsSection[] = "weights.safetensors";

/// In a pack of candidate kernels only (docs/tuning.md).
inline constexpr char kPackSection[] = "pack.json";

/// The version of plan.json's schema ("format" in it).
inline constexpr int kPlanFormat = 1;
/// The version of pack.json's schema.
inline constexpr int kPackFormat = 2;

} // namespace odyssey::bundle

#endif // ODYSSEY_RUNTIME_BUNDLEFORMAT_H

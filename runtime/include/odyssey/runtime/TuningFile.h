//===- TuningFile.h - Measured times of schedules ---------------*- C++ -*-===//
//
// The tuning database: a JSON file with one measured schedule per line, in a
// fixed order, so that databases can be merged, and compared by `diff`.
// docs/tuning.md describes it. odyssey-tune writes it, odyssey-compile reads it
// (include/odyssey/Schedule/TuningDatabase.h).
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_TUNINGFILE_H
#define ODYSSEY_RUNTIME_TUNINGFILE_H

#include "odyssey/runtime/Status.h"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace odyssey::runtime {

/// What was measured: a schedule of a product on a GPU. Fields in the order in
/// which a file is sorted.
struct TuningKey {
  /// The driver's name for the GPU, for example "NVIDIA H200".
  std::string gpu;
  /// "sm_90a"
  std::string target;
  int64_t n = 0, k = 0, tokens = 0;
  int64_t weightBits = 4;
  std::string schedule;

  friend auto operator<=>(const TuningKey &, const TuningKey &) = default;
};

/// Nanoseconds of one launch: the median, and between the quartiles.
struct TuningTime {
  int64_t nanoseconds = 0, spread = 0;
};

class TuningFile {
public:
  /// Reads a file; one that does not exist is empty. Lines that are damaged are
  /// left out, with a message each in `warnings`. FailedPrecondition for a file
  /// of another version, DataLoss for one that is no database.
  static Result<TuningFile> read(const std::string &path);
  /// The same from text; `name` begins every message.
  static Result<TuningFile> parse(const std::string &name,
                                  std::string_view text);

  /// Adds a measurement, or replaces an older one of the same key.
  void set(const TuningKey &key, const TuningTime &time) {
    entries[key] = time;
  }
  /// Adds all of `other`, over what is there.
  void merge(const TuningFile &other);

  std::string text() const;
  /// The file appears only when complete.
  Status write(const std::string &path) const;

  std::map<TuningKey, TuningTime> entries;
  std::vector<std::string> warnings;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_TUNINGFILE_H

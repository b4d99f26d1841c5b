//===- TuningDatabase.h - Measured times of schedules -----------*- C++ -*-===//
//
// What odyssey-tune measured on GPUs, as odyssey-compile uses it: the databases
// that are part of the compiler (tuning/*.json) and those that the user adds.
// docs/tuning.md describes the format.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_SCHEDULE_TUNINGDATABASE_H
#define ODYSSEY_SCHEDULE_TUNINGDATABASE_H

#include "odyssey/Schedule/CostModel.h"

#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/Support/Error.h"

#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace odyssey {

struct TuningEntry {
  /// "path = mma_sync, channels = 64, ..."
  std::string schedule;
  double seconds;
  /// The file that it comes from.
  std::string source;
};

class TuningDatabase {
public:
  using Warn = llvm::function_ref<void(const llvm::Twine &)>;

  /// The databases that the compiler was built with.
  static TuningDatabase builtin(Warn warn);
  /// Those, and the files of `paths`; one that has nothing for the target is a
  /// warning.
  static llvm::Expected<TuningDatabase> load(llvm::ArrayRef<std::string> paths,
                                             const TargetDescription &target,
                                             Warn warn);

  /// Adds the entries of a file, over older ones. A damaged line is skipped
  /// with a warning that names it. Errors are a file that cannot be read, that
  /// is no database, or of another version.
  llvm::Error addFile(llvm::StringRef path, Warn warn);
  llvm::Error addText(llvm::StringRef name, llvm::StringRef text, Warn warn);

  /// The measured schedules of a product on a GPU, the fastest first; empty
  /// when it was not tuned.
  std::vector<TuningEntry> find(const TargetDescription &target,
                                const ProductShape &shape) const;

  /// All products that were tuned on a GPU.
  std::vector<ProductShape> shapes(const TargetDescription &target) const;

private:
  struct Key {
    std::string gpu, target;
    int64_t n, k, tokens, weightBits;
    std::string schedule;
    friend auto operator<=>(const Key &, const Key &) = default;
  };
  struct Time {
    double seconds;
    std::string source;
  };
  /// The GPUs of a source, for messages.
  std::string gpusOf(llvm::StringRef source) const;
  bool hasEntries(llvm::StringRef source,
                  const TargetDescription &target) const;
  static bool matches(const Key &key, const TargetDescription &target);

  std::map<Key, Time> entries;
};

/// The text of a schedule as a database has it.
std::string scheduleText(fastgemm::ScheduleAttr schedule);
/// The schedule of a text, or null when it is none that is valid.
fastgemm::ScheduleAttr parseSchedule(mlir::MLIRContext *context,
                                     llvm::StringRef text);

} // namespace odyssey

#endif // ODYSSEY_SCHEDULE_TUNINGDATABASE_H

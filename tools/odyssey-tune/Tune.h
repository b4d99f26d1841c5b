//===- Tune.h - The commands of odyssey-tune --------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYTUNE_TUNE_H
#define ODYSSEY_TOOLS_ODYSSEYTUNE_TUNE_H

#include "odyssey/runtime/PackRunner.h"
#include "odyssey/runtime/TuningFile.h"

#include <string>
#include <vector>

namespace odyssey::tune {

struct RunOptions {
  std::vector<std::string> packs;
  std::string device = "auto", output;
  runtime::MeasureOptions measure;
  /// Ends early, with what was measured by then, after so many seconds; 0
  /// never.
  double limit = 0;
  bool quiet = false;
};
/// Measures the candidates of packs and merges the times into a database. What
/// was measured before an error is kept. Of several packs, those for another
/// target than the device are passed over with a warning.
runtime::Status runPacks(const RunOptions &options);
/// The same on a device that is open, whatever `options` says of one.
runtime::Status runPacks(const RunOptions &options,
                         std::shared_ptr<runtime::Device> device);

struct PackOptions {
  std::string shapes, target = "sm_80", gpu, output;
  std::vector<int64_t> buckets;
  int64_t candidates = 12;
  /// "i4" or "i8".
  std::string weights = "i4";
};
/// Lets odyssey-compile, which stands beside this program, write a pack.
/// Returns only when it cannot be started.
runtime::Status makePack(const PackOptions &options);

/// Merges databases into the first; later ones win.
runtime::Status mergeFiles(const std::vector<std::string> &paths);

} // namespace odyssey::tune

#endif // ODYSSEY_TOOLS_ODYSSEYTUNE_TUNE_H

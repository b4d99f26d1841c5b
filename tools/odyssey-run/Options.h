//===- Options.h - The command line of odyssey-run --------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEY_RUN_OPTIONS_H
#define ODYSSEY_TOOLS_ODYSSEY_RUN_OPTIONS_H

#include "odyssey/runtime/DeviceRegistry.h"
#include "odyssey/runtime/Generator.h"

#include <optional>
#include <string>
#include <vector>

namespace odyssey::run {

/// `--input x=@x.npy`.
struct TensorFile {
  std::string name, path;
};

struct Options {
  std::string bundle;
  std::string device = "auto";
  runtime::DeviceOptions deviceOptions;
  bool listDevices = false;
  bool stats = false;
  bool quiet = false;

  std::optional<std::string> prompt;
  std::string promptFile;
  bool interactive = false;
  /// A file with a prompt on each line.
  std::string batchFile;
  runtime::GenerateOptions generate;

  std::string function;
  std::vector<TensorFile> inputs, outputs;
};

} // namespace odyssey::run

#endif // ODYSSEY_TOOLS_ODYSSEY_RUN_OPTIONS_H

//===- Output.h - Where results go ------------------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_OUTPUT_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_OUTPUT_H

#include "odyssey/runtime/Status.h"

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace odyssey::bench {

/// Prints `json` where `print` is set, and writes it to `file` where that is
/// not empty. IoError when it cannot be written.
runtime::Status writeJson(const nlohmann::ordered_json &json, bool print,
                          const std::string &file);

/// Writes `text` to `file`. IoError when it cannot be written.
runtime::Status writeFile(const std::string &text, const std::string &file);

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_OUTPUT_H

//===- Commands.h - What odyssey-run can do ---------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEY_RUN_COMMANDS_H
#define ODYSSEY_TOOLS_ODYSSEY_RUN_COMMANDS_H

#include "Options.h"

namespace odyssey::run {

/// Prints the devices of this machine.
void listDevices(const Options &options);

/// Generates text from one prompt, or from the lines of standard input.
runtime::Status runText(const Options &options);

/// Generates text from each line of a file, many at a time.
runtime::Status runBatch(const Options &options);

/// Runs one function of the bundle on .npy files.
runtime::Status runFunction(const Options &options);

} // namespace odyssey::run

#endif // ODYSSEY_TOOLS_ODYSSEY_RUN_COMMANDS_H

//===- ProcessTime.h - How long this process has been running ---*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEY_RUN_PROCESSTIME_H
#define ODYSSEY_TOOLS_ODYSSEY_RUN_PROCESSTIME_H

namespace odyssey::run {

/// Seconds since the kernel started this process, so that loading the program
/// itself counts. The start is known to 10 ms.
double processSeconds();

} // namespace odyssey::run

#endif // ODYSSEY_TOOLS_ODYSSEY_RUN_PROCESSTIME_H

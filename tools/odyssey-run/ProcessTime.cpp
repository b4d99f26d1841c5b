//===- ProcessTime.cpp - How long this process has been running -----------===//

#include "ProcessTime.h"

#include <algorithm>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <unistd.h>

namespace odyssey::run {

namespace {

double seconds(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) +
         static_cast<double>(now.tv_nsec) * 1e-9;
}

/// When this object was made: before main, after the program was loaded.
const double loaded = seconds(CLOCK_BOOTTIME);

/// Field 22 of /proc/self/stat: ticks from the machine's start (proc(5)).
double processStart() {
  constexpr int kFieldsFromState = 19;
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  // The program's name may hold spaces; what follows begins with field 3.
  std::istringstream fields(
      line.substr(std::min(line.rfind(')') + 1, line.size())));
  std::string skipped;
  for (int i = 0; i < kFieldsFromState; ++i)
    fields >> skipped;
  double ticks = 0;
  if (!(fields >> ticks))
    return loaded;
  return std::min(ticks / static_cast<double>(sysconf(_SC_CLK_TCK)), loaded);
}

} // namespace

double processSeconds() {
  static const double start = processStart();
  return seconds(CLOCK_BOOTTIME) - start;
}

} // namespace odyssey::run

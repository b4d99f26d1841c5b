//===- ProgressLine.cpp - One line that tells how far work is -------------===//

#include "ProgressLine.h"

#include <cstdio>
#include <unistd.h>

using namespace odyssey;

ProgressLine::ProgressLine(bool quiet)
    : visible(!quiet && isatty(STDERR_FILENO)),
      start(std::chrono::steady_clock::now()) {}

void ProgressLine::show(std::string_view what, double done) {
  if (!visible)
    return;
  clear();
  std::fprintf(stderr, "%3d%% %.*s", static_cast<int>(100 * done),
               static_cast<int>(what.size()), what.data());
  double elapsed =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  // Before that, an estimate is a guess.
  if (elapsed > 2 && done > 0.01) {
    int left = static_cast<int>(elapsed * (1 - done) / done);
    std::fprintf(stderr, ", %d:%02d left", left / 60, left % 60);
  }
  std::fflush(stderr);
}

void ProgressLine::clear() {
  if (visible)
    std::fputs("\r\x1b[K", stderr);
}

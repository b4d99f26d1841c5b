//===- ProgressLine.h - One line that tells how far work is -----*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_PROGRESS_PROGRESSLINE_H
#define ODYSSEY_TOOLS_PROGRESS_PROGRESSLINE_H

#include <chrono>
#include <string_view>

namespace odyssey {

/// A line of the terminal, rewritten again and again: the share that is done,
/// what is at work and the time left. Nothing where standard error is no
/// terminal.
class ProgressLine {
public:
  explicit ProgressLine(bool quiet);
  ~ProgressLine() { clear(); }

  /// `done` is from 0 to 1.
  void show(std::string_view what, double done);
  void clear();

private:
  bool visible;
  std::chrono::steady_clock::time_point start;
};

} // namespace odyssey

#endif // ODYSSEY_TOOLS_PROGRESS_PROGRESSLINE_H

//===- Stopwatch.h - Elapsed time -------------------------------*- C++ -*-===//

#ifndef ODYSSEY_RUNTIME_SESSION_STOPWATCH_H
#define ODYSSEY_RUNTIME_SESSION_STOPWATCH_H

#include <chrono>

namespace odyssey::runtime {

/// Seconds since its creation.
class Stopwatch {
public:
  double seconds() const {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_STOPWATCH_H

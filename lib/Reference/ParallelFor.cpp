//===- ParallelFor.cpp - Loops over threads -------------------------------===//

#include "odyssey/Reference/ParallelFor.h"

#include <algorithm>
#include <thread>
#include <vector>

using namespace odyssey::reference;

/// About what a core multiplies in the time that starting a thread takes.
static constexpr int64_t minWorkPerThread = 1 << 18;

void odyssey::reference::parallelFor(
    int64_t count, int64_t workPerItem, unsigned threads,
    const std::function<void(int64_t begin, int64_t end)> &body) {
  if (threads == 0)
    threads = std::max(1u, std::thread::hardware_concurrency());
  int64_t evenly = (count + threads - 1) / threads;
  int64_t size =
      std::max({evenly, minWorkPerThread / std::max<int64_t>(workPerItem, 1),
                int64_t(1)});
  std::vector<std::jthread> workers;
  for (int64_t begin = size; begin < count; begin += size)
    workers.emplace_back([&body, begin, end = std::min(begin + size, count)] {
      body(begin, end);
    });
  if (count > 0)
    body(0, std::min(size, count));
}

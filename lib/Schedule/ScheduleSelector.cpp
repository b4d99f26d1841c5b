//===- ScheduleSelector.cpp - The best schedule that is known -------------===//

#include "odyssey/Schedule/ScheduleSelector.h"

#include "odyssey/Schedule/ScheduleChoice.h"

#include "llvm/ADT/DenseMap.h"

#include <algorithm>
#include <tuple>

using namespace mlir;
using namespace odyssey;
using fastgemm::ScheduleAttr;

llvm::StringRef odyssey::originName(ScheduleOrigin origin) {
  constexpr llvm::StringLiteral names[] = {"model", "tuning", "IR"};
  return names[static_cast<size_t>(origin)];
}

const ScheduleChoices &
ScheduleSelector::choices(const ProductShape &shape) const {
  auto [at, isNew] = known.try_emplace(shape);
  if (isNew)
    at->second = makeChoices(shape);
  return at->second;
}

ScheduleChoices ScheduleSelector::makeChoices(const ProductShape &shape) const {
  ScheduleChoices result;
  result.floor = floorOf(gpu, shape);
  llvm::DenseMap<ScheduleAttr, TuningEntry> measured;
  for (TuningEntry &entry : database.find(gpu, shape))
    // What this compiler cannot parse or follow any more is not considered.
    if (ScheduleAttr schedule = parseSchedule(context, entry.schedule))
      measured.try_emplace(schedule, std::move(entry));
  for (const RankedSchedule &ranked :
       rankSchedules(context, gpu, shape, choosePanelChannels(shape.n, shape.k),
                     &result.whyNot)) {
    ScheduleCandidate candidate{
        ranked.schedule, ranked.prediction, {}, {}, ranked.order};
    if (auto found = measured.find(ranked.schedule); found != measured.end()) {
      candidate.measured = found->second.seconds;
      candidate.source = found->second.source;
      ++result.measured;
    }
    result.candidates.push_back(std::move(candidate));
  }
  result.legal = result.candidates.size();
  // A product of one token that quantizes it saves a kernel in front of it,
  // which takes longer than such products differ. Predicted times do not
  // compete with measured ones.
  auto rank = [&](const ScheduleCandidate &candidate) {
    bool savesKernel =
        shape.tokens == 1 &&
        canQuantizeToken(candidate.schedule, shape.k, shape.weights);
    return std::tuple(!savesKernel, !candidate.measured, candidate.seconds(),
                      candidate.order);
  };
  std::sort(result.candidates.begin(), result.candidates.end(),
            [&](const auto &a, const auto &b) { return rank(a) < rank(b); });
  return result;
}

ScheduleCandidate ScheduleSelector::assess(const ProductShape &shape,
                                           ScheduleAttr schedule) const {
  ScheduleCandidate candidate{
      schedule, predict(gpu, shape, schedule), {}, {}, 0};
  for (TuningEntry &entry : database.find(gpu, shape))
    if (entry.schedule == scheduleText(schedule)) {
      candidate.measured = entry.seconds;
      candidate.source = entry.source;
    }
  return candidate;
}

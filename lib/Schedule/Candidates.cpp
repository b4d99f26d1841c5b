//===- Candidates.cpp - Which schedules are worth measuring ---------------===//

#include "odyssey/Schedule/CostModel.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

using namespace odyssey;

namespace {

/// A way of dividing sums that is predicted to take so many times the best time
/// is not measured. The model's first choice was at worst 1.23 times slower
/// than the best that was measured (docs/schedules.md).
constexpr double kHopeless = 1.3;

using Kind = std::array<bool, 5>;

Kind kindOf(fastgemm::ScheduleAttr s) {
  return {s.getPath() == fastgemm::Path::Wgmma, s.getSplitK() > 1,
          s.getCtas() > 0, s.getStreamK() > 0, s.getMulticast() > 1};
}

/// All but the depth of the pipeline.
std::array<int64_t, 10> shapeOf(fastgemm::ScheduleAttr s) {
  return {static_cast<int64_t>(s.getPath()),
          s.getChannels(),
          s.getTokens(),
          s.getK(),
          s.getChannelWarps(),
          s.getTokenWarps(),
          s.getSplitK(),
          s.getCtas(),
          s.getStreamK(),
          s.getMulticast()};
}

} // namespace

std::vector<RankedSchedule>
odyssey::pickCandidates(llvm::ArrayRef<RankedSchedule> ranked, int64_t count) {
  // By their places in the ranking.
  std::set<size_t> picked;
  std::set<Kind> kinds;
  for (size_t i = 0; i < ranked.size(); ++i) {
    if (static_cast<int64_t>(picked.size()) == count ||
        ranked[i].prediction.seconds > kHopeless * ranked[0].prediction.seconds)
      break;
    if (kinds.insert(kindOf(ranked[i].schedule)).second)
      picked.insert(i);
  }
  std::map<std::array<int64_t, 10>, int> depths;
  for (size_t i : picked)
    ++depths[shapeOf(ranked[i].schedule)];
  for (size_t i = 0; i < ranked.size(); ++i) {
    if (static_cast<int64_t>(picked.size()) == count)
      break;
    if (!picked.count(i) && ++depths[shapeOf(ranked[i].schedule)] <= 2)
      picked.insert(i);
  }
  std::vector<RankedSchedule> result;
  for (size_t i : picked)
    result.push_back(ranked[i]);
  return result;
}

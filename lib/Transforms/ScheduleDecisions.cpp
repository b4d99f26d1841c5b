//===- ScheduleDecisions.cpp - Schedules of a function's products ---------===//

#include "odyssey/Transforms/ScheduleDecisions.h"

#include "llvm/ADT/MapVector.h"

#include <algorithm>
#include <limits>
#include <set>

using namespace mlir;
using namespace odyssey;
using fastgemm::ScheduleAttr;

namespace {

/// The order in which a schedule wants its activations: 0 for rows.
int64_t layoutOf(ScheduleAttr schedule) {
  return schedule.getPath() == fastgemm::Path::Wgmma ? schedule.getTokens() : 0;
}

/// Whether activations are made here and read by products alone, so that they
/// may be laid out as those like it.
bool isForProducts(Value activations) {
  return activations.getDefiningOp() &&
         llvm::all_of(activations.getUsers(), llvm::IsaPred<graph::MatmulOp>);
}

/// Products that read the same activations.
class Group {
public:
  Group(const ScheduleSelector &selector, int64_t tokens)
      : selector(selector), tokens(tokens) {}

  void add(graph::MatmulOp op) {
    int64_t size = op.getX().getType().getDimSize(0);
    members.push_back({op,
                       {ShapedType::isDynamic(size) ? tokens : size, op.getN(),
                        op.getK(), op.getWeightFormat()},
                       op.getScheduleAttr()});
  }

  LogicalResult decide(std::vector<ScheduleDecision> &decisions) const;

private:
  struct Member {
    graph::MatmulOp op;
    ProductShape shape;
    /// Null where it has to be chosen.
    ScheduleAttr byHand;
  };

  LogicalResult checkByHand(const Member &member) const;
  std::optional<int64_t> chooseLayout() const;
  const ScheduleCandidate *best(const Member &member, int64_t layout) const;

  const ScheduleSelector &selector;
  int64_t tokens;
  SmallVector<Member> members;
};

/// The best candidate that reads activations in that layout.
const ScheduleCandidate *Group::best(const Member &member,
                                     int64_t layout) const {
  const auto &candidates = selector.choices(member.shape).candidates;
  auto found = llvm::find_if(candidates, [&](const auto &candidate) {
    return layoutOf(candidate.schedule) == layout;
  });
  return found == candidates.end() ? nullptr : &*found;
}

/// The layout in which the products take the least time together; one that the
/// IR asks for leaves no choice.
std::optional<int64_t> Group::chooseLayout() const {
  std::set<int64_t> layouts;
  for (const Member &member : members) {
    if (member.byHand)
      return layoutOf(member.byHand);
    for (const auto &candidate : selector.choices(member.shape).candidates)
      layouts.insert(layoutOf(candidate.schedule));
  }
  std::optional<int64_t> chosen;
  double least = std::numeric_limits<double>::infinity();
  graph::MatmulOp first = members.front().op;
  bool rowsOnly = !isForProducts(first.getX());
  const auto &ofFirst = selector.choices(members.front().shape).candidates;
  if (members.size() == 1 && !rowsOnly && !ofFirst.empty())
    return layoutOf(ofFirst.front().schedule);
  for (int64_t layout : layouts) {
    if (rowsOnly && layout != 0)
      continue;
    double seconds = 0;
    for (const Member &member : members) {
      const ScheduleCandidate *candidate = best(member, layout);
      seconds += candidate ? candidate->seconds()
                           : std::numeric_limits<double>::infinity();
    }
    if (seconds < least) {
      least = seconds;
      chosen = layout;
    }
  }
  return chosen;
}

LogicalResult Group::checkByHand(const Member &member) const {
  const TargetDescription &target = selector.target();
  graph::MatmulOp op = member.op;
  if (member.byHand.getPath() == fastgemm::Path::Wgmma && !target.hasWgmma())
    return op.emitOpError() << "expects a schedule of path mma_sync on "
                            << target.name << ", got path wgmma";
  int64_t bytes = member.byHand.getSharedBytes(member.shape.weights);
  if (bytes <= target.sharedBytesPerBlock)
    return success();
  return op.emitOpError() << "expects a schedule that needs at most "
                          << target.sharedBytesPerBlock
                          << " bytes of shared memory on " << target.name
                          << ", got " << bytes;
}

LogicalResult Group::decide(std::vector<ScheduleDecision> &decisions) const {
  std::optional<int64_t> layout = chooseLayout();
  for (const Member &member : members) {
    if (member.byHand) {
      if (failed(checkByHand(member)))
        return failure();
      decisions.push_back({member.op, member.shape,
                           selector.assess(member.shape, member.byHand),
                           ScheduleOrigin::Hand});
      continue;
    }
    const ScheduleCandidate *candidate =
        layout ? best(member, *layout) : nullptr;
    if (!candidate) {
      const std::string &whyNot = selector.choices(member.shape).whyNot;
      return graph::MatmulOp(member.op).emitOpError()
             << "has no schedule on " << selector.target().name << ": "
             << (whyNot.empty()
                     ? "none fits the others that read the same activations"
                     : whyNot);
    }
    decisions.push_back(
        {member.op, member.shape, *candidate,
         candidate->measured ? ScheduleOrigin::Tuning : ScheduleOrigin::Model});
  }
  return success();
}

} // namespace

FailureOr<std::vector<ScheduleDecision>>
odyssey::decideSchedules(func::FuncOp function, int64_t tokens,
                         const ScheduleSelector &selector) {
  llvm::MapVector<Value, Group> groups;
  function.walk([&](graph::MatmulOp op) {
    groups.try_emplace(op.getX(), selector, tokens).first->second.add(op);
  });
  std::vector<ScheduleDecision> decisions;
  for (auto &[activations, group] : groups)
    if (failed(group.decide(decisions)))
      return failure();
  return decisions;
}

std::string ScheduleDecision::reason(const ScheduleSelector &selector) const {
  const ScheduleChoices &all = selector.choices(shape);
  std::string gpu = selector.target().driverName.str();
  switch (origin) {
  case ScheduleOrigin::Hand:
    return "written in the IR";
  case ScheduleOrigin::Tuning:
    return "measured to be the fastest of " + std::to_string(all.measured) +
           " on " + gpu + " (" + chosen.source + ")";
  case ScheduleOrigin::Model:
    break;
  }
  bool first = all.candidates.front().schedule == chosen.schedule;
  return "predicted to be the fastest of " + std::to_string(all.legal) +
         " legal schedules" +
         (first ? "" : " that read activations as other products do") +
         ", not tuned on " + gpu;
}

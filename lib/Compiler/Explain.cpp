//===- Explain.cpp - Why products have their schedules --------------------===//

#include "odyssey/Compiler/Explain.h"

#include "odyssey/Schedule/RankingQuality.h"
#include "odyssey/Transforms/ScheduleDecisions.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/Format.h"

#include <algorithm>
#include <map>
#include <tuple>

using namespace mlir;
using namespace odyssey;
using namespace odyssey::compiler;

namespace {

/// Candidates that are shown for a choice, itself included.
constexpr size_t kShownCandidates = 4;

/// The tensors of a product's weights.
std::string weightsOf(graph::MatmulOp op) {
  auto weight = op.getWeights().getDefiningOp<graph::WeightOp>();
  std::string text;
  if (weight)
    for (Attribute name : weight.getNames())
      text += (text.empty() ? "" : " + ") + cast<StringAttr>(name).str();
  return text.empty() ? "weights" : text;
}

/// Decisions for the products of one shape in one function.
struct Product {
  std::string name;
  int64_t count = 0;
  std::vector<ScheduleDecision> decisions;
};

/// "12.34", or "-".
std::string microseconds(std::optional<double> seconds) {
  if (!seconds)
    return "-";
  std::string text;
  llvm::raw_string_ostream(text) << llvm::format("%.2f", *seconds * 1e6);
  return text;
}

class Explanation {
public:
  Explanation(const ScheduleSelector &selector, llvm::raw_ostream &stream)
      : selector(selector), stream(stream) {}

  void print(StringRef function, const Product &product);

private:
  void printChoice(const ScheduleDecision &decision);
  void printRow(const ProductShape &shape, StringRef tokens, StringRef chosen,
                const ScheduleCandidate &candidate);

  const ScheduleSelector &selector;
  llvm::raw_ostream &stream;
};

void Explanation::printRow(const ProductShape &shape, StringRef tokens,
                           StringRef chosen,
                           const ScheduleCandidate &candidate) {
  const Prediction &prediction = candidate.prediction;
  double floor = floorOf(selector.target(), shape).seconds;
  stream << llvm::right_justify(tokens, 6) << "  "
         << llvm::left_justify(chosen, 9)
         << llvm::right_justify(microseconds(prediction.seconds), 12)
         << llvm::right_justify(microseconds(candidate.measured), 13)
         << llvm::right_justify(microseconds(floor), 10) << "  "
         << llvm::left_justify(boundName(prediction.bound), 8)
         << llvm::right_justify(std::to_string(prediction.ctas), 6)
         << llvm::right_justify(std::to_string(prediction.occupancy), 8) << "  "
         << scheduleText(candidate.schedule) << '\n';
}

void Explanation::printChoice(const ScheduleDecision &decision) {
  const ProductShape &shape = decision.shape;
  printRow(shape, std::to_string(shape.tokens), originName(decision.origin),
           decision.chosen);
  size_t shown = 1;
  for (const ScheduleCandidate &candidate :
       selector.choices(shape).candidates) {
    if (shown == kShownCandidates)
      break;
    if (candidate.schedule == decision.chosen.schedule)
      continue;
    printRow(shape, "", "", candidate);
    ++shown;
  }
  bool byMemory = floorOf(selector.target(), shape).byMemory;
  stream << "        " << decision.reason(selector) << "; the floor is "
         << (byMemory ? "the memory's bandwidth" : "the tensor cores' rate")
         << '\n';
}

void Explanation::print(StringRef function, const Product &product) {
  const ProductShape &shape = product.decisions.front().shape;
  stream << '\n' << function << ": " << product.name;
  if (product.count > 1)
    stream << " and " << product.count - 1 << " like it";
  if (shape.weights.bits != 4)
    stream << ", weights of " << shape.weights.bits << " bits";
  stream << ", N = " << shape.n << ", K = " << shape.k << '\n'
         << "tokens  chosen by  predicted us  measured us  floor us  bound   "
            "  CTAs  per SM  schedule\n";
  for (const ScheduleDecision &decision : product.decisions)
    printChoice(decision);
}

} // namespace

llvm::Error compiler::explainSchedules(ModuleOp module,
                                       ArrayRef<int64_t> buckets,
                                       const ScheduleSelector &selector,
                                       llvm::raw_ostream &stream) {
  const TargetDescription &target = selector.target();
  stream << "schedules of products for " << target.name << " ("
         << target.driverName << "; times in microseconds)\n";
  for (auto function : module.getOps<func::FuncOp>()) {
    if (function.isDeclaration())
      continue;
    // Products that share a shape may still be decided apart, by hand or for
    // the sake of others that read their activations.
    std::map<std::tuple<int64_t, int64_t, layout::WeightFormat, std::string>,
             Product>
        products;
    std::vector<Product *> order;
    for (int64_t tokens : buckets) {
      auto decisions = decideSchedules(function, tokens, selector);
      if (failed(decisions))
        return llvm::createStringError("a product has no schedule");
      std::map<Product *, int64_t> seen;
      for (ScheduleDecision &decision : *decisions) {
        std::string byHand = decision.origin == ScheduleOrigin::Hand
                                 ? scheduleText(decision.chosen.schedule)
                                 : "";
        const ProductShape &shape = decision.shape;
        auto [at, isNew] =
            products.try_emplace({shape.n, shape.k, shape.weights, byHand});
        Product &product = at->second;
        if (isNew) {
          product.name = weightsOf(decision.op);
          order.push_back(&product);
        }
        product.count = std::max(product.count, ++seen[&product]);
        auto same = [&](const ScheduleDecision &other) {
          return other.shape == decision.shape &&
                 other.chosen.schedule == decision.chosen.schedule;
        };
        if (llvm::none_of(product.decisions, same))
          product.decisions.push_back(std::move(decision));
      }
    }
    for (Product *product : order)
      Explanation(selector, stream).print(function.getName(), *product);
  }
  return llvm::Error::success();
}

void compiler::printRanking(MLIRContext *context,
                            const TargetDescription &target,
                            const TuningDatabase &database,
                            llvm::raw_ostream &stream) {
  stream << "the cost model against what was measured on " << target.driverName
         << " (" << target.name << ")\n"
         << "     N      K  bits  tokens  measured  Spearman  first "
            "choice/best\n";
  std::vector<RankingQuality> products =
      rankingQuality(context, target, database);
  for (const RankingQuality &product : products)
    stream << llvm::format("%6lld %6lld  %4lld  %6lld  %8zu  %8.2f  %17.2f\n",
                           static_cast<long long>(product.shape.n),
                           static_cast<long long>(product.shape.k),
                           static_cast<long long>(product.shape.weights.bits),
                           static_cast<long long>(product.shape.tokens),
                           product.measured, product.correlation, product.loss);
  if (products.empty()) {
    stream << "nothing was measured\n";
    return;
  }
  RankingQuality mean = meanQuality(products);
  stream << llvm::format("mean of %zu: Spearman %.2f, first choice/best %.2f\n",
                         products.size(), mean.correlation, mean.loss);
}

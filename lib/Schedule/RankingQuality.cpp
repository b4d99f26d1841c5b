//===- RankingQuality.cpp - The cost model against a database -------------===//

#include "odyssey/Schedule/RankingQuality.h"

#include "odyssey/Schedule/CostModel.h"
#include "odyssey/Schedule/RankCorrelation.h"

#include <algorithm>

using namespace mlir;
using namespace odyssey;

std::vector<RankingQuality>
odyssey::rankingQuality(MLIRContext *context, const TargetDescription &target,
                        const TuningDatabase &database) {
  std::vector<RankingQuality> products;
  for (const ProductShape &shape : database.shapes(target)) {
    std::vector<double> predicted, measured;
    for (const TuningEntry &entry : database.find(target, shape))
      if (fastgemm::ScheduleAttr schedule =
              parseSchedule(context, entry.schedule)) {
        predicted.push_back(predict(target, shape, schedule).seconds);
        measured.push_back(entry.seconds);
      }
    if (measured.size() < 2)
      continue;
    auto first = std::min_element(predicted.begin(), predicted.end());
    double best = *std::min_element(measured.begin(), measured.end());
    products.push_back({shape, measured.size(), spearman(predicted, measured),
                        measured[first - predicted.begin()] / best});
  }
  return products;
}

RankingQuality
odyssey::meanQuality(const std::vector<RankingQuality> &products) {
  RankingQuality mean = {{}, 0, 0, 0};
  for (const RankingQuality &product : products) {
    mean.measured += product.measured;
    mean.correlation += product.correlation;
    mean.loss += product.loss;
  }
  mean.correlation /= static_cast<double>(products.size());
  mean.loss /= static_cast<double>(products.size());
  return mean;
}

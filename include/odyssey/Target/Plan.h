//===- Plan.h - From launches in IR to plan.json ----------------*- C++ -*-===//
//
// The launch plan of docs/bundle.md, built from functions of odyssey.launch.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TARGET_PLAN_H
#define ODYSSEY_TARGET_PLAN_H

#include "odyssey/Target/WeightSource.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/JSON.h"

#include <optional>
#include <string>
#include <vector>

namespace odyssey {

/// What stands in plan.json beside what the IR says.
struct PlanContext {
  std::string target;
  /// Of the kernels' cubins; 0 when ptxas was not there.
  int cubinCapability = 0;
  /// The object `model`, for decoders.
  std::optional<llvm::json::Value> model;
};

struct Plan {
  llvm::json::Value json = nullptr;
  /// In the order of the plan's table `weights`.
  std::vector<BundleConstant> constants;
};

/// The sections with the code of the plan's i-th kernel, which is a module of
/// its own.
std::string ptxSectionName(int64_t kernel);
std::string cubinSectionName(int64_t kernel);

/// `module` holds the functions of launches and, in the gpu.module `kernels`,
/// the kernels with what compiling left on them (`fastgemm.launch`). A function
/// that the runtime cannot run (a result that is an argument, an operation that
/// is no launch) is an error that names it.
llvm::Expected<Plan> buildPlan(mlir::ModuleOp module,
                               const PlanContext &context);

} // namespace odyssey

#endif // ODYSSEY_TARGET_PLAN_H

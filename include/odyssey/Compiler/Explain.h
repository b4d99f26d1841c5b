//===- Explain.h - Why products have their schedules ------------*- C++ -*-===//

#ifndef ODYSSEY_COMPILER_EXPLAIN_H
#define ODYSSEY_COMPILER_EXPLAIN_H

#include "odyssey/Schedule/ScheduleSelector.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/raw_ostream.h"

namespace odyssey::compiler {

/// Prints, for every distinct product of a fused graph and every token
/// bucket: the schedule that odyssey-schedule gives it, its predicted and,
/// where it was tuned, measured time, the floor, what it waits for, the next
/// best candidates and the reason for the choice. An error has been printed
/// where it belongs.
llvm::Error explainSchedules(mlir::ModuleOp module,
                             llvm::ArrayRef<int64_t> buckets,
                             const ScheduleSelector &selector,
                             llvm::raw_ostream &stream);

/// Prints how well the cost model orders the schedules that were measured on
/// the target: for each product Spearman's rank correlation, and the time of
/// the model's first choice over the best.
void printRanking(mlir::MLIRContext *context, const TargetDescription &target,
                  const TuningDatabase &database, llvm::raw_ostream &stream);

} // namespace odyssey::compiler

#endif // ODYSSEY_COMPILER_EXPLAIN_H

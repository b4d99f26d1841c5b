//===- odyssey-opt.cpp - Run passes on IR files ---------------------------===//
//
// An mlir-opt that also knows Odyssey's dialects, passes and pipelines.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Dialect/Odyssey/Odyssey.h"
#include "odyssey/Target/Pipelines.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::registerAllPasses();
  odyssey::registerPassesAndPipelines();
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<odyssey::graph::OdysseyDialect,
                  odyssey::fastgemm::FastGemmDialect>();
  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "Odyssey's optimizer driver\n", registry));
}

//===- odyssey-lsp-server.cpp - Editors' view of IR files -----------------===//
//
// MLIR's language server with Odyssey's dialects: diagnostics, hover,
// definitions and completion in .mlir files.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Dialect/Odyssey/Odyssey.h"

#include "mlir/InitAllDialects.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  registry.insert<odyssey::graph::OdysseyDialect,
                  odyssey::fastgemm::FastGemmDialect>();
  return mlir::failed(mlir::MlirLspServerMain(argc, argv, registry));
}

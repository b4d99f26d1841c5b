//===- Pack.h - Candidate kernels for tuning --------------------*- C++ -*-===//
//
// A pack is a bundle of kernels that compute the same products by different
// schedules, for measuring on a GPU where no compiler is (docs/tuning.md).
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_COMPILER_PACK_H
#define ODYSSEY_COMPILER_PACK_H

#include "odyssey/Schedule/Target.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/Error.h"

#include <string>
#include <vector>

namespace odyssey::compiler {

/// A product whose schedules are to be compared.
struct PackProduct {
  /// For people: "llama-2-7b qkv", or "4096x11008".
  std::string name;
  int64_t n, k;
};

/// Reads "llama-2-7b,4096x11008,...": all products of a model shape, or N x K.
/// Equal shapes are kept once. An unknown name is an error that lists the known
/// ones.
llvm::Expected<std::vector<PackProduct>> parseProducts(llvm::StringRef text);

struct PackOptions {
  std::vector<PackProduct> products;
  std::string output;
  TargetDescription target;
  /// Token counts to make candidates for, ascending.
  llvm::SmallVector<int64_t> buckets;
  /// Candidates per product and token count, the best by the cost model.
  int64_t candidates = 12;
  /// Bits of a weight: 4 or 8.
  int64_t weightBits = 4;
  /// Add machine code by ptxas, where it is installed.
  bool assemble = true;
  std::string cache;
  unsigned jobs = 0;
};

struct PackSummary {
  size_t products = 0, candidates = 0, kernels = 0, cachedKernels = 0;
  /// What could not be compiled, with the reason.
  std::vector<std::string> dropped;
  uint64_t outputBytes = 0;
  double seconds = 0;
};

/// Writes a pack. A shape that no schedule can serve is an error that names the
/// constraint; a candidate that cannot be compiled is left out and reported.
llvm::Expected<PackSummary> writePack(const PackOptions &options);

} // namespace odyssey::compiler

#endif // ODYSSEY_COMPILER_PACK_H

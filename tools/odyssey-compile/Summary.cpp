//===- Summary.cpp - What odyssey-compile says that it did ----------------===//

#include "Summary.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace odyssey;

void compiler::print(llvm::raw_ostream &stream, const Summary &summary,
                     const Options &options) {
  if (summary.assembled) {
    size_t width = 6;
    for (const KernelResources &kernel : summary.kernels)
      width = std::max(width, kernel.name.size());
    stream << llvm::left_justify("kernel", width)
           << "  registers  shared bytes\n";
    for (const KernelResources &kernel : summary.kernels)
      stream << llvm::left_justify(kernel.name, width) << "  "
             << llvm::right_justify(std::to_string(kernel.registers), 9) << "  "
             << llvm::right_justify(std::to_string(kernel.sharedBytes), 12)
             << '\n';
    stream << summary.kernels.size() << " kernels for " << options.target
           << ", no spills\n";
  } else {
    stream << "kernels for " << options.target
           << " as PTX only: ptxas was not found\n";
  }
  if (summary.cachedKernels > 0)
    stream << summary.cachedKernels << " kernels from the cache\n";
  stream << options.output << ": "
         << llvm::format("%.1f MB in %.1f s\n", summary.outputBytes / 1e6,
                         summary.seconds);
}

void compiler::print(llvm::raw_ostream &stream, const PackSummary &summary,
                     const PackOptions &options) {
  for (const std::string &reason : summary.dropped)
    stream << "left out " << reason << '\n';
  stream << summary.candidates << " candidates of " << summary.products
         << " products for " << options.target.name << ", " << summary.kernels
         << " kernels, " << summary.cachedKernels << " from the cache\n"
         << options.output << ": "
         << llvm::format("%.1f MB in %.1f s\n", summary.outputBytes / 1e6,
                         summary.seconds);
}

//===- Products.h - The W4A8 products of a bundle ---------------*- C++ -*-===//
//
// Finds the products in a bundle's plan and runs their kernels with operands of
// the benchmark's own, so that a bundle needs no weights, and one product can
// be run alone, many times, and with any number of tokens.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_PRODUCTS_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_PRODUCTS_H

#include "Operands.h"

#include "odyssey/runtime/Bundle.h"
#include "odyssey/runtime/Device.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace odyssey::bench {

/// A product that a function of a bundle computes somewhere.
struct ProductSite {
  /// Index into Plan::functions.
  uint32_t function = 0;
  runtime::ProductPlan product;
};

/// The distinct products of a plan: one for each function, N, K and operands.
std::vector<ProductSite> findProducts(const runtime::Plan &plan);

/// A kernel and how it is launched for one number of tokens.
struct ProductLaunch {
  const runtime::StepPlan *step = nullptr;
  const runtime::BucketPlan *bucket = nullptr;
};

/// The step that computes `site` for `tokens` tokens: that of the bucket that
/// serves them, or of the largest one, whose kernels take any number.
ProductLaunch findLaunch(const runtime::Plan &plan, const ProductSite &site,
                         int64_t tokens);

/// A bundle whose code is loaded on a device.
class LoadedBundle {
public:
  /// What Bundle::open and the device report, and FailedPrecondition for a
  /// bundle of another target.
  static runtime::Result<std::unique_ptr<LoadedBundle>>
  open(const std::string &path, runtime::Device &device);
  ~LoadedBundle();

  const runtime::Bundle &bundle() const { return *file; }
  const runtime::Plan &plan() const { return file->plan(); }

  /// Enqueues a product. Unsupported for an operand that is not known here.
  runtime::Status launch(const ProductLaunch &product, int64_t tokens,
                         const OperandAddresses &operands);

private:
  explicit LoadedBundle(runtime::Device &device) : device(device) {}

  /// What kernels take besides their operands; zeros in the beginning.
  struct Zeros {
    runtime::DeviceAddress address = 0;
    size_t bytes = 0;
  };
  /// At least `bytes` of `memory`.
  runtime::Result<runtime::DeviceAddress> reserve(Zeros &memory, size_t bytes,
                                                  const std::string &label);

  runtime::Device &device;
  std::shared_ptr<const runtime::Bundle> file;
  std::vector<runtime::ModuleHandle> modules;
  std::vector<runtime::KernelHandle> kernels;
  Zeros workspace, counters;
  std::vector<runtime::KernelArgument> arguments;
};

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_PRODUCTS_H

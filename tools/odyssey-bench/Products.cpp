//===- Products.cpp - The W4A8 products of a bundle -----------------------===//

#include "Products.h"

#include <algorithm>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;

static bool samePrologue(const std::optional<ProloguePlan> &a,
                         const std::optional<ProloguePlan> &b) {
  return a.has_value() == b.has_value() &&
         (!a || (a->norm == b->norm && a->epsilon == b->epsilon &&
                 a->statistics == b->statistics));
}

static bool sameProduct(const ProductPlan &a, const ProductPlan &b) {
  return a.n == b.n && a.k == b.k && a.weightBits == b.weightBits &&
         a.groupSize == b.groupSize && a.siluMul == b.siluMul &&
         a.operands == b.operands && a.maxima == b.maxima &&
         samePrologue(a.prologue, b.prologue);
}

std::vector<ProductSite> bench::findProducts(const Plan &plan) {
  std::vector<ProductSite> sites;
  for (uint32_t f = 0; f < plan.functions.size(); ++f)
    for (const BucketPlan &bucket : plan.functions[f].buckets)
      for (const StepPlan &step : bucket.steps) {
        const auto &product = plan.kernels[step.kernel].product;
        if (!product)
          continue;
        bool known = std::any_of(
            sites.begin(), sites.end(), [&](const ProductSite &site) {
              return site.function == f && sameProduct(site.product, *product);
            });
        if (!known)
          sites.push_back({f, *product});
      }
  return sites;
}

ProductLaunch bench::findLaunch(const Plan &plan, const ProductSite &site,
                                int64_t tokens) {
  const FunctionPlan &function = plan.functions[site.function];
  size_t index =
      function.bucketFor(tokens).value_or(function.buckets.size() - 1);
  const BucketPlan &bucket = function.buckets[index];
  for (const StepPlan &step : bucket.steps) {
    const auto &product = plan.kernels[step.kernel].product;
    if (product && sameProduct(*product, site.product))
      return {&step, &bucket};
  }
  return {};
}

Result<std::unique_ptr<LoadedBundle>>
LoadedBundle::open(const std::string &path, Device &device) {
  std::unique_ptr<LoadedBundle> loaded(new LoadedBundle(device));
  // Weights are not used.
  ODYSSEY_ASSIGN_OR_RETURN(loaded->file,
                           Bundle::open(path, {.checkWeights = false}));
  const Plan &plan = loaded->plan();
  ODYSSEY_RETURN_IF_ERROR(loaded->file->checkRunsOn(device.properties()));
  for (size_t i = 0; i < plan.modules.size(); ++i) {
    ODYSSEY_ASSIGN_OR_RETURN(ModuleHandle module,
                             device.loadModule(loaded->file->moduleImage(i)));
    loaded->modules.push_back(module);
  }
  for (const KernelPlan &kernel : plan.kernels) {
    KernelHandle handle = KernelHandle(0);
    if (kernel.product) {
      ODYSSEY_ASSIGN_OR_RETURN(
          handle,
          device.getKernel(loaded->modules[kernel.module], kernel.name));
    }
    loaded->kernels.push_back(handle);
  }
  return loaded;
}

LoadedBundle::~LoadedBundle() {
  for (ModuleHandle module : modules)
    (void)device.unloadModule(module);
  for (const Zeros &memory : {workspace, counters})
    if (memory.address)
      (void)device.free(memory.address);
}

Result<DeviceAddress> LoadedBundle::reserve(Zeros &memory, size_t bytes,
                                            const std::string &label) {
  if (bytes > memory.bytes) {
    if (memory.address)
      ODYSSEY_RETURN_IF_ERROR(device.free(memory.address));
    memory = {};
    ODYSSEY_ASSIGN_OR_RETURN(memory.address, device.allocate(bytes, label));
    memory.bytes = bytes;
    ODYSSEY_RETURN_IF_ERROR(device.fill(memory.address, 0, bytes));
  }
  return memory.address;
}

Status LoadedBundle::launch(const ProductLaunch &product, int64_t tokens,
                            const OperandAddresses &operands) {
  const StepPlan &step = *product.step;
  const KernelPlan &kernel = plan().kernels[step.kernel];
  auto refuse = [&](const std::string &what) {
    return unsupported("kernel '" + kernel.name + "' has " + what +
                       ", which odyssey-bench does not know");
  };
  auto operand = [&](const std::string &name) -> DeviceAddress {
    const std::pair<const char *, DeviceAddress> known[] = {
        {"x", operands.x},
        {"x_scales", operands.xScales},
        {"x_half", operands.xHalf},
        {"x_norm", operands.xNorm},
        {"x_statistics", operands.xStatistics},
        {"weights", operands.weights},
        {"weight_scales", operands.weightScales},
        {"bias", operands.bias},
        {"residual", operands.residual},
        {"multipliers", operands.multipliers},
        {"norm", operands.norm},
        {"result", operands.result},
        {"maxima", operands.maxima},
    };
    for (auto [text, address] : known)
      if (name == text)
        return address;
    return 0;
  };
  arguments.clear();
  // Memory is sized for the bucket; more tokens need more.
  size_t times = 1;
  if (int64_t most = product.bucket->tokens; most > 0 && tokens > most)
    times = static_cast<size_t>((tokens + most - 1) / most);
  const std::vector<std::string> &names = kernel.product->operands;
  for (size_t i = 0; i < step.arguments.size(); ++i) {
    const ArgumentPlan &argument = step.arguments[i];
    if (i < names.size()) {
      DeviceAddress address = operand(names[i]);
      if (!address)
        return refuse("the operand '" + names[i] + "'");
      arguments.push_back(KernelArgument::address(address));
      continue;
    }
    switch (argument.kind) {
    case ArgumentPlan::Kind::Tokens:
      arguments.push_back(KernelArgument::i32(static_cast<int32_t>(tokens)));
      break;
    case ArgumentPlan::Kind::I32:
      arguments.push_back(
          KernelArgument::i32(static_cast<int32_t>(argument.value)));
      break;
    case ArgumentPlan::Kind::Workspace: {
      ODYSSEY_ASSIGN_OR_RETURN(DeviceAddress base,
                               reserve(workspace,
                                       product.bucket->workspaceBytes * times,
                                       "workspace"));
      arguments.push_back(KernelArgument::address(
          base + static_cast<uint64_t>(argument.value)));
      break;
    }
    case ArgumentPlan::Kind::Counters: {
      ODYSSEY_ASSIGN_OR_RETURN(
          DeviceAddress base,
          reserve(counters, product.bucket->counterBytes * times, "counters"));
      arguments.push_back(KernelArgument::address(
          base + static_cast<uint64_t>(argument.value)));
      break;
    }
    default:
      return refuse("a further argument");
    }
  }
  LaunchRequest request;
  request.kernel = kernels[step.kernel];
  auto blocks = [&](size_t i) {
    return static_cast<uint32_t>(step.grid[i].blocks(tokens));
  };
  request.grid = {blocks(0), blocks(1), blocks(2)};
  request.block = kernel.block;
  request.cluster = kernel.cluster;
  request.sharedBytes = kernel.sharedBytes;
  request.programmaticDependentLaunch = kernel.programmaticDependentLaunch;
  request.arguments = arguments;
  return device.launch(request).withContext("kernel '" + kernel.name + "'");
}

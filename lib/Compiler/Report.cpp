//===- Report.cpp - What kernels take, and what bounds them ---------------===//

#include "odyssey/Compiler/Report.h"

#include "odyssey/Dialect/Odyssey/Odyssey.h"
#include "odyssey/Schedule/Occupancy.h"
#include "odyssey/Schedule/ScheduleChoice.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/Format.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::compiler;

namespace {

constexpr StringRef kBucketAttribute = "odyssey.bucket";

/// What a kernel has to do for some tokens at least.
struct Work {
  /// Every operand and result once.
  double bytes = 0;
  /// Multiply-adds of the tensor cores, of 8-bit integers or of fp16.
  double multiplyAdds = 0;
  bool halves = false;
};

/// Where operands are not read as a whole but at positions that are data, there
/// is nothing to count: tables, and the KV cache.
bool dependsOnData(graph::KernelOp kernel) {
  return llvm::is_contained({"embedding", "rope", "attention"},
                            kernel.getKind());
}

/// Bytes of a tensor whose dynamic size is `tokens`.
double bytesOf(Type type, int64_t tokens) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor)
    return 0;
  double bits = tensor.getElementTypeBitWidth();
  for (int64_t size : tensor.getShape())
    bits *= static_cast<double>(ShapedType::isDynamic(size) ? tokens : size);
  return bits / 8;
}

std::optional<Work> workOf(graph::KernelOp kernel, int64_t tokens) {
  if (dependsOnData(kernel))
    return std::nullopt;
  Work work;
  for (Type type : llvm::concat<const Type>(kernel.getArgumentTypes(),
                                            kernel.getResultTypes()))
    work.bytes += bytesOf(type, tokens);
  kernel.walk([&](graph::MatmulOp op) {
    work.multiplyAdds += static_cast<double>(tokens) *
                         static_cast<double>(op.getN()) *
                         static_cast<double>(op.getK());
  });
  kernel.walk([&](graph::LinearOp op) {
    auto weights = cast<RankedTensorType>(op.getWeights().getType());
    work.halves = true;
    work.multiplyAdds += static_cast<double>(tokens) *
                         static_cast<double>(weights.getNumElements());
  });
  return work;
}

/// Multiply-adds per second. The tensor cores take half as many of fp16 as of
/// 8-bit integers on all targets.
double rateOf(const TargetDescription &target, bool halves) {
  double perClock = std::max(target.mmaPerClock, target.wgmmaPerClock);
  return (halves ? perClock / 2 : perClock) *
         static_cast<double>(target.multiprocessors) * target.clock();
}

/// The kernels with what ptxas said of each.
using Kernels =
    SmallVector<std::pair<graph::KernelOp, const KernelResources *>>;

Kernels kernelsOf(ModuleOp module, ArrayRef<KernelResources> resources) {
  Kernels kernels;
  auto kernelModule =
      module.lookupSymbol<gpu::GPUModuleOp>(graph::kKernelModuleName);
  for (auto [kernel, found] :
       llvm::zip_equal(kernelModule.getOps<graph::KernelOp>(), resources))
    kernels.emplace_back(kernel, &found);
  return kernels;
}

/// CTAs that a multiprocessor holds of a kernel with those registers.
int64_t residentCtasOf(graph::KernelOp kernel, const TargetDescription &target,
                       const KernelResources &resources) {
  auto launch =
      kernel->getAttrOfType<fastgemm::LaunchAttr>(fastgemm::kLaunchAttrName);
  return residentCtas(target, launch.getBlock(), resources.registers,
                      resources.sharedBytes);
}

/// What the schedule of a product counts on; nothing for other kernels.
std::optional<int64_t> claimOf(graph::KernelOp kernel,
                               const TargetDescription &target) {
  std::optional<int64_t> claim;
  kernel.walk([&](graph::MatmulOp op) {
    std::optional<fastgemm::ScheduleAttr> schedule = op.getSchedule();
    if (!schedule)
      return;
    layout::WeightFormat weights = op.getWeightFormat();
    std::optional<int64_t> sharedBytes;
    // It quantizes its token.
    if (op.getX().getDefiningOp())
      sharedBytes = sharedBytesWithToken(*schedule, op.getK(), weights);
    claim = claimedCtas(target, *schedule, weights, sharedBytes);
  });
  return claim;
}

/// The largest bucket that launches each kernel.
llvm::StringMap<int64_t> tokensOf(ModuleOp module) {
  llvm::StringMap<int64_t> tokens;
  for (auto function : module.getOps<func::FuncOp>()) {
    auto bucket = function->getAttrOfType<IntegerAttr>(kBucketAttribute);
    if (bucket)
      function.walk([&](graph::LaunchOp launch) {
        int64_t &most = tokens[launch.getKernel().getLeafReference()];
        most = std::max(most, bucket.getInt());
      });
  }
  return tokens;
}

class Table {
public:
  explicit Table(llvm::raw_ostream &stream) : stream(stream) {}
  void name(StringRef text, size_t width) {
    stream << llvm::left_justify(text, width);
  }
  void column(const Twine &text, unsigned width) {
    stream << "  " << llvm::right_justify(text.str(), width);
  }
  void number(const char *format, double value, unsigned width) {
    std::string text;
    llvm::raw_string_ostream(text) << llvm::format(format, value);
    column(text, width);
  }
  void end() { stream << '\n'; }

private:
  llvm::raw_ostream &stream;
};

void reportWork(Table &table, const TargetDescription &target,
                const std::optional<Work> &work) {
  if (!work) {
    for (unsigned width : {10, 10, 9, 6})
      table.column("-", width);
    return;
  }
  double memory = work->bytes / (target.memoryGbs * 1e9);
  double tensor = work->multiplyAdds / rateOf(target, work->halves);
  table.number("%.3f", work->bytes / 1e6, 10);
  // An addition and a multiplication each.
  table.number("%.3f", 2 * work->multiplyAdds / 1e9, 10);
  table.number("%.2f", std::max(memory, tensor) * 1e6, 9);
  table.column(memory >= tensor ? "memory" : "tensor", 6);
}

} // namespace

void compiler::reportKernels(ModuleOp module, const TargetDescription &target,
                             ArrayRef<KernelResources> resources,
                             bool assembled, llvm::raw_ostream &stream) {
  Kernels kernels = kernelsOf(module, resources);
  llvm::StringMap<int64_t> tokens = tokensOf(module);
  size_t width = 6;
  for (auto &[kernel, found] : kernels)
    width = std::max(width, kernel.getName().size());
  stream << "kernels for " << target.name << " (" << target.driverName
         << "); bytes, operations and floor at the most tokens that launch "
            "a kernel\n"
         << llvm::left_justify("kernel", width)
         << "  registers  shared bytes  spills  stack  CTAs/SM  claimed  "
            "tokens          MB     G ops  floor us   bound\n";
  Table table(stream);
  for (auto &[kernel, found] : kernels) {
    table.name(kernel.getName(), width);
    auto assembledOnly = [&](int64_t value, unsigned width) {
      table.column(assembled ? Twine(value).str() : "-", width);
    };
    assembledOnly(found->registers, 9);
    table.column(Twine(found->sharedBytes), 12);
    assembledOnly(found->spillBytes, 6);
    assembledOnly(found->stackBytes, 5);
    assembledOnly(assembled ? residentCtasOf(kernel, target, *found) : 0, 7);
    std::optional<int64_t> claim = claimOf(kernel, target);
    table.column(claim ? Twine(*claim).str() : "-", 7);
    int64_t most = tokens.lookup(kernel.getName());
    table.column(Twine(most), 6);
    reportWork(table, target, workOf(kernel, most));
    table.end();
  }
}

std::vector<std::string>
compiler::checkOccupancy(ModuleOp module, const TargetDescription &target,
                         ArrayRef<KernelResources> resources) {
  std::vector<std::string> complaints;
  for (auto &[kernel, found] : kernelsOf(module, resources)) {
    int64_t resident = residentCtasOf(kernel, target, *found);
    int64_t claim = claimOf(kernel, target).value_or(1);
    if (resident < claim)
      complaints.push_back(
          ("kernel '" + kernel.getName() + "' has " + Twine(resident) +
           " CTAs on a multiprocessor, its schedule was chosen for " +
           Twine(claim) + " (" + Twine(found->registers) + " registers, " +
           Twine(found->sharedBytes) + " bytes of shared memory)")
              .str());
  }
  return complaints;
}

//===- Pack.cpp - Candidate kernels for tuning ----------------------------===//

#include "odyssey/Compiler/Pack.h"

#include "odyssey/Compiler/KernelCompiler.h"
#include "odyssey/Dialect/Odyssey/Odyssey.h"
#include "odyssey/Frontend/ModelShapes.h"
#include "odyssey/Layout/PackedWeights.h"
#include "odyssey/Schedule/ScheduleChoice.h"
#include "odyssey/Schedule/TuningDatabase.h"
#include "odyssey/Target/BundleWriter.h"
#include "odyssey/Target/Pipelines.h"
#include "odyssey/runtime/BundleFormat.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringSet.h"

#include <chrono>
#include <cmath>

using namespace mlir;
using namespace odyssey;
using namespace odyssey::compiler;
namespace json = llvm::json;

static llvm::Error fail(const Twine &message) {
  return llvm::createStringError(message);
}

llvm::Expected<std::vector<PackProduct>>
compiler::parseProducts(StringRef text) {
  std::vector<PackProduct> products;
  auto add = [&](const std::string &name, int64_t n, int64_t k) {
    for (const PackProduct &product : products)
      if (product.n == n && product.k == k)
        return;
    products.push_back({name, n, k});
  };
  SmallVector<StringRef> parts;
  text.split(parts, ',');
  for (StringRef part : parts) {
    auto [left, right] = part.split('x');
    int64_t n = 0, k = 0;
    if (!left.getAsInteger(10, n) && !right.getAsInteger(10, k) && n > 0 &&
        k > 0) {
      add(part.str(), n, k);
      continue;
    }
    std::optional<ModelConfig> model = findModelShape(part);
    if (!model)
      return fail("'" + part +
                  "' is no shape: expected NxK, for example 4096x11008, or "
                  "one of " +
                  modelShapeNames());
    std::string name = part.str();
    int64_t queries = model->numHeads * model->headDim;
    int64_t keys = model->numKvHeads * model->headDim;
    add(name + " qkv", queries + 2 * keys, model->hiddenSize);
    add(name + " o", model->hiddenSize, queries);
    add(name + " gate, up", 2 * model->ffnSize, model->hiddenSize);
    add(name + " down", model->hiddenSize, model->ffnSize);
  }
  return products;
}

namespace {

struct Candidate {
  size_t product;
  int64_t tokens;
  RankedSchedule ranked;
};

int64_t nanoseconds(double seconds) { return std::llround(seconds * 1e9); }

/// Tokens of the tiles in which a kernel reads activations; 0 for rows.
int64_t tileTokensOf(fastgemm::ScheduleAttr schedule) {
  return schedule.getPath() == fastgemm::Path::Wgmma ? schedule.getTokens() : 0;
}

class PackBuilder {
public:
  explicit PackBuilder(const PackOptions &options) : options(options) {
    DialectRegistry registry;
    registry.insert<graph::OdysseyDialect, fastgemm::FastGemmDialect,
                    func::FuncDialect>();
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  llvm::Error build();
  PackSummary summary;

private:
  llvm::Error chooseCandidates();
  llvm::Error buildModule();
  std::string functionText(size_t index) const;
  llvm::Error compileKernels();
  llvm::Error write();
  llvm::Expected<json::Value> describe(const Plan &plan) const;

  const PackOptions &options;
  MLIRContext context;
  std::vector<Candidate> candidates;
  OwningOpRef<ModuleOp> module;
  std::vector<CompiledKernel> kernels;
  bool assembled = false;
};

llvm::Error PackBuilder::chooseCandidates() {
  for (auto [index, product] : llvm::enumerate(options.products))
    for (int64_t tokens : options.buckets) {
      std::string whyNot;
      std::vector<RankedSchedule> ranked = rankSchedules(
          &context, options.target,
          {tokens, product.n, product.k, {.bits = options.weightBits}},
          choosePanelChannels(product.n, product.k), &whyNot);
      if (ranked.empty())
        return fail("no schedule can serve " + Twine(tokens) + " tokens x " +
                    Twine(product.n) + "x" + Twine(product.k) + " on " +
                    options.target.name + ": " + whyNot);
      for (const RankedSchedule &entry :
           pickCandidates(ranked, options.candidates))
        candidates.push_back({index, tokens, entry});
    }
  return llvm::Error::success();
}

/// A function of one product by one schedule. K is what the kernel walks over:
/// rounded up to whole blocks.
std::string PackBuilder::functionText(size_t index) const {
  const Candidate &candidate = candidates[index];
  const PackProduct &product = options.products[candidate.product];
  std::string n = std::to_string(product.n);
  std::string k = std::to_string(layout::roundUp(product.k, layout::kBlockK));
  std::string name = "c" + std::to_string(index), shape = n + "x" + k;
  std::string activations = "tensor<?x" + k + "xi8";
  if (int64_t tile = tileTokensOf(candidate.ranked.schedule))
    activations +=
        ", #fastgemm.swizzled<tokens = " + std::to_string(tile) + ">";
  activations += ">";
  std::string integer = "xi" + std::to_string(options.weightBits);
  std::string types = "(" + activations + ", tensor<?xf32>, tensor<" + shape +
                      integer + ">, tensor<" + n + "xf32>) -> tensor<?x" + n +
                      "xf16>";
  return "func.func @" + name + "(%x: " + activations +
         " {odyssey.name = \"x\"}, %xs: tensor<?xf32> {odyssey.name = "
         "\"x_scale\"}) -> (tensor<?x" +
         n + "xf16> {odyssey.name = \"y\"}) attributes {odyssey.bucket = " +
         std::to_string(candidate.tokens) + " : i64, odyssey.function = \"" +
         name +
         "\"} {\n"
         "%w = odyssey.weight \"w_" +
         shape + "\" : tensor<" + shape + integer +
         ">\n"
         "%ws = odyssey.weight \"ws_" +
         shape + "\" : tensor<" + n +
         "xf32>\n"
         "%y = odyssey.matmul %x scale %xs, %w scale %ws schedule <" +
         scheduleText(candidate.ranked.schedule) + "> : " + types +
         "\n"
         "return %y : tensor<?x" +
         n + "xf16>\n}\n";
}

llvm::Error PackBuilder::buildModule() {
  std::string text;
  for (size_t i = 0; i < candidates.size(); ++i)
    text += functionText(i);
  module = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  PassManager manager(&context);
  PipelineOptions pipeline;
  pipeline.target = options.target.name.str();
  buildKernelPipeline(manager, pipeline);
  if (!module || failed(manager.run(*module)))
    return fail("the candidates' IR cannot be built");
  return llvm::Error::success();
}

llvm::Error PackBuilder::compileKernels() {
  auto kernelModule =
      module->lookupSymbol<gpu::GPUModuleOp>(graph::kKernelModuleName);
  SmallVector<graph::KernelOp> operations(
      kernelModule.getOps<graph::KernelOp>());
  KernelCompilerOptions compiler{options.target,
                                 options.assemble ? findPtxas() : "",
                                 options.cache, options.jobs};
  assembled = !compiler.ptxas.empty();
  llvm::StringSet<> failed;
  for (auto [operation, result] : llvm::zip_equal(
           operations, compiler::compileKernels(operations, compiler))) {
    if (result) {
      attach(operation, *result);
      summary.cachedKernels += result->fromCache;
      kernels.push_back(std::move(*result));
      continue;
    }
    std::string reason = llvm::toString(result.takeError());
    summary.dropped.push_back(operation.getName().str() + ": " + reason);
    failed.insert(operation.getName());
    operation.erase();
  }
  summary.kernels = kernels.size();

  // Functions are in the order of the candidates; both go together.
  std::vector<Candidate> kept;
  for (auto [function, candidate] : llvm::zip_equal(
           llvm::to_vector(module->getOps<func::FuncOp>()), candidates)) {
    bool usable = true;
    function.walk([&](graph::LaunchOp launch) {
      usable &=
          !failed.contains(launch.getKernel().getLeafReference().getValue());
    });
    if (usable)
      kept.push_back(candidate);
    else
      function.erase();
  }
  candidates = std::move(kept);
  if (candidates.empty())
    return fail("no candidate can be compiled: " + summary.dropped.front());
  return llvm::Error::success();
}

/// The section pack.json.
llvm::Expected<json::Value> PackBuilder::describe(const Plan &plan) const {
  json::Array productArray, candidateArray;
  for (const PackProduct &product : options.products) {
    std::string shape =
        std::to_string(product.n) + "x" +
        std::to_string(layout::roundUp(product.k, layout::kBlockK));
    json::Object entry{{"name", product.name},
                       {"n", product.n},
                       {"k", product.k},
                       {"weight_bits", options.weightBits}};
    for (auto [i, constant] : llvm::enumerate(plan.constants)) {
      int64_t index = static_cast<int64_t>(i);
      if (constant.name == "ws_" + shape)
        entry["scales"] = index;
      if (constant.name != "w_" + shape)
        continue;
      entry["weights"] = index;
      auto type = cast<RankedTensorType>(constant.op->getResult(0).getType());
      entry["panel"] =
          cast<fastgemm::PackedAttr>(type.getEncoding()).getChannels();
    }
    if (entry.get("weights"))
      productArray.push_back(std::move(entry));
    else
      return fail("no candidate of " + product.name + " can be compiled");
  }
  for (auto [i, candidate] : llvm::enumerate(candidates)) {
    const PackProduct &product = options.products[candidate.product];
    ProductShape shape{
        candidate.tokens, product.n, product.k, {.bits = options.weightBits}};
    candidateArray.push_back(json::Object{
        {"function", static_cast<int64_t>(i)},
        {"product", static_cast<int64_t>(candidate.product)},
        {"tokens", candidate.tokens},
        {"schedule", scheduleText(candidate.ranked.schedule)},
        {"predicted_ns", nanoseconds(candidate.ranked.prediction.seconds)},
        {"floor_ns", nanoseconds(floorOf(options.target, shape).seconds)},
        {"tile_tokens", tileTokensOf(candidate.ranked.schedule)}});
  }
  return json::Object{{"format", bundle::kPackFormat},
                      {"target", options.target.name},
                      {"gpu", options.target.gpu},
                      {"products", std::move(productArray)},
                      {"candidates", std::move(candidateArray)}};
}

llvm::Error PackBuilder::write() {
  PlanContext planContext;
  planContext.target = options.target.name.str();
  planContext.cubinCapability = assembled ? options.target.capability : 0;
  auto plan = buildPlan(*module, planContext);
  if (!plan)
    return plan.takeError();
  auto description = describe(*plan);
  if (!description)
    return description.takeError();
  std::string planText, packText;
  llvm::raw_string_ostream(planText) << plan->json;
  llvm::raw_string_ostream(packText) << *description;
  std::vector<BundleSection> sections = {{bundle::kPlanSection, planText},
                                         {bundle::kPackSection, packText}};
  for (auto [i, kernel] : llvm::enumerate(kernels)) {
    sections.push_back({ptxSectionName(i), kernel.ptx});
    if (assembled)
      sections.push_back({cubinSectionName(i), kernel.cubin});
  }
  auto bytes = writeBundle(options.output, sections, {},
                           /*withConstants=*/false, /*weights=*/nullptr,
                           [](uint64_t, uint64_t) {});
  if (!bytes)
    return bytes.takeError();
  summary.outputBytes = *bytes;
  return llvm::Error::success();
}

llvm::Error PackBuilder::build() {
  if (llvm::Error error = chooseCandidates())
    return error;
  if (llvm::Error error = buildModule())
    return error;
  if (llvm::Error error = compileKernels())
    return error;
  if (llvm::Error error = write())
    return error;
  summary.products = options.products.size();
  summary.candidates = candidates.size();
  return llvm::Error::success();
}

} // namespace

llvm::Expected<PackSummary> compiler::writePack(const PackOptions &options) {
  auto start = std::chrono::steady_clock::now();
  PackBuilder builder(options);
  if (llvm::Error error = builder.build())
    return error;
  builder.summary.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return std::move(builder.summary);
}

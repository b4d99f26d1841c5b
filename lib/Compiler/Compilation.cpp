//===- Compilation.cpp - From checkpoint or IR to a file ------------------===//

#include "odyssey/Compiler/Compilation.h"

#include "odyssey/Compiler/Explain.h"
#include "odyssey/Compiler/KernelCompiler.h"
#include "odyssey/Compiler/Report.h"
#include "odyssey/Dialect/Odyssey/Odyssey.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Frontend/ModelGraph.h"
#include "odyssey/Frontend/ModelShapes.h"
#include "odyssey/Quantize/RoundedCheckpoint.h"
#include "odyssey/Target/BundleWriter.h"
#include "odyssey/Target/Pipelines.h"
#include "odyssey/runtime/BundleFormat.h"

#include "mlir/Bytecode/BytecodeReader.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ToolOutputFile.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>

using namespace mlir;
using namespace odyssey;
using namespace odyssey::compiler;
namespace json = llvm::json;

static llvm::Error fail(const Twine &message) {
  return llvm::createStringError(message);
}

llvm::Error compiler::unknownTarget(StringRef target, StringRef gpu) {
  std::string gpus = gpuNames(target);
  if (gpus.empty())
    return fail("unknown target '" + target + "', expected one of " +
                targetNames());
  return fail("unknown GPU '" + gpu + "' of " + target + ", expected one of " +
              gpus);
}

SmallVector<int64_t> compiler::tokenBuckets(int64_t maxStepTokens) {
  SmallVector<int64_t> buckets = {1};
  for (int64_t tokens = 8; buckets.back() < maxStepTokens; tokens *= 2)
    buckets.push_back(tokens);
  return buckets;
}

namespace {

/// Most tokens of one step: longer prompts are prefilled in pieces.
constexpr int64_t kMaxStepTokens = 2048;
/// The largest bucket of an IR file's functions, whose kernels take any number.
constexpr int64_t kMaxFileTokens = 512;

class Compilation {
public:
  explicit Compilation(const Options &options) : options(options) {
    // What an IR file may be written in; passes load what they make.
    DialectRegistry registry;
    registry.insert<graph::OdysseyDialect, fastgemm::FastGemmDialect,
                    arith::ArithDialect, func::FuncDialect>();
    registerPipelineInterfaces(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  llvm::Error run();
  Summary summary;

private:
  llvm::Error loadGraph();
  llvm::Error loadCheckpoint();
  llvm::Error loadTrained();
  llvm::Error buildModel(const ModelConfig &config);
  llvm::Error loadFile();
  llvm::Error lower();
  llvm::Error writeText(llvm::function_ref<void(llvm::raw_ostream &)> print);
  llvm::Expected<std::vector<CompiledKernel>> compileKernels();
  llvm::Error writeBundleFile();
  json::Value modelObject(const ModelConfig &config,
                          const ModelLimits &limits) const;
  llvm::Error explain();
  llvm::Error checkSharedBytes();
  llvm::Error runPasses(llvm::function_ref<void(OpPassManager &)> build);
  /// What the graph's weights become.
  layout::WeightFormat weightFormat() const;
  /// Of a checkpoint, the tokenizer first; none of other inputs.
  ArrayRef<TokenizerFile> tokenizerFiles() const;

  const Options &options;
  MLIRContext context;
  TargetDescription target;
  SmallVector<int64_t> buckets;
  OwningOpRef<ModuleOp> module;
  std::unique_ptr<QuantizedCheckpoint> checkpoint;
  std::unique_ptr<RoundedCheckpoint> trained;
  std::unique_ptr<SafetensorsReader> weightFile;
  std::optional<json::Value> model;
};

llvm::Error Compilation::loadCheckpoint() {
  auto opened = QuantizedCheckpoint::open(options.input);
  if (!opened)
    return opened.takeError();
  checkpoint = std::move(*opened);
  int64_t bits = checkpoint->format().bits;
  if (options.weightBits && options.weightBits != bits)
    return fail("'" + options.input + "' is quantized to " + Twine(bits) +
                " bits: --weights=i" + Twine(options.weightBits) +
                " is for trained checkpoints, model shapes and IR files");
  return buildModel(checkpoint->config());
}

llvm::Error Compilation::loadTrained() {
  if (!options.weightBits)
    return fail("'" + options.input +
                "' is not quantized: give --weights=i8 or --weights=i4, which "
                "round to nearest, or let odyssey-quantize make a quantized "
                "folder");
  auto opened = RoundedCheckpoint::open(options.input, options.weightBits);
  if (!opened)
    return opened.takeError();
  trained = std::move(*opened);
  return buildModel(trained->config());
}

layout::WeightFormat Compilation::weightFormat() const {
  if (checkpoint)
    return checkpoint->format();
  return {options.weightBits ? options.weightBits : 4, options.groupSize};
}

ArrayRef<TokenizerFile> Compilation::tokenizerFiles() const {
  if (trained)
    return trained->tokenizerFiles();
  if (!checkpoint)
    return {};
  std::span<const TokenizerFile> files = checkpoint->tokenizerFiles();
  return {files.data(), files.size()};
}

llvm::Error Compilation::buildModel(const ModelConfig &config) {
  int64_t longest = options.maxContext ? options.maxContext : config.maxContext;
  if (longest > config.maxContext)
    return fail("--max-context=" + Twine(longest) +
                " is more than the model's context of " +
                Twine(config.maxContext));
  ModelLimits limits{longest, options.maxBatch, 0, options.kvCache};
  buckets = tokenBuckets(
      std::min(kMaxStepTokens, std::max<int64_t>(longest, options.maxBatch)));
  limits.maxStepTokens = buckets.back();
  module = buildModelGraph(&context, config, limits);
  model = modelObject(config, limits);
  return llvm::Error::success();
}

json::Value Compilation::modelObject(const ModelConfig &config,
                                     const ModelLimits &limits) const {
  json::Object object{{"kind", "decoder"},
                      {"name", llvm::sys::path::filename(options.input)},
                      {"forward", "forward"},
                      {"logits", "logits"},
                      {"vocabulary", config.vocabSize},
                      {"context", limits.maxContext},
                      {"max_batch", limits.maxBatch},
                      {"page_tokens", kPageTokens},
                      {"max_tokens_per_step", limits.maxStepTokens},
                      {"padded_steps", true},
                      {"eos", json::Array(config.eosIds)},
                      {"add_bos", config.addBos}};
  if (config.bosId)
    object["bos"] = *config.bosId;
  if (!tokenizerFiles().empty())
    object["tokenizer"] = tokenizerFiles().front().name;
  return object;
}

llvm::Error Compilation::loadFile() {
  if (options.maxContext != 0 || options.maxBatch != 1 ||
      options.kvCache != KvCacheType::F16)
    return fail(
        "--max-context, --max-batch and --kv are for models, an IR file "
        "has its own shapes");
  std::string message;
  std::unique_ptr<llvm::MemoryBuffer> file =
      openInputFile(options.input, &message);
  if (!file)
    return fail(message);
  // The parser would print what it does not understand.
  llvm::StringRef text = file->getBuffer();
  if (!isBytecode(*file) && text.take_front(4096).contains('\0'))
    return fail("'" + options.input + "' is not valid IR");
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(file), llvm::SMLoc());
  SourceMgrDiagnosticHandler handler(sources, &context);
  module = parseSourceFile<ModuleOp>(sources, &context);
  if (!module)
    return fail("'" + options.input + "' is not valid IR");
  buckets = tokenBuckets(kMaxFileTokens);
  if (options.emit == Emit::Bundle && options.weights.empty() &&
      !options.output.empty()) {
    bool needsWeights = false;
    module->walk([&](graph::WeightOp) { needsWeights = true; });
    if (needsWeights)
      return fail("'" + options.input +
                  "' names weights: give --weights=FILE.safetensors or "
                  "--weights=none");
  }
  return llvm::Error::success();
}

/// Whether a file begins as GGUF files do.
static bool isGgufFile(StringRef path) {
  auto begin = llvm::MemoryBuffer::getFileSlice(path, /*MapSize=*/4,
                                                /*Offset=*/0);
  return begin && (*begin)->getBuffer() == "GGUF";
}

llvm::Error Compilation::loadGraph() {
  bool isGguf = isGgufFile(options.input);
  if (isGguf || llvm::sys::fs::is_directory(options.input)) {
    if (!options.weights.empty() && options.weights != "none")
      return fail("a checkpoint has its own weights: of --weights it takes "
                  "only 'none', 'i4' and 'i8'");
    if (options.groupSize)
      return fail("a checkpoint has its own groups: --group-size is for model "
                  "shapes and IR files");
    llvm::Expected<bool> isQuantized =
        QuantizedCheckpoint::isQuantized(options.input);
    if (!isQuantized)
      return isQuantized.takeError();
    if (llvm::Error error = *isQuantized ? loadCheckpoint() : loadTrained())
      return error;
  } else if (std::optional<ModelConfig> shape = findModelShape(options.input);
             shape && !llvm::sys::fs::exists(options.input)) {
    if (options.emit == Emit::Bundle && options.weights != "none" &&
        !options.output.empty())
      return fail("'" + options.input +
                  "' is a shape without weights: give --weights=none");
    if (llvm::Error error = buildModel(*shape))
      return error;
  } else if (llvm::Error error = loadFile()) {
    return error;
  }
  if (!options.weights.empty() && options.weights != "none") {
    auto opened = SafetensorsReader::open(options.weights);
    if (!opened)
      return opened.takeError();
    weightFile = std::move(*opened);
  }
  return llvm::Error::success();
}

llvm::Error
Compilation::runPasses(llvm::function_ref<void(OpPassManager &)> build) {
  PassManager manager(&context);
  if (options.usePassManagerOptions &&
      failed(applyPassManagerCLOptions(manager)))
    return fail("the pass manager's options are wrong");
  build(manager);
  if (failed(manager.run(*module)))
    return fail("compilation failed");
  return llvm::Error::success();
}

llvm::Error
Compilation::writeText(llvm::function_ref<void(llvm::raw_ostream &)> print) {
  std::error_code code;
  if (options.output == "-") {
    print(llvm::outs());
    llvm::outs().flush();
    if (llvm::outs().has_error()) {
      code = llvm::outs().error();
      llvm::outs().clear_error();
      return fail("cannot write to standard output: " + code.message());
    }
    return llvm::Error::success();
  }
  // A device or a pipe is written to, not replaced.
  if (llvm::sys::fs::exists(options.output) &&
      !llvm::sys::fs::is_regular_file(options.output)) {
    llvm::raw_fd_ostream stream(options.output, code);
    if (!code) {
      print(stream);
      stream.flush();
      code = stream.error();
      stream.clear_error();
    }
    return code ? fail("cannot write '" + options.output +
                       "': " + code.message())
                : llvm::Error::success();
  }
  auto file = llvm::sys::fs::TempFile::create(options.output + ".%%%%%%");
  if (!file)
    return fail("cannot write '" + options.output +
                "': " + llvm::toString(file.takeError()));
  bool failedToWrite = false;
  {
    llvm::raw_fd_ostream stream(file->FD, /*shouldClose=*/false);
    print(stream);
    stream.flush();
    summary.outputBytes = stream.tell();
    failedToWrite = stream.has_error();
    code = stream.error();
    stream.clear_error();
  }
  if (failedToWrite) {
    llvm::consumeError(file->discard());
    return fail("cannot write '" + options.output + "': " + code.message());
  }
  if (llvm::Error error = file->keep(options.output))
    return fail("cannot write '" + options.output +
                "': " + llvm::toString(std::move(error)));
  return llvm::Error::success();
}

/// A kernel that asks for more shared memory than the GPU has would only fail
/// at its launch.
llvm::Error Compilation::checkSharedBytes() {
  auto kernels =
      module->lookupSymbol<gpu::GPUModuleOp>(graph::kKernelModuleName);
  for (auto kernel : kernels.getOps<LLVM::LLVMFuncOp>())
    if (auto launch = kernel->getAttrOfType<fastgemm::LaunchAttr>(
            fastgemm::kLaunchAttrName);
        launch && launch.getSharedBytes() > target.sharedBytesPerBlock)
      return fail("kernel '" + kernel.getName() + "' needs " +
                  Twine(launch.getSharedBytes()) + " bytes of shared memory, " +
                  target.name + " has " + Twine(target.sharedBytesPerBlock));
  return llvm::Error::success();
}

/// Compiles all kernels and leaves on each what the plan says about it.
llvm::Expected<std::vector<CompiledKernel>> Compilation::compileKernels() {
  auto kernelModule =
      module->lookupSymbol<gpu::GPUModuleOp>(graph::kKernelModuleName);
  if (!kernelModule)
    return fail("'" + options.input + "' has nothing to compute");
  SmallVector<graph::KernelOp> kernels(kernelModule.getOps<graph::KernelOp>());
  KernelCompilerOptions compiler{target, options.assemble ? findPtxas() : "",
                                 options.cache, options.jobs,
                                 options.usePassManagerOptions};
  std::vector<CompiledKernel> compiled;
  llvm::Error error = llvm::Error::success();
  for (auto [kernel, result] :
       llvm::zip_equal(kernels, compiler::compileKernels(kernels, compiler))) {
    if (!result) {
      // One message is enough; others often have the same cause.
      if (error)
        llvm::consumeError(result.takeError());
      else
        error = result.takeError();
      continue;
    }
    attach(kernel, *result);
    summary.cachedKernels += result->fromCache;
    summary.kernels.push_back(result->resources);
    compiled.push_back(std::move(*result));
  }
  if (error)
    return std::move(error);
  summary.assembled = !compiler.ptxas.empty();
  if (summary.assembled && !options.quiet)
    for (const std::string &complaint :
         checkOccupancy(*module, target, summary.kernels))
      llvm::WithColor::warning(llvm::errs(), "odyssey-compile")
          << complaint << '\n';
  if (options.report)
    reportKernels(*module, target, summary.kernels, summary.assembled,
                  *options.report);
  return compiled;
}

llvm::Error Compilation::writeBundleFile() {
  auto kernels = compileKernels();
  if (!kernels)
    return kernels.takeError();
  if (options.output.empty())
    return llvm::Error::success();
  PlanContext plan;
  plan.target = options.target;
  plan.model = model;
  plan.cubinCapability = summary.assembled ? target.capability : 0;
  auto built = buildPlan(*module, plan);
  if (!built)
    return built.takeError();
  std::string planText;
  llvm::raw_string_ostream(planText) << built->json;

  std::vector<BundleSection> sections;
  sections.push_back({bundle::kPlanSection, planText});
  for (auto [i, kernel] : llvm::enumerate(*kernels)) {
    sections.push_back({ptxSectionName(i), kernel.ptx});
    if (summary.assembled)
      sections.push_back({cubinSectionName(i), kernel.cubin});
  }
  if (!tokenizerFiles().empty()) {
    const TokenizerFile &tokenizer = tokenizerFiles().front();
    sections.push_back({tokenizer.name, tokenizer.bytes});
  }
  const TensorSource *weights = weightFile.get();
  if (options.weights != "none") {
    if (checkpoint)
      weights = checkpoint.get();
    if (trained)
      weights = trained.get();
  }
  if (llvm::sys::fs::exists(options.output) &&
      !llvm::sys::fs::is_regular_file(options.output))
    return fail("cannot write '" + options.output +
                "': a bundle needs a regular file");
  bool onTerminal = llvm::sys::Process::StandardErrIsDisplayed();
  auto progress = [&](uint64_t done, uint64_t total) {
    if (onTerminal && !options.quiet)
      llvm::errs() << "\rweights: " << done * 100 / std::max<uint64_t>(total, 1)
                   << " %" << (done == total ? "\r\033[K" : "");
  };
  auto bytes = writeBundle(options.output, sections, built->constants,
                           options.weights != "none", weights, progress);
  if (!bytes)
    return bytes.takeError();
  summary.outputBytes = *bytes;
  return llvm::Error::success();
}

/// Reads the tuning databases, which warns of what is wrong with them, and
/// explains the schedules if asked to. (The pass that chooses reads them again;
/// its own warnings are printed by odyssey-opt alone.)
llvm::Error Compilation::explain() {
  auto warn = [](const Twine &message) {
    llvm::WithColor::warning(llvm::errs(), "odyssey-compile")
        << message << '\n';
  };
  auto database = TuningDatabase::load(options.tuning, target, warn);
  if (!database)
    return database.takeError();
  if (!options.explain)
    return llvm::Error::success();
  return explainSchedules(
      *module, buckets,
      ScheduleSelector(&context, target, std::move(*database)),
      *options.explain);
}

llvm::Error Compilation::run() {
  std::optional<TargetDescription> found =
      findTarget(options.target, options.gpu);
  if (!found)
    return unknownTarget(options.target, options.gpu);
  target = *found;
  if (llvm::Error error = loadGraph())
    return error;

  if (llvm::Error error = runPasses([&](OpPassManager &manager) {
        buildFusionPipeline(manager, weightFormat());
      }))
    return error;
  if (llvm::Error error = explain())
    return error;
  if (options.output.empty() && !options.report)
    return llvm::Error::success();
  PipelineOptions pipeline{options.target, buckets, options.gpu,
                           options.tuning};
  pipeline.prefetchPercent = options.prefetchPercent;
  if (llvm::Error error = runPasses([&](OpPassManager &manager) {
        buildKernelPipeline(manager, pipeline);
      }))
    return error;
  if (options.emit == Emit::Mlir)
    return writeText([&](llvm::raw_ostream &stream) { module->print(stream); });
  if (options.emit == Emit::Bundle)
    return writeBundleFile();
  if (llvm::Error error = runPasses([&](OpPassManager &manager) {
        buildFragmentPipeline(manager);
        buildNvvmPipeline(manager);
      }))
    return error;
  if (options.emit == Emit::Nvvm)
    return writeText([&](llvm::raw_ostream &stream) { module->print(stream); });

  auto kernels =
      module->lookupSymbol<gpu::GPUModuleOp>(graph::kKernelModuleName);
  if (!kernels)
    return fail("'" + options.input + "' has nothing to compute");
  if (llvm::Error error = checkSharedBytes())
    return error;
  auto ptx = emitPtx(kernels, target);
  if (!ptx)
    return ptx.takeError();
  if (options.emit == Emit::Ptx)
    return writeText([&](llvm::raw_ostream &stream) { stream << *ptx; });
  std::string ptxas = findPtxas();
  if (ptxas.empty())
    return fail("--emit=cubin needs ptxas (CUDA toolkit) in the path");
  auto cubin = assemble(ptxas, *ptx, target);
  if (!cubin)
    return cubin.takeError();
  summary.kernels = cubin->kernels;
  summary.assembled = true;
  return writeText([&](llvm::raw_ostream &stream) { stream << cubin->image; });
}

} // namespace

llvm::Expected<Summary> compiler::run(const Options &options) {
  auto start = std::chrono::steady_clock::now();
  Compilation compilation(options);
  if (llvm::Error error = compilation.run())
    return error;
  compilation.summary.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
          .count();
  return std::move(compilation.summary);
}

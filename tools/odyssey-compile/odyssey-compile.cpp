//===- odyssey-compile.cpp - From checkpoint or IR to a bundle ------------===//

#include "Summary.h"

#include "odyssey/Compiler/Explain.h"
#include "odyssey/Compiler/KernelCompiler.h"
#include "odyssey/Compiler/Pack.h"
#include "odyssey/Frontend/ModelShapes.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/WithColor.h"

using namespace odyssey;
namespace cl = llvm::cl;

static cl::OptionCategory category("odyssey-compile options");

static cl::opt<std::string>
    input(cl::Positional, cl::desc("<checkpoint | file.mlir | model shape>"),
          cl::cat(category));
static cl::opt<std::string> output("o",
                                   cl::desc("Output file, - for standard "
                                            "output (text only)"),
                                   cl::value_desc("file"), cl::cat(category));
static cl::opt<std::string> target("target",
                                   cl::desc("sm_80 (default), sm_86, sm_89 or "
                                            "sm_90a"),
                                   cl::init("sm_80"), cl::cat(category));
static cl::opt<compiler::Emit>
    emit("emit", cl::desc("How far to compile"),
         cl::values(clEnumValN(compiler::Emit::Mlir, "mlir",
                               "graph with schedules and outlined kernels"),
                    clEnumValN(compiler::Emit::Nvvm, "nvvm", "NVVM dialect"),
                    clEnumValN(compiler::Emit::Ptx, "ptx", "PTX text"),
                    clEnumValN(compiler::Emit::Cubin, "cubin",
                               "machine code, by ptxas"),
                    clEnumValN(compiler::Emit::Pack, "pack",
                               "candidate kernels for odyssey-tune; the input "
                               "is a list of shapes, "
                               "llama-2-7b,4096x11008,..."),
                    clEnumValN(compiler::Emit::Bundle, "bundle",
                               "what odyssey-run takes (default)")),
         cl::init(compiler::Emit::Bundle), cl::cat(category));
static cl::list<int64_t>
    buckets("buckets", cl::CommaSeparated,
            cl::desc("Token counts of a pack (default: 1,8,16,32,...,512)"),
            cl::value_desc("tokens"), cl::cat(category));
static cl::opt<int64_t>
    candidates("candidates",
               cl::desc("Candidates of a pack per product and token count "
                        "(default: 12)"),
               cl::init(12), cl::cat(category));
static cl::opt<std::string>
    gpu("gpu",
        cl::desc("GPU of the target that schedules are "
                 "chosen for: a100, a10, l40s, "
                 "rtx4090, h100, h200 (default: the target's "
                 "first)"),
        cl::cat(category));
static cl::opt<std::string>
    weights("weights",
            cl::desc("Safetensors file with the weights that an IR file names, "
                     "or 'none' for a bundle without weights; and their width, "
                     "'i8' or 'i4', of a trained checkpoint (rounded to "
                     "nearest), model shape, IR file or pack; both with a "
                     "comma: none,i8"),
            cl::value_desc("file|none|i4|i8"), cl::cat(category));
static cl::opt<int64_t>
    maxContext("max-context",
               cl::desc("Longest sequence in tokens (default: the model's)"),
               cl::init(0), cl::cat(category));
static cl::opt<KvCacheType>
    kvCache("kv", cl::desc("What keys and values are kept as"),
            cl::values(clEnumValN(KvCacheType::F16, "f16", "fp16 (default)"),
                       clEnumValN(KvCacheType::I8, "i8",
                                  "8-bit integers with a scale per token and "
                                  "head: half the memory and traffic")),
            cl::init(KvCacheType::F16), cl::cat(category));
static cl::opt<int64_t> maxBatch("max-batch",
                                 cl::desc("Sequences that share a step "
                                          "(default: 1)"),
                                 cl::init(1), cl::cat(category));
static cl::opt<unsigned> jobs("jobs",
                              cl::desc("Threads that compile kernels "
                                       "(default: all cores)"),
                              cl::init(0), cl::cat(category));
static cl::opt<std::string>
    cache("cache",
          cl::desc("Folder in which compiled kernels are kept, or 'none' "
                   "(default: $XDG_CACHE_HOME/odyssey/kernels)"),
          cl::value_desc("dir|none"), cl::cat(category));
static cl::opt<bool>
    explain("explain",
            cl::desc("Print why products have their schedules: candidates, "
                     "predicted and measured times, the floor; -o may be left "
                     "out"),
            cl::cat(category));
static cl::opt<bool>
    report("report",
           cl::desc("Print for every kernel registers, shared memory, CTAs per "
                    "multiprocessor, bytes, operations, and the floor that "
                    "these set; -o may be left out"),
           cl::cat(category));
static cl::list<std::string>
    tuning("tuning",
           cl::desc("Database of schedules that odyssey-tune measured, beside "
                    "those of the compiler"),
           cl::value_desc("file"), cl::cat(category));
static cl::opt<bool>
    rankTuning("rank-tuning",
               cl::desc("Print how well the cost model orders the schedules "
                        "that were measured on the target, and end"),
               cl::cat(category));
static cl::opt<int64_t>
    groupSize("group-size",
              cl::desc("Input channels that share a weight multiplier, for a "
                       "model shape or IR file: 128, 64 or 32 (default: one "
                       "scale per output channel)"),
              cl::value_desc("channels"), cl::init(0), cl::cat(category));
static cl::opt<int64_t>
    prefetchPercent("prefetch-l2",
                    cl::desc("Most of the L2 cache, in percent, that a product "
                             "of few tokens may fill with weights before its "
                             "turn (default: 40)"),
                    cl::value_desc("percent"), cl::init(40), cl::cat(category));
static cl::opt<bool> quiet("quiet", cl::desc("Print nothing but errors"),
                           cl::cat(category));

/// Whether an option asks to see passes at work: then all must run, in order.
static bool showsPasses() {
  for (auto &entry : cl::getRegisteredOptions())
    if (entry.second->getNumOccurrences() > 0 &&
        entry.first.starts_with("mlir-"))
      return true;
  return false;
}

static int usageError(const llvm::Twine &message) {
  llvm::WithColor::error(llvm::errs(), "odyssey-compile") << message << '\n';
  return 2;
}

/// The cache's folder by the options; empty for none.
static std::string cacheFolder() {
  if (cache == "none" || showsPasses())
    return "";
  return cache.empty() ? compiler::defaultCacheFolder() : std::string(cache);
}

static int fail(llvm::Error error) {
  llvm::WithColor::error(llvm::errs(), "odyssey-compile")
      << llvm::toString(std::move(error)) << '\n';
  return 1;
}

/// The value of --weights, apart: a file, "none" or nothing, and a width in
/// bits or 0.
struct WeightsOption {
  std::string source;
  int64_t bits = 0;
};
static WeightsOption weightsOption() {
  WeightsOption option;
  llvm::StringRef text = weights;
  for (auto [name, bits] : {std::pair("i4", 4), std::pair("i8", 8)})
    if (text == name || text.consume_back(std::string(",") + name) ||
        text.consume_front(std::string(name) + ",")) {
      option.bits = bits;
      option.source = text == name ? "" : text.str();
      return option;
    }
  option.source = text.str();
  return option;
}

static int writePack() {
  compiler::PackOptions options;
  auto products = compiler::parseProducts(input);
  if (!products)
    return fail(products.takeError());
  options.products = std::move(*products);
  auto found = findTarget(target, gpu);
  if (!found)
    return fail(compiler::unknownTarget(target, gpu));
  options.target = *found;
  options.output = output;
  options.buckets.assign(buckets.begin(), buckets.end());
  if (options.buckets.empty())
    options.buckets = compiler::tokenBuckets(512);
  options.candidates = candidates;
  if (int64_t bits = weightsOption().bits)
    options.weightBits = bits;
  options.cache = cacheFolder();
  options.jobs = jobs;
  auto summary = compiler::writePack(options);
  if (!summary)
    return fail(summary.takeError());
  if (!quiet)
    compiler::print(llvm::outs(), *summary, options);
  return 0;
}

static int printRanking() {
  auto found = findTarget(target, gpu);
  if (!found)
    return fail(compiler::unknownTarget(target, gpu));
  auto database = TuningDatabase::load(
      std::vector<std::string>(tuning.begin(), tuning.end()), *found,
      [](const llvm::Twine &message) {
        llvm::WithColor::warning(llvm::errs(), "odyssey-compile")
            << message << '\n';
      });
  if (!database)
    return fail(database.takeError());
  mlir::MLIRContext context;
  context.loadDialect<fastgemm::FastGemmDialect>();
  compiler::printRanking(&context, *found, *database, llvm::outs());
  return 0;
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  mlir::registerPassManagerCLOptions();
  std::string parseErrors;
  llvm::raw_string_ostream errorStream(parseErrors);
  std::string overview =
      "Compiles quantized models to GPU bundles\n\nModel shapes (with "
      "--weights=none): " +
      odyssey::modelShapeNames() + "\n";
  if (!cl::ParseCommandLineOptions(argc, argv, overview, &errorStream)) {
    llvm::errs() << parseErrors;
    return 2;
  }
  if (maxContext < 0 || maxBatch < 1)
    return usageError("--max-context and --max-batch must be positive");
  if (rankTuning)
    return printRanking();
  if (input.empty())
    return usageError("there is nothing to compile");
  if (output.empty() && !explain && !report)
    return usageError("-o is missing: where to write to");
  if (groupSize != 0 && groupSize != 32 && groupSize != 64 && groupSize != 128)
    return usageError("--group-size must be 128, 64 or 32");
  if (prefetchPercent < 0 || prefetchPercent > 100)
    return usageError("--prefetch-l2 must be 0 to 100");
  if (groupSize != 0 && weightsOption().bits == 8)
    return usageError("--group-size is for weights of 4 bits");
  bool isText = emit == compiler::Emit::Mlir || emit == compiler::Emit::Nvvm ||
                emit == compiler::Emit::Ptx;
  if (explain && output == "-")
    return usageError("--explain prints to standard output, and -o - does");
  if (report && emit != compiler::Emit::Bundle)
    return usageError("--report is for bundles");
  if (output == "-" && !isText)
    return usageError("-o - is for text: mlir, nvvm or ptx");

  if (emit == compiler::Emit::Pack) {
    if (!llvm::is_sorted(buckets, std::less_equal<int64_t>()) ||
        (!buckets.empty() && buckets.front() < 1))
      return usageError("--buckets must be positive and ascending");
    if (candidates < 1)
      return usageError("--candidates must be positive");
    if (weightsOption().source != "" || groupSize != 0)
      return usageError("a pack has no weights: of --weights it takes only "
                        "'i4' and 'i8', and no --group-size");
    return writePack();
  }
  if (!buckets.empty() || candidates.getNumOccurrences() > 0)
    return usageError("--buckets and --candidates are for --emit=pack");

  compiler::Options options;
  options.input = input;
  options.output = output;
  options.emit = emit;
  options.target = target;
  options.gpu = gpu;
  options.weights = weightsOption().source;
  options.weightBits = weightsOption().bits;
  options.maxContext = maxContext;
  options.maxBatch = maxBatch;
  options.kvCache = kvCache;
  options.jobs = jobs;
  if (showsPasses())
    options.jobs = 1;
  options.cache = cacheFolder();
  options.tuning.assign(tuning.begin(), tuning.end());
  options.explain = explain ? &llvm::outs() : nullptr;
  options.groupSize = groupSize;
  options.prefetchPercent = prefetchPercent;
  options.report = report ? &llvm::outs() : nullptr;
  options.quiet = quiet;
  options.usePassManagerOptions = true;
  llvm::Expected<compiler::Summary> summary = compiler::run(options);
  if (!summary)
    return fail(summary.takeError());
  if (!quiet && emit == compiler::Emit::Bundle && !output.empty())
    compiler::print(llvm::outs(), *summary, options);
  return 0;
}

//===- odyssey-compile.cpp - From checkpoint or IR to a bundle ------------===//

#include "Summary.h"

#include "odyssey/Compiler/KernelCompiler.h"
#include "odyssey/Frontend/ModelShapes.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/WithColor.h"

using namespace odyssey;
namespace cl = llvm::cl;

static cl::OptionCategory category("odyssey-compile options");

static cl::opt<std::string>
    input(cl::Positional, cl::Required,
          cl::desc("<quantized checkpoint folder | file.mlir | model shape>"),
          cl::cat(category));
static cl::opt<std::string> output("o",
                                   cl::desc("Output file, - for standard "
                                            "output (text only)"),
                                   cl::value_desc("file"), cl::Required,
                                   cl::cat(category));
static cl::opt<std::string> target("target",
                                   cl::desc("sm_80 (default), sm_86 or sm_89"),
                                   cl::init("sm_80"), cl::cat(category));
static cl::opt<compiler::Emit>
    emit("emit", cl::desc("How far to compile"),
         cl::values(clEnumValN(compiler::Emit::Mlir, "mlir",
                               "graph with schedules and outlined kernels"),
                    clEnumValN(compiler::Emit::Nvvm, "nvvm", "NVVM dialect"),
                    clEnumValN(compiler::Emit::Ptx, "ptx", "PTX text"),
                    clEnumValN(compiler::Emit::Cubin, "cubin",
                               "machine code, by ptxas"),
                    clEnumValN(compiler::Emit::Bundle, "bundle",
                               "what odyssey-run takes (default)")),
         cl::init(compiler::Emit::Bundle), cl::cat(category));
static cl::opt<std::string>
    weights("weights",
            cl::desc("Safetensors file with the weights that an IR file names, "
                     "or 'none' for a bundle without weights"),
            cl::value_desc("file|none"), cl::cat(category));
static cl::opt<int64_t>
    maxContext("max-context",
               cl::desc("Longest sequence in tokens (default: the model's)"),
               cl::init(0), cl::cat(category));
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
  bool isText = emit == compiler::Emit::Mlir || emit == compiler::Emit::Nvvm ||
                emit == compiler::Emit::Ptx;
  if (output == "-" && !isText)
    return usageError("-o - is for text: mlir, nvvm or ptx");

  compiler::Options options;
  options.input = input;
  options.output = output;
  options.emit = emit;
  options.target = target;
  options.weights = weights;
  options.maxContext = maxContext;
  options.maxBatch = maxBatch;
  options.jobs = jobs;
  options.cache = cache;
  if (cache.empty())
    options.cache = compiler::defaultCacheFolder();
  if (showsPasses())
    options.jobs = 1;
  if (cache == "none" || showsPasses())
    options.cache.clear();
  options.quiet = quiet;
  options.usePassManagerOptions = true;
  llvm::Expected<compiler::Summary> summary = compiler::run(options);
  if (!summary) {
    llvm::WithColor::error(llvm::errs(), "odyssey-compile")
        << llvm::toString(summary.takeError()) << '\n';
    return 1;
  }
  if (!quiet && emit == compiler::Emit::Bundle)
    compiler::print(llvm::outs(), *summary, options);
  return 0;
}

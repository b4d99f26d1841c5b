//===- odyssey-quantize.cpp - From a checkpoint to W4A8 weights -----------===//
//
// Reads a GGUF file or a Hugging Face folder and writes the folder that
// odyssey-compile takes. Exit codes: 0 done, 1 an error, 2 wrong usage.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Quantize/QuantizeCheckpoint.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <csignal>

using namespace odyssey;
namespace cl = llvm::cl;

namespace {

enum ExitCode { exitSuccess = 0, exitError = 1, exitUsage = 2 };

enum class Recipe { RoundToNearest };

cl::OptionCategory inputOutput("Input and output");
cl::OptionCategory method("Method");
cl::OptionCategory behaviour("Behaviour");

/// libLLVM registers the options of its own passes in every program that links
/// it. Those with names that this program uses are taken out first, which is
/// why the options below are not globals.
struct NameReservation {
  NameReservation() {
    for (llvm::StringRef name : {"o", "force", "recipe", "threads", "quiet"})
      if (cl::Option *other = cl::getRegisteredOptions().lookup(name))
        other->removeArgument();
  }
};

struct CommandLine {
  NameReservation reservation;

  cl::opt<std::string> checkpointPath{cl::Positional, cl::Required,
                                      cl::desc("CHECKPOINT"),
                                      cl::cat(inputOutput)};

  cl::opt<std::string> outputPath{
      "o", cl::Required, cl::desc("Folder to write; appears when complete"),
      cl::value_desc("FOLDER"), cl::cat(inputOutput)};

  cl::opt<bool> force{"force",
                      cl::desc("Replace FOLDER if it is empty or a quantized "
                               "checkpoint"),
                      cl::cat(inputOutput)};

  cl::opt<Recipe> recipe{
      "recipe", cl::desc("How weights become 4-bit integers"),
      cl::values(clEnumValN(Recipe::RoundToNearest, "rtn",
                            "Round to nearest, one scale per output channel "
                            "(default)")),
      cl::init(Recipe::RoundToNearest), cl::cat(method)};

  cl::opt<unsigned> threads{
      "threads", cl::desc("Threads to use; 0, the default, is one per core"),
      cl::init(0), cl::value_desc("N"), cl::cat(behaviour)};

  cl::opt<bool> quiet{"quiet", cl::desc("Print errors only"),
                      cl::cat(behaviour)};
};

} // namespace

static volatile std::sig_atomic_t interrupted = 0;

/// Ctrl-C and the like end the work between two tensors, so that the
/// half-written folder goes too. A second one ends the program at once.
static void stopOnInterrupt() {
  llvm::sys::SetInterruptFunction([] { interrupted = 1; });
}

/// One line of the terminal, rewritten.
static void showProgress(llvm::StringRef tensor, int64_t done, int64_t total) {
  constexpr const char *clearLine = "\r\x1b[K";
  llvm::errs() << clearLine;
  if (done < total)
    llvm::errs() << llvm::formatv("{0,3}% {1}", 100 * done / total, tensor);
}

static llvm::Error run(const CommandLine &options) {
  using Clock = std::chrono::steady_clock;
  Clock::time_point start = Clock::now();
  llvm::Expected<std::unique_ptr<Checkpoint>> checkpoint =
      Checkpoint::open(options.checkpointPath);
  if (!checkpoint)
    return checkpoint.takeError();

  bool show = !options.quiet && llvm::sys::Process::StandardErrIsDisplayed();
  QuantizeOptions quantizeOptions;
  quantizeOptions.threads = options.threads;
  quantizeOptions.replace = options.force;
  quantizeOptions.progress = [&](llvm::StringRef tensor, int64_t done,
                                 int64_t total) {
    if (show)
      showProgress(tensor, done, total);
    return !interrupted;
  };
  llvm::Expected<QuantizeSummary> summary =
      quantizeCheckpoint(**checkpoint, options.outputPath, quantizeOptions);
  if (!summary) {
    if (show)
      showProgress("", 1, 1);
    return summary.takeError();
  }
  if (!options.quiet)
    llvm::outs() << llvm::formatv(
        "{0}: {1} linear layers, {2:f2} M weights of 4 bits, {3:f2} M of fp16, "
        "{4:f2} s\n",
        options.outputPath, summary->quantizedTensors,
        summary->quantizedWeights / 1e6, summary->halfWeights / 1e6,
        std::chrono::duration<double>(Clock::now() - start).count());
  return llvm::Error::success();
}

int main(int argc, char **argv) {
  llvm::InitLLVM initialize(argc, argv);
  CommandLine options;
  cl::HideUnrelatedOptions({&inputOutput, &method, &behaviour});
  // Given a stream, the parser returns instead of exiting with 1.
  if (!cl::ParseCommandLineOptions(
          argc, argv,
          "odyssey-quantize: rounds a checkpoint's weights to 4 bits\n\n"
          "CHECKPOINT is a GGUF file or a Hugging Face folder.\n",
          &llvm::errs()))
    return exitUsage;
  stopOnInterrupt();
  if (llvm::Error error = run(options)) {
    llvm::WithColor::error(llvm::errs(), "odyssey-quantize")
        << llvm::toString(std::move(error)) << '\n';
    return exitError;
  }
  return exitSuccess;
}

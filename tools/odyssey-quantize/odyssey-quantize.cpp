//===- odyssey-quantize.cpp - From a checkpoint to integer weights --------===//
//
// Reads a GGUF file or a Hugging Face folder and writes the folder that
// odyssey-compile takes: a folder of compressed-tensors. One that is quantized
// already keeps its integers and scales. Exit codes: 0 done, 1 an error, 2
// wrong usage.
//
//===----------------------------------------------------------------------===//

#include "ProgressLine.h"
#include "ReportFile.h"

#include "odyssey/Frontend/Checkpoint/Checkpoint.h"
#include "odyssey/Frontend/Checkpoint/QuantizedCheckpoint.h"
#include "odyssey/Quantize/CalibrationText.h"
#include "odyssey/Quantize/ConvertCheckpoint.h"
#include "odyssey/Quantize/QuantizeCheckpoint.h"
#include "odyssey/runtime/Tokenizer.h"

#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Signals.h"
#include "llvm/Support/WithColor.h"
#include "llvm/Support/raw_ostream.h"

#include <chrono>
#include <csignal>
#include <optional>

using namespace odyssey;
namespace cl = llvm::cl;
using llvm::Error;
using llvm::Expected;

namespace {

enum ExitCode { exitSuccess = 0, exitError = 1, exitUsage = 2 };

cl::OptionCategory inputOutput("Input and output");
cl::OptionCategory method("Method");
cl::OptionCategory calibration("Calibration");
cl::OptionCategory behaviour("Behaviour");

/// libLLVM registers the options of its own passes in every program that links
/// it. Those with names that this program uses are taken out first, which is
/// why the options below are not globals.
struct NameReservation {
  NameReservation() {
    for (llvm::StringRef name :
         {"o", "force", "report", "recipe", "group-size", "weight-bits",
          "act-order", "requantize", "calibration", "samples",
          "sequence-length", "threads", "quiet"})
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

  cl::opt<std::string> reportPath{
      "report",
      cl::desc("Web page to write: errors, clipping factors and outlier "
               "channels of every layer"),
      cl::value_desc("FILE.html"), cl::cat(inputOutput)};

  cl::opt<Recipe> recipe{
      "recipe",
      cl::desc("How weights become 4-bit integers, with one scale "
               "per output channel"),
      cl::values(
          clEnumValN(Recipe::ClipAndCompensate, "lwc+gptq",
                     "Learned clipping and GPTQ (default)"),
          clEnumValN(Recipe::Clip, "lwc", "Learned clipping only"),
          clEnumValN(Recipe::Compensate, "gptq", "GPTQ only"),
          clEnumValN(Recipe::RoundToNearest, "rtn",
                     "Round to nearest; needs no calibration, takes seconds")),
      cl::init(Recipe::ClipAndCompensate), cl::cat(method)};

  cl::opt<int64_t> groupSize{
      "group-size",
      cl::desc("Gives every N input channels of an output channel a multiplier "
               "within its scale: 128, 64 or 32; better, a little slower and "
               "larger (default: none)"),
      cl::value_desc("N"), cl::init(0), cl::cat(method)};

  cl::opt<int64_t> weightBits{
      "weight-bits",
      cl::desc("Bits of a weight: 4 (default), or 8, to compare with, by "
               "--recipe=rtn and without groups"),
      cl::value_desc("4|8"), cl::init(4), cl::cat(method)};

  cl::opt<bool> actOrder{
      "act-order",
      cl::desc("GPTQ rounds the input channels in the order of falling "
               "activations instead of their own, which costs nothing at run "
               "time (default); --act-order=false for their own"),
      cl::init(true), cl::cat(method)};

  cl::opt<bool> requantize{
      "requantize",
      cl::desc("Of a checkpoint that is quantized already, take the weights as "
               "numbers and round them anew, instead of keeping its integers "
               "and scales"),
      cl::cat(method)};

  cl::opt<std::string> calibrationPath{
      "calibration", cl::desc("Text like what the model will read, in UTF-8"),
      cl::value_desc("FILE"), cl::cat(calibration)};

  cl::opt<unsigned> samples{
      "samples",
      cl::desc("Sequences to take from it (default: as many as make 32768 "
               "tokens, which is 64 of 512)"),
      cl::value_desc("N"), cl::init(0), cl::cat(calibration)};

  cl::opt<unsigned> sequenceLength{
      "sequence-length", cl::desc("Tokens of a sequence (default 512)"),
      cl::value_desc("N"), cl::init(512), cl::cat(calibration)};

  cl::opt<unsigned> threads{
      "threads", cl::desc("Threads to use; 0, the default, is one per core"),
      cl::init(0), cl::value_desc("N"), cl::cat(behaviour)};

  cl::opt<bool> quiet{"quiet", cl::desc("Print errors only"),
                      cl::cat(behaviour)};
};

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

} // namespace

static volatile std::sig_atomic_t interrupted = 0;

/// Ctrl-C and the like end the work between two tensors, so that the
/// half-written folder goes too. A second one ends the program at once.
static void stopOnInterrupt() {
  llvm::sys::SetInterruptFunction([] { interrupted = 1; });
}

static llvm::raw_ostream &warn() {
  return llvm::WithColor::warning(llvm::errs(), "odyssey-quantize");
}

/// Tokens to calibrate on by default.
static constexpr int64_t defaultTokens = 64 * 512;

static Expected<CalibrationSamples>
readCalibration(const CommandLine &options, const Checkpoint &checkpoint) {
  std::unique_ptr<llvm::MemoryBuffer> file;
  llvm::StringRef text = builtinCalibrationText();
  std::string name = "the built-in text";
  if (!options.calibrationPath.empty()) {
    name = options.calibrationPath;
    auto opened = llvm::MemoryBuffer::getFile(name);
    if (!opened)
      return llvm::createFileError(name, opened.getError());
    file = std::move(*opened);
    text = file->getBuffer();
  } else if (!options.quiet) {
    warn() << "no --calibration text: a short built-in one is used, which "
              "makes a worse model than a text like what it will read\n";
  }

  const TokenizerFile &tokenizerFile = checkpoint.tokenizerFiles().front();
  auto tokenizer = runtime::Tokenizer::load(
      tokenizerFile.name, std::as_bytes(std::span(tokenizerFile.bytes)));
  if (!tokenizer.ok())
    return llvm::createFileError(
        tokenizerFile.name,
        llvm::createStringError(tokenizer.status().message()));
  auto tokens =
      (*tokenizer)->encode(text, {.addBos = false, .parseSpecial = false});
  if (!tokens.ok())
    return llvm::createFileError(
        name, llvm::createStringError(tokens.status().message()));

  const ModelConfig &config = checkpoint.config();
  for (int32_t token : *tokens)
    if (token >= config.vocabSize)
      return llvm::createStringError(
          "the tokenizer has the token " + llvm::Twine(token) +
          ", and the model a vocabulary of " + llvm::Twine(config.vocabSize));
  SampleOptions sampleOptions;
  sampleOptions.sequenceLength =
      std::min<int64_t>(options.sequenceLength, config.maxContext);
  sampleOptions.samples =
      options.samples.getNumOccurrences()
          ? options.samples
          : std::max<int64_t>(1, defaultTokens / sampleOptions.sequenceLength);
  if (config.addBos && config.bosId)
    sampleOptions.bos = static_cast<int32_t>(*config.bosId);
  Expected<CalibrationSamples> samples = cutSamples(*tokens, sampleOptions);
  if (!samples)
    return llvm::createFileError(name, samples.takeError());
  if (!options.quiet && !options.calibrationPath.empty() &&
      static_cast<int64_t>(samples->size()) < sampleOptions.samples)
    warn() << name << " has " << tokens->size() << " tokens, enough for "
           << samples->size() << " of " << sampleOptions.samples
           << " samples\n";
  return samples;
}

/// A line for each layer, with the output errors of its linears before and
/// after in percent.
static void printReport(const LinearReport &report) {
  llvm::StringRef name = report.name;
  auto [layer, linear] = name.rsplit('.');
  if (linear == "q_proj") {
    llvm::StringRef number = layer.rsplit('.').first.rsplit('.').second;
    if (number == "0")
      llvm::outs() << "output error in %, rounded to nearest > in the end\n"
                   << "layer  q          k          v          o          "
                      "gate       up         down\n";
    llvm::outs() << llvm::formatv("{0,5}  ", number);
  }
  std::string cell = llvm::formatv(
      "{0:f2}>{1:f2}", 100 * report.errorOfRounding, 100 * report.error);
  bool last = linear == "down_proj";
  llvm::outs() << (last ? cell + "\n" : llvm::formatv("{0,-11}", cell).str());
}

static llvm::StringRef recipeName(Recipe recipe) {
  switch (recipe) {
  case Recipe::RoundToNearest:
    return "rtn";
  case Recipe::Clip:
    return "lwc";
  case Recipe::Compensate:
    return "gptq";
  case Recipe::ClipAndCompensate:
    return "lwc+gptq";
  }
  llvm_unreachable("not a recipe");
}

/// The page but for its linears.
static ReportPage beginPage(const CommandLine &options,
                            const CalibrationSamples &samples) {
  ReportPage page;
  page.title = llvm::sys::path::filename(options.checkpointPath).str();
  size_t tokens = 0;
  for (const std::vector<int32_t> &sample : samples)
    tokens += sample.size();
  std::string text = "built-in text";
  if (!options.calibrationPath.empty())
    text = llvm::sys::path::filename(options.calibrationPath).str();
  page.facts = {
      {"recipe", (recipeName(options.recipe) +
                  (options.actOrder ? "" : ", without --act-order"))
                     .str()},
      {"weights", options.groupSize == 0
                      ? "4 bits, one scale per output channel"
                      : llvm::formatv("4 bits, one scale per output channel, "
                                      "multiplied in groups of {0}",
                                      options.groupSize.getValue())
                            .str()},
      {"calibration", llvm::formatv("{0}, {1} samples, {2} tokens", text,
                                    samples.size(), tokens)},
  };
  return page;
}

/// Rounds the weights by the recipe. `quantized` says that they are rounded
/// already.
static Expected<QuantizeSummary> quantize(const CommandLine &options,
                                          bool quantized,
                                          QuantizeOptions quantizeOptions) {
  Expected<std::unique_ptr<Checkpoint>> checkpoint =
      quantized ? Checkpoint::openDequantized(options.checkpointPath)
                : Checkpoint::open(options.checkpointPath);
  if (!checkpoint)
    return checkpoint.takeError();
  quantizeOptions.recipe = options.recipe;
  quantizeOptions.groupSize = options.groupSize;
  quantizeOptions.weightBits = options.weightBits;
  quantizeOptions.gptq.activationOrder = options.actOrder;
  quantizeOptions.threads = options.threads;
  if (options.recipe != Recipe::RoundToNearest) {
    Expected<CalibrationSamples> samples =
        readCalibration(options, **checkpoint);
    if (!samples)
      return samples.takeError();
    quantizeOptions.calibration = std::move(*samples);
  }
  Expected<std::optional<ReportFile>> reportFile =
      ReportFile::create(options.reportPath);
  if (!reportFile)
    return reportFile.takeError();
  ReportPage page = beginPage(options, quantizeOptions.calibration);
  quantizeOptions.report =
      [&, print = quantizeOptions.report](const LinearReport &report) {
        if (*reportFile)
          page.linears.push_back(report);
        if (print)
          print(report);
      };
  Expected<QuantizeSummary> summary =
      quantizeCheckpoint(**checkpoint, options.outputPath, quantizeOptions);
  if (!summary)
    return summary.takeError();
  if (*reportFile)
    if (Error error = (*reportFile)->finish(page))
      return error;
  return summary;
}

/// Keeps integers and scales, which no recipe can then change.
static Expected<QuantizeSummary>
convert(const CommandLine &options, const QuantizeOptions &quantizeOptions) {
  for (const cl::Option *option :
       {static_cast<const cl::Option *>(&options.recipe),
        static_cast<const cl::Option *>(&options.groupSize),
        static_cast<const cl::Option *>(&options.weightBits),
        static_cast<const cl::Option *>(&options.actOrder),
        static_cast<const cl::Option *>(&options.calibrationPath),
        static_cast<const cl::Option *>(&options.reportPath)})
    if (option->getNumOccurrences() > 0)
      return llvm::createFileError(
          options.checkpointPath,
          llvm::createStringError("is quantized already: --" + option->ArgStr +
                                  " has an effect only with --requantize"));
  Expected<std::unique_ptr<QuantizedCheckpoint>> checkpoint =
      QuantizedCheckpoint::open(options.checkpointPath);
  if (!checkpoint)
    return checkpoint.takeError();
  return convertCheckpoint(**checkpoint, options.outputPath, quantizeOptions);
}

static Error run(const CommandLine &options) {
  Clock::time_point start = Clock::now();
  Expected<bool> quantized =
      QuantizedCheckpoint::isQuantized(options.checkpointPath);
  if (!quantized)
    return quantized.takeError();
  if (options.requantize && !*quantized)
    return llvm::createFileError(
        options.checkpointPath,
        llvm::createStringError("is not quantized: --requantize is for "
                                "checkpoints that are"));
  QuantizeOptions quantizeOptions;
  quantizeOptions.replace = options.force;
  ProgressLine progress(options.quiet);
  quantizeOptions.progress = [&](llvm::StringRef tensor, double done) {
    progress.show(tensor, done);
    return !interrupted;
  };
  if (!options.quiet)
    quantizeOptions.report = [&](const LinearReport &report) {
      progress.clear();
      printReport(report);
    };
  bool keeps = *quantized && !options.requantize;
  Expected<QuantizeSummary> summary =
      keeps ? convert(options, quantizeOptions)
            : quantize(options, *quantized, quantizeOptions);
  progress.clear();
  if (!summary)
    return summary.takeError();
  if (!options.quiet)
    llvm::outs() << llvm::formatv(
        "{0}: {1} linear layers, {2:f2} M weights of {3} bits, {4:f2} M of "
        "fp16, {5:f2} s\n",
        options.outputPath, summary->quantizedTensors,
        summary->quantizedWeights / 1e6, summary->weightBits,
        summary->halfWeights / 1e6, secondsSince(start));
  return Error::success();
}

int main(int argc, char **argv) {
  llvm::InitLLVM initialize(argc, argv);
  CommandLine options;
  cl::HideUnrelatedOptions({&inputOutput, &method, &calibration, &behaviour});
  // Given a stream, the parser returns instead of exiting with 1.
  if (!cl::ParseCommandLineOptions(
          argc, argv,
          "odyssey-quantize: rounds a checkpoint's weights to 4 bits\n\n"
          "CHECKPOINT is a GGUF file or a Hugging Face folder. A folder that "
          "is\n"
          "quantized to 4 bits already (compressed-tensors, GPTQ) keeps its\n"
          "integers and scales.\n",
          &llvm::errs()))
    return exitUsage;
  if ((options.samples.getNumOccurrences() && options.samples == 0) ||
      options.sequenceLength < 2) {
    llvm::WithColor::error(llvm::errs(), "odyssey-quantize")
        << "--samples must be 1 or more, --sequence-length 2 or more\n";
    return exitUsage;
  }
  if (options.groupSize != 0 && options.groupSize != 32 &&
      options.groupSize != 64 && options.groupSize != 128) {
    llvm::WithColor::error(llvm::errs(), "odyssey-quantize")
        << "--group-size must be 128, 64 or 32\n";
    return exitUsage;
  }
  if (!layout::isWeightWidth(options.weightBits) ||
      (options.weightBits == 8 &&
       (options.recipe != Recipe::RoundToNearest || options.groupSize != 0))) {
    llvm::WithColor::error(llvm::errs(), "odyssey-quantize")
        << "--weight-bits must be 4, or 8 with --recipe=rtn and without "
           "--group-size\n";
    return exitUsage;
  }
  if (options.recipe == Recipe::RoundToNearest && !options.reportPath.empty()) {
    llvm::WithColor::error(llvm::errs(), "odyssey-quantize")
        << "--report is about what calibration sees, and 'rtn' has none\n";
    return exitUsage;
  }
  stopOnInterrupt();
  if (Error error = run(options)) {
    llvm::WithColor::error(llvm::errs(), "odyssey-quantize")
        << llvm::toString(std::move(error)) << '\n';
    return exitError;
  }
  return exitSuccess;
}

//===- odyssey-run.cpp - Runs a compiled model ----------------------------===//

#include "Commands.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace odyssey;
using namespace odyssey::run;

namespace {

constexpr int kRunError = 1;
constexpr int kUsageError = 2;

/// Splits the values of `--input` and `--output`.
std::vector<TensorFile> parseTensorFiles(const std::vector<std::string> &values,
                                         const std::string &option) {
  std::vector<TensorFile> result;
  for (const std::string &value : values) {
    size_t split = value.find("=@");
    if (split == 0 || split == std::string::npos || split + 2 == value.size())
      throw CLI::ValidationError(option, "expected NAME=@FILE.npy, got '" +
                                             value + "'");
    result.push_back({value.substr(0, split), value.substr(split + 2)});
  }
  return result;
}

/// Refuses combinations that the parser itself cannot.
void checkUsage(const Options &options) {
  auto refuse = [](const std::string &why) {
    throw CLI::ValidationError("odyssey-run", why);
  };
  if (options.listDevices)
    return;
  if (auto device = runtime::checkDeviceName(options.device); !device.ok())
    refuse(device.message());
  if (options.bundle.empty())
    refuse("a bundle is required");
  int modes = options.prompt.has_value() + !options.promptFile.empty() +
              options.interactive + !options.batchFile.empty() +
              !options.function.empty();
  if (modes != 1)
    refuse("expected one of --prompt, --prompt-file, --interactive, --batch "
           "and --function");
  if (options.function.empty() &&
      !(options.inputs.empty() && options.outputs.empty()))
    refuse("--input and --output need --function");
  if (auto sampler = runtime::Sampler::create(options.generate.sampling);
      !sampler.ok())
    refuse(sampler.status().message());
}

void parse(CLI::App &app, int argc, char **argv, Options &options) {
  runtime::SamplerOptions &sampling = options.generate.sampling;
  std::vector<std::string> inputs, outputs;

  app.add_option("BUNDLE", options.bundle, "The compiled model");
  app.add_option("--device", options.device,
                 "Where to run: auto (a GPU, or else the emulator), cuda, "
                 "cuda:N or emulator")
      ->capture_default_str();
  app.add_flag("--list-devices", options.listDevices,
               "List the devices of this machine and exit");
  app.add_flag("--stats", options.stats,
               "Afterwards, print speed, times and kernels to standard error");
  app.add_flag("--quiet", options.quiet,
               "Print nothing but the new text: no prompt, no notes");
  app.add_flag("--emulator-check", options.deviceOptions.emulator.checkHazards,
               "Let the emulator look for races and uninitialized memory "
               "(several times slower)");

  const char *text = "Generating text";
  app.add_option("--prompt", options.prompt, "The text to continue")
      ->group(text);
  app.add_option("--prompt-file", options.promptFile,
                 "The file with the text to continue")
      ->group(text);
  app.add_flag("--interactive", options.interactive,
               "Continue one text with the lines of standard input; /reset "
               "begins a new one")
      ->group(text);
  app.add_option(
         "--batch", options.batchFile,
         "The file with a text to continue on each line; as many at a "
         "time as the bundle was compiled for (--max-batch), each as it "
         "would be alone")
      ->group(text);
  app.add_option("--max-tokens", options.generate.maxTokens,
                 "At most so many new tokens; by default, until the text ends "
                 "or the context is full")
      ->check(CLI::PositiveNumber)
      ->group(text);
  app.add_option("--temperature", sampling.temperature,
                 "0 takes the most probable token, more makes it random")
      ->capture_default_str()
      ->group(text);
  app.add_option("--top-k", sampling.topK,
                 "Choose among the K most probable tokens; 0: all")
      ->capture_default_str()
      ->group(text);
  app.add_option("--top-p", sampling.topP,
                 "Choose among the most probable tokens that together have "
                 "this probability")
      ->capture_default_str()
      ->group(text);
  app.add_option("--seed", sampling.seed, "For the random choice of tokens")
      ->capture_default_str()
      ->group(text);

  const char *functions = "Running a function";
  app.add_option("--function", options.function, "The function's name")
      ->group(functions);
  app.add_option("--input", inputs,
                 "NAME=@FILE.npy, for each input (bf16 as uint16)")
      ->take_all()
      ->allow_extra_args(false)
      ->group(functions);
  app.add_option("--output", outputs, "NAME=@FILE.npy, for outputs to keep")
      ->take_all()
      ->allow_extra_args(false)
      ->group(functions);

  app.parse(argc, argv);
  options.inputs = parseTensorFiles(inputs, "--input");
  options.outputs = parseTensorFiles(outputs, "--output");
  checkUsage(options);
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app("Runs what odyssey-compile has made: generates text, or calls "
               "one function",
               "odyssey-run");
  try {
    parse(app, argc, argv, options);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : kUsageError;
  }

  if (options.listDevices) {
    listDevices(options);
    return 0;
  }
  runtime::Status status = !options.function.empty()    ? runFunction(options)
                           : !options.batchFile.empty() ? runBatch(options)
                                                        : runText(options);
  if (status.ok())
    return 0;
  fprintf(stderr, "odyssey-run: error: %s\n", status.message().c_str());
  return kRunError;
}

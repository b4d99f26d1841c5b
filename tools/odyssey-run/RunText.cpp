//===- RunText.cpp - odyssey-run --prompt, --interactive ------------------===//

#include "Commands.h"

#include "ProcessTime.h"
#include "Statistics.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <unistd.h>

namespace odyssey::run {

using namespace odyssey::runtime;

namespace {

/// Prints text at once. False when standard output takes no more.
bool print(std::string_view text) {
  return fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         fflush(stdout) == 0;
}

Status outputError() {
  return ioError(std::string("cannot write to standard output: ") +
                 strerror(errno));
}

Result<std::string> readPrompt(const Options &options) {
  if (options.prompt)
    return *options.prompt;
  std::ifstream file(options.promptFile, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file || file.bad())
    return ioError("cannot read '" + options.promptFile +
                   "': " + strerror(errno));
  return content.str();
}

/// Generates and prints the continuation of one prompt.
Result<GenerateResult> continueText(Generator &generator,
                                    const std::string &prompt,
                                    const Options &options) {
  bool printed = true;
  ODYSSEY_ASSIGN_OR_RETURN(
      GenerateResult result,
      generator.generate(prompt, options.generate, [&](std::string_view text) {
        return printed = print(text);
      }));
  if (!printed || !print("\n"))
    return outputError();
  if (result.reason == StopReason::ContextFull && !options.quiet)
    fprintf(stderr,
            "odyssey-run: stopped: the context of %lld tokens is full\n",
            static_cast<long long>(generator.session().model().context));
  return result;
}

Status runInteractive(Generator &generator, const Options &options,
                      Statistics &statistics) {
  bool showPrompt = isatty(STDIN_FILENO) && !options.quiet;
  std::string line;
  for (;;) {
    if (showPrompt)
      fputs("> ", stderr);
    if (!std::getline(std::cin, line))
      return Status::success();
    if (line == "/reset") {
      ODYSSEY_RETURN_IF_ERROR(generator.reset());
      continue;
    }
    if (line.empty())
      continue;
    auto result = continueText(generator, line, options);
    if (result.ok()) {
      statistics.add(*result);
      continue;
    }
    // What is wrong with one line does not end the conversation.
    StatusCode code = result.status().code();
    if (code != StatusCode::InvalidArgument &&
        code != StatusCode::ResourceExhausted)
      return result.status();
    fprintf(stderr, "odyssey-run: %s\n", result.status().message().c_str());
  }
}

} // namespace

Status runText(const Options &options) {
  Statistics statistics;
  statistics.started = processSeconds();
  std::string prompt;
  if (!options.interactive) {
    ODYSSEY_ASSIGN_OR_RETURN(prompt, readPrompt(options));
  }
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<const Bundle> bundle,
                           Bundle::open(options.bundle));
  statistics.bundleOpened = processSeconds();
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<Device> device,
                           openDevice(options.device, options.deviceOptions));
  statistics.deviceOpened = processSeconds();
  ODYSSEY_ASSIGN_OR_RETURN(std::unique_ptr<Generator> generator,
                           Generator::create(bundle, device));
  statistics.loaded = processSeconds();
  statistics.loadTimes = generator->session().executor().loadTimes();

  if (options.interactive) {
    ODYSSEY_RETURN_IF_ERROR(runInteractive(*generator, options, statistics));
  } else {
    if (!options.quiet && !print(prompt))
      return outputError();
    ODYSSEY_ASSIGN_OR_RETURN(GenerateResult result,
                             continueText(*generator, prompt, options));
    statistics.add(result);
  }
  if (options.stats && statistics.promptTokens != 0) {
    ODYSSEY_ASSIGN_OR_RETURN(KernelProfile profile, generator->profile());
    printStatistics(statistics, profile, *device);
  }
  return Status::success();
}

} // namespace odyssey::run

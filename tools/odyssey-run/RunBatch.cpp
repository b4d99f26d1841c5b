//===- RunBatch.cpp - odyssey-run --batch ---------------------------------===//

#include "Commands.h"

#include "odyssey/runtime/BatchGenerator.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

namespace odyssey::run {

using namespace odyssey::runtime;

namespace {

/// The lines of a file, without their ends.
Result<std::vector<std::string>> readLines(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(file, line)) {
    if (line.ends_with('\r'))
      line.pop_back();
    lines.push_back(line);
  }
  if (!file.eof() || file.bad())
    return ioError("cannot read '" + path + "': " + strerror(errno));
  if (lines.empty())
    return invalidArgument("'" + path + "' has no line");
  return lines;
}

void printNotes(const BatchResult &result, const Options &options,
                const DecoderPlan &model) {
  int64_t promptTokens = 0, newTokens = 0;
  for (size_t i = 0; i < result.texts.size(); ++i) {
    const BatchResult::Text &text = result.texts[i];
    promptTokens += text.promptTokens;
    newTokens += static_cast<int64_t>(text.tokens.size());
    if (text.reason == StopReason::ContextFull && !options.quiet)
      fprintf(stderr,
              "odyssey-run: prompt %zu: stopped: the context of %lld tokens is "
              "full\n",
              i + 1, static_cast<long long>(model.context));
  }
  if (!options.stats)
    return;
  auto line = [&](const char *what, int64_t count) {
    fprintf(stderr, "%-13s %10lld\n", what, static_cast<long long>(count));
  };
  auto speed = [&](const char *what, int64_t tokens) {
    double rate =
        result.seconds > 0 ? static_cast<double>(tokens) / result.seconds : 0.0;
    fprintf(stderr, "%-13s %10lld tokens %12.1f tokens/s\n", what,
            static_cast<long long>(tokens), rate);
  };
  line("prompts", static_cast<int64_t>(result.texts.size()));
  line("at a time", model.maxBatch);
  line("steps", result.steps);
  line("  mixed", result.mixedSteps);
  speed("prompt tokens", promptTokens);
  speed("new tokens", newTokens);
}

} // namespace

Status runBatch(const Options &options) {
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<std::string> prompts,
                           readLines(options.batchFile));
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<const Bundle> bundle,
                           Bundle::open(options.bundle));
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<Device> device,
                           openDevice(options.device, options.deviceOptions));
  ODYSSEY_ASSIGN_OR_RETURN(std::unique_ptr<BatchGenerator> generator,
                           BatchGenerator::create(bundle, device));
  std::vector<std::string> texts(prompts.size());
  if (!options.quiet)
    texts = prompts;
  ODYSSEY_ASSIGN_OR_RETURN(
      BatchResult result,
      generator->generate(prompts, options.generate,
                          [&](size_t index, std::string_view text) {
                            texts[index] += text;
                            return true;
                          }));
  // Texts may have several lines: what begins each says which it is.
  std::string output;
  for (size_t i = 0; i < texts.size(); ++i)
    output += "==> " + std::to_string(i + 1) + " <==\n" + texts[i] + "\n";
  if (fwrite(output.data(), 1, output.size(), stdout) != output.size() ||
      fflush(stdout) != 0)
    return ioError(std::string("cannot write to standard output: ") +
                   strerror(errno));
  printNotes(result, options, generator->session().model());
  return Status::success();
}

} // namespace odyssey::run

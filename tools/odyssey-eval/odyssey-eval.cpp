//===- odyssey-eval.cpp - How good a model is -----------------------------===//
//
// Measures a bundle on a device, or a checkpoint on the reference: perplexity
// and bits per byte of a text, accuracy in guessing last words, and how far
// two models are apart. Exit codes: 0 done, 1 an error, 2 wrong usage.
//
//===----------------------------------------------------------------------===//

#include "ProgressLine.h"
#include "Report.h"

#include "odyssey/runtime/DeviceRegistry.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace odyssey;
using namespace odyssey::eval;
using namespace odyssey::runtime;
using reference::ComparisonResult;
using reference::LastWordResult;
using reference::PerplexityResult;

namespace {

constexpr int kEvalError = 1;
constexpr int kUsageError = 2;
constexpr int64_t kDefaultContext = 512;

struct Options {
  /// One to measure, or two to compare.
  std::vector<std::string> models;
  ModelOptions model;
  std::string text, lastWords;
  int64_t context = 0, stride = 0, maxTokens = 0, maxPassages = 0;
  bool json = false, quiet = false;
};

/// Refuses combinations that the parser itself cannot.
void checkUsage(const Options &options) {
  auto refuse = [](const std::string &why) {
    throw CLI::ValidationError("odyssey-eval", why);
  };
  if (options.model.device != "reference")
    if (Status device = checkDeviceName(options.model.device); !device.ok())
      refuse(device.message() + ", or reference");
  if (options.models.empty())
    refuse("a model is required: a bundle or a checkpoint");
  if (options.models.size() > 2)
    refuse("expected one model, or two after --compare");
  if (options.text.empty() && options.lastWords.empty())
    refuse("expected --text or --lambada");
  if (options.models.size() == 2 && options.text.empty())
    refuse("--compare needs --text");
  if (options.models.size() == 2 && !options.lastWords.empty())
    refuse("--lambada is for one model");
}

void parse(CLI::App &app, int argc, char **argv, Options &options) {
  std::string single;
  std::vector<std::string> pair;
  app.add_option("MODEL", single,
                 "A bundle, a GGUF file or a Hugging Face folder, quantized "
                 "or not");
  app.add_option("--compare", pair,
                 "Two models A and B, with one tokenizer, on one --text")
      ->expected(2);
  app.add_option("--device", options.model.device,
                 "Where bundles run: auto (a GPU, or else the emulator), cuda, "
                 "cuda:N or emulator. Checkpoints run on the reference; "
                 "'reference' refuses anything else")
      ->capture_default_str();
  app.add_option("--threads", options.model.threads,
                 "For the reference and the emulator; 0 is one per core")
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print JSON");
  app.add_flag("--quiet", options.quiet, "Show no progress");

  const char *text = "Perplexity";
  app.add_option("--text", options.text, "A text in UTF-8")->group(text);
  app.add_option("--context", options.context,
                 "Tokens that the model sees at once, BOS included (default: "
                 "512, or the model's context where that is less)")
      ->check(CLI::Range(int64_t(2), int64_t(1) << 30))
      ->group(text);
  app.add_option("--stride", options.stride,
                 "Tokens from one such window to the next (default: the "
                 "context, so that no windows overlap)")
      ->check(CLI::PositiveNumber)
      ->group(text);
  app.add_option("--max-tokens", options.maxTokens,
                 "Only so many tokens from the beginning of the text")
      ->check(CLI::Range(int64_t(2), int64_t(1) << 40))
      ->group(text);

  const char *words = "Last-word accuracy";
  app.add_option("--lambada", options.lastWords,
                 "Passages whose last word is to be guessed, as JSON Lines: "
                 "{\"text\": \"...\"}")
      ->group(words);
  app.add_option("--max-passages", options.maxPassages,
                 "Only the first so many")
      ->check(CLI::PositiveNumber)
      ->group(words);

  app.parse(argc, argv);
  options.models = pair;
  if (!single.empty())
    options.models.push_back(single);
  checkUsage(options);
}

Result<std::unique_ptr<Model>> openModel(const std::string &path,
                                         const Options &options) {
  return isBundle(path) ? openBundle(path, options.model)
                        : openCheckpoint(path, options.model);
}

/// Fails where bundles are to run on a device, and there is none.
Status checkDevice(const Options &options) {
  const std::string &device = options.model.device;
  bool anywhere = device == "auto" || device == "reference";
  if (anywhere ||
      std::any_of(options.models.begin(), options.models.end(), isBundle))
    return Status::success();
  return invalidArgument("'" + options.models.front() +
                         "' is no bundle and cannot run on '" + device +
                         "'; odyssey-compile makes bundles");
}

Result<TextRun> planRun(const std::vector<std::unique_ptr<Model>> &models,
                        const TokenizedText &text, const Options &options) {
  TextRun run;
  run.path = options.text;
  run.bytes = text.bytes;
  run.tokens = static_cast<int64_t>(text.tokens.size());
  int64_t longest = models.front()->context;
  for (const auto &model : models)
    longest = std::min(longest, model->context);
  if (options.context > longest)
    return invalidArgument("--context=" + std::to_string(options.context) +
                           " is more than the model's context of " +
                           std::to_string(longest) + " tokens");
  run.windows.context =
      options.context ? options.context : std::min(kDefaultContext, longest);
  run.windows.bos = models.front()->bos;
  // With BOS in front, a window holds one token of the text less.
  int64_t width = run.windows.context - (run.windows.bos ? 1 : 0);
  run.windows.stride = options.stride ? options.stride : width;
  if (run.windows.stride > width)
    return invalidArgument("--stride=" + std::to_string(run.windows.stride) +
                           " leaves tokens out: a window has " +
                           std::to_string(width) + " of the text");
  return run;
}

Status checkComparable(const Model &a, const Model &b,
                       const TokenizedText &text, const Options &options) {
  if (a.vocabulary != b.vocabulary)
    return invalidArgument("vocabularies differ: '" + a.path + "' has " +
                           std::to_string(a.vocabulary) + " tokens, '" +
                           b.path + "' " + std::to_string(b.vocabulary));
  ODYSSEY_ASSIGN_OR_RETURN(TokenizedText other,
                           readText(b, options.text, options.maxTokens));
  if (other.tokens != text.tokens || a.bos != b.bos)
    return invalidArgument("'" + a.path + "' and '" + b.path +
                           "' make different tokens of the text");
  return Status::success();
}

Status firstFailure(const std::vector<std::unique_ptr<Model>> &models) {
  for (const auto &model : models)
    ODYSSEY_RETURN_IF_ERROR(model->failure);
  return Status::success();
}

Status measureText(const std::vector<std::unique_ptr<Model>> &models,
                   const Options &options, Json &json) {
  const Model &first = *models.front();
  ODYSSEY_ASSIGN_OR_RETURN(TokenizedText text,
                           readText(first, options.text, options.maxTokens));
  bool compares = models.size() == 2;
  if (compares)
    ODYSSEY_RETURN_IF_ERROR(
        checkComparable(first, *models.back(), text, options));
  ODYSSEY_ASSIGN_OR_RETURN(TextRun run, planRun(models, text, options));
  ProgressLine progress(options.quiet);
  run.windows.progress = [&](int64_t done, int64_t total) {
    progress.show(options.text,
                  static_cast<double>(done) / static_cast<double>(total));
    return true;
  };
  json["text"] = toJson(run);
  if (!options.json)
    print(run);
  if (compares) {
    ComparisonResult result = reference::compareModels(
        models[0]->sequenceLogits(), models[1]->sequenceLogits(), text.tokens,
        run.windows);
    progress.clear();
    ODYSSEY_RETURN_IF_ERROR(firstFailure(models));
    json["a"].update(toJson(run, result.a));
    json["b"].update(toJson(run, result.b));
    json.update(toJson(result));
    if (!options.json)
      print(run, result);
    return Status::success();
  }
  PerplexityResult result = reference::measurePerplexity(
      models[0]->sequenceLogits(), text.tokens, run.windows);
  progress.clear();
  ODYSSEY_RETURN_IF_ERROR(firstFailure(models));
  json["text"].update(toJson(run, result));
  if (!options.json)
    print(run, result);
  return Status::success();
}

Status measureLastWords(Model &model, const Options &options, Json &json) {
  ODYSSEY_ASSIGN_OR_RETURN(
      std::vector<reference::Passage> passages,
      readPassages(model, options.lastWords, options.maxPassages));
  ProgressLine progress(options.quiet);
  LastWordResult result = reference::measureLastWords(
      model.sequenceLogits(), passages, [&](int64_t done) {
        progress.show(options.lastWords,
                      static_cast<double>(done) /
                          static_cast<double>(passages.size()));
        return true;
      });
  progress.clear();
  ODYSSEY_RETURN_IF_ERROR(model.failure);
  json["last_words"] = {{"file", options.lastWords}};
  json["last_words"].update(toJson(result));
  if (!options.json) {
    std::printf("%-14s %s\n", "passages", options.lastWords.c_str());
    print(result);
  }
  return Status::success();
}

Status run(const Options &options) {
  ODYSSEY_RETURN_IF_ERROR(checkDevice(options));
  std::vector<std::unique_ptr<Model>> models;
  for (const std::string &path : options.models) {
    ODYSSEY_ASSIGN_OR_RETURN(std::unique_ptr<Model> model,
                             openModel(path, options));
    models.push_back(std::move(model));
    if (!options.json)
      print(*models.back());
  }
  Json json;
  if (models.size() == 2)
    json = {{"a", toJson(*models[0])}, {"b", toJson(*models[1])}};
  else
    json = toJson(*models[0]);
  if (!options.text.empty())
    ODYSSEY_RETURN_IF_ERROR(measureText(models, options, json));
  if (!options.lastWords.empty())
    ODYSSEY_RETURN_IF_ERROR(measureLastWords(*models[0], options, json));
  if (options.json)
    std::printf("%s\n", json.dump(2).c_str());
  if (std::fflush(stdout) != 0)
    return ioError("cannot write to standard output");
  return Status::success();
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app("Measures the quality of a bundle or a checkpoint",
               "odyssey-eval");
  try {
    parse(app, argc, argv, options);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : kUsageError;
  }
  Status status = run(options);
  if (status.ok())
    return 0;
  std::fprintf(stderr, "odyssey-eval: error: %s\n", status.message().c_str());
  return kEvalError;
}

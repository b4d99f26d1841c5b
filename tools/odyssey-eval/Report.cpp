//===- Report.cpp - Results of odyssey-eval -------------------------------===//

#include "Report.h"

#include <cmath>
#include <cstdio>
#include <numbers>

using namespace odyssey;
using namespace odyssey::eval;
using reference::ComparisonResult;
using reference::LastWordResult;
using reference::PerplexityResult;

double eval::bitsPerByte(const TextRun &run, const PerplexityResult &result) {
  return result.meanLoss() / std::numbers::ln2 *
         static_cast<double>(run.tokens) / static_cast<double>(run.bytes);
}

Json eval::toJson(const Model &model) {
  return {{"model", model.path}, {"device", model.device}};
}

Json eval::toJson(const TextRun &run) {
  Json json = {{"file", run.path},
               {"bytes", run.bytes},
               {"tokens", run.tokens},
               {"context", run.windows.context},
               {"stride", run.windows.stride},
               {"bos", nullptr}};
  if (run.windows.bos)
    json["bos"] = *run.windows.bos;
  return json;
}

Json eval::toJson(const TextRun &run, const PerplexityResult &result) {
  return {{"scored_tokens", result.tokens},
          {"loss", result.meanLoss()},
          {"perplexity", result.perplexity()},
          {"bits_per_byte", bitsPerByte(run, result)}};
}

Json eval::toJson(const ComparisonResult &result) {
  return {{"kl_divergence", result.meanDivergence()},
          {"kl_divergence_median", result.divergenceQuantile(0.5)},
          {"kl_divergence_99_percent", result.divergenceQuantile(0.99)},
          {"kl_divergence_max", result.divergenceQuantile(1)},
          {"top1_agreement", result.agreement()}};
}

Json eval::toJson(const LastWordResult &result) {
  return {{"passages", result.passages},
          {"correct", result.correct},
          {"accuracy", result.accuracy()},
          {"last_word_tokens", result.prediction.tokens},
          {"last_word_perplexity", result.prediction.perplexity()}};
}

static void printLine(const char *what, const std::string &value) {
  std::printf("%-14s %s\n", what, value.c_str());
}

static std::string format(const char *pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

void eval::print(const Model &model) {
  printLine("model", model.path);
  printLine("device", model.device);
}

void eval::print(const TextRun &run) {
  std::string windows = "context " + std::to_string(run.windows.context) +
                        ", stride " + std::to_string(run.windows.stride) +
                        (run.windows.bos ? ", with BOS" : ", no BOS");
  printLine("text", run.path);
  printLine("", std::to_string(run.tokens) + " tokens of " +
                    std::to_string(run.bytes) + " bytes, " + windows);
}

void eval::print(const TextRun &run, const PerplexityResult &result) {
  printLine("perplexity", format("%.4f", result.perplexity()) + " over " +
                              std::to_string(result.tokens) + " tokens");
  printLine("bits per byte", format("%.4f", bitsPerByte(run, result)));
}

void eval::print(const TextRun &run, const ComparisonResult &result) {
  std::printf("%-14s %12s %12s\n", "", "A", "B");
  std::printf("%-14s %12.4f %12.4f\n", "perplexity", result.a.perplexity(),
              result.b.perplexity());
  std::printf("%-14s %12.4f %12.4f\n", "bits per byte",
              bitsPerByte(run, result.a), bitsPerByte(run, result.b));
  printLine("KL(A || B)",
            format("mean %.5f", result.meanDivergence()) +
                format(", median %.5f", result.divergenceQuantile(0.5)) +
                format(", 99 %% of tokens below %.5f",
                       result.divergenceQuantile(0.99)) +
                format(", greatest %.5f nats", result.divergenceQuantile(1)));
  printLine("same top token", format("%.2f %%", 100 * result.agreement()) +
                                  " of " + std::to_string(result.a.tokens) +
                                  " tokens");
}

void eval::print(const LastWordResult &result) {
  printLine("last words", format("%.2f %%", 100 * result.accuracy()) +
                              " right: " + std::to_string(result.correct) +
                              " of " + std::to_string(result.passages));
  printLine("", format("perplexity of their tokens %.4f",
                       result.prediction.perplexity()));
}

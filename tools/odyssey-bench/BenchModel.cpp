//===- BenchModel.cpp - Prefill and decode rates of a decoder -------------===//

#include "Bench.h"
#include "GemmReport.h"
#include "Measure.h"
#include "Output.h"
#include "Plots.h"
#include "ProcessTime.h"
#include "Roofline.h"

#include "odyssey/runtime/DeviceRegistry.h"
#include "odyssey/runtime/Session.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <set>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;
using Json = nlohmann::ordered_json;

namespace {

double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Seconds of each prefill and of each decode step of one batch.
struct Samples {
  std::vector<double> prefill, decode;
};

/// The first run is not measured: it records graphs.
Result<Samples> sample(Session &session, int64_t batch,
                       const ModelOptions &options) {
  // Any tokens do: what a step costs does not depend on which they are.
  std::vector<int32_t> prompt(static_cast<size_t>(options.promptTokens));
  for (size_t i = 0; i < prompt.size(); ++i)
    prompt[i] = static_cast<int32_t>(
        (i * 7919 + 13) % static_cast<size_t>(session.model().vocabulary));
  Samples samples;
  for (int run = 0; run <= options.runs; ++run) {
    std::vector<Session::Input> inputs;
    for (int64_t i = 0; i < batch; ++i) {
      ODYSSEY_ASSIGN_OR_RETURN(SequenceId sequence, session.addSequence());
      inputs.push_back({sequence, prompt});
    }
    double begin = now();
    ODYSSEY_ASSIGN_OR_RETURN(auto outputs, session.step(inputs));
    double end = now();
    if (run > 0)
      samples.prefill.push_back(end - begin);
    for (int64_t step = 0; step < options.decodeTokens; ++step) {
      for (size_t i = 0; i < inputs.size(); ++i)
        inputs[i].tokens = {&outputs[i].nextToken, 1};
      begin = now();
      ODYSSEY_ASSIGN_OR_RETURN(auto next, session.step(inputs));
      end = now();
      if (run > 0)
        samples.decode.push_back(end - begin);
      outputs = std::move(next);
    }
    for (const Session::Input &input : inputs)
      ODYSSEY_RETURN_IF_ERROR(session.removeSequence(input.sequence));
  }
  return samples;
}

Timing timingOf(const std::vector<double> &samples) {
  return {percentile(samples, 0.5), percentile(samples, 0.1),
          percentile(samples, 0.9), 1, static_cast<int>(samples.size())};
}

/// Bytes that one decode step of `batch` sequences of `length` tokens has to
/// read: the weights of all products, and the keys and values.
double decodeBytes(const Plan &plan, int64_t batch, double length) {
  const DecoderPlan &model = *plan.model;
  std::set<int64_t> weights;
  for (uint32_t f : {model.forward, model.logits}) {
    const FunctionPlan &function = plan.functions[f];
    size_t bucket = function.bucketFor(batch).value_or(0);
    for (const StepPlan &step : function.buckets[bucket].steps) {
      const std::string &kind = plan.kernels[step.kernel].kind;
      if (kind != "matmul" && kind != "lm_head")
        continue;
      for (const ArgumentPlan &argument : step.arguments)
        if (argument.kind == ArgumentPlan::Kind::Weight)
          weights.insert(argument.value);
    }
  }
  double bytes = 0;
  for (int64_t index : weights)
    bytes +=
        static_cast<double>(plan.weights[static_cast<size_t>(index)].bytes(0));
  double cacheBytes = static_cast<double>(plan.states[model.kvCache].bytes(0)) /
                      static_cast<double>(model.pages * model.pageTokens);
  return bytes + static_cast<double>(batch) * length * cacheBytes;
}

Json measureBatch(Session &session, int64_t batch, const ModelOptions &options,
                  const Peaks &peaks, const Samples &samples) {
  const Plan &plan = session.executor().bundle().plan();
  Timing prefill = timingOf(samples.prefill), decode = timingOf(samples.decode);
  int64_t weightBits = plan.weightBits();
  Json json = {
      {"engine", plan.producer},
      {"name", "odyssey_w" + std::to_string(weightBits) + "a8"},
      {"model", plan.model->name},
      {"weight_bits", weightBits},
      {"batch", batch},
      {"prompt_tokens", options.promptTokens},
      {"decode_tokens", options.decodeTokens},
      {"prefill_seconds", toJson(prefill)},
      {"decode_step_seconds", toJson(decode)},
      {"prefill_tokens_per_second",
       static_cast<double>(batch * options.promptTokens) / prefill.median},
      {"decode_tokens_per_second", static_cast<double>(batch) / decode.median}};
  double length = static_cast<double>(options.promptTokens) +
                  static_cast<double>(options.decodeTokens) / 2;
  double bytes = decodeBytes(plan, batch, length);
  json["decode_bytes_per_step"] = bytes;
  if (peaks.bytesPerSecond > 0)
    json["decode_percent_of_floor"] =
        100 * bytes / peaks.bytesPerSecond / decode.median;
  return json;
}

void printResult(const Json &result) {
  std::printf("%-6lld prefill %10.1f tokens/s (%lld tokens each)   decode "
              "%10.1f tokens/s (%lld steps)",
              result["batch"].get<long long>(),
              result["prefill_tokens_per_second"].get<double>(),
              result["prompt_tokens"].get<long long>(),
              result["decode_tokens_per_second"].get<double>(),
              result["decode_tokens"].get<long long>());
  if (result.contains("decode_percent_of_floor"))
    std::printf(", %.1f %% of the memory's floor",
                result["decode_percent_of_floor"].get<double>());
  std::printf("\n");
}

Status checkLengths(const DecoderPlan &model, const ModelOptions &options) {
  int64_t length = options.promptTokens + options.decodeTokens;
  if (length > model.context)
    return invalidArgument(
        "a prompt of " + std::to_string(options.promptTokens) + " tokens and " +
        std::to_string(options.decodeTokens) +
        " decode steps do not fit into the bundle's context of " +
        std::to_string(model.context) + " tokens");
  for (int64_t batch : options.batches)
    if (batch > model.maxBatch)
      return invalidArgument("a batch of " + std::to_string(batch) +
                             " is more than the " +
                             std::to_string(model.maxBatch) +
                             " sequences that the bundle was compiled for");
  return Status::success();
}

} // namespace

Status bench::benchModel(const ModelOptions &options) {
  ODYSSEY_ASSIGN_OR_RETURN(auto bundle, Bundle::open(options.bundle));
  ODYSSEY_ASSIGN_OR_RETURN(auto device, openDevice(options.device));
  ODYSSEY_ASSIGN_OR_RETURN(
      auto session, Session::create(bundle, device,
                                    options.synthetic ? WeightSource::Synthetic
                                                      : WeightSource::Bundle));
  ODYSSEY_RETURN_IF_ERROR(checkLengths(session->model(), options));
  Peaks peaks = peaksOf(device->properties());
  Json json = {
      {"format", 1},
      {"benchmark", "model"},
      {"device", toJson(device->properties(), peaks)},
      {"bundle", std::filesystem::path(bundle->path()).filename().string()},
      {"weights", options.synthetic ? "synthetic" : "bundle"},
      {"load_seconds",
       {{"modules", session->executor().loadTimes().modules},
        {"weights", session->executor().loadTimes().weights}}},
      {"results", Json::array()}};
  // Process start to first token.
  int32_t token = 0;
  ODYSSEY_ASSIGN_OR_RETURN(SequenceId first, session->addSequence());
  Session::Input input{first, {&token, 1}};
  ODYSSEY_RETURN_IF_ERROR(session->step({&input, 1}).status());
  ODYSSEY_RETURN_IF_ERROR(session->removeSequence(first));
  json["first_token_seconds"] = run::processSeconds();

  if (!options.json)
    std::printf("device %s\nfirst token after %.2f s\nbatch\n",
                device->properties().name.c_str(),
                json["first_token_seconds"].get<double>());
  Status status;
  for (int64_t batch : options.batches) {
    Result<Samples> samples = sample(*session, batch, options);
    if (!samples.ok()) {
      status = samples.status();
      json["error"] = status.message();
      break;
    }
    json["results"].push_back(
        measureBatch(*session, batch, options, peaks, *samples));
    if (!options.json)
      printResult(json["results"].back());
  }
  ODYSSEY_RETURN_IF_ERROR(writeJson(json, options.json, options.output));
  if (!options.plot.empty())
    ODYSSEY_RETURN_IF_ERROR(plotDocument(json, options.plot));
  return status;
}

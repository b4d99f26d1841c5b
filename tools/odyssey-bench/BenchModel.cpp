//===- BenchModel.cpp - Prefill and decode rates of a decoder -------------===//

#include "Bench.h"

#include "odyssey/runtime/DeviceRegistry.h"
#include "odyssey/runtime/Session.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>

using namespace odyssey;
using namespace odyssey::runtime;

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

static double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Status bench::benchModel(const ModelOptions &options) {
  ODYSSEY_ASSIGN_OR_RETURN(auto bundle, Bundle::open(options.bundle));
  ODYSSEY_ASSIGN_OR_RETURN(auto device, openDevice(options.device));
  std::string deviceName = device->properties().name;
  ODYSSEY_ASSIGN_OR_RETURN(auto session, Session::create(bundle, device));

  // Any tokens do: what a step costs does not depend on which they are.
  std::vector<int32_t> prompt(options.promptTokens);
  for (size_t i = 0; i < prompt.size(); ++i)
    prompt[i] =
        static_cast<int32_t>((i * 7919 + 13) % session->model().vocabulary);
  std::vector<double> prefill, decode;
  for (int run = 0; run < options.runs; ++run) {
    ODYSSEY_ASSIGN_OR_RETURN(SequenceId sequence, session->addSequence());
    double start = now();
    Session::Input input{sequence, prompt};
    ODYSSEY_ASSIGN_OR_RETURN(auto outputs, session->step({&input, 1}));
    double middle = now();
    for (int64_t i = 0; i < options.decodeTokens; ++i) {
      int32_t token = outputs[0].nextToken;
      Session::Input next{sequence, {&token, 1}};
      ODYSSEY_ASSIGN_OR_RETURN(outputs, session->step({&next, 1}));
    }
    decode.push_back(static_cast<double>(options.decodeTokens) /
                     (now() - middle));
    prefill.push_back(static_cast<double>(options.promptTokens) /
                      (middle - start));
    ODYSSEY_RETURN_IF_ERROR(session->removeSequence(sequence));
  }
  if (options.json) {
    nlohmann::ordered_json json = {{"bundle", bundle->path()},
                                   {"device", deviceName},
                                   {"prompt_tokens", options.promptTokens},
                                   {"decode_tokens", options.decodeTokens},
                                   {"prefill_tokens_per_second", prefill},
                                   {"decode_tokens_per_second", decode}};
    std::printf("%s\n", json.dump(2).c_str());
    return Status::success();
  }
  std::printf("device   %s\n", deviceName.c_str());
  std::printf("prefill  %8.1f tokens/s (%lld tokens, median of %d)\n",
              median(prefill), static_cast<long long>(options.promptTokens),
              options.runs);
  std::printf("decode   %8.1f tokens/s (%lld tokens, median of %d)\n",
              median(decode), static_cast<long long>(options.decodeTokens),
              options.runs);
  return Status::success();
}

//===- run_text.cpp - Generating text through the C++ API -----------------===//
//
//   run_text_cpp model.odyssey "Once upon a time"
//
//===----------------------------------------------------------------------===//

#include "odyssey/runtime/DeviceRegistry.h"
#include "odyssey/runtime/Generator.h"

#include <iostream>

using namespace odyssey::runtime;

static Status run(const char *path, const char *prompt) {
  ODYSSEY_ASSIGN_OR_RETURN(auto bundle, Bundle::open(path));
  ODYSSEY_ASSIGN_OR_RETURN(auto device, openDevice("auto"));
  ODYSSEY_ASSIGN_OR_RETURN(auto generator, Generator::create(bundle, device));

  GenerateOptions options;
  options.sampling.temperature = 0.8f;
  options.sampling.topP = 0.95f;
  ODYSSEY_ASSIGN_OR_RETURN(
      GenerateResult result,
      generator->generate(prompt, options, [](std::string_view text) {
        std::cout << text << std::flush;
        return true;
      }));
  std::cout << "\n(" << result.tokens.size() << " tokens on "
            << device->properties().name << ")\n";
  return Status::success();
}

int main(int argc, char **argv) {
  if (argc != 3) {
    std::cerr << "usage: run_text_cpp BUNDLE PROMPT\n";
    return 2;
  }
  Status status = run(argv[1], argv[2]);
  if (!status.ok())
    std::cerr << "run_text_cpp: " << statusCodeName(status.code()) << ": "
              << status.message() << "\n";
  return status.ok() ? 0 : 1;
}

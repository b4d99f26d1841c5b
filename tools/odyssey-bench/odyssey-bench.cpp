//===- odyssey-bench.cpp - Measures devices and models --------------------===//

#include "Bench.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace odyssey;

int main(int argc, char **argv) {
  CLI::App app("Measures devices and models");
  app.require_subcommand(1);

  bench::EmulatorOptions emulator;
  CLI::App *emulatorCommand =
      app.add_subcommand("emulator", "Rates of the PTX emulator");
  emulatorCommand->add_option("--threads", emulator.threads,
                              "Threads, 0 for all cores (default: 1)");
  emulatorCommand
      ->add_option("--seconds", emulator.seconds,
                   "How long to measure each rate (default: 0.5)")
      ->check(CLI::PositiveNumber);
  emulatorCommand->add_flag("--json", emulator.json, "Print JSON");

  bench::ModelOptions model;
  CLI::App *modelCommand =
      app.add_subcommand("model", "Prefill and decode of a bundle");
  modelCommand->add_option("BUNDLE", model.bundle, "The compiled model")
      ->required();
  modelCommand->add_option("--device", model.device,
                           "auto, cuda, cuda:N or emulator");
  modelCommand->add_option("--prompt-tokens", model.promptTokens)
      ->check(CLI::PositiveNumber);
  modelCommand->add_option("--decode-tokens", model.decodeTokens)
      ->check(CLI::PositiveNumber);
  modelCommand->add_option("--runs", model.runs)->check(CLI::PositiveNumber);
  modelCommand->add_flag("--json", model.json, "Print JSON");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  runtime::Status status = *emulatorCommand ? bench::benchEmulator(emulator)
                                            : bench::benchModel(model);
  if (!status.ok()) {
    std::fprintf(stderr, "odyssey-bench: error: %s\n",
                 status.message().c_str());
    return 1;
  }
  return 0;
}

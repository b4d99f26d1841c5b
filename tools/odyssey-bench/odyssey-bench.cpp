//===- odyssey-bench.cpp - Measures devices and models --------------------===//

#include "Bench.h"
#include "Plots.h"

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

  std::string deviceName = "auto", deviceOutput;
  CLI::App *deviceCommand =
      app.add_subcommand("device", "What a device is and announces, as JSON");
  deviceCommand->add_option("--device", deviceName,
                            "auto, cuda, cuda:N or emulator");
  deviceCommand->add_option("-o,--output", deviceOutput,
                            "Write to this file instead");

  bench::ModelOptions model;
  CLI::App *modelCommand =
      app.add_subcommand("model", "Prefill and decode of a bundle");
  modelCommand->add_option("BUNDLE", model.bundle, "The compiled model")
      ->required();
  modelCommand->add_option("--device", model.device,
                           "auto, cuda, cuda:N or emulator");
  modelCommand
      ->add_option("--prompt-tokens", model.promptTokens,
                   "Length of the prompts (default: 1024)")
      ->check(CLI::PositiveNumber);
  modelCommand
      ->add_option("--decode-tokens", model.decodeTokens,
                   "Decode steps (default: 128)")
      ->check(CLI::PositiveNumber);
  modelCommand
      ->add_option("--batch", model.batches,
                   "Sequences at once, one or more numbers (default: 1)")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  modelCommand->add_option("--runs", model.runs, "Measured runs (default: 3)")
      ->check(CLI::PositiveNumber);
  modelCommand->add_flag("--synthetic", model.synthetic,
                         "Make up the weights, on the device: for bundles "
                         "compiled with --weights=none");
  modelCommand->add_flag("--json", model.json, "Print JSON");
  modelCommand->add_option("-o,--output", model.output,
                           "Also write JSON to this file");
  modelCommand->add_option("--plot", model.plot,
                           "Also write charts to this SVG file");

  bench::GemmOptions gemm;
  CLI::App *gemmCommand = app.add_subcommand(
      "gemm", "The W4A8 products of bundles, checked and measured one by one");
  gemmCommand->add_option("BUNDLE", gemm.bundles, "Bundles or packs")
      ->required();
  gemmCommand->add_option("--device", gemm.device,
                          "auto, cuda, cuda:N or emulator");
  gemm.tokens = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
  gemmCommand
      ->add_option("--tokens", gemm.tokens,
                   "Values of M (default: powers of two up to 4096)")
      ->delimiter(',')
      ->check(CLI::Range(int64_t(1), int64_t(1) << 20));
  gemmCommand->add_option("--n", gemm.n, "Only products of this N");
  gemmCommand->add_option("--k", gemm.k, "Only products of this K");
  gemmCommand
      ->add_option("--seconds", gemm.seconds,
                   "How long to measure each kernel (default: 0.1)")
      ->check(CLI::PositiveNumber);
  gemmCommand
      ->add_option("--min-replays", gemm.minReplays,
                   "Samples of each at least (default: 5)")
      ->check(CLI::PositiveNumber);
  gemmCommand->add_flag("!--no-baselines", gemm.baselines,
                        "Leave cuBLASLt out");
  gemmCommand->add_option("--cublas", gemm.cublas,
                          "libcublasLt.so or its folder (default: search for "
                          "it)");
  gemmCommand->add_flag("--check-only", gemm.checkOnly,
                        "Compare results with the reference, measure nothing");
  gemmCommand->add_flag("--json", gemm.json, "Print JSON");
  gemmCommand->add_option("-o,--output", gemm.output,
                          "Also write JSON to this file");
  gemmCommand->add_option("--plot", gemm.plot,
                          "Also write charts to this SVG file: times over M, "
                          "and a roofline");

  std::vector<std::string> plotInputs;
  std::string plotOutput;
  CLI::App *plotCommand = app.add_subcommand(
      "plot", "Charts of results that were written before, also of scripts in "
              "benchmarks/");
  plotCommand->add_option("FILE.json", plotInputs, "Results")->required();
  plotCommand->add_option("-o,--output", plotOutput, "The SVG file to write")
      ->required();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  runtime::Status status;
  if (*emulatorCommand)
    status = bench::benchEmulator(emulator);
  else if (*deviceCommand)
    status = bench::describeDevice(deviceName, deviceOutput);
  else if (*gemmCommand)
    status = bench::benchGemm(gemm);
  else if (*modelCommand)
    status = bench::benchModel(model);
  else
    status = bench::plotFiles(plotInputs, plotOutput);
  if (!status.ok()) {
    std::fprintf(stderr, "odyssey-bench: error: %s\n",
                 status.message().c_str());
    return 1;
  }
  return 0;
}

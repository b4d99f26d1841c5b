//===- odyssey-tune.cpp - Measures schedules into a database --------------===//

#include "Tune.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace odyssey;

int main(int argc, char **argv) {
  CLI::App app("Measures schedules of products on a device, for "
               "odyssey-compile to choose by");
  app.require_subcommand(1);

  tune::PackOptions pack;
  CLI::App *packCommand = app.add_subcommand(
      "pack", "Write candidate kernels, by the odyssey-compile beside this");
  packCommand
      ->add_option("--shapes", pack.shapes,
                   "Model shapes or NxK: llama-2-7b,4096x11008,...")
      ->required();
  packCommand->add_option("--target", pack.target,
                          "What the kernels are for (default: sm_80)");
  packCommand->add_option("--gpu", pack.gpu,
                          "GPU of the target (default: the target's first)");
  packCommand
      ->add_option("--buckets", pack.buckets,
                   "Token counts, ascending (default: 1,8,16,...,512)")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  packCommand
      ->add_option("--candidates", pack.candidates,
                   "Candidates per product and token count (default: 12)")
      ->check(CLI::PositiveNumber);
  packCommand
      ->add_option("--weights", pack.weights,
                   "Width of the weights: i4 or i8 (default: i4)")
      ->check(CLI::IsMember({"i4", "i8"}));
  packCommand->add_option("-o,--output", pack.output, "The pack")->required();

  tune::RunOptions run;
  CLI::App *runCommand = app.add_subcommand(
      "run", "Measure packs and merge the times into a database");
  runCommand->add_option("PACKS", run.packs, "What `pack` wrote")
      ->required()
      ->expected(1, 1000);
  runCommand->add_option("--device", run.device,
                         "auto, cuda, cuda:N or emulator");
  runCommand->add_option("-o,--output", run.output, "The database")->required();
  runCommand
      ->add_option("--seconds", run.measure.seconds,
                   "Time for each candidate (default: 0.05)")
      ->check(CLI::PositiveNumber);
  runCommand
      ->add_option("--limit", run.limit,
                   "End after so many seconds, keeping what was measured "
                   "(default: never)")
      ->check(CLI::PositiveNumber);
  runCommand->add_flag("--quiet", run.quiet, "Print nothing but errors");

  std::vector<std::string> files;
  app.add_subcommand("merge", "Merge databases into the first; later ones win")
      ->add_option("FILES", files, "Databases")
      ->required()
      ->expected(1, 1000);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  runtime::Status status = *packCommand  ? tune::makePack(pack)
                           : *runCommand ? tune::runPacks(run)
                                         : tune::mergeFiles(files);
  if (!status.ok()) {
    std::fprintf(stderr, "odyssey-tune: error: %s\n", status.message().c_str());
    return 1;
  }
  return 0;
}

//===- MakePack.cpp - Lets the compiler write a pack ----------------------===//

#include "Tune.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <unistd.h>

using namespace odyssey;
using namespace odyssey::runtime;

Status tune::makePack(const PackOptions &options) {
  std::error_code code;
  std::filesystem::path self =
      std::filesystem::read_symlink("/proc/self/exe", code);
  std::string compiler = self.parent_path() / "odyssey-compile";
  if (code || access(compiler.c_str(), X_OK) != 0)
    return failedPrecondition("packs are made where the compiler is: there is "
                              "no odyssey-compile beside this program");
  std::vector<std::string> arguments = {compiler,
                                        options.shapes,
                                        "--emit=pack",
                                        "--target=" + options.target,
                                        "--weights=" + options.weights,
                                        "--candidates=" +
                                            std::to_string(options.candidates),
                                        "-o",
                                        options.output};
  if (!options.gpu.empty())
    arguments.push_back("--gpu=" + options.gpu);
  std::string buckets;
  for (int64_t tokens : options.buckets)
    buckets += (buckets.empty() ? "" : ",") + std::to_string(tokens);
  if (!buckets.empty())
    arguments.push_back("--buckets=" + buckets);
  std::vector<char *> pointers;
  for (std::string &argument : arguments)
    pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  execv(compiler.c_str(), pointers.data());
  return ioError("cannot run '" + compiler + "': " + std::strerror(errno));
}

//===- Output.cpp - Where results go --------------------------------------===//

#include "Output.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>

using namespace odyssey;
using namespace odyssey::runtime;

Status bench::writeJson(const nlohmann::ordered_json &json, bool print,
                        const std::string &file) {
  std::string text = json.dump(2) + "\n";
  if (print)
    std::fputs(text.c_str(), stdout);
  return file.empty() ? Status::success() : writeFile(text, file);
}

Status bench::writeFile(const std::string &text, const std::string &file) {
  std::ofstream stream(file, std::ios::binary);
  stream << text;
  stream.close();
  if (!stream)
    return ioError("cannot write '" + file + "'");
  return Status::success();
}

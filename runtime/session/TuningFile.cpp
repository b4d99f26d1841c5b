//===- TuningFile.cpp - Measured times of schedules -----------------------===//

#include "odyssey/runtime/TuningFile.h"

#include "odyssey/runtime/OutputFiles.h"
#include "odyssey/runtime/TuningFormat.h"

#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace odyssey::runtime {

namespace {

using Json = nlohmann::ordered_json;

/// One line, without its comma. False when it is no sound entry.
bool parseEntry(std::string_view line, TuningKey &key, TuningTime &time) {
  Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return false;
  auto text = [&](const char *name, std::string &value) {
    auto found = json.find(name);
    if (found == json.end() || !found->is_string())
      return false;
    value = found->get<std::string>();
    return !value.empty();
  };
  auto number = [&](const char *name, int64_t least, int64_t &value) {
    auto found = json.find(name);
    if (found == json.end() || !found->is_number_integer())
      return false;
    value = found->get<int64_t>();
    return value >= least;
  };
  // Left out for the usual width.
  key.weightBits = tuning::kDefaultWeightBits;
  if (json.contains("weight_bits") && !number("weight_bits", 1, key.weightBits))
    return false;
  return text("gpu", key.gpu) && text("target", key.target) &&
         number("n", 1, key.n) && number("k", 1, key.k) &&
         number("tokens", 1, key.tokens) && text("schedule", key.schedule) &&
         number("ns", 1, time.nanoseconds) &&
         number("spread_ns", 0, time.spread);
}

Json entryJson(const TuningKey &key, const TuningTime &time) {
  Json json = {{"gpu", key.gpu},
               {"target", key.target},
               {"n", key.n},
               {"k", key.k},
               {"tokens", key.tokens}};
  if (key.weightBits != tuning::kDefaultWeightBits)
    json["weight_bits"] = key.weightBits;
  json["schedule"] = key.schedule;
  json["ns"] = time.nanoseconds;
  json["spread_ns"] = time.spread;
  return json;
}

/// The version in the first line, -1 when that is none.
int64_t versionOf(std::string_view line) {
  Json json = Json::parse(std::string(line) + tuning::kEnd, nullptr, false);
  if (!json.is_object() || !json.contains("odyssey_tuning") ||
      !json["odyssey_tuning"].is_number_integer())
    return -1;
  return json["odyssey_tuning"].get<int64_t>();
}

} // namespace

Result<TuningFile> TuningFile::parse(const std::string &name,
                                     std::string_view text) {
  TuningFile file;
  size_t number = 0;
  bool ended = false;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    ++number;
    while (!line.empty() && (line.back() == '\r' || line.back() == ' '))
      line.remove_suffix(1);
    if (number == 1) {
      int64_t version = versionOf(line);
      if (version < 0)
        return dataLoss("'" + name + "' is no tuning database");
      if (version < tuning::kOldestVersion || version > tuning::kVersion)
        return failedPrecondition(
            "'" + name + "' is a tuning database of version " +
            std::to_string(version) + ", this program reads versions " +
            std::to_string(tuning::kOldestVersion) + " to " +
            std::to_string(tuning::kVersion));
      continue;
    }
    if (line.empty())
      continue;
    if (line == tuning::kEnd) {
      ended = true;
      continue;
    }
    if (line.back() == ',')
      line.remove_suffix(1);
    TuningKey key;
    TuningTime time;
    if (parseEntry(line, key, time))
      file.set(key, time);
    else
      file.warnings.push_back(name + ":" + std::to_string(number) +
                              ": skipped a damaged entry");
  }
  if (number == 0)
    return dataLoss("'" + name + "' is no tuning database");
  if (!ended)
    file.warnings.push_back(name + ": the end is missing");
  return file;
}

Result<TuningFile> TuningFile::read(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream)
    return errno == ENOENT
               ? Result<TuningFile>(TuningFile())
               : ioError("cannot read '" + path + "': " + std::strerror(errno));
  std::ostringstream content;
  content << stream.rdbuf();
  return parse(path, content.str());
}

void TuningFile::merge(const TuningFile &other) {
  for (const auto &[key, time] : other.entries)
    set(key, time);
}

std::string TuningFile::text() const {
  std::string text = tuning::kBegin;
  const char *separator = "\n";
  for (const auto &[key, time] : entries) {
    text += separator + entryJson(key, time).dump();
    separator = ",\n";
  }
  return text + "\n" + tuning::kEnd + "\n";
}

Status TuningFile::write(const std::string &path) const {
  OutputFiles files;
  ODYSSEY_RETURN_IF_ERROR(files.write(path, text()));
  return files.commit();
}

} // namespace odyssey::runtime

//===- TuningDatabase.cpp - Measured times of schedules -------------------===//

#include "odyssey/Schedule/TuningDatabase.h"

#include "BuiltinTuning.h"
#include "odyssey/Layout/PackedWeights.h"
#include "odyssey/runtime/TuningFormat.h"

#include "mlir/AsmParser/AsmParser.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

using namespace mlir;
using namespace odyssey;
namespace json = llvm::json;

/// What kernels walk over: products that differ in less are the same.
static int64_t paddedK(int64_t k) {
  return layout::roundUp(k, layout::kBlockK);
}

TuningDatabase TuningDatabase::builtin(Warn warn) {
  TuningDatabase database;
  for (const BuiltinTuning &file : builtinTuning())
    if (llvm::Error error = database.addText(file.name, file.text, warn))
      warn(llvm::toString(std::move(error)));
  return database;
}

llvm::Expected<TuningDatabase>
TuningDatabase::load(ArrayRef<std::string> paths,
                     const TargetDescription &target, Warn warn) {
  TuningDatabase database = builtin(warn);
  for (const std::string &path : paths) {
    if (llvm::Error error = database.addFile(path, warn))
      return error;
    if (!database.hasEntries(path, target))
      warn("'" + path + "' has no entries for " + target.driverName + " (" +
           target.name + "), but for " + database.gpusOf(path));
  }
  return database;
}

llvm::Error TuningDatabase::addFile(StringRef path, Warn warn) {
  auto file = llvm::MemoryBuffer::getFile(path, /*IsText=*/true);
  if (!file)
    return llvm::createStringError("cannot read '" + path +
                                   "': " + file.getError().message());
  return addText(path, (*file)->getBuffer(), warn);
}

/// The version that a file's first line says; nothing when it says none.
static std::optional<int64_t> versionOf(StringRef line) {
  auto value = json::parse((line + tuning::kEnd).str());
  if (!value) {
    llvm::consumeError(value.takeError());
    return std::nullopt;
  }
  const json::Object *object = value->getAsObject();
  return object ? object->getInteger("odyssey_tuning") : std::nullopt;
}

llvm::Error TuningDatabase::addText(StringRef name, StringRef text, Warn warn) {
  SmallVector<StringRef> lines;
  text.split(lines, '\n');
  std::optional<int64_t> version = versionOf(lines.front().rtrim());
  if (!version)
    return llvm::createStringError("'" + name + "' is no tuning database");
  if (*version < tuning::kOldestVersion || *version > tuning::kVersion)
    return llvm::createStringError(
        "'" + name + "' is a tuning database of version " + Twine(*version) +
        ", this compiler reads versions " + Twine(tuning::kOldestVersion) +
        " to " + Twine(tuning::kVersion));
  for (size_t i = 1; i < lines.size(); ++i) {
    StringRef line = lines[i].rtrim();
    if (line.empty() || line == tuning::kEnd)
      continue;
    line.consume_back(",");
    auto value = json::parse(line);
    const json::Object *entry = value ? value->getAsObject() : nullptr;
    auto string = [&](StringRef field) {
      return entry ? entry->getString(field).value_or("").str() : "";
    };
    auto number = [&](StringRef field, int64_t otherwise = 0) {
      return entry ? entry->getInteger(field).value_or(otherwise) : otherwise;
    };
    Key key{
        string("gpu"),     string("target"),
        number("n"),       number("k"),
        number("tokens"),  number("weight_bits", tuning::kDefaultWeightBits),
        string("schedule")};
    int64_t nanoseconds = number("ns");
    if (!value)
      llvm::consumeError(value.takeError());
    if (key.gpu.empty() || key.target.empty() || key.schedule.empty() ||
        key.n < 1 || key.k < 1 || key.tokens < 1 || nanoseconds < 1 ||
        !layout::isWeightWidth(key.weightBits)) {
      warn(name + ":" + Twine(i + 1) + ": skipped a damaged entry");
      continue;
    }
    entries[key] = {static_cast<double>(nanoseconds) * 1e-9, name.str()};
  }
  return llvm::Error::success();
}

bool TuningDatabase::matches(const Key &key, const TargetDescription &target) {
  return key.target == target.name &&
         StringRef(key.gpu).contains(target.driverName);
}

std::vector<TuningEntry> TuningDatabase::find(const TargetDescription &target,
                                              const ProductShape &shape) const {
  std::vector<TuningEntry> found;
  // What is measured are products without groups.
  if (shape.weights.groupSize != 0)
    return found;
  for (const auto &[key, time] : entries)
    if (key.n == shape.n && paddedK(key.k) == paddedK(shape.k) &&
        key.tokens == shape.tokens && key.weightBits == shape.weights.bits &&
        matches(key, target))
      found.push_back({key.schedule, time.seconds, time.source});
  std::sort(found.begin(), found.end(), [](const auto &a, const auto &b) {
    return std::tie(a.seconds, a.schedule) < std::tie(b.seconds, b.schedule);
  });
  return found;
}

std::vector<ProductShape>
TuningDatabase::shapes(const TargetDescription &target) const {
  std::vector<ProductShape> shapes;
  for (const auto &[key, time] : entries) {
    ProductShape shape{key.tokens, key.n, key.k, {.bits = key.weightBits}};
    if (matches(key, target) && (shapes.empty() || shapes.back() != shape))
      shapes.push_back(shape);
  }
  return shapes;
}

std::string TuningDatabase::gpusOf(StringRef source) const {
  std::string gpus;
  StringRef last;
  for (const auto &[key, time] : entries)
    if (time.source == source && key.gpu != last) {
      gpus += (gpus.empty() ? "" : ", ") + key.gpu + " (" + key.target + ")";
      last = key.gpu;
    }
  return gpus.empty() ? "none at all" : gpus;
}

bool TuningDatabase::hasEntries(StringRef source,
                                const TargetDescription &target) const {
  return llvm::any_of(entries, [&](const auto &entry) {
    return entry.second.source == source && matches(entry.first, target);
  });
}

std::string odyssey::scheduleText(fastgemm::ScheduleAttr schedule) {
  std::string text;
  llvm::raw_string_ostream(text) << schedule;
  StringRef inner = text;
  return inner.substr(inner.find('<') + 1).drop_back().str();
}

fastgemm::ScheduleAttr odyssey::parseSchedule(MLIRContext *context,
                                              StringRef text) {
  // A schedule that a database has and that is none is its own message.
  ScopedDiagnosticHandler quiet(context,
                                [](Diagnostic &) { return success(); });
  return dyn_cast_or_null<fastgemm::ScheduleAttr>(
      parseAttribute(("#fastgemm.schedule<" + text + ">").str(), context));
}

//===- ShardedSafetensors.cpp - The weights of a folder -------------------===//

#include "odyssey/Frontend/Checkpoint/ShardedSafetensors.h"

#include "Json.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <map>

using namespace odyssey;
using llvm::createStringError;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

static std::string join(StringRef folder, StringRef name) {
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, name);
  return path.str().str();
}

/// Opens the files that model.safetensors.index.json at `index` lists.
static Expected<std::vector<std::unique_ptr<SafetensorsReader>>>
openShards(StringRef folder, StringRef index) {
  Expected<llvm::json::Object> object = readJsonObject(index);
  if (!object)
    return object.takeError();
  auto fail = [&](const Twine &what) {
    return llvm::createFileError(index, createStringError(what));
  };
  const llvm::json::Object *map = object->getObject("weight_map");
  if (!map)
    return fail("there is no 'weight_map'");
  // By name, so that the shards come in their order.
  std::map<std::string, std::vector<std::string>> tensorsOfFile;
  for (const auto &[tensor, value] : *map) {
    std::optional<StringRef> file = value.getAsString();
    if (!file || file->empty() || *file != llvm::sys::path::filename(*file))
      return fail("tensor '" + StringRef(tensor) +
                  "' is not in a file of this folder");
    tensorsOfFile[file->str()].push_back(tensor.str());
  }
  std::vector<std::unique_ptr<SafetensorsReader>> shards;
  llvm::StringSet<> names;
  for (const auto &[file, tensors] : tensorsOfFile) {
    Expected<std::unique_ptr<SafetensorsReader>> reader =
        SafetensorsReader::open(join(folder, file));
    if (!reader)
      return reader.takeError();
    for (const std::string &tensor : tensors)
      if (!(*reader)->find(tensor))
        return fail("tensor '" + tensor + "' is not in '" + file + "'");
    for (const SafetensorsTensor &tensor : (*reader)->tensors())
      if (!names.insert(tensor.name).second)
        return createStringError("tensor '" + tensor.name + "' appears twice");
    shards.push_back(std::move(*reader));
  }
  return shards;
}

Expected<ShardedSafetensors> ShardedSafetensors::open(StringRef folder) {
  ShardedSafetensors result;
  std::string single = join(folder, "model.safetensors");
  std::string index = join(folder, "model.safetensors.index.json");
  if (llvm::sys::fs::exists(single) || !llvm::sys::fs::exists(index)) {
    Expected<std::unique_ptr<SafetensorsReader>> reader =
        SafetensorsReader::open(single);
    if (!reader)
      return reader.takeError();
    result.files.push_back(std::move(*reader));
    return result;
  }
  Expected<std::vector<std::unique_ptr<SafetensorsReader>>> shards =
      openShards(folder, index);
  if (!shards)
    return shards.takeError();
  result.files = std::move(*shards);
  return result;
}

const SafetensorsTensor *ShardedSafetensors::find(StringRef name) const {
  for (const auto &file : files)
    if (const SafetensorsTensor *tensor = file->find(name))
      return tensor;
  return nullptr;
}

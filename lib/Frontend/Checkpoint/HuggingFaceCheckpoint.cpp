//===- HuggingFaceCheckpoint.cpp - Hugging Face folders -------------------===//

#include "CheckpointFormats.h"
#include "HuggingFaceConfig.h"
#include "Json.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"
#include "odyssey/Frontend/Checkpoint/Safetensors.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <map>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::Twine;

namespace {

class HuggingFaceCheckpoint : public Checkpoint {
public:
  explicit HuggingFaceCheckpoint(StringRef folder) : folder(folder) {}

  Error read();

private:
  Error readConfig();
  Error openShards();
  Error readTensors();

  std::string pathOf(StringRef name) const {
    llvm::SmallString<128> path(folder);
    llvm::sys::path::append(path, name);
    return path.str().str();
  }

  std::string folder;
  std::vector<std::unique_ptr<SafetensorsReader>> shards;
};

} // namespace

static const StringRef embeddingName = "model.embed_tokens.weight";
static const StringRef lmHeadName = "lm_head.weight";

Error HuggingFaceCheckpoint::readConfig() {
  Expected<llvm::json::Object> object = readJsonObject(pathOf("config.json"));
  if (!object)
    return object.takeError();
  if (const llvm::json::Object *quantization =
          object->getObject("quantization_config"))
    return createStringError(
        "the checkpoint is quantized already ('" +
        quantization->getString("quant_method").value_or("unknown method") +
        "')");
  Expected<ModelConfig> config = parseHuggingFaceConfig(*object);
  if (!config)
    return config.takeError();
  modelConfig = std::move(*config);

  // Instruction-tuned models end their turns by more tokens than config.json
  // knows.
  std::string generation = pathOf("generation_config.json");
  if (llvm::sys::fs::exists(generation)) {
    Expected<llvm::json::Object> settings = readJsonObject(generation);
    if (!settings)
      return settings.takeError();
    Expected<std::vector<int64_t>> eos = parseEosIds(*settings);
    if (!eos)
      return llvm::createFileError(generation, eos.takeError());
    for (int64_t id : *eos)
      if (!llvm::is_contained(modelConfig.eosIds, id))
        modelConfig.eosIds.push_back(id);
  }

  Expected<TokenizerInfo> info = readTokenizerFolder(folder);
  if (!info)
    return info.takeError();
  tokenizer = std::move(info->files);
  // A tokenizer of a model without BOS cannot add one.
  modelConfig.addBos = info->addBos && modelConfig.bosId;
  return checkConfig(modelConfig);
}

/// Opens model.safetensors, or the shards that model.safetensors.index.json
/// lists, and checks that each tensor is where the list says.
Error HuggingFaceCheckpoint::openShards() {
  std::string single = pathOf("model.safetensors");
  std::string index = pathOf("model.safetensors.index.json");
  if (llvm::sys::fs::exists(single) || !llvm::sys::fs::exists(index)) {
    Expected<std::unique_ptr<SafetensorsReader>> reader =
        SafetensorsReader::open(single);
    if (!reader)
      return reader.takeError();
    shards.push_back(std::move(*reader));
    return Error::success();
  }

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
  for (const auto &[file, tensors] : tensorsOfFile) {
    Expected<std::unique_ptr<SafetensorsReader>> reader =
        SafetensorsReader::open(pathOf(file));
    if (!reader)
      return reader.takeError();
    for (const std::string &tensor : tensors)
      if (!(*reader)->find(tensor))
        return fail("tensor '" + tensor + "' is not in '" + file + "'");
    shards.push_back(std::move(*reader));
  }
  return Error::success();
}

Error HuggingFaceCheckpoint::readTensors() {
  std::vector<CheckpointTensor> available;
  bool hasEmbedding = false;
  for (const auto &shard : shards) {
    for (const SafetensorsTensor &stored : shard->tensors()) {
      // A constant that older versions of transformers saved as well.
      if (StringRef(stored.name).ends_with(".rotary_emb.inv_freq"))
        continue;
      CheckpointTensor tensor;
      tensor.name = stored.name;
      tensor.shape = stored.shape;
      tensor.type = stored.type;
      tensor.data = stored.bytes.data();
      hasEmbedding |= tensor.name == embeddingName;
      available.push_back(std::move(tensor));
    }
  }
  // Of two tied tensors a file may have either, or both.
  if (modelConfig.tiedEmbeddings) {
    auto head = llvm::find_if(available, [](const CheckpointTensor &tensor) {
      return tensor.name == lmHeadName;
    });
    if (head != available.end() && hasEmbedding)
      available.erase(head);
    else if (head != available.end())
      head->name = embeddingName;
  }
  return adoptTensors(std::move(available));
}

Error HuggingFaceCheckpoint::read() {
  if (Error error = readConfig())
    return error;
  if (Error error = openShards())
    return error;
  return readTensors();
}

Expected<std::unique_ptr<Checkpoint>>
odyssey::openHuggingFaceCheckpoint(StringRef folder) {
  auto checkpoint = std::make_unique<HuggingFaceCheckpoint>(folder);
  if (Error error = checkpoint->read())
    return error;
  return checkpoint;
}

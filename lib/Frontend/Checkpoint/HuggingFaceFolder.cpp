//===- HuggingFaceFolder.cpp - What stands beside the weights -------------===//

#include "HuggingFaceFolder.h"

#include "HuggingFaceConfig.h"
#include "Json.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using llvm::json::Object;

std::string odyssey::pathInFolder(StringRef folder, StringRef name) {
  llvm::SmallString<128> path(folder);
  llvm::sys::path::append(path, name);
  return path.str().str();
}

bool odyssey::isRotaryConstant(StringRef tensor) {
  return tensor.ends_with(".rotary_emb.inv_freq");
}

/// Instruction-tuned models end their turns by more tokens than config.json
/// knows.
static Error addGenerationEos(StringRef folder, ModelConfig &config) {
  std::string path = pathInFolder(folder, "generation_config.json");
  if (!llvm::sys::fs::exists(path))
    return Error::success();
  Expected<Object> settings = readJsonObject(path);
  if (!settings)
    return settings.takeError();
  Expected<std::vector<int64_t>> eos = parseEosIds(*settings);
  if (!eos)
    return llvm::createFileError(path, eos.takeError());
  for (int64_t id : *eos)
    if (!llvm::is_contained(config.eosIds, id))
      config.eosIds.push_back(id);
  return Error::success();
}

Expected<HuggingFaceFolder> odyssey::readHuggingFaceFolder(StringRef folder) {
  HuggingFaceFolder result;
  std::string path = pathInFolder(folder, "config.json");
  Expected<Object> object = readJsonObject(path);
  if (!object)
    return object.takeError();
  Expected<ModelConfig> config = parseHuggingFaceConfig(*object);
  if (!config)
    return llvm::createFileError(path, config.takeError());
  result.config = std::move(*config);
  if (Error error = addGenerationEos(folder, result.config))
    return error;

  Expected<TokenizerInfo> info = readTokenizerFolder(folder);
  if (!info)
    return llvm::createFileError(folder, info.takeError());
  result.tokenizer = std::move(info->files);
  // A tokenizer of a model without BOS cannot add one.
  result.config.addBos = info->addBos && result.config.bosId;
  if (Error error = checkConfig(result.config))
    return llvm::createFileError(path, std::move(error));
  return result;
}

Expected<std::optional<Object>>
odyssey::readQuantizationConfig(StringRef folder) {
  Expected<Object> object = readJsonObject(pathInFolder(folder, "config.json"));
  if (!object)
    return object.takeError();
  if (Object *quantization = object->getObject("quantization_config"))
    return std::move(*quantization);
  std::string path = pathInFolder(folder, "quantize_config.json");
  if (!llvm::sys::fs::exists(path))
    return std::nullopt;
  Expected<Object> old = readJsonObject(path);
  if (!old)
    return old.takeError();
  // Written by one program only, which had no need to say so.
  old->try_emplace("quant_method", "gptq");
  return std::move(*old);
}

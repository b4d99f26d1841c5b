//===- HuggingFaceCheckpoint.cpp - Hugging Face folders -------------------===//

#include "CheckpointFormats.h"
#include "HuggingFaceFolder.h"
#include "odyssey/Frontend/Checkpoint/ShardedSafetensors.h"

#include "llvm/ADT/STLExtras.h"

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;

namespace {

class HuggingFaceCheckpoint : public Checkpoint {
public:
  Error read(StringRef folder);

  void releasePages() const override {
    for (const auto &shard : weights.shards())
      shard->releasePages();
  }

private:
  Error readTensors();

  ShardedSafetensors weights;
};

} // namespace

static const StringRef embeddingName = "model.embed_tokens.weight";
static const StringRef lmHeadName = "lm_head.weight";

Error HuggingFaceCheckpoint::readTensors() {
  std::vector<CheckpointTensor> available;
  bool hasEmbedding = false;
  for (const auto &shard : weights.shards()) {
    for (const SafetensorsTensor &stored : shard->tensors()) {
      if (isRotaryConstant(stored.name))
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

Error HuggingFaceCheckpoint::read(StringRef folder) {
  Expected<std::optional<llvm::json::Object>> quantization =
      readQuantizationConfig(folder);
  if (!quantization)
    return quantization.takeError();
  if (*quantization)
    return createStringError(
        "the checkpoint is quantized already ('" +
        (*quantization)->getString("quant_method").value_or("unknown method") +
        "')");
  Expected<HuggingFaceFolder> contents = readHuggingFaceFolder(folder);
  if (!contents)
    return contents.takeError();
  modelConfig = std::move(contents->config);
  tokenizer = std::move(contents->tokenizer);
  Expected<ShardedSafetensors> opened = ShardedSafetensors::open(folder);
  if (!opened)
    return opened.takeError();
  weights = std::move(*opened);
  return readTensors();
}

Expected<std::unique_ptr<Checkpoint>>
odyssey::openHuggingFaceCheckpoint(StringRef folder) {
  auto checkpoint = std::make_unique<HuggingFaceCheckpoint>();
  if (Error error = checkpoint->read(folder))
    return error;
  return checkpoint;
}

//===- CheckpointModel.cpp - Checkpoints on the reference -----------------===//

#include "Model.h"

#include "odyssey/Quantize/ReferenceWeights.h"

#include "llvm/ADT/ArrayRef.h"

using namespace odyssey;
using namespace odyssey::eval;
using reference::Matrix;
using reference::ReferenceModel;
using runtime::Result;
using runtime::Status;

namespace {

class CheckpointModel : public Model {
public:
  std::optional<Matrix> logits(std::span<const int32_t> tokens,
                               int64_t first) override {
    model->reset();
    return model->prefill(tokens, first);
  }

  /// What the linears of a quantized model point into.
  std::unique_ptr<QuantizedCheckpoint> quantized;
  std::unique_ptr<ReferenceModel> model;
};

} // namespace

static Status toStatus(llvm::Error error) {
  return runtime::ioError(llvm::toString(std::move(error)));
}

static Status takeTokenizer(Model &model, const ModelConfig &config,
                            llvm::ArrayRef<TokenizerFile> files) {
  if (files.empty())
    return runtime::failedPrecondition("'" + model.path + "' has no tokenizer");
  const TokenizerFile &file = files.front();
  ODYSSEY_ASSIGN_OR_RETURN(
      model.tokenizer, runtime::Tokenizer::load(
                           file.name, std::as_bytes(std::span(file.bytes))));
  model.vocabulary = config.vocabSize;
  model.context = config.maxContext;
  if (config.addBos && config.bosId)
    model.bos = static_cast<int32_t>(*config.bosId);
  return Status::success();
}

static Status openFp32(CheckpointModel &model, unsigned threads) {
  auto checkpoint = Checkpoint::open(model.path);
  if (!checkpoint)
    return toStatus(checkpoint.takeError());
  llvm::Expected<reference::Fp32Weights> weights =
      loadFp32Weights(**checkpoint);
  if (!weights)
    return toStatus(weights.takeError());
  model.device = "reference (fp32)";
  model.model = std::make_unique<ReferenceModel>(std::move(*weights), threads);
  return takeTokenizer(model, (*checkpoint)->config(),
                       (*checkpoint)->tokenizerFiles());
}

static Status openQuantized(CheckpointModel &model, unsigned threads) {
  auto checkpoint = QuantizedCheckpoint::open(model.path);
  if (!checkpoint)
    return toStatus(checkpoint.takeError());
  model.quantized = std::move(*checkpoint);
  model.device =
      "reference (W" + std::to_string(model.quantized->format().bits) + "A8)";
  model.model = std::make_unique<ReferenceModel>(
      viewW4A8Weights(*model.quantized), threads);
  return takeTokenizer(model, model.quantized->config(),
                       model.quantized->tokenizerFiles());
}

Result<std::unique_ptr<Model>>
eval::openCheckpoint(const std::string &path, const ModelOptions &options) {
  auto model = std::make_unique<CheckpointModel>();
  model->path = path;
  llvm::Expected<bool> quantized = QuantizedCheckpoint::isQuantized(path);
  if (!quantized)
    return toStatus(quantized.takeError());
  ODYSSEY_RETURN_IF_ERROR(*quantized ? openQuantized(*model, options.threads)
                                     : openFp32(*model, options.threads));
  return std::unique_ptr<Model>(std::move(model));
}

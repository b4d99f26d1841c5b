//===- Model.h - What odyssey-eval measures ---------------------*- C++ -*-===//

#ifndef ODYSSEY_TOOLS_ODYSSEYEVAL_MODEL_H
#define ODYSSEY_TOOLS_ODYSSEYEVAL_MODEL_H

#include "odyssey/Reference/Perplexity.h"
#include "odyssey/runtime/Tokenizer.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace odyssey::eval {

/// A model that gives the logits of token sequences, wherever it runs.
class Model {
public:
  virtual ~Model() = default;

  /// The file or folder that it was opened from.
  std::string path;
  /// "reference (fp32)", or the device's name.
  std::string device;
  int64_t vocabulary = 0;
  /// The longest sequence, in tokens.
  int64_t context = 0;
  /// What the model expects in front of every text.
  std::optional<int32_t> bos;
  std::unique_ptr<runtime::Tokenizer> tokenizer;

  /// As reference::SequenceLogits. Where it gives nothing, `failure` says why.
  virtual std::optional<reference::Matrix>
  logits(std::span<const int32_t> tokens, int64_t first) = 0;

  reference::SequenceLogits sequenceLogits() {
    return [this](std::span<const int32_t> tokens, int64_t first) {
      return logits(tokens, first);
    };
  }

  runtime::Status failure;
};

struct ModelOptions {
  /// Where a bundle runs; as runtime::openDevice, or "reference", where no
  /// bundle runs.
  std::string device = "auto";
  /// 0: one per core.
  unsigned threads = 0;
};

/// Whether the file at `path` begins like a bundle.
bool isBundle(const std::string &path);

runtime::Result<std::unique_ptr<Model>> openBundle(const std::string &path,
                                                   const ModelOptions &options);

/// A GGUF file or a Hugging Face folder in fp32, or a quantized checkpoint in
/// W4A8 or W8A8 arithmetic.
runtime::Result<std::unique_ptr<Model>>
openCheckpoint(const std::string &path, const ModelOptions &options);

} // namespace odyssey::eval

#endif // ODYSSEY_TOOLS_ODYSSEYEVAL_MODEL_H

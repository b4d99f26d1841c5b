//===- BatchGenerator.h - Many texts at once --------------------*- C++ -*-===//
//
// Continues many prompts with as many sequences at a time as the bundle was
// compiled for. Every step takes the next token of each text that is under way
// and, in what room is left, the prompts of texts that begin: when one ends,
// the next one waiting takes its place in the following step. What a text
// becomes does not depend on the others: it is what Generator makes of its
// prompt alone.
//
// A BatchGenerator is used by one thread at a time.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_BATCHGENERATOR_H
#define ODYSSEY_RUNTIME_BATCHGENERATOR_H

#include "odyssey/runtime/Generator.h"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace odyssey::runtime {

struct BatchResult {
  struct Text {
    StopReason reason = StopReason::EndOfText;
    /// The new tokens, without the one that ends the text.
    std::vector<int32_t> tokens;
    int64_t promptTokens = 0;
  };
  /// One for each prompt.
  std::vector<Text> texts;
  /// Steps in all, and those that had tokens of prompts beside those of texts
  /// under way.
  int64_t steps = 0, mixedSteps = 0;
  double seconds = 0;
};

/// Receives new text of prompt `index`, valid UTF-8 and never empty. False ends
/// that text.
using BatchTextCallback =
    std::function<bool(size_t index, std::string_view text)>;

class BatchGenerator {
public:
  /// Loads the bundle on the device; fails as Generator::create does.
  static Result<std::unique_ptr<BatchGenerator>>
  create(std::shared_ptr<const Bundle> bundle, std::shared_ptr<Device> device);
  ~BatchGenerator();

  Session &session() const;

  /// Continues every prompt, with the same options and the same seed for each.
  /// Before anything is run, an error that names the prompt ("prompt 3: ...",
  /// counted from 1) when one is not UTF-8, is empty or does not fit.
  Result<BatchResult> generate(std::span<const std::string> prompts,
                               const GenerateOptions &options,
                               const BatchTextCallback &onText);

private:
  struct Content;
  explicit BatchGenerator(std::unique_ptr<Content> content);

  std::unique_ptr<Content> content;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_BATCHGENERATOR_H

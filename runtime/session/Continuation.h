//===- Continuation.h - One text as its tokens are chosen -------*- C++ -*-===//
//
// What generating one text is made of, whether it is alone or in a batch: which
// tokens a prompt is run as, whether it fits, how the next token is chosen,
// what it adds to the text, and when the text ends.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_SESSION_CONTINUATION_H
#define ODYSSEY_RUNTIME_SESSION_CONTINUATION_H

#include "odyssey/runtime/Generator.h"

namespace odyssey::runtime {

/// The bundle's tokenizer. FailedPrecondition when it has none.
Result<std::unique_ptr<Tokenizer>> loadTokenizer(const Bundle &bundle,
                                                 const DecoderPlan &model);

/// The tokens to run for a prompt: `pending`, or BOS where a text begins, and
/// the prompt's own. InvalidArgument when it is not UTF-8 or there is none.
Result<std::vector<int32_t>> encodePrompt(const DecoderPlan &model,
                                          const Tokenizer &tokenizer,
                                          std::string_view prompt,
                                          std::optional<int32_t> pending,
                                          bool beginsText);

/// Whether so many tokens, and those that `options` ask for, fit the context.
Status checkFits(const DecoderPlan &model, size_t tokens,
                 const GenerateOptions &options);

class Continuation {
public:
  /// `follows` says that the new text stands behind other text. The model and
  /// the tokenizer must outlive it.
  static Result<Continuation> create(const DecoderPlan &model,
                                     const Tokenizer &tokenizer,
                                     const GenerateOptions &options,
                                     bool follows);

  /// Whether `accept` reads the logits.
  bool needsLogits() const { return options.sampling.temperature != 0; }

  /// Takes what the model says after the sequence of `length` tokens, and gives
  /// new text to `onText`. The reason when this ends the text; otherwise
  /// `next()` is to be run.
  Result<std::optional<StopReason>> accept(const Session::Output &output,
                                           int64_t length,
                                           const TextCallback &onText);

  /// The last token that was chosen.
  int32_t next() const { return chosen; }
  /// The new tokens, without the one that ends the text.
  const std::vector<int32_t> &tokens() const { return newTokens; }

private:
  Continuation(const DecoderPlan &model, const Tokenizer &tokenizer,
               const GenerateOptions &options, Sampler sampler, bool follows);

  std::optional<StopReason> add(int32_t token, int64_t length,
                                const TextCallback &onText);

  const DecoderPlan &model;
  GenerateOptions options;
  Sampler sampler;
  StreamingDecoder decoder;
  std::vector<int32_t> newTokens;
  int32_t chosen = 0;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_CONTINUATION_H

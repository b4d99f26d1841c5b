//===- Continuation.cpp - One text as its tokens are chosen ---------------===//

#include "Continuation.h"

#include <algorithm>

namespace odyssey::runtime {

Result<std::unique_ptr<Tokenizer>> loadTokenizer(const Bundle &bundle,
                                                 const DecoderPlan &model) {
  if (model.tokenizer.empty())
    return failedPrecondition("'" + bundle.path() + "' has no tokenizer");
  return Tokenizer::load(model.tokenizer, *bundle.section(model.tokenizer));
}

Result<std::vector<int32_t>> encodePrompt(const DecoderPlan &model,
                                          const Tokenizer &tokenizer,
                                          std::string_view prompt,
                                          std::optional<int32_t> pending,
                                          bool beginsText) {
  std::vector<int32_t> tokens;
  if (pending)
    tokens.push_back(*pending);
  else if (beginsText && model.addBos)
    tokens.push_back(*model.bos);
  // The plan says whether there is a BOS token, not the tokenizer's file.
  EncodeOptions options;
  options.addBos = false;
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<int32_t> encoded,
                           tokenizer.encode(prompt, options));
  tokens.insert(tokens.end(), encoded.begin(), encoded.end());
  if (tokens.empty())
    return invalidArgument("the prompt is empty");
  return tokens;
}

Status checkFits(const DecoderPlan &model, size_t tokens,
                 const GenerateOptions &options) {
  int64_t before = static_cast<int64_t>(tokens);
  // The last new token is not run.
  int64_t after = options.maxTokens.value_or(1) - 1;
  if (before + after <= model.context)
    return Status::success();
  std::string what =
      "a text of " + std::to_string(before) + " tokens" +
      (options.maxTokens
           ? " with " + std::to_string(*options.maxTokens) + " new ones"
           : "");
  return resourceExhausted(what + " is longer than the context of " +
                           std::to_string(model.context) +
                           " tokens that the bundle was compiled for "
                           "(--max-context)");
}

Result<Continuation> Continuation::create(const DecoderPlan &model,
                                          const Tokenizer &tokenizer,
                                          const GenerateOptions &options,
                                          bool follows) {
  if (options.maxTokens && *options.maxTokens < 1)
    return invalidArgument("the number of new tokens must be at least 1, got " +
                           std::to_string(*options.maxTokens));
  ODYSSEY_ASSIGN_OR_RETURN(Sampler sampler, Sampler::create(options.sampling));
  return Continuation(model, tokenizer, options, std::move(sampler), follows);
}

Continuation::Continuation(const DecoderPlan &model, const Tokenizer &tokenizer,
                           const GenerateOptions &options, Sampler sampler,
                           bool follows)
    : model(model), options(options), sampler(std::move(sampler)),
      decoder(tokenizer, DecodeOptions{.continuation = follows}) {}

Result<std::optional<StopReason>>
Continuation::accept(const Session::Output &output, int64_t length,
                     const TextCallback &onText) {
  chosen = output.nextToken;
  if (needsLogits()) {
    ODYSSEY_ASSIGN_OR_RETURN(chosen, sampler.sample(output.logits));
  }
  std::optional<StopReason> reason = add(chosen, length, onText);
  // A character that the last tokens left incomplete.
  if (reason && *reason != StopReason::Cancelled)
    if (std::string rest = decoder.finish(); !rest.empty() && onText)
      onText(rest);
  return reason;
}

std::optional<StopReason> Continuation::add(int32_t token, int64_t length,
                                            const TextCallback &onText) {
  if (std::find(model.eos.begin(), model.eos.end(), token) != model.eos.end())
    return StopReason::EndOfText;
  newTokens.push_back(token);
  if (std::string piece = decoder.append(token);
      !piece.empty() && onText && !onText(piece))
    return StopReason::Cancelled;
  if (options.maxTokens &&
      static_cast<int64_t>(newTokens.size()) >= *options.maxTokens)
    return StopReason::MaxTokens;
  if (length >= model.context)
    return StopReason::ContextFull;
  return std::nullopt;
}

} // namespace odyssey::runtime

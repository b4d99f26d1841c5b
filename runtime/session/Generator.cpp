//===- Generator.cpp - Text in, text out ----------------------------------===//

#include "odyssey/runtime/Generator.h"

#include "Stopwatch.h"

#include <algorithm>
#include <array>

namespace odyssey::runtime {

struct Generator::Content {
  std::unique_ptr<Session> session;
  std::unique_ptr<Tokenizer> tokenizer;
  SequenceId sequence = SequenceId(0);
  /// The tokens that the sequence holds.
  std::vector<int32_t> history;
  /// The last token that was chosen: part of the text, but not yet of the
  /// sequence.
  std::optional<int32_t> pending;

  const DecoderPlan &model() const { return session->model(); }

  Result<std::vector<int32_t>> encode(std::string_view prompt) const;
  Status checkFits(size_t promptTokens, const GenerateOptions &options) const;
  Result<int32_t> step(std::span<const int32_t> tokens, Sampler &sampler,
                       bool greedy);
  Status run(std::span<const int32_t> tokens);
  bool endsText(int32_t token) const {
    return std::find(model().eos.begin(), model().eos.end(), token) !=
           model().eos.end();
  }
};

/// The tokens to run for a prompt: what is pending, BOS where a text begins,
/// and the prompt's own.
Result<std::vector<int32_t>>
Generator::Content::encode(std::string_view prompt) const {
  std::vector<int32_t> tokens;
  if (pending)
    tokens.push_back(*pending);
  else if (history.empty() && model().addBos)
    tokens.push_back(*model().bos);
  // The plan says whether there is a BOS token, not the tokenizer's file.
  EncodeOptions options;
  options.addBos = false;
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<int32_t> encoded,
                           tokenizer->encode(prompt, options));
  tokens.insert(tokens.end(), encoded.begin(), encoded.end());
  if (tokens.empty())
    return invalidArgument("the prompt is empty");
  return tokens;
}

Status Generator::Content::checkFits(size_t promptTokens,
                                     const GenerateOptions &options) const {
  int64_t before = static_cast<int64_t>(history.size() + promptTokens);
  // The last new token is not run.
  int64_t after = options.maxTokens.value_or(1) - 1;
  if (before + after <= model().context)
    return Status::success();
  std::string what =
      "a text of " + std::to_string(before) + " tokens" +
      (options.maxTokens
           ? " with " + std::to_string(*options.maxTokens) + " new ones"
           : "");
  return resourceExhausted(what + " is longer than the context of " +
                           std::to_string(model().context) +
                           " tokens that the bundle was compiled for "
                           "(--max-context)");
}

/// Runs tokens and chooses the next one, which becomes pending.
Result<int32_t> Generator::Content::step(std::span<const int32_t> tokens,
                                         Sampler &sampler, bool greedy) {
  ODYSSEY_ASSIGN_OR_RETURN(
      std::vector<Session::Output> outputs,
      session->step(std::array{Session::Input{sequence, tokens, !greedy}}));
  history.insert(history.end(), tokens.begin(), tokens.end());
  pending.reset();
  // Greedy decoding needs no copy of the logits.
  int32_t next = outputs[0].nextToken;
  if (!greedy) {
    ODYSSEY_ASSIGN_OR_RETURN(next, sampler.sample(outputs[0].logits));
  }
  pending = next;
  return next;
}

/// Runs tokens whose result is of no interest.
Status Generator::Content::run(std::span<const int32_t> tokens) {
  return session->step(std::array{Session::Input{sequence, tokens}}).status();
}

Generator::Generator(std::unique_ptr<Content> c) : content(std::move(c)) {}
Generator::~Generator() = default;

Result<std::unique_ptr<Generator>>
Generator::create(std::shared_ptr<const Bundle> bundle,
                  std::shared_ptr<Device> device) {
  auto content = std::make_unique<Content>();
  ODYSSEY_ASSIGN_OR_RETURN(content->session,
                           Session::create(bundle, std::move(device)));
  const std::string &section = content->model().tokenizer;
  if (section.empty())
    return failedPrecondition("'" + bundle->path() + "' has no tokenizer");
  ODYSSEY_ASSIGN_OR_RETURN(content->tokenizer,
                           Tokenizer::load(section, *bundle->section(section)));
  ODYSSEY_ASSIGN_OR_RETURN(content->sequence, content->session->addSequence());
  return std::unique_ptr<Generator>(new Generator(std::move(content)));
}

Session &Generator::session() const { return *content->session; }
const Tokenizer &Generator::tokenizer() const { return *content->tokenizer; }

Result<GenerateResult> Generator::generate(std::string_view prompt,
                                           const GenerateOptions &options,
                                           const TextCallback &onText) {
  if (options.maxTokens && *options.maxTokens < 1)
    return invalidArgument("the number of new tokens must be at least 1, got " +
                           std::to_string(*options.maxTokens));
  ODYSSEY_ASSIGN_OR_RETURN(Sampler sampler, Sampler::create(options.sampling));
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<int32_t> input, content->encode(prompt));
  ODYSSEY_RETURN_IF_ERROR(content->checkFits(input.size(), options));
  bool greedy = options.sampling.temperature == 0;

  DecodeOptions decoding;
  decoding.continuation = !prompt.empty() || !content->history.empty();
  StreamingDecoder decoder(*content->tokenizer, decoding);
  auto emit = [&](const std::string &piece) {
    return piece.empty() || !onText || onText(piece);
  };

  GenerateResult result;
  result.promptTokens = static_cast<int64_t>(input.size());
  Stopwatch prefill;
  ODYSSEY_ASSIGN_OR_RETURN(int32_t next, content->step(input, sampler, greedy));
  result.prefillSeconds = prefill.seconds();

  Stopwatch decode;
  for (;;) {
    result.decodeSeconds = decode.seconds();
    if (content->endsText(next)) {
      result.reason = StopReason::EndOfText;
      break;
    }
    result.tokens.push_back(next);
    if (!emit(decoder.append(next))) {
      result.reason = StopReason::Cancelled;
      return result;
    }
    if (options.maxTokens &&
        static_cast<int64_t>(result.tokens.size()) >= *options.maxTokens) {
      result.reason = StopReason::MaxTokens;
      break;
    }
    if (static_cast<int64_t>(content->history.size()) >=
        content->model().context) {
      result.reason = StopReason::ContextFull;
      break;
    }
    ODYSSEY_ASSIGN_OR_RETURN(next,
                             content->step(std::array{next}, sampler, greedy));
    ++result.decodeSteps;
  }
  // A character that the last tokens left incomplete.
  emit(decoder.finish());
  return result;
}

Status Generator::reset() {
  ODYSSEY_RETURN_IF_ERROR(content->session->rewind(content->sequence, 0));
  content->history.clear();
  content->pending.reset();
  return Status::success();
}

Result<KernelProfile> Generator::profile() {
  std::span<const int32_t> history = content->history;
  if (history.empty())
    return failedPrecondition("there is no text to measure");
  KernelProfile profile;
  profile.tokens = static_cast<int64_t>(history.size());
  Session &session = *content->session;
  // Running a token again writes the same keys and values to the same place.
  ODYSSEY_RETURN_IF_ERROR(
      session.rewind(content->sequence, profile.tokens - 1));
  session.collectKernelTimes(&profile.decode);
  Status status = content->run(history.last(1));
  if (status.ok())
    status = session.rewind(content->sequence, 0);
  session.collectKernelTimes(&profile.prefill);
  if (status.ok())
    status = content->run(history);
  session.collectKernelTimes(nullptr);
  if (!status.ok()) {
    // The sequence may have lost its tokens on the way.
    (void)reset();
    return status;
  }
  return profile;
}

} // namespace odyssey::runtime

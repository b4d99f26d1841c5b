//===- Generator.cpp - Text in, text out ----------------------------------===//

#include "odyssey/runtime/Generator.h"

#include "Continuation.h"
#include "Stopwatch.h"

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

  Result<Session::Output> step(std::span<const int32_t> tokens,
                               bool wantLogits);
  Status run(std::span<const int32_t> tokens);
};

/// Appends tokens to the sequence and gives what the model says after them.
Result<Session::Output>
Generator::Content::step(std::span<const int32_t> tokens, bool wantLogits) {
  ODYSSEY_ASSIGN_OR_RETURN(
      std::vector<Session::Output> outputs,
      session->step(std::array{Session::Input{sequence, tokens, wantLogits}}));
  history.insert(history.end(), tokens.begin(), tokens.end());
  pending.reset();
  return std::move(outputs[0]);
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
  ODYSSEY_ASSIGN_OR_RETURN(content->tokenizer,
                           loadTokenizer(*bundle, content->model()));
  ODYSSEY_ASSIGN_OR_RETURN(content->sequence, content->session->addSequence());
  return std::unique_ptr<Generator>(new Generator(std::move(content)));
}

Session &Generator::session() const { return *content->session; }
const Tokenizer &Generator::tokenizer() const { return *content->tokenizer; }

Result<GenerateResult> Generator::generate(std::string_view prompt,
                                           const GenerateOptions &options,
                                           const TextCallback &onText) {
  const DecoderPlan &model = content->model();
  const Tokenizer &tokenizer = *content->tokenizer;
  const std::vector<int32_t> &history = content->history;
  ODYSSEY_ASSIGN_OR_RETURN(
      Continuation continuation,
      Continuation::create(model, tokenizer, options,
                           !prompt.empty() || !history.empty()));
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<int32_t> input,
                           encodePrompt(model, tokenizer, prompt,
                                        content->pending, history.empty()));
  ODYSSEY_RETURN_IF_ERROR(
      checkFits(model, history.size() + input.size(), options));
  bool wantLogits = continuation.needsLogits();

  GenerateResult result;
  result.promptTokens = static_cast<int64_t>(input.size());
  Stopwatch prefill;
  ODYSSEY_ASSIGN_OR_RETURN(Session::Output output,
                           content->step(input, wantLogits));
  result.prefillSeconds = prefill.seconds();

  Stopwatch decode;
  for (;;) {
    result.decodeSeconds = decode.seconds();
    ODYSSEY_ASSIGN_OR_RETURN(
        std::optional<StopReason> reason,
        continuation.accept(output, static_cast<int64_t>(history.size()),
                            onText));
    content->pending = continuation.next();
    if (reason) {
      result.reason = *reason;
      break;
    }
    ODYSSEY_ASSIGN_OR_RETURN(
        output, content->step(std::array{continuation.next()}, wantLogits));
    ++result.decodeSteps;
  }
  result.tokens = continuation.tokens();
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

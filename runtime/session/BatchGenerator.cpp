//===- BatchGenerator.cpp - Many texts at once ----------------------------===//

#include "odyssey/runtime/BatchGenerator.h"

#include "Continuation.h"
#include "Stopwatch.h"

#include <algorithm>
#include <list>

namespace odyssey::runtime {

namespace {

/// A text that waits, is under way, or has ended.
struct Text {
  size_t index;
  std::vector<int32_t> prompt;
  Continuation continuation;
  /// Pages of the KV cache that it may come to need.
  int64_t pages;
  SequenceId sequence = SequenceId(0);
  /// Tokens that the sequence holds.
  size_t length = 0;
  /// Tokens in the step that is made up, in `prompt` or the one chosen last.
  std::vector<int32_t> input = {};
  bool hasEnded = false;

  size_t promptLeft() const {
    return prompt.size() - std::min(prompt.size(), length);
  }
};

} // namespace

struct BatchGenerator::Content {
  std::unique_ptr<Session> session;
  std::unique_ptr<Tokenizer> tokenizer;

  std::list<Text> waiting, running;
  /// Pages that the running texts may come to need.
  int64_t reservedPages = 0;

  const DecoderPlan &model() const { return session->model(); }

  Result<Text> prepare(size_t index, const std::string &prompt,
                       const GenerateOptions &options) const;
  Status admit();
  bool fillStep();
  Status runStep(BatchResult &result, const BatchTextCallback &onText);
  Status run(BatchResult &result, const BatchTextCallback &onText);
  void clear();
};

/// Everything about a prompt that can be wrong is found here.
Result<Text>
BatchGenerator::Content::prepare(size_t index, const std::string &prompt,
                                 const GenerateOptions &options) const {
  ODYSSEY_ASSIGN_OR_RETURN(
      Continuation continuation,
      Continuation::create(model(), *tokenizer, options, !prompt.empty()));
  std::string context = "prompt " + std::to_string(index + 1);
  Result<std::vector<int32_t>> tokens =
      encodePrompt(model(), *tokenizer, prompt, std::nullopt, true);
  if (!tokens.ok())
    return tokens.status().withContext(context);
  if (Status fits = checkFits(model(), tokens->size(), options); !fits.ok())
    return fits.withContext(context);
  int64_t longest = model().context;
  if (options.maxTokens)
    longest = static_cast<int64_t>(tokens->size()) + *options.maxTokens - 1;
  int64_t pages = (longest + model().pageTokens - 1) / model().pageTokens;
  return Text{index, std::move(*tokens), std::move(continuation), pages};
}

/// Lets texts begin, in their order, while there are sequences and pages for
/// all that they may need: then no text under way is ever without a page.
Status BatchGenerator::Content::admit() {
  while (!waiting.empty() &&
         static_cast<int64_t>(running.size()) < model().maxBatch &&
         reservedPages + waiting.front().pages <= model().pages) {
    Text &text = waiting.front();
    ODYSSEY_ASSIGN_OR_RETURN(text.sequence, session->addSequence());
    reservedPages += text.pages;
    running.splice(running.end(), waiting, waiting.begin());
  }
  return Status::success();
}

/// Gives every running text its tokens of the next step: one where the prompt
/// has been run, and of prompts what one launch of the kernels still takes.
/// Returns whether both are there.
bool BatchGenerator::Content::fillStep() {
  int64_t room = model().maxTokensPerStep;
  bool hasPrompt = false, hasNext = false;
  for (Text &text : running) {
    text.input.clear();
    if (text.promptLeft() > 0)
      continue;
    text.input = {text.continuation.next()};
    hasNext = true;
    --room;
  }
  for (Text &text : running) {
    auto count = static_cast<ptrdiff_t>(
        std::clamp<int64_t>(static_cast<int64_t>(text.promptLeft()), 0,
                            std::max<int64_t>(room, 0)));
    if (text.promptLeft() == 0 || count == 0)
      continue;
    auto begin = text.prompt.begin() + static_cast<ptrdiff_t>(text.length);
    text.input.assign(begin, begin + count);
    hasPrompt = true;
    room -= count;
  }
  return hasPrompt && hasNext;
}

/// Runs one step of all texts and takes the ones that end out.
Status BatchGenerator::Content::runStep(BatchResult &result,
                                        const BatchTextCallback &onText) {
  result.mixedSteps += fillStep();
  ++result.steps;
  std::vector<Session::Input> inputs;
  std::vector<Text *> texts;
  for (Text &text : running) {
    if (text.input.empty())
      continue;
    bool completes = text.promptLeft() <= text.input.size();
    inputs.push_back({text.sequence, text.input,
                      completes && text.continuation.needsLogits()});
    texts.push_back(&text);
  }
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<Session::Output> outputs,
                           session->step(inputs));
  for (size_t i = 0; i < texts.size(); ++i) {
    Text &text = *texts[i];
    text.length += text.input.size();
    if (text.promptLeft() > 0)
      continue;
    auto emit = [&](std::string_view piece) {
      return !onText || onText(text.index, piece);
    };
    ODYSSEY_ASSIGN_OR_RETURN(
        std::optional<StopReason> reason,
        text.continuation.accept(outputs[i], static_cast<int64_t>(text.length),
                                 emit));
    if (!reason)
      continue;
    result.texts[text.index] = {*reason, text.continuation.tokens(),
                                static_cast<int64_t>(text.prompt.size())};
    ODYSSEY_RETURN_IF_ERROR(session->removeSequence(text.sequence));
    reservedPages -= text.pages;
    text.hasEnded = true;
  }
  running.remove_if([](const Text &text) { return text.hasEnded; });
  return Status::success();
}

Status BatchGenerator::Content::run(BatchResult &result,
                                    const BatchTextCallback &onText) {
  for (;;) {
    ODYSSEY_RETURN_IF_ERROR(admit());
    if (running.empty())
      return Status::success();
    ODYSSEY_RETURN_IF_ERROR(runStep(result, onText));
  }
}

/// After an error: nothing is left of the texts.
void BatchGenerator::Content::clear() {
  for (const Text &text : running)
    (void)session->removeSequence(text.sequence);
  running.clear();
  waiting.clear();
  reservedPages = 0;
}

BatchGenerator::BatchGenerator(std::unique_ptr<Content> c)
    : content(std::move(c)) {}
BatchGenerator::~BatchGenerator() = default;

Result<std::unique_ptr<BatchGenerator>>
BatchGenerator::create(std::shared_ptr<const Bundle> bundle,
                       std::shared_ptr<Device> device) {
  auto content = std::make_unique<Content>();
  ODYSSEY_ASSIGN_OR_RETURN(content->session,
                           Session::create(bundle, std::move(device)));
  ODYSSEY_ASSIGN_OR_RETURN(content->tokenizer,
                           loadTokenizer(*bundle, content->model()));
  return std::unique_ptr<BatchGenerator>(
      new BatchGenerator(std::move(content)));
}

Session &BatchGenerator::session() const { return *content->session; }

Result<BatchResult>
BatchGenerator::generate(std::span<const std::string> prompts,
                         const GenerateOptions &options,
                         const BatchTextCallback &onText) {
  content->clear();
  for (size_t i = 0; i < prompts.size(); ++i) {
    ODYSSEY_ASSIGN_OR_RETURN(Text text,
                             content->prepare(i, prompts[i], options));
    content->waiting.push_back(std::move(text));
  }
  BatchResult result;
  result.texts.resize(prompts.size());
  Stopwatch stopwatch;
  if (Status status = content->run(result, onText); !status.ok()) {
    content->clear();
    return status;
  }
  result.seconds = stopwatch.seconds();
  return result;
}

} // namespace odyssey::runtime

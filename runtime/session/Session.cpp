//===- Session.cpp - Sequences of tokens on a compiled decoder ------------===//

#include "odyssey/runtime/Session.h"

#include "DeviceBuffer.h"
#include "PageTable.h"

#include <algorithm>
#include <array>

namespace odyssey::runtime {

namespace {

struct Sequence {
  bool inUse = false;
  int64_t length = 0;
};

/// The tokens of all inputs of a step, one behind the other, as the forward
/// function takes them.
struct FlatTokens {
  std::vector<int32_t> tokens, positions, sequences;
  /// For each input, the index of its last token.
  std::vector<size_t> last;

  size_t size() const { return tokens.size(); }
};

/// Device buffers of the decoder's two functions.
struct StepBuffers {
  DeviceBuffer tokens, positions, sequences, pageTable;
  DeviceBuffer rows, logits, nextToken;
};

} // namespace

struct Session::Content {
  std::unique_ptr<Executor> executor;
  StepBuffers buffers;
  PageTable pages;
  std::vector<Sequence> sequences;
  /// The most rows of one call of the logits function.
  int64_t maxRows;
  KernelTimes *times = nullptr;

  explicit Content(std::unique_ptr<Executor> executor);

  const DecoderPlan &model() const { return *executor->bundle().plan().model; }
  Device &device() const { return executor->device(); }

  Status allocateBuffers();
  Result<Sequence *> find(SequenceId id);

  Status checkInput(const Input &input, const Sequence &sequence) const;
  Status reservePages(std::span<const Input> inputs);
  FlatTokens flatten(std::span<const Input> inputs) const;
  Status uploadPageTable();
  Status run(const Executor::Call &call, bool repeats);
  Status runForward(const FlatTokens &flat, size_t begin, size_t count,
                    bool repeats);
  Status runLogits(std::span<const Input> inputs, std::vector<Output> &outputs,
                   std::span<const int32_t> rows, size_t firstInput,
                   bool repeats);
};

Session::Content::Content(std::unique_ptr<Executor> e)
    : executor(std::move(e)),
      pages(model().maxBatch, model().pagesPerSequence(), model().pages,
            model().pageTokens),
      sequences(static_cast<size_t>(model().maxBatch)) {
  const FunctionPlan &logits =
      executor->bundle().plan().functions[model().logits];
  maxRows = std::min(
      {model().maxBatch, model().maxTokensPerStep, logits.maxTokens()});
}

Status Session::Content::allocateBuffers() {
  auto allocate = [&](DeviceBuffer &buffer, int64_t elements,
                      const char *label) -> Status {
    // Everything here is i32 or f32.
    size_t bytes = static_cast<size_t>(elements) * sizeof(int32_t);
    ODYSSEY_ASSIGN_OR_RETURN(buffer,
                             DeviceBuffer::allocate(device(), bytes, label));
    return Status::success();
  };
  int64_t tokens = model().maxTokensPerStep;
  ODYSSEY_RETURN_IF_ERROR(allocate(buffers.tokens, tokens, "tokens"));
  ODYSSEY_RETURN_IF_ERROR(allocate(buffers.positions, tokens, "positions"));
  ODYSSEY_RETURN_IF_ERROR(allocate(buffers.sequences, tokens, "sequences"));
  ODYSSEY_RETURN_IF_ERROR(allocate(buffers.pageTable,
                                   static_cast<int64_t>(pages.table().size()),
                                   "page_table"));
  ODYSSEY_RETURN_IF_ERROR(allocate(buffers.rows, maxRows, "rows"));
  ODYSSEY_RETURN_IF_ERROR(
      allocate(buffers.logits, maxRows * model().vocabulary, "logits"));
  return allocate(buffers.nextToken, maxRows, "next_token");
}

Result<Sequence *> Session::Content::find(SequenceId id) {
  size_t index = static_cast<size_t>(id);
  if (index >= sequences.size() || !sequences[index].inUse)
    return invalidArgument("there is no sequence " +
                           std::to_string(static_cast<int32_t>(id)));
  return &sequences[index];
}

Status Session::Content::checkInput(const Input &input,
                                    const Sequence &sequence) const {
  if (input.tokens.empty())
    return invalidArgument("a step needs at least one token of each sequence");
  for (int32_t token : input.tokens)
    if (token < 0 || token >= model().vocabulary)
      return invalidArgument("token " + std::to_string(token) +
                             " is not in the vocabulary of " +
                             std::to_string(model().vocabulary) + " tokens");
  int64_t length = sequence.length + static_cast<int64_t>(input.tokens.size());
  if (length > model().context)
    return resourceExhausted(
        "a sequence of " + std::to_string(length) +
        " tokens is longer than the context of " +
        std::to_string(model().context) +
        " tokens that the bundle was compiled for (--max-context)");
  return Status::success();
}

/// Checks all inputs and gives every sequence the pages that it will need. On
/// an error nothing has changed.
Status Session::Content::reservePages(std::span<const Input> inputs) {
  std::vector<bool> seen(sequences.size());
  int64_t missing = 0;
  for (const Input &input : inputs) {
    ODYSSEY_ASSIGN_OR_RETURN(Sequence * sequence, find(input.sequence));
    size_t index = static_cast<size_t>(input.sequence);
    if (seen[index])
      return invalidArgument("sequence " + std::to_string(index) +
                             " stands twice in one step");
    seen[index] = true;
    ODYSSEY_RETURN_IF_ERROR(checkInput(input, *sequence));
    missing += pages.missingPages(
        static_cast<int64_t>(index),
        sequence->length + static_cast<int64_t>(input.tokens.size()));
  }
  if (missing > pages.freePages())
    return resourceExhausted(
        "the KV cache has " + std::to_string(pages.freePages()) + " of " +
        std::to_string(model().pages) + " pages left, but the step needs " +
        std::to_string(missing));
  for (const Input &input : inputs) {
    size_t index = static_cast<size_t>(input.sequence);
    pages.grow(static_cast<int64_t>(index),
               sequences[index].length +
                   static_cast<int64_t>(input.tokens.size()));
  }
  return Status::success();
}

FlatTokens Session::Content::flatten(std::span<const Input> inputs) const {
  FlatTokens flat;
  for (const Input &input : inputs) {
    int32_t sequence = static_cast<int32_t>(input.sequence);
    int64_t position = sequences[static_cast<size_t>(sequence)].length;
    for (int32_t token : input.tokens) {
      flat.tokens.push_back(token);
      flat.positions.push_back(static_cast<int32_t>(position++));
      flat.sequences.push_back(sequence);
    }
    flat.last.push_back(flat.size() - 1);
  }
  return flat;
}

Status Session::Content::uploadPageTable() {
  if (!pages.isChanged())
    return Status::success();
  std::span<const int32_t> table = pages.table();
  ODYSSEY_RETURN_IF_ERROR(device().copyToDevice(
      buffers.pageTable.address(), table.data(), table.size_bytes()));
  pages.markUploaded();
  return Status::success();
}

/// `repeats` says that calls with the same number of tokens come again and
/// again, as in decoding, so that recording them pays.
Status Session::Content::run(const Executor::Call &call, bool repeats) {
  if (times)
    return executor->runTimed(call, *times);
  return repeats ? executor->runRecorded(call) : executor->run(call);
}

Status Session::Content::runForward(const FlatTokens &flat, size_t begin,
                                    size_t count, bool repeats) {
  auto upload = [&](const DeviceBuffer &buffer,
                    const std::vector<int32_t> &values) {
    return device().copyToDevice(buffer.address(), values.data() + begin,
                                 count * sizeof(int32_t));
  };
  ODYSSEY_RETURN_IF_ERROR(upload(buffers.tokens, flat.tokens));
  ODYSSEY_RETURN_IF_ERROR(upload(buffers.positions, flat.positions));
  ODYSSEY_RETURN_IF_ERROR(upload(buffers.sequences, flat.sequences));
  std::array inputs = {buffers.tokens.address(), buffers.positions.address(),
                       buffers.sequences.address(),
                       buffers.pageTable.address()};
  return run({model().forward, inputs, {}, static_cast<int64_t>(count)},
             repeats);
}

/// Computes the outputs of the inputs from `firstInput` on, whose last tokens
/// are `rows` of the state `hidden`.
Status Session::Content::runLogits(std::span<const Input> inputs,
                                   std::vector<Output> &outputs,
                                   std::span<const int32_t> rows,
                                   size_t firstInput, bool repeats) {
  std::vector<int32_t> nextTokens;
  size_t vocabulary = static_cast<size_t>(model().vocabulary);
  for (size_t begin = 0; begin < rows.size();
       begin += static_cast<size_t>(maxRows)) {
    auto part = rows.subspan(
        begin, std::min(static_cast<size_t>(maxRows), rows.size() - begin));
    ODYSSEY_RETURN_IF_ERROR(device().copyToDevice(
        buffers.rows.address(), part.data(), part.size_bytes()));
    std::array callInputs = {buffers.rows.address()};
    std::array callOutputs = {buffers.logits.address(),
                              buffers.nextToken.address()};
    ODYSSEY_RETURN_IF_ERROR(run({model().logits, callInputs, callOutputs,
                                 static_cast<int64_t>(part.size())},
                                repeats));
    nextTokens.resize(part.size());
    ODYSSEY_RETURN_IF_ERROR(device().copyToHost(
        nextTokens.data(), buffers.nextToken.address(), part.size_bytes()));
    for (size_t i = 0; i < part.size(); ++i) {
      Output &output = outputs[firstInput + begin + i];
      output.nextToken = nextTokens[i];
      if (!inputs[firstInput + begin + i].wantLogits)
        continue;
      output.logits.resize(vocabulary);
      ODYSSEY_RETURN_IF_ERROR(device().copyToHost(
          output.logits.data(),
          buffers.logits.address() + i * vocabulary * sizeof(float),
          vocabulary * sizeof(float)));
    }
  }
  return Status::success();
}

Session::Session(std::unique_ptr<Content> c) : content(std::move(c)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>>
Session::create(std::shared_ptr<const Bundle> bundle,
                std::shared_ptr<Device> device) {
  if (!bundle->plan().model)
    return failedPrecondition("'" + bundle->path() +
                              "' holds no model that generates text, only "
                              "functions");
  ODYSSEY_ASSIGN_OR_RETURN(
      std::unique_ptr<Executor> executor,
      Executor::create(std::move(bundle), std::move(device)));
  auto content = std::make_unique<Content>(std::move(executor));
  ODYSSEY_RETURN_IF_ERROR(content->allocateBuffers());
  return std::unique_ptr<Session>(new Session(std::move(content)));
}

const DecoderPlan &Session::model() const { return content->model(); }
Executor &Session::executor() const { return *content->executor; }

Result<SequenceId> Session::addSequence() {
  for (size_t i = 0; i < content->sequences.size(); ++i) {
    if (content->sequences[i].inUse)
      continue;
    content->sequences[i] = {.inUse = true, .length = 0};
    return SequenceId(static_cast<int32_t>(i));
  }
  return resourceExhausted(
      "all " + std::to_string(content->sequences.size()) +
      " sequences that the bundle was compiled for are in use (--max-batch)");
}

Status Session::removeSequence(SequenceId id) {
  ODYSSEY_RETURN_IF_ERROR(rewind(id, 0));
  content->sequences[static_cast<size_t>(id)].inUse = false;
  return Status::success();
}

Result<int64_t> Session::length(SequenceId id) const {
  ODYSSEY_ASSIGN_OR_RETURN(Sequence * sequence, content->find(id));
  return sequence->length;
}

Status Session::rewind(SequenceId id, int64_t length) {
  ODYSSEY_ASSIGN_OR_RETURN(Sequence * sequence, content->find(id));
  if (length < 0 || length > sequence->length)
    return invalidArgument("cannot rewind a sequence of " +
                           std::to_string(sequence->length) + " tokens to " +
                           std::to_string(length));
  sequence->length = length;
  content->pages.shrink(static_cast<int64_t>(id), length);
  return Status::success();
}

Result<std::vector<Session::Output>>
Session::step(std::span<const Input> inputs) {
  ODYSSEY_RETURN_IF_ERROR(content->reservePages(inputs));
  ODYSSEY_RETURN_IF_ERROR(content->uploadPageTable());
  FlatTokens flat = content->flatten(inputs);
  bool isDecode = flat.size() == inputs.size();

  std::vector<Output> outputs(inputs.size());
  size_t maxTokens = static_cast<size_t>(model().maxTokensPerStep);
  size_t finished = 0;
  for (size_t begin = 0; begin < flat.size(); begin += maxTokens) {
    size_t count = std::min(maxTokens, flat.size() - begin);
    ODYSSEY_RETURN_IF_ERROR(content->runForward(flat, begin, count, isDecode));
    // `hidden` holds this chunk's rows only until the next one runs.
    std::vector<int32_t> rows;
    size_t first = finished;
    for (; finished < inputs.size() && flat.last[finished] < begin + count;
         ++finished)
      rows.push_back(static_cast<int32_t>(flat.last[finished] - begin));
    ODYSSEY_RETURN_IF_ERROR(
        content->runLogits(inputs, outputs, rows, first, isDecode));
  }
  for (const Input &input : inputs)
    content->sequences[static_cast<size_t>(input.sequence)].length +=
        static_cast<int64_t>(input.tokens.size());
  return outputs;
}

void Session::collectKernelTimes(KernelTimes *times) { content->times = times; }

} // namespace odyssey::runtime

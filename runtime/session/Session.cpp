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

/// Consecutive tokens of a step that one call of the forward function takes.
struct Chunk {
  size_t begin = 0, count = 0;
  /// The first input whose last token is among them, and for it and each one
  /// after it that ends here, the last token's row in the chunk.
  size_t firstInput = 0;
  std::vector<int32_t> rows;
};

/// Device buffers of the decoder's two functions.
struct StepBuffers {
  /// tokens, positions, sequences and rows, one array behind the other, so that
  /// one copy brings them to the device.
  DeviceBuffer inputs;
  DeviceBuffer pageTable;
  DeviceBuffer logits, nextToken;
  /// The same for `score`, allocated by its first call.
  DeviceBuffer scoredLogits, scoredToken;
};
constexpr size_t kInputArrays = 4;

/// Elements from one input array to the next, for arrays of `elements` i32.
size_t arrayStride(int64_t elements) {
  constexpr size_t alignment = kBufferAlignment / sizeof(int32_t);
  return (static_cast<size_t>(elements) + alignment - 1) / alignment *
         alignment;
}

/// The position of a row of a step that holds no token.
constexpr int32_t kNoToken = -1;

/// Rows of one call of the logits function for `score`: enough for the rate of
/// a large product, without a buffer for the logits of a whole step.
constexpr size_t kScoredRows = 64;

} // namespace

struct Session::Content {
  std::unique_ptr<Executor> executor;
  StepBuffers buffers;
  PageTable pages;
  std::vector<Sequence> sequences;
  /// The most rows of one call of the logits function.
  int64_t maxRows;
  /// What is copied to `buffers.inputs`.
  std::vector<int32_t> staging;
  KernelTimes *times = nullptr;

  explicit Content(std::unique_ptr<Executor> executor);

  const DecoderPlan &model() const { return *executor->bundle().plan().model; }
  const FunctionPlan &function(uint32_t index) const {
    return executor->bundle().plan().functions[index];
  }
  Device &device() const { return executor->device(); }

  int64_t paddedCount(uint32_t function, int64_t count, int64_t most) const;
  int64_t logitsRows() const;
  Status allocate(DeviceBuffer &buffer, int64_t elements, const char *label);
  Status allocateBuffers();
  Status allocateScoring();
  Result<Sequence *> find(SequenceId id);

  Status checkInput(const Input &input, const Sequence &sequence) const;
  Status reservePages(std::span<const Input> inputs);
  FlatTokens flatten(std::span<const Input> inputs) const;
  Status uploadPageTable();
  Status uploadChunk(const FlatTokens &flat, const Chunk &chunk, size_t stride);
  Status run(const Executor::Call &call);
  Result<DeviceAddress> runForward(const FlatTokens &flat, const Chunk &chunk);
  Status runChunk(const FlatTokens &flat, const Chunk &chunk,
                  std::span<const Input> inputs, std::span<Output> outputs);
  Status runDecode(const FlatTokens &flat, const Chunk &chunk,
                   std::span<const Input> inputs, std::span<Output> outputs);
  Status scoreChunk(const FlatTokens &flat, const Chunk &chunk,
                    std::span<float> logits);
  Status readOutputs(std::span<const Input> inputs, std::span<Output> outputs);
};

Session::Content::Content(std::unique_ptr<Executor> e)
    : executor(std::move(e)),
      pages(model().maxBatch, model().pagesPerSequence(), model().pages,
            model().pageTokens),
      sequences(static_cast<size_t>(model().maxBatch)) {
  maxRows = std::min({model().maxBatch, model().maxTokensPerStep,
                      function(model().logits).maxTokens()});
}

/// The tokens of the bucket that serves `count`, so that all steps of a bucket
/// are the same calls; `count` itself where steps cannot be filled up, or would
/// have more than `most`.
int64_t Session::Content::paddedCount(uint32_t index, int64_t count,
                                      int64_t most) const {
  const FunctionPlan &plan = function(index);
  auto bucket = plan.bucketFor(count);
  if (!model().paddedSteps || !bucket || plan.buckets[*bucket].tokens > most)
    return count;
  return plan.buckets[*bucket].tokens;
}

/// Rows of the buffers for the logits function's outputs.
int64_t Session::Content::logitsRows() const {
  return paddedCount(model().logits, maxRows, model().maxTokensPerStep);
}

/// Everything here is i32 or f32.
Status Session::Content::allocate(DeviceBuffer &buffer, int64_t elements,
                                  const char *label) {
  size_t bytes = static_cast<size_t>(elements) * sizeof(int32_t);
  ODYSSEY_ASSIGN_OR_RETURN(buffer,
                           DeviceBuffer::allocate(device(), bytes, label));
  return Status::success();
}

Status Session::Content::allocateBuffers() {
  staging.resize(kInputArrays * arrayStride(model().maxTokensPerStep));
  ODYSSEY_RETURN_IF_ERROR(allocate(
      buffers.inputs, static_cast<int64_t>(staging.size()), "step inputs"));
  ODYSSEY_RETURN_IF_ERROR(allocate(buffers.pageTable,
                                   static_cast<int64_t>(pages.table().size()),
                                   "page_table"));
  ODYSSEY_RETURN_IF_ERROR(
      allocate(buffers.logits, logitsRows() * model().vocabulary, "logits"));
  return allocate(buffers.nextToken, logitsRows(), "next_token");
}

/// Nothing to do from the second time on.
Status Session::Content::allocateScoring() {
  if (buffers.scoredToken.address() != 0)
    return Status::success();
  constexpr auto rows = static_cast<int64_t>(kScoredRows);
  ODYSSEY_RETURN_IF_ERROR(
      allocate(buffers.scoredLogits, rows * model().vocabulary, "logits"));
  return allocate(buffers.scoredToken, rows, "next_token");
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

/// Copies a chunk's tokens and rows to the device, as arrays `stride` elements
/// apart. What is left of the arrays become rows without a token.
Status Session::Content::uploadChunk(const FlatTokens &flat, const Chunk &chunk,
                                     size_t stride) {
  auto array = [&](size_t index, std::span<const int32_t> values,
                   int32_t rest) {
    auto begin = staging.begin() + static_cast<ptrdiff_t>(index * stride);
    std::fill(std::ranges::copy(values, begin).out,
              begin + static_cast<ptrdiff_t>(stride), rest);
  };
  auto part = [&](const std::vector<int32_t> &values) {
    return std::span(values).subspan(chunk.begin, chunk.count);
  };
  array(0, part(flat.tokens), 0);
  array(1, part(flat.positions), kNoToken);
  array(2, part(flat.sequences), 0);
  array(3, chunk.rows, 0);
  return device().copyToDevice(buffers.inputs.address(), staging.data(),
                               kInputArrays * stride * sizeof(int32_t));
}

Status Session::Content::run(const Executor::Call &call) {
  return times ? executor->runTimed(call, *times) : executor->run(call);
}

/// Copies what the logits function said about `inputs` into `outputs`.
Status Session::Content::readOutputs(std::span<const Input> inputs,
                                     std::span<Output> outputs) {
  std::vector<int32_t> nextTokens(inputs.size());
  ODYSSEY_RETURN_IF_ERROR(
      device().copyToHost(nextTokens.data(), buffers.nextToken.address(),
                          nextTokens.size() * sizeof(int32_t)));
  size_t vocabulary = static_cast<size_t>(model().vocabulary);
  for (size_t i = 0; i < inputs.size(); ++i) {
    outputs[i].nextToken = nextTokens[i];
    if (!inputs[i].wantLogits)
      continue;
    outputs[i].logits.resize(vocabulary);
    ODYSSEY_RETURN_IF_ERROR(device().copyToHost(
        outputs[i].logits.data(),
        buffers.logits.address() + i * vocabulary * sizeof(float),
        vocabulary * sizeof(float)));
  }
  return Status::success();
}

/// Computes the state `hidden` of a chunk. Returns where its rows stand on the
/// device.
Result<DeviceAddress> Session::Content::runForward(const FlatTokens &flat,
                                                   const Chunk &chunk) {
  size_t stride = arrayStride(static_cast<int64_t>(chunk.count));
  ODYSSEY_RETURN_IF_ERROR(uploadChunk(flat, chunk, stride));
  auto array = [&](size_t index) {
    return buffers.inputs.address() + index * stride * sizeof(int32_t);
  };
  std::array forwardInputs = {array(0), array(1), array(2),
                              buffers.pageTable.address()};
  ODYSSEY_RETURN_IF_ERROR(run(
      {model().forward, forwardInputs, {}, static_cast<int64_t>(chunk.count)}));
  return array(3);
}

/// Runs a chunk, and computes the outputs of the inputs that end in it.
Status Session::Content::runChunk(const FlatTokens &flat, const Chunk &chunk,
                                  std::span<const Input> inputs,
                                  std::span<Output> outputs) {
  ODYSSEY_ASSIGN_OR_RETURN(DeviceAddress chunkRows, runForward(flat, chunk));
  std::array logitsOutputs = {buffers.logits.address(),
                              buffers.nextToken.address()};
  for (size_t begin = 0; begin < chunk.rows.size();
       begin += static_cast<size_t>(maxRows)) {
    size_t count =
        std::min(static_cast<size_t>(maxRows), chunk.rows.size() - begin);
    std::array rows = {chunkRows + begin * sizeof(int32_t)};
    ODYSSEY_RETURN_IF_ERROR(run(
        {model().logits, rows, logitsOutputs, static_cast<int64_t>(count)}));
    size_t first = chunk.firstInput + begin;
    ODYSSEY_RETURN_IF_ERROR(readOutputs(inputs.subspan(first, count),
                                        outputs.subspan(first, count)));
  }
  return Status::success();
}

/// Runs a chunk, and computes the logits of its rows.
Status Session::Content::scoreChunk(const FlatTokens &flat, const Chunk &chunk,
                                    std::span<float> logits) {
  ODYSSEY_ASSIGN_OR_RETURN(DeviceAddress chunkRows, runForward(flat, chunk));
  std::array outputs = {buffers.scoredLogits.address(),
                        buffers.scoredToken.address()};
  auto maxRows = std::min(
      kScoredRows, static_cast<size_t>(function(model().logits).maxTokens()));
  for (size_t begin = 0; begin < chunk.rows.size(); begin += maxRows) {
    size_t count = std::min(maxRows, chunk.rows.size() - begin);
    std::array rows = {chunkRows + begin * sizeof(int32_t)};
    ODYSSEY_RETURN_IF_ERROR(
        run({model().logits, rows, outputs, static_cast<int64_t>(count)}));
    auto part = logits.first(count * static_cast<size_t>(model().vocabulary));
    ODYSSEY_RETURN_IF_ERROR(device().copyToHost(
        part.data(), buffers.scoredLogits.address(), part.size_bytes()));
    logits = logits.subspan(part.size());
  }
  return Status::success();
}

/// Like `runChunk` for a step of one token a sequence. Decoding runs such steps
/// again and again: they are filled up to their bucket, so that all steps of a
/// bucket are one and the same graph, from the tokens to the next ones.
Status Session::Content::runDecode(const FlatTokens &flat, const Chunk &chunk,
                                   std::span<const Input> inputs,
                                   std::span<Output> outputs) {
  auto count = static_cast<int64_t>(chunk.count);
  int64_t tokens =
      paddedCount(model().forward, count, model().maxTokensPerStep);
  int64_t rowCount = paddedCount(model().logits, count, logitsRows());
  size_t stride = arrayStride(std::max(tokens, rowCount));
  ODYSSEY_RETURN_IF_ERROR(uploadChunk(flat, chunk, stride));
  auto array = [&](size_t index) {
    return buffers.inputs.address() + index * stride * sizeof(int32_t);
  };
  std::array forwardInputs = {array(0), array(1), array(2),
                              buffers.pageTable.address()};
  std::array rows = {array(3)};
  std::array logitsOutputs = {buffers.logits.address(),
                              buffers.nextToken.address()};
  std::array calls = {
      Executor::Call{model().forward, forwardInputs, {}, tokens},
      Executor::Call{model().logits, rows, logitsOutputs, rowCount}};
  ODYSSEY_RETURN_IF_ERROR(executor->runRecorded(calls));
  return readOutputs(inputs, outputs);
}

Session::Session(std::unique_ptr<Content> c) : content(std::move(c)) {}
Session::~Session() = default;

Result<std::unique_ptr<Session>>
Session::create(std::shared_ptr<const Bundle> bundle,
                std::shared_ptr<Device> device, WeightSource weights) {
  if (!bundle->plan().model)
    return failedPrecondition("'" + bundle->path() +
                              "' holds no model that generates text, only "
                              "functions");
  ODYSSEY_ASSIGN_OR_RETURN(
      std::unique_ptr<Executor> executor,
      Executor::create(std::move(bundle), std::move(device), weights));
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
  size_t maxTokens = static_cast<size_t>(model().maxTokensPerStep);
  bool isDecode =
      flat.size() == inputs.size() &&
      flat.size() <= std::min(maxTokens, static_cast<size_t>(content->maxRows));

  std::vector<Output> outputs(inputs.size());
  size_t finished = 0;
  for (size_t begin = 0; begin < flat.size(); begin += maxTokens) {
    Chunk chunk{begin, std::min(maxTokens, flat.size() - begin), finished, {}};
    // `hidden` holds this chunk's rows only until the next one runs.
    for (;
         finished < inputs.size() && flat.last[finished] < begin + chunk.count;
         ++finished)
      chunk.rows.push_back(static_cast<int32_t>(flat.last[finished] - begin));
    ODYSSEY_RETURN_IF_ERROR(
        isDecode && !content->times
            ? content->runDecode(flat, chunk, inputs, outputs)
            : content->runChunk(flat, chunk, inputs, outputs));
  }
  for (const Input &input : inputs)
    content->sequences[static_cast<size_t>(input.sequence)].length +=
        static_cast<int64_t>(input.tokens.size());
  return outputs;
}

Result<std::vector<float>> Session::score(SequenceId sequence,
                                          std::span<const int32_t> tokens,
                                          size_t first) {
  if (first >= tokens.size())
    return invalidArgument("logits from token " + std::to_string(first) +
                           " on of " + std::to_string(tokens.size()));
  std::array inputs = {Input{sequence, tokens}};
  ODYSSEY_RETURN_IF_ERROR(content->allocateScoring());
  ODYSSEY_RETURN_IF_ERROR(content->reservePages(inputs));
  ODYSSEY_RETURN_IF_ERROR(content->uploadPageTable());
  FlatTokens flat = content->flatten(inputs);

  size_t vocabulary = static_cast<size_t>(model().vocabulary);
  size_t maxTokens = static_cast<size_t>(model().maxTokensPerStep);
  std::vector<float> logits((tokens.size() - first) * vocabulary);
  std::span<float> rest = logits;
  for (size_t begin = 0; begin < flat.size(); begin += maxTokens) {
    Chunk chunk{begin, std::min(maxTokens, flat.size() - begin), 0, {}};
    size_t end = begin + chunk.count;
    for (size_t token = std::clamp(first, begin, end); token < end; ++token)
      chunk.rows.push_back(static_cast<int32_t>(token - begin));
    ODYSSEY_RETURN_IF_ERROR(content->scoreChunk(flat, chunk, rest));
    rest = rest.subspan(chunk.rows.size() * vocabulary);
  }
  content->sequences[static_cast<size_t>(sequence)].length +=
      static_cast<int64_t>(tokens.size());
  return logits;
}

void Session::collectKernelTimes(KernelTimes *times) { content->times = times; }

} // namespace odyssey::runtime

//===- Session.h - Sequences of tokens on a compiled decoder ----*- C++ -*-===//
//
// A Session holds the KV cache of a decoder and the sequences in it, and runs
// steps: some tokens of some sequences in, the next token of each out. It knows
// nothing about text; Generator.h does.
//
//   prefill: one step with all tokens of the prompt
//   decode:  one step for every token, with the one before it
//
// One step may mix the two, for as many sequences as the bundle was compiled
// for. A token's result does not depend on what else is in its step.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_SESSION_H
#define ODYSSEY_RUNTIME_SESSION_H

#include "odyssey/runtime/Executor.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace odyssey::runtime {

/// Names a sequence of a Session: 0 to max_batch - 1.
enum class SequenceId : int32_t {};

class Session {
public:
  /// New tokens of one sequence.
  struct Input {
    SequenceId sequence = SequenceId(0);
    std::span<const int32_t> tokens;
    /// Copy the logits to the host; greedy decoding does not need them.
    bool wantLogits = false;
  };
  /// What the model says after the last of them.
  struct Output {
    /// The token with the greatest logit, the lowest one on a tie.
    int32_t nextToken = 0;
    /// One for each token of the vocabulary, or empty.
    std::vector<float> logits;
  };

  /// Loads the bundle on the device. FailedPrecondition when it holds no
  /// decoder or does not run on this device.
  static Result<std::unique_ptr<Session>>
  create(std::shared_ptr<const Bundle> bundle, std::shared_ptr<Device> device,
         WeightSource weights = WeightSource::Bundle);
  ~Session();

  const DecoderPlan &model() const;
  Executor &executor() const;

  /// Begins an empty sequence. ResourceExhausted when all max_batch are in use.
  Result<SequenceId> addSequence();
  /// Ends a sequence; its pages of the KV cache are free for others.
  Status removeSequence(SequenceId sequence);

  /// The number of tokens that the sequence holds.
  Result<int64_t> length(SequenceId sequence) const;
  /// Forgets all tokens of a sequence but the first `length`.
  Status rewind(SequenceId sequence, int64_t length);

  /// Appends tokens to sequences (each at most once in `inputs`, each with at
  /// least one token) and computes what follows. More tokens than the largest
  /// step takes are run in several. ResourceExhausted, naming the limit, when a
  /// sequence would be longer than the context that the bundle was compiled
  /// for, or when no pages of the KV cache are left; after any error, no
  /// sequence has changed.
  Result<std::vector<Output>> step(std::span<const Input> inputs);

  /// Appends tokens to one sequence, as `step` does, and returns the logits
  /// after tokens[first] and after every later one: [tokens - first,
  /// vocabulary]. This is how a text is scored; `first` is below the number of
  /// tokens.
  Result<std::vector<float>>
  score(SequenceId sequence, std::span<const int32_t> tokens, size_t first = 0);

  /// From now on, adds the time of every kernel to `times`, which makes steps
  /// slower; null ends that.
  void collectKernelTimes(KernelTimes *times);

private:
  struct Content;
  explicit Session(std::unique_ptr<Content> content);

  std::unique_ptr<Content> content;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_SESSION_H

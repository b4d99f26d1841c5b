//===- ToyDecoder.h - A decoder small enough to know by heart ---*- C++ -*-===//
//
// A bundle with all that a decoder has (pages, states, buckets, two functions)
// and arithmetic that a test can do on its own: the hidden state of a token is
//
//   hidden = sum over all tokens t_j of the sequence up to it, of t_j * (j + 1)
//
// read back from the KV cache through the page table, and the next token is
// hidden mod vocabulary. Two kernels make a step, so that tokens of one step
// see each other: `toy_append` writes the cache, `toy_attend` reads it.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_SESSION_TOYDECODER_H
#define ODYSSEY_TEST_UNIT_SESSION_TOYDECODER_H

#include "BundleBuilder.h"
#include "FakeDevice.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace odyssey::runtime::testing {

struct ToyOptions {
  int vocabulary = 64;
  int context = 40;
  int maxBatch = 3;
  int pageTokens = 4;
  /// Pages of the KV cache; fewer than all sequences could need.
  int pages = 24;
  int maxTokensPerStep = 8;
  /// Whether the plan says that rows without a token (position -1) are fine,
  /// as they are to the kernels.
  bool paddedSteps = true;
  /// An id that ends a text.
  int eos = 2;
  bool addBos = true;
  std::string target = "sm_80";
};

/// The plan of the toy, to be changed by tests.
nlohmann::json toyPlan(const ToyOptions &options = {});
/// The PTX of its kernels.
std::string toyPtx();
/// A tokenizer of single characters, in the form of tokenizer.json: ids 0 to 2
/// are <unk>, <s> and </s>, then "a" is 3, "b" 4 and so on.
std::string toyTokenizer();
/// The whole bundle.
BundleBuilder toyBundle(const ToyOptions &options = {});

/// Registers the toy's kernels with a fake device.
void addToyKernels(FakeDevice &device);

/// What the toy answers to a sequence.
int32_t toyNextToken(std::span<const int32_t> tokens,
                     const ToyOptions &options = {});

} // namespace odyssey::runtime::testing

#endif // ODYSSEY_TEST_UNIT_SESSION_TOYDECODER_H

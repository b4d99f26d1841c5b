//===- Plan.h - plan.json as typed, checked data ----------------*- C++ -*-===//
//
// What a bundle runs: its kernels, buffers and functions, read from plan.json
// (docs/bundle.md). A Plan that `parsePlan` returned is consistent in itself:
// indices are in range, shapes positive, buckets sorted, workspace offsets
// aligned and inside, grids not empty. Code that executes a plan relies on
// that and checks nothing again.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_PLAN_H
#define ODYSSEY_RUNTIME_PLAN_H

#include "odyssey/runtime/Device.h"
#include "odyssey/runtime/Status.h"
#include "odyssey/runtime/Tensor.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace odyssey::runtime {

/// Alignment of weights, workspace offsets and allocations, in bytes.
inline constexpr uint64_t kBufferAlignment = 256;

/// What code was compiled for: "sm_80" runs on that compute capability and
/// every later one, "sm_90a" on exactly 9.0.
struct TargetName {
  std::string text;
  /// major * 10 + minor.
  int computeCapability = 0;
  bool exact = false;
};

/// InvalidArgument for anything but "sm_" and a number with an optional "a".
Result<TargetName> parseTarget(std::string_view text);

struct ModulePlan {
  std::string name;
  /// Names of sections of the bundle; no cubin when it is empty.
  std::string ptx;
  std::string cubin;
  int cubinCapability = 0;
};

/// The integer product that a kernel computes (docs/numerics.md), for programs
/// that run it with operands of their own.
/// How a product of one token makes its 8-bit activations itself, from fp16.
struct ProloguePlan {
  /// The token is normalized as well (docs/numerics.md, N18), with this
  /// epsilon.
  bool norm = false;
  float epsilon = 0;
  /// Numbers, or with `norm` pairs, by which the kernel in front tells what is
  /// to be known of the whole row; 0 where it does not.
  int64_t statistics = 0;
};

struct ProductPlan {
  int64_t n = 0, k = 0;
  /// Of a weight: 4 or 8.
  int64_t weightBits = 4;
  /// Input channels that share a multiplier; 0 where there are none.
  int64_t groupSize = 0;
  /// Output channels of a panel of packed weights (lib/Layout).
  int64_t panelChannels = 0;
  /// Bytes from one row of quantized activations to the next.
  int64_t rowBytes = 0;
  /// Tokens of a tile of swizzled activations (lib/Layout), or 0 for rows.
  int64_t swizzledTokens = 0;
  /// Weights are gate and up, interleaved (lib/Layout); the result is
  /// SiLU(gate) * up.
  bool siluMul = false;
  std::optional<ProloguePlan> prologue;
  /// Numbers of a row of the second result, or 0 where there is none.
  int64_t maxima = 0;
  /// What the kernel's first arguments are (docs/bundle.md): "x", "x_scales" or
  /// those of the prologue, "weights", "weight_scales", others where there are
  /// such, "result".
  std::vector<std::string> operands;

  /// Elements of a row of the result.
  int64_t outputs() const { return siluMul ? n / 2 : n; }
};

struct KernelPlan {
  std::string name;
  uint32_t module = 0;
  /// Groups times in statistics, for example "matmul".
  std::string kind;
  Dim3 block, cluster;
  uint32_t sharedBytes = 0;
  bool programmaticDependentLaunch = false;
  std::optional<ProductPlan> product;
};

/// `count * ceil(tokens / per)` CTAs, or `count` where `per` is 0.
struct GridDimension {
  uint32_t count = 1;
  uint32_t per = 0;

  uint64_t blocks(int64_t tokens) const {
    uint64_t m = static_cast<uint64_t>(tokens);
    return per == 0 ? count : count * ((m + per - 1) / per);
  }
};

struct ArgumentPlan {
  enum class Kind {
    Workspace,
    Counters,
    Weight,
    Input,
    Output,
    State,
    Tokens,
    I32
  };
  Kind kind = Kind::Tokens;
  /// A byte offset (Workspace, Counters), an index (Weight: into Plan::weights;
  /// Input, Output: of the function; State: into Plan::states), or the constant
  /// (I32).
  int64_t value = 0;
};

struct StepPlan {
  uint32_t kernel = 0;
  std::array<GridDimension, 3> grid;
  std::vector<ArgumentPlan> arguments;
};

struct BucketPlan {
  /// The largest number of tokens that the steps serve; 0 for a function
  /// without dynamic size.
  int64_t tokens = 0;
  uint64_t workspaceBytes = 0;
  /// Memory that is zero before and after each step.
  uint64_t counterBytes = 0;
  std::vector<StepPlan> steps;
};

struct FunctionPlan {
  std::string name;
  std::vector<TensorType> inputs, outputs;
  /// Indices into Plan::states.
  std::vector<uint32_t> states;
  /// Sorted by `tokens`, at least one.
  std::vector<BucketPlan> buckets;

  bool hasTokens() const { return buckets.back().tokens != 0; }
  /// The largest number of tokens of one call; 0 without dynamic size.
  int64_t maxTokens() const { return buckets.back().tokens; }
  /// The first bucket that serves `tokens`, or nothing.
  std::optional<size_t> bucketFor(int64_t tokens) const;
};

/// What makes the bundle a text generator ("model" in plan.json).
struct DecoderPlan {
  std::string name;
  /// Indices into Plan::functions and Plan::states.
  uint32_t forward = 0, logits = 0;
  uint32_t kvCache = 0, hidden = 0;
  int64_t vocabulary = 0;
  /// The largest number of tokens of a sequence.
  int64_t context = 0;
  int64_t maxBatch = 0;
  int64_t pageTokens = 0;
  /// Pages of the KV cache, shared by all sequences.
  int64_t pages = 0;
  int64_t maxTokensPerStep = 0;
  /// The forward function takes rows without a token (position -1), so that a
  /// step can be filled up to its bucket.
  bool paddedSteps = false;
  /// The section with the tokenizer; empty when the bundle has none.
  std::string tokenizer;
  std::optional<int32_t> bos;
  std::vector<int32_t> eos;
  bool addBos = false;

  /// Pages of one sequence of full length.
  int64_t pagesPerSequence() const {
    return (context + pageTokens - 1) / pageTokens;
  }
};

struct Plan {
  std::string producer;
  TargetName target;
  std::vector<ModulePlan> modules;
  std::vector<KernelPlan> kernels;
  std::vector<TensorType> weights;
  std::vector<FunctionPlan> functions;
  std::vector<TensorType> states;
  std::optional<DecoderPlan> model;

  /// Bits of the weights of the kernels' products; 0 where there are none.
  int64_t weightBits() const;
  /// The index of the function of that name, or nothing.
  std::optional<uint32_t> findFunction(std::string_view name) const;
};

/// Reads and checks plan.json. DataLoss names the field that is wrong, for
/// example "plan.json: functions[0].buckets[1].steps[4].kernel: expected an
/// integer from 0 to 11, got 12".
Result<Plan> parsePlan(std::string_view json);

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_PLAN_H

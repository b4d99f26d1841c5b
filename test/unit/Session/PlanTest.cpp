//===- PlanTest.cpp - plan.json as typed, checked data --------------------===//

#include "odyssey/runtime/Plan.h"

#include "ToyDecoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

using namespace odyssey::runtime;
using namespace odyssey::runtime::testing;
using nlohmann::json;
using ::testing::HasSubstr;

namespace {

/// A plan with one of everything: the example of docs/bundle.md, in essence.
json smallPlan() {
  return json::parse(R"({
    "format": 1, "producer": "odyssey 0.1.0", "target": "sm_80",
    "modules": [{"name": "kernels", "ptx": "kernels.sm_80.ptx",
                 "cubin": "kernels.sm_80.cubin", "cubin_capability": 80}],
    "kernels": [{"name": "matmul", "module": 0, "kind": "matmul",
                 "block": [128, 1, 1], "shared_bytes": 24576,
                 "cluster": [2, 1, 1],
                 "programmatic_dependent_launch": true}],
    "weights": [{"name": "w", "type": "u8", "shape": [12288]},
                {"name": "s", "type": "f32", "shape": [192]}],
    "functions": [{
      "name": "main",
      "inputs": [{"name": "x", "type": "f16", "shape": ["tokens", 64]},
                 {"name": "table", "type": "i32", "shape": [1, 2]}],
      "outputs": [{"name": "y", "type": "bf16", "shape": ["tokens", 192]}],
      "states": ["cache"],
      "buckets": [
        {"tokens": 8, "workspace_bytes": 1024, "counter_bytes": 64,
         "steps": [{"kernel": 0, "grid": [[1, 8], [3, 0], [1, 0]],
                    "arguments": [{"workspace": 256}, {"weight": 1},
                                  {"input": 0}, {"output": 0}, {"state": 0},
                                  {"tokens": true}, {"i32": -7},
                                  {"counters": 4}]}]},
        {"tokens": 64, "workspace_bytes": 4096,
         "steps": [{"kernel": 0, "grid": [[2, 8], [3, 0], [1, 0]],
                    "arguments": []}]}]
    }],
    "states": [{"name": "other", "type": "i8", "shape": [4]},
               {"name": "cache", "type": "f16", "shape": [5, 2]}]
  })");
}

TEST(PlanTest, ReadsEverything) {
  auto plan = parsePlan(smallPlan().dump());
  ASSERT_TRUE(plan.ok()) << plan.status().message();
  EXPECT_EQ(plan->producer, "odyssey 0.1.0");
  EXPECT_EQ(plan->target.computeCapability, 80);
  EXPECT_EQ(plan->modules[0].ptx, "kernels.sm_80.ptx");
  EXPECT_EQ(plan->modules[0].cubin, "kernels.sm_80.cubin");
  EXPECT_EQ(plan->modules[0].cubinCapability, 80);
  const KernelPlan &kernel = plan->kernels[0];
  EXPECT_FALSE(kernel.product.has_value());
  EXPECT_EQ(kernel.name, "matmul");
  EXPECT_EQ(kernel.block.x, 128u);
  EXPECT_EQ(kernel.cluster.x, 2u);
  EXPECT_EQ(kernel.sharedBytes, 24576u);
  EXPECT_TRUE(kernel.programmaticDependentLaunch);
  EXPECT_EQ(plan->weights[1].bytes(0), 768u);
  const FunctionPlan &function = plan->functions[0];
  EXPECT_EQ(plan->findFunction("main"), 0u);
  EXPECT_EQ(plan->findFunction("none"), std::nullopt);
  EXPECT_EQ(function.inputs[0].bytes(3), 3u * 64 * 2);
  EXPECT_EQ(describe(function.outputs[0]), "bf16 [tokens, 192]");
  EXPECT_EQ(function.states, std::vector<uint32_t>{1});
  EXPECT_EQ(function.maxTokens(), 64);
  EXPECT_EQ(function.bucketFor(1), 0u);
  EXPECT_EQ(function.bucketFor(8), 0u);
  EXPECT_EQ(function.bucketFor(9), 1u);
  EXPECT_EQ(function.bucketFor(65), std::nullopt);

  const StepPlan &step = function.buckets[0].steps[0];
  EXPECT_EQ(step.grid[0].blocks(8), 1u);
  EXPECT_EQ(step.grid[0].blocks(9), 2u);
  EXPECT_EQ(step.grid[1].blocks(9), 3u);
  using Kind = ArgumentPlan::Kind;
  std::vector<std::pair<Kind, int64_t>> arguments;
  for (const ArgumentPlan &argument : step.arguments)
    arguments.emplace_back(argument.kind, argument.value);
  EXPECT_EQ(arguments, (std::vector<std::pair<Kind, int64_t>>{
                           {Kind::Workspace, 256},
                           {Kind::Weight, 1},
                           {Kind::Input, 0},
                           {Kind::Output, 0},
                           // The function's state 0 is the plan's state 1.
                           {Kind::State, 1},
                           {Kind::Tokens, 0},
                           {Kind::I32, -7},
                           {Kind::Counters, 4}}));
  EXPECT_EQ(function.buckets[0].counterBytes, 64u);
  EXPECT_EQ(function.buckets[1].counterBytes, 0u);
  EXPECT_FALSE(plan->model.has_value());
}

TEST(PlanTest, ReadsWhichProductAKernelComputes) {
  json plan = smallPlan();
  plan["kernels"][0]["product"] = json::parse(
      R"({"n": 200, "k": 172, "weight_bits": 4, "panel_channels": 64,
          "row_bytes": 192, "operands": ["x", "x_scales", "weights",
          "weight_scales", "bias", "result"]})");
  auto read = parsePlan(plan.dump());
  ASSERT_TRUE(read.ok()) << read.status().message();
  ASSERT_TRUE(read->kernels[0].product.has_value());
  const ProductPlan &product = *read->kernels[0].product;
  EXPECT_EQ(product.n, 200);
  EXPECT_EQ(product.k, 172);
  EXPECT_EQ(product.weightBits, 4);
  EXPECT_EQ(read->weightBits(), 4);
  EXPECT_EQ(product.panelChannels, 64);
  EXPECT_EQ(product.rowBytes, 192);
  EXPECT_EQ(product.operands[4], "bias");
  EXPECT_EQ(product.outputs(), 200);

  plan["kernels"][0]["product"]["weight_bits"] = 8;
  read = parsePlan(plan.dump());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->weightBits(), 8);
  plan["kernels"][0]["product"]["weight_bits"] = 6;
  EXPECT_THAT(parsePlan(plan.dump()).status().message(),
              HasSubstr("expected 4 or 8"));
  plan["kernels"][0]["product"]["weight_bits"] = 4;

  plan["kernels"][0]["product"]["activation"] = "silu_mul";
  read = parsePlan(plan.dump());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->kernels[0].product->outputs(), 100);
  plan["kernels"][0]["product"]["n"] = 202;
  EXPECT_THAT(parsePlan(plan.dump()).status().message(),
              HasSubstr("gate and up need n to be a multiple of 4"));
  plan["kernels"][0]["product"]["activation"] = "gelu";
  EXPECT_THAT(parsePlan(plan.dump()).status().message(),
              HasSubstr("kernels[0].product.activation: expected 'silu_mul'"));

  plan["kernels"][0]["product"].erase("activation");
  EXPECT_FALSE(read->kernels[0].product->prologue.has_value());
  plan["kernels"][0]["product"]["maxima"] = 8;
  plan["kernels"][0]["product"]["prologue"] =
      json::parse(R"({"kind": "rms_norm", "epsilon": 1e-6, "statistics": 7})");
  read = parsePlan(plan.dump());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->kernels[0].product->maxima, 8);
  ASSERT_TRUE(read->kernels[0].product->prologue.has_value());
  EXPECT_TRUE(read->kernels[0].product->prologue->norm);
  EXPECT_EQ(read->kernels[0].product->prologue->epsilon, 1e-6f);
  EXPECT_EQ(read->kernels[0].product->prologue->statistics, 7);
  plan["kernels"][0]["product"]["prologue"]["epsilon"] = "small";
  EXPECT_THAT(parsePlan(plan.dump()).status().message(),
              HasSubstr("prologue.epsilon: expected a number"));
  plan["kernels"][0]["product"]["prologue"] = {{"kind", "quantize"}};
  read = parsePlan(plan.dump());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_FALSE(read->kernels[0].product->prologue->norm);
  plan["kernels"][0]["product"]["prologue"]["kind"] = "sort";
  EXPECT_THAT(parsePlan(plan.dump()).status().message(),
              HasSubstr("prologue.kind: expected 'quantize' or 'rms_norm'"));
  plan["kernels"][0]["product"].erase("prologue");

  plan["kernels"][0]["product"]["row_bytes"] = 171;
  EXPECT_THAT(parsePlan(plan.dump()).status().message(),
              HasSubstr("kernels[0].product.row_bytes"));
}

TEST(PlanTest, ReadsAFunctionWithoutDynamicSize) {
  json plan = smallPlan();
  json &function = plan["functions"][0];
  function["inputs"][0]["shape"] = {3, 64};
  function["outputs"][0]["shape"] = {3, 192};
  function["buckets"] = json::parse(
      R"([{"tokens": 0, "workspace_bytes": 0,
           "steps": [{"kernel": 0, "grid": [[6, 0], [1, 0], [1, 0]],
                      "arguments": [{"input": 0}]}]}])");
  auto read = parsePlan(plan.dump());
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_FALSE(read->functions[0].hasTokens());
  EXPECT_EQ(read->functions[0].bucketFor(17), 0u);
}

/// Sets one value of a plan and expects this error.
struct Damage {
  const char *pointer;
  const char *value;
  const char *message;
};

void PrintTo(const Damage &damage, std::ostream *stream) {
  *stream << damage.pointer << " = " << damage.value;
}

void expectDamage(json plan, const Damage &damage) {
  plan[json::json_pointer(damage.pointer)] = json::parse(damage.value);
  auto read = parsePlan(plan.dump());
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.status().code(), StatusCode::DataLoss);
  EXPECT_THAT(read.status().message(), HasSubstr("plan.json: "));
  EXPECT_THAT(read.status().message(), HasSubstr(damage.message));
}

class PlanDamageTest : public ::testing::TestWithParam<Damage> {};

TEST_P(PlanDamageTest, IsNamed) { expectDamage(smallPlan(), GetParam()); }

const char kHuge[] = "1000000000000000000";

INSTANTIATE_TEST_SUITE_P(
    Fields, PlanDamageTest,
    ::testing::Values(
        Damage{"/format", "2", "format: version 2"},
        Damage{"/format", "\"1\"", "format: expected an integer"},
        Damage{"/target", "\"gfx90a\"", "target: unknown target 'gfx90a'"},
        Damage{"/target", "\"sm_9\"", "target: unknown target"},
        Damage{"/target", "\"sm_90b\"", "target: unknown target"},
        Damage{"/modules", "{}", "modules: expected an array, got object"},
        Damage{"/modules/0/ptx", "\"\"", "modules[0].ptx: expected a string"},
        Damage{"/modules/0/cubin_capability", "0", "cubin_capability"},
        Damage{"/kernels/0/module", "1",
               "kernels[0].module: expected an integer from 0 to 0, got 1"},
        Damage{"/kernels/0/module", "-1", "kernels[0].module"},
        Damage{"/kernels/0/module", "0.5", "kernels[0].module"},
        Damage{"/kernels/0/block", "[128, 1]", "expected an array of 3"},
        Damage{"/kernels/0/block", "[0, 1, 1]", "kernels[0].block[0]"},
        Damage{"/kernels/0/block", "[64, 32, 1]", "more than 1024 threads"},
        Damage{"/kernels/0/block", "[1, 1, 65]", "64 in z"},
        Damage{"/kernels/0/shared_bytes", "-1", "shared_bytes"},
        Damage{"/kernels/0/shared_bytes", kHuge, "shared_bytes"},
        Damage{"/kernels/0/cluster", "[4, 5, 1]", "more than 16 CTAs"},
        Damage{"/kernels/0/programmatic_dependent_launch", "1",
               "expected true or false, got 1"},
        Damage{"/weights/0/type", "\"f64\"", "unknown element type 'f64'"},
        Damage{"/weights/0/shape", "[\"tokens\"]", "weights[0].shape[0]"},
        Damage{"/weights/0/shape", "[0]", "weights[0].shape[0]"},
        Damage{"/weights/0/shape", "[1099511627776, 1099511627776]",
               "too large"},
        Damage{"/weights/1/name", "\"w\"", "the name 'w' stands twice"},
        Damage{"/states/0/shape", "[-4]", "states[0].shape[0]"},
        Damage{"/states/1/name", "\"other\"", "stands twice"},
        Damage{"/functions/0/inputs/0/shape", "[64, \"tokens\"]",
               "inputs[0].shape[1]"},
        Damage{"/functions/0/inputs/0/shape", "[\"rows\", 64]",
               "expected a size or \"tokens\""},
        Damage{"/functions/0/inputs/1/name", "\"x\"", "stands twice"},
        Damage{"/functions/0/outputs/0/shape", "[\"tokens\", 1099511627776]",
               "outputs[0]: the tensor"},
        Damage{"/functions/0/states/0", "\"none\"",
               "functions[0].states[0]: there is no state 'none'"},
        Damage{"/functions/0/buckets", "[]", "at least 1"},
        Damage{"/functions/0/buckets/0/tokens", "0", "a bucket of 0 tokens"},
        Damage{"/functions/0/buckets/0/tokens", "64", "not sorted"},
        Damage{"/functions/0/buckets/0/tokens", "100", "not sorted"},
        Damage{"/functions/0/buckets/1/tokens", kHuge, "buckets[1].tokens"},
        Damage{"/functions/0/buckets/0/workspace_bytes", "-1",
               "workspace_bytes"},
        Damage{"/functions/0/buckets/0/workspace_bytes", kHuge,
               "workspace_bytes"},
        Damage{"/functions/0/buckets/0/counter_bytes", "-1", "counter_bytes"}));

INSTANTIATE_TEST_SUITE_P(
    Steps, PlanDamageTest,
    ::testing::Values(
        Damage{"/functions/0/buckets/0/steps/0/kernel", "1",
               "functions[0].buckets[0].steps[0].kernel: expected an integer "
               "from 0 to 0, got 1"},
        Damage{"/functions/0/buckets/0/steps/0/grid", "[[1, 8], [3, 0]]",
               "grid: expected an array of 3"},
        Damage{"/functions/0/buckets/0/steps/0/grid/0", "[1]", "grid[0]"},
        Damage{"/functions/0/buckets/0/steps/0/grid/0/0", "0", "grid[0][0]"},
        Damage{"/functions/0/buckets/0/steps/0/grid/0/1", "-8", "grid[0][1]"},
        Damage{"/functions/0/buckets/0/steps/0/grid/1/0", "65536",
               "grid[1][0]"},
        Damage{"/functions/0/buckets/0/steps/0/grid/1", "[40000, 4]",
               "more than 65535 CTAs"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/0", "{}",
               "exactly one kind"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/0",
               "{\"input\": 0, \"i32\": 1}", "exactly one kind"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/0", "{\"f32\": 1}",
               "unknown kind of argument 'f32'"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/0", "7",
               "arguments[0]: expected an object, got 7"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/0/workspace", "1024",
               "arguments[0].workspace"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/0/workspace", "128",
               "expected a multiple of 256, got 128"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/0/workspace", "-256",
               "arguments[0].workspace"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/1/weight", "2",
               "weight: expected an integer from 0 to 1, got 2"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/2/input", "2",
               "arguments[2].input"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/3/output", "1",
               "arguments[3].output"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/4/state", "1",
               "arguments[4].state"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/5/tokens", "false",
               "expected true"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/6/i32", "2147483648",
               "arguments[6].i32"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/7/counters", "64",
               "counters: expected an integer from 0 to 63, got 64"},
        Damage{"/functions/0/buckets/0/steps/0/arguments/7/counters", "2",
               "expected a multiple of 4, got 2"}));

class DecoderDamageTest : public ::testing::TestWithParam<Damage> {};

TEST_P(DecoderDamageTest, IsNamed) { expectDamage(toyPlan(), GetParam()); }

INSTANTIATE_TEST_SUITE_P(
    Fields, DecoderDamageTest,
    ::testing::Values(
        Damage{"/model/kind", "\"encoder\"", "unknown kind of model 'encoder'"},
        Damage{"/model/forward", "\"none\"", "there is no function 'none'"},
        Damage{"/model/forward", "\"logits\"", "expected 4 inputs, got 1"},
        Damage{"/model/logits", "\"forward\"", "expected 1 inputs, got 4"},
        Damage{"/model/vocabulary", "0", "model.vocabulary"},
        Damage{"/model/vocabulary", "65", "expected output 0 to be 'logits'"},
        Damage{"/model/context", "0", "model.context"},
        Damage{"/model/context", "100", "expected input 3 to be 'page_table'"},
        Damage{"/model/max_batch", "2", "expected input 3 to be 'page_table'"},
        Damage{"/model/page_tokens", "0", "model.page_tokens"},
        Damage{"/model/page_tokens", "5", "expected input 3 to be"},
        Damage{"/states/0/shape", "[1, 24, 2, 1, 5, 1]", "page_tokens, head"},
        Damage{"/model/max_tokens_per_step", "9", "larger than the largest"},
        Damage{"/model/padded_steps", "1", "model.padded_steps"},
        Damage{"/model/tokenizer", "7", "model.tokenizer"},
        Damage{"/model/bos", "64", "model.bos"},
        Damage{"/model/bos", "null", "asks for a 'bos'"},
        Damage{"/model/eos", "[-1]", "model.eos[0]"},
        Damage{"/model/eos", "2", "model.eos: expected an array"},
        Damage{"/model/add_bos", "\"yes\"", "model.add_bos"},
        Damage{"/states/0/shape", "[1, 9, 2, 1, 4, 1]", "9 pages, expected 10"},
        Damage{"/states/0/shape", "[1, 24, 3, 1, 4, 1]",
               "expected [layers, pages, 2,"},
        Damage{"/states/0/name", "\"cache\"", "there is no state 'kv_cache'"},
        Damage{"/states/1/shape", "[7, 1]", "a row for each"},
        Damage{"/functions/0/states", "[\"kv_cache\", \"kv_cache\"]",
               "has no state 'hidden'"},
        Damage{"/functions/1/outputs/1/type", "\"f32\"",
               "expected output 1 to be 'next_token' i32 [tokens]"}));

TEST(PlanTest, EveryMissingFieldIsNamed) {
  // Removes each member of each object of the plans, one at a time.
  const std::set<std::string> optional = {
      "cubin", "cluster",   "programmatic_dependent_launch",
      "model", "tokenizer", "padded_steps"};
  for (const json &whole : {smallPlan(), toyPlan()}) {
    const json flat = whole.flatten();
    std::set<std::string> pointers;
    for (auto &[pointer, value] : flat.items())
      for (json::json_pointer p(pointer); !p.empty(); p.pop_back())
        pointers.insert(p.to_string());
    for (const std::string &text : pointers) {
      json::json_pointer pointer(text);
      json damaged = whole;
      json &parent = damaged[pointer.parent_pointer()];
      if (!parent.is_object() || optional.count(pointer.back()))
        continue;
      std::string key = pointer.back();
      parent.erase(key);
      auto read = parsePlan(damaged.dump());
      ASSERT_FALSE(read.ok()) << text;
      EXPECT_EQ(read.status().code(), StatusCode::DataLoss);
    }
  }
}

TEST(PlanTest, EveryTruncationIsDamage) {
  std::string text = smallPlan().dump();
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_EQ(parsePlan(text.substr(0, length)).status().code(),
              StatusCode::DataLoss);
}

TEST(PlanTest, ArbitraryChangesNeverCrash) {
  std::mt19937 random(3);
  for (const json &whole : {smallPlan(), toyPlan()}) {
    std::string text = whole.dump();
    for (int round = 0; round < 3000; ++round) {
      std::string damaged = text;
      for (int i = 0; i < 2; ++i)
        damaged[random() % text.size()] = "0123456789-\"[]{},x"[random() % 18];
      (void)parsePlan(damaged);
    }
  }
}

TEST(PlanTest, DeeplyNestedJsonIsHandled) {
  std::string text(200000, '[');
  EXPECT_EQ(parsePlan(text).status().code(), StatusCode::DataLoss);
  text.append(200000, ']');
  EXPECT_EQ(parsePlan(text).status().code(), StatusCode::DataLoss);
}

TEST(TargetTest, Names) {
  auto ampere = parseTarget("sm_80"), hopper = parseTarget("sm_90a");
  ASSERT_TRUE(ampere.ok() && hopper.ok());
  EXPECT_EQ(ampere->computeCapability, 80);
  EXPECT_FALSE(ampere->exact);
  EXPECT_EQ(hopper->computeCapability, 90);
  EXPECT_TRUE(hopper->exact);
  for (const char *text : {"", "sm_", "80", "sm_80 ", "sm_80aa", "sm_-80",
                           "sm_99999999999", "SM_80", "sm_a"})
    EXPECT_EQ(parseTarget(text).status().code(), StatusCode::InvalidArgument)
        << text;
}

} // namespace

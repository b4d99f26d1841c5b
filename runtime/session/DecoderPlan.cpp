//===- DecoderPlan.cpp - Reading the "model" of a plan --------------------===//

#include "DecoderPlan.h"

#include <limits>

namespace odyssey::runtime {

namespace {

constexpr int64_t kMaxI32 = std::numeric_limits<int32_t>::max();
constexpr int64_t kMaxContext = int64_t(1) << 24;
constexpr int64_t kMaxSequences = int64_t(1) << 16;
constexpr size_t kMaxEos = 64;

uint32_t readFunctionName(const JsonNode &node, const Plan &plan) {
  std::string name = node.string();
  auto index = plan.findFunction(name);
  if (!index)
    node.error("there is no function '" + name + "'");
  return index.value_or(0);
}

/// Checks that a function's inputs or outputs are exactly `expected`, in order.
void checkSignature(const JsonNode &node, const std::string &what,
                    const std::vector<TensorType> &actual,
                    const std::vector<TensorType> &expected) {
  if (actual.size() != expected.size()) {
    node.error("expected " + std::to_string(expected.size()) + " " + what +
               "s, got " + std::to_string(actual.size()));
    return;
  }
  for (size_t i = 0; i < expected.size(); ++i)
    if (actual[i].name != expected[i].name ||
        actual[i].type != expected[i].type ||
        actual[i].shape != expected[i].shape)
      node.error("expected " + what + " " + std::to_string(i) + " to be '" +
                 expected[i].name + "' " + describe(expected[i]) + ", got '" +
                 actual[i].name + "' " + describe(actual[i]));
}

/// The index in the plan of the state that the decoder's function uses.
uint32_t findState(const JsonNode &node, const Plan &plan,
                   const FunctionPlan &function, const std::string &name) {
  for (uint32_t index : function.states)
    if (plan.states[index].name == name)
      return index;
  node.error("the function '" + function.name + "' has no state '" + name +
             "'");
  return 0;
}

void readVocabularyNumbers(const JsonNode &node, DecoderPlan &model) {
  int64_t lastToken = model.vocabulary - 1;
  if (node.has("bos"))
    model.bos = static_cast<int32_t>(node["bos"].integer(0, lastToken));
  JsonNode eos = node["eos"];
  size_t count = eos.size(0, kMaxEos);
  for (size_t i = 0; i < count; ++i)
    model.eos.push_back(static_cast<int32_t>(eos.at(i).integer(0, lastToken)));
  JsonNode addBos = node["add_bos"];
  model.addBos = addBos.boolean();
  if (model.addBos && !model.bos)
    addBos.error("asks for a 'bos' that the model does not have");
}

void checkForward(const JsonNode &node, const Plan &plan, DecoderPlan &model) {
  const FunctionPlan &forward = plan.functions[model.forward];
  JsonNode name = node["forward"];
  checkSignature(name, "input", forward.inputs,
                 {{"tokens", ElementType::I32, {kTokensDim}},
                  {"positions", ElementType::I32, {kTokensDim}},
                  {"sequences", ElementType::I32, {kTokensDim}},
                  {"page_table",
                   ElementType::I32,
                   {model.maxBatch, model.pagesPerSequence()}}});
  checkSignature(name, "output", forward.outputs, {});
  if (model.maxTokensPerStep > forward.maxTokens())
    node["max_tokens_per_step"].error(
        "is larger than the largest bucket of '" + forward.name + "' (" +
        std::to_string(forward.maxTokens()) + ")");

  model.kvCache = findState(name, plan, forward, "kv_cache");
  model.hidden = findState(name, plan, forward, "hidden");
  const TensorType &cache = plan.states[model.kvCache];
  // [layers, pages, 2, KV heads, page_tokens, head dimension]
  if (cache.shape.size() != 6 || cache.shape[2] != 2 ||
      cache.shape[4] != model.pageTokens) {
    name.error("the state 'kv_cache' is " + describe(cache) +
               ", expected [layers, pages, 2, heads, page_tokens, head size]");
    return;
  }
  model.pages = cache.shape[1];
  if (model.pages < model.pagesPerSequence() || model.pages > kMaxI32)
    name.error("the state 'kv_cache' has " + std::to_string(model.pages) +
               " pages, expected " + std::to_string(model.pagesPerSequence()) +
               " (one sequence) or more");
  if (const TensorType &hidden = plan.states[model.hidden];
      hidden.shape.size() != 2 || hidden.shape[0] < model.maxTokensPerStep)
    name.error("the state 'hidden' is " + describe(hidden) +
               ", expected a row for each of max_tokens_per_step tokens");
}

void checkLogits(const JsonNode &node, const Plan &plan,
                 const DecoderPlan &model) {
  const FunctionPlan &logits = plan.functions[model.logits];
  JsonNode name = node["logits"];
  checkSignature(name, "input", logits.inputs,
                 {{"rows", ElementType::I32, {kTokensDim}}});
  checkSignature(name, "output", logits.outputs,
                 {{"logits", ElementType::F32, {kTokensDim, model.vocabulary}},
                  {"next_token", ElementType::I32, {kTokensDim}}});
  if (findState(name, plan, logits, "hidden") != model.hidden)
    name.error("does not read the state 'hidden' that the forward function "
               "writes");
}

} // namespace

DecoderPlan readDecoderPlan(const JsonNode &node, const Plan &plan) {
  DecoderPlan model;
  JsonNode kind = node["kind"];
  if (std::string name = kind.string(); name != "decoder")
    kind.error("unknown kind of model '" + name + "'");
  model.name = node["name"].string();
  model.forward = readFunctionName(node["forward"], plan);
  model.logits = readFunctionName(node["logits"], plan);
  model.vocabulary = node["vocabulary"].integer(1, kMaxI32);
  model.context = node["context"].integer(1, kMaxContext);
  model.maxBatch = node["max_batch"].integer(1, kMaxSequences);
  model.pageTokens = node["page_tokens"].integer(1, kMaxContext);
  model.maxTokensPerStep = node["max_tokens_per_step"].integer(1, kMaxContext);
  if (node.has("padded_steps"))
    model.paddedSteps = node["padded_steps"].boolean();
  if (node.has("tokenizer"))
    model.tokenizer = node["tokenizer"].string();
  readVocabularyNumbers(node, model);

  // The checks below index the plan, and so need all of the above to be right.
  if (node.failed())
    return model;
  checkForward(node, plan, model);
  checkLogits(node, plan, model);
  return model;
}

} // namespace odyssey::runtime

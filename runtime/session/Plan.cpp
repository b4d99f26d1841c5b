//===- Plan.cpp - plan.json as typed, checked data ------------------------===//

#include "odyssey/runtime/Plan.h"

#include "DecoderPlan.h"
#include "JsonReader.h"
#include "odyssey/runtime/BundleFormat.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

namespace odyssey::runtime {

namespace {

// Generous bounds: they keep all arithmetic on a plan's numbers inside 64 bits,
// and a lying file from asking for absurd amounts of anything.
constexpr int64_t kMaxTokens = int64_t(1) << 24;
constexpr int64_t kMaxBytes = int64_t(1) << 46;
constexpr int64_t kMaxDimension = int64_t(1) << 40;
constexpr size_t kMaxRank = 8;
constexpr int64_t kMaxU32 = std::numeric_limits<uint32_t>::max();
constexpr size_t kMaxArguments = 1024;

// CUDA's limits, the same for every target: programming guide, table
// "Technical specifications per compute capability".
constexpr int64_t kMaxThreadsPerBlock = 1024;
constexpr int64_t kMaxBlockZ = 64;
constexpr int64_t kMaxGridX = 0x7fffffff;
constexpr int64_t kMaxGridYZ = 65535;
constexpr int64_t kMaxClusterSize = 16;

/// Reads a plan from its JSON. The document remembers the first error.
class PlanReader {
public:
  explicit PlanReader(std::string_view json) : document("plan.json", json) {}

  Result<Plan> read();

private:
  void readModules(const JsonNode &list);
  void readKernels(const JsonNode &list);
  ProductPlan readProduct(const JsonNode &node);
  void readFunction(const JsonNode &node);
  void readBuckets(const JsonNode &list, FunctionPlan &function);
  void readStep(const JsonNode &node, const FunctionPlan &function,
                const BucketPlan &bucket, StepPlan &step);
  ArgumentPlan readArgument(const JsonNode &node, const FunctionPlan &function,
                            const BucketPlan &bucket);
  std::vector<TensorType> readTensors(const JsonNode &list, bool allowTokens);
  TensorType readTensor(const JsonNode &node, bool allowTokens);
  Dim3 readDim3(const JsonNode &list);
  void checkTensorBytes(const JsonNode &list,
                        const std::vector<TensorType> &tensors, int64_t tokens);

  JsonDocument document;
  Plan plan;
};

/// Reports the first name that stands twice in `items`.
template <typename T>
void checkUniqueNames(const JsonNode &list, const std::vector<T> &items) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < items.size(); ++i)
    if (!names.insert(items[i].name).second)
      list.at(i).error("the name '" + items[i].name + "' stands twice");
}

Dim3 PlanReader::readDim3(const JsonNode &list) {
  if (list.size(3, 3) != 3)
    return {};
  auto component = [&](size_t i) {
    return static_cast<uint32_t>(list.at(i).integer(1, kMaxThreadsPerBlock));
  };
  return {component(0), component(1), component(2)};
}

TensorType PlanReader::readTensor(const JsonNode &node, bool allowTokens) {
  TensorType result;
  result.name = node["name"].string();
  JsonNode typeNode = node["type"];
  std::string typeName = typeNode.string();
  if (auto type = parseElementType(typeName))
    result.type = *type;
  else
    typeNode.error("unknown element type '" + typeName + "'");

  JsonNode shape = node["shape"];
  size_t rank = shape.size(0, kMaxRank);
  for (size_t i = 0; i < rank; ++i) {
    JsonNode size = shape.at(i);
    if (allowTokens && i == 0 && size.isString()) {
      if (size.string() != "tokens")
        size.error("expected a size or \"tokens\"");
      result.shape.push_back(kTokensDim);
    } else {
      result.shape.push_back(size.integer(1, kMaxDimension));
    }
  }
  return result;
}

std::vector<TensorType> PlanReader::readTensors(const JsonNode &list,
                                                bool allowTokens) {
  std::vector<TensorType> result;
  size_t count = list.size();
  for (size_t i = 0; i < count; ++i)
    result.push_back(readTensor(list.at(i), allowTokens));
  checkUniqueNames(list, result);
  return result;
}

/// No tensor may be larger than `kMaxBytes` in a call with `tokens` tokens.
void PlanReader::checkTensorBytes(const JsonNode &list,
                                  const std::vector<TensorType> &tensors,
                                  int64_t tokens) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    auto count = elementCount(tensors[i].shapeFor(tokens));
    if (!count || *count * elementBytes(tensors[i].type) >
                      static_cast<uint64_t>(kMaxBytes))
      list.at(i).error("the tensor " + describe(tensors[i]) + " is too large");
  }
}

void PlanReader::readModules(const JsonNode &list) {
  size_t count = list.size();
  for (size_t i = 0; i < count; ++i) {
    JsonNode node = list.at(i);
    ModulePlan module;
    module.name = node["name"].string();
    module.ptx = node["ptx"].string();
    if (node.has("cubin")) {
      module.cubin = node["cubin"].string();
      module.cubinCapability =
          static_cast<int>(node["cubin_capability"].integer(10, 999));
    }
    plan.modules.push_back(std::move(module));
  }
}

ProductPlan PlanReader::readProduct(const JsonNode &node) {
  ProductPlan product;
  product.n = node["n"].integer(1, kMaxDimension);
  product.k = node["k"].integer(1, kMaxDimension);
  JsonNode bits = node["weight_bits"];
  product.weightBits = bits.integer(4, 8);
  if (product.weightBits != 4 && product.weightBits != 8)
    bits.error("expected 4 or 8");
  product.panelChannels = node["panel_channels"].integer(1, kMaxU32);
  product.rowBytes = node["row_bytes"].integer(product.k, kMaxDimension);
  if (node.has("group_size"))
    product.groupSize = node["group_size"].integer(32, 128);
  if (node.has("swizzled_tokens"))
    product.swizzledTokens = node["swizzled_tokens"].integer(8, 256);
  if (node.has("activation")) {
    JsonNode activation = node["activation"];
    product.siluMul = activation.string() == "silu_mul";
    if (!product.siluMul)
      activation.error("expected 'silu_mul'");
    else if (product.n % 4 != 0)
      activation.error("gate and up need n to be a multiple of 4");
  }
  if (node.has("prologue")) {
    JsonNode from = node["prologue"], kind = from["kind"];
    ProloguePlan &prologue = product.prologue.emplace();
    prologue.norm = kind.string() == "rms_norm";
    if (prologue.norm)
      prologue.epsilon = static_cast<float>(from["epsilon"].number());
    else if (kind.string() != "quantize")
      kind.error("expected 'quantize' or 'rms_norm'");
    if (from.has("statistics"))
      prologue.statistics = from["statistics"].integer(1, kMaxDimension);
  }
  if (node.has("maxima"))
    product.maxima = node["maxima"].integer(1, kMaxDimension);
  JsonNode operands = node["operands"];
  size_t count = operands.size(1, kMaxArguments);
  for (size_t i = 0; i < count; ++i)
    product.operands.push_back(operands.at(i).string());
  return product;
}

void PlanReader::readKernels(const JsonNode &list) {
  size_t count = list.size();
  int64_t lastModule = static_cast<int64_t>(plan.modules.size()) - 1;
  for (size_t i = 0; i < count; ++i) {
    JsonNode node = list.at(i);
    KernelPlan kernel;
    kernel.name = node["name"].string();
    kernel.module =
        static_cast<uint32_t>(node["module"].integer(0, lastModule));
    kernel.kind = node["kind"].string();
    kernel.block = readDim3(node["block"]);
    uint64_t threads =
        uint64_t(kernel.block.x) * kernel.block.y * kernel.block.z;
    if (threads > kMaxThreadsPerBlock || kernel.block.z > kMaxBlockZ)
      node["block"].error("more than 1024 threads, or 64 in z");
    kernel.sharedBytes =
        static_cast<uint32_t>(node["shared_bytes"].integer(0, kMaxU32));
    if (node.has("cluster"))
      kernel.cluster = readDim3(node["cluster"]);
    if (uint64_t(kernel.cluster.x) * kernel.cluster.y * kernel.cluster.z >
        kMaxClusterSize)
      node["cluster"].error("more than 16 CTAs");
    if (node.has("programmatic_dependent_launch"))
      kernel.programmaticDependentLaunch =
          node["programmatic_dependent_launch"].boolean();
    if (node.has("product"))
      kernel.product = readProduct(node["product"]);
    plan.kernels.push_back(std::move(kernel));
  }
}

ArgumentPlan PlanReader::readArgument(const JsonNode &node,
                                      const FunctionPlan &function,
                                      const BucketPlan &bucket) {
  using Kind = ArgumentPlan::Kind;
  if (node.members().size() != 1) {
    node.error("expected exactly one kind of argument");
    return {};
  }
  auto index = [&](const char *key, Kind kind, size_t size) {
    return ArgumentPlan{kind,
                        node[key].integer(0, static_cast<int64_t>(size) - 1)};
  };
  if (node.has("workspace")) {
    int64_t last = static_cast<int64_t>(bucket.workspaceBytes) - 1;
    int64_t offset = node["workspace"].integer(0, last);
    if (offset % static_cast<int64_t>(kBufferAlignment) != 0)
      node["workspace"].error("expected a multiple of 256, got " +
                              std::to_string(offset));
    return {Kind::Workspace, offset};
  }
  if (node.has("counters")) {
    int64_t last = static_cast<int64_t>(bucket.counterBytes) - 1;
    int64_t offset = node["counters"].integer(0, last);
    if (offset % 4 != 0)
      node["counters"].error("expected a multiple of 4, got " +
                             std::to_string(offset));
    return {Kind::Counters, offset};
  }
  if (node.has("weight"))
    return index("weight", Kind::Weight, plan.weights.size());
  if (node.has("input"))
    return index("input", Kind::Input, function.inputs.size());
  if (node.has("output"))
    return index("output", Kind::Output, function.outputs.size());
  if (node.has("state")) {
    ArgumentPlan local = index("state", Kind::State, function.states.size());
    size_t position = static_cast<size_t>(local.value);
    if (position < function.states.size())
      local.value = function.states[position];
    return local;
  }
  if (node.has("tokens")) {
    if (!node["tokens"].boolean() || bucket.tokens == 0)
      node.error("expected true, in a function with dynamic size");
    return {Kind::Tokens, 0};
  }
  if (node.has("i32"))
    return {Kind::I32,
            node["i32"].integer(std::numeric_limits<int32_t>::min(),
                                std::numeric_limits<int32_t>::max())};
  node.error("unknown kind of argument '" + node.members().begin().key() + "'");
  return {};
}

void PlanReader::readStep(const JsonNode &node, const FunctionPlan &function,
                          const BucketPlan &bucket, StepPlan &step) {
  step.kernel = static_cast<uint32_t>(
      node["kernel"].integer(0, static_cast<int64_t>(plan.kernels.size()) - 1));

  JsonNode grid = node["grid"];
  size_t dimensions = grid.size(3, 3);
  for (size_t i = 0; i < dimensions; ++i) {
    JsonNode pair = grid.at(i);
    if (pair.size(2, 2) != 2)
      return;
    int64_t limit = i == 0 ? kMaxGridX : kMaxGridYZ;
    step.grid[i].count = static_cast<uint32_t>(pair.at(0).integer(1, limit));
    step.grid[i].per = static_cast<uint32_t>(pair.at(1).integer(0, kMaxTokens));
    if (step.grid[i].per != 0 && bucket.tokens == 0)
      pair.error("depends on the tokens of a function without dynamic size");
    else if (step.grid[i].blocks(bucket.tokens) > static_cast<uint64_t>(limit))
      pair.error("more than " + std::to_string(limit) + " CTAs");
  }

  JsonNode arguments = node["arguments"];
  size_t count = arguments.size(0, kMaxArguments);
  step.arguments.reserve(count);
  for (size_t i = 0; i < count; ++i)
    step.arguments.push_back(readArgument(arguments.at(i), function, bucket));
}

void PlanReader::readBuckets(const JsonNode &list, FunctionPlan &function) {
  size_t count = list.size(1);
  for (size_t i = 0; i < count && document.status().ok(); ++i) {
    JsonNode node = list.at(i);
    BucketPlan bucket;
    bucket.tokens = node["tokens"].integer(0, kMaxTokens);
    if (bucket.tokens == 0 && count != 1)
      node["tokens"].error("a bucket of 0 tokens stands beside others");
    if (i > 0 && bucket.tokens <= function.buckets.back().tokens)
      node["tokens"].error("buckets are not sorted by their tokens");
    bucket.workspaceBytes =
        static_cast<uint64_t>(node["workspace_bytes"].integer(0, kMaxBytes));
    if (node.has("counter_bytes"))
      bucket.counterBytes =
          static_cast<uint64_t>(node["counter_bytes"].integer(0, kMaxBytes));
    JsonNode steps = node["steps"];
    bucket.steps.resize(steps.size());
    for (size_t s = 0; s < bucket.steps.size(); ++s)
      readStep(steps.at(s), function, bucket, bucket.steps[s]);
    function.buckets.push_back(std::move(bucket));
  }
}

void PlanReader::readFunction(const JsonNode &node) {
  FunctionPlan function;
  function.name = node["name"].string();
  JsonNode inputs = node["inputs"], outputs = node["outputs"];
  function.inputs = readTensors(inputs, /*allowTokens=*/true);
  function.outputs = readTensors(outputs, /*allowTokens=*/true);

  JsonNode states = node["states"];
  size_t stateCount = states.size();
  for (size_t i = 0; i < stateCount; ++i) {
    std::string name = states.at(i).string();
    auto found = std::find_if(
        plan.states.begin(), plan.states.end(),
        [&](const TensorType &state) { return state.name == name; });
    if (found == plan.states.end())
      states.at(i).error("there is no state '" + name + "'");
    function.states.push_back(
        static_cast<uint32_t>(found - plan.states.begin()));
  }

  readBuckets(node["buckets"], function);
  if (!document.status().ok())
    return;
  auto checkTensors = [&](const JsonNode &list,
                          const std::vector<TensorType> &tensors) {
    checkTensorBytes(list, tensors, std::max<int64_t>(function.maxTokens(), 1));
    for (size_t i = 0; i < tensors.size(); ++i)
      if (tensors[i].hasTokens() && !function.hasTokens())
        list.at(i).error(
            "has a dynamic size, but the function's bucket has none");
  };
  checkTensors(inputs, function.inputs);
  checkTensors(outputs, function.outputs);
  plan.functions.push_back(std::move(function));
}

Result<Plan> PlanReader::read() {
  JsonNode root = document.root();
  JsonNode format = root["format"];
  if (int64_t version = format.integer(0, kMaxU32);
      version != bundle::kPlanFormat)
    format.error("version " + std::to_string(version) +
                 " is not the version that this runtime reads (" +
                 std::to_string(bundle::kPlanFormat) + ")");
  plan.producer = root["producer"].string();
  JsonNode target = root["target"];
  if (auto parsed = parseTarget(target.string()); parsed.ok())
    plan.target = std::move(parsed).value();
  else
    target.error(parsed.status().message());

  readModules(root["modules"]);
  checkUniqueNames(root["modules"], plan.modules);
  readKernels(root["kernels"]);
  JsonNode weights = root["weights"], states = root["states"];
  plan.weights = readTensors(weights, /*allowTokens=*/false);
  plan.states = readTensors(states, /*allowTokens=*/false);
  checkTensorBytes(weights, plan.weights, 1);
  checkTensorBytes(states, plan.states, 1);

  JsonNode functions = root["functions"];
  size_t count = functions.size();
  for (size_t i = 0; i < count && document.status().ok(); ++i)
    readFunction(functions.at(i));
  checkUniqueNames(functions, plan.functions);

  if (root.has("model") && document.status().ok())
    plan.model = readDecoderPlan(root["model"], plan);
  ODYSSEY_RETURN_IF_ERROR(document.status());
  return std::move(plan);
}

} // namespace

Result<TargetName> parseTarget(std::string_view text) {
  constexpr std::string_view kPrefix = "sm_";
  TargetName target;
  target.text = text;
  std::string_view number = text;
  if (number.substr(0, kPrefix.size()) == kPrefix) {
    number.remove_prefix(kPrefix.size());
    const char *end = number.data() + number.size();
    auto [rest, error] =
        std::from_chars(number.data(), end, target.computeCapability);
    target.exact = error == std::errc() && rest + 1 == end && *rest == 'a';
    if (error == std::errc() && (rest == end || target.exact) &&
        target.computeCapability >= 10 && target.computeCapability <= 999)
      return target;
  }
  return invalidArgument("unknown target '" + std::string(text) +
                         "', expected one like sm_80 or sm_90a");
}

std::optional<size_t> FunctionPlan::bucketFor(int64_t tokens) const {
  if (!hasTokens())
    return 0;
  auto found = std::find_if(
      buckets.begin(), buckets.end(),
      [&](const BucketPlan &bucket) { return bucket.tokens >= tokens; });
  if (found == buckets.end())
    return std::nullopt;
  return static_cast<size_t>(found - buckets.begin());
}

int64_t Plan::weightBits() const {
  for (const KernelPlan &kernel : kernels)
    if (kernel.product)
      return kernel.product->weightBits;
  return 0;
}

std::optional<uint32_t> Plan::findFunction(std::string_view name) const {
  for (size_t i = 0; i < functions.size(); ++i)
    if (functions[i].name == name)
      return static_cast<uint32_t>(i);
  return std::nullopt;
}

Result<Plan> parsePlan(std::string_view json) {
  return PlanReader(json).read();
}

} // namespace odyssey::runtime

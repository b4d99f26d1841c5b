//===- Pack.cpp - Candidate kernels to measure ----------------------------===//

#include "odyssey/runtime/Pack.h"

#include "JsonReader.h"
#include "odyssey/runtime/BundleFormat.h"

namespace odyssey::runtime {

namespace {

constexpr int64_t kMaxSize = int64_t(1) << 32;
constexpr int64_t kMaxNanoseconds = int64_t(1) << 50;
/// The layout of docs/numerics.md: blocks of 16 channels x 64 k, in pieces of
/// 512 bytes.
constexpr int64_t kBlockChannels = 16, kBlockK = 64, kPieceBytes = 512;
constexpr int64_t kTileK = 128;

int64_t roundUp(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// An index into a table of `size` entries.
uint32_t readIndex(const JsonNode &node, size_t size) {
  return static_cast<uint32_t>(node.integer(0, static_cast<int64_t>(size) - 1));
}

PackProduct readProduct(const JsonNode &node, const Plan &plan) {
  PackProduct product;
  product.name = node["name"].string();
  product.n = node["n"].integer(1, kMaxSize);
  product.k = node["k"].integer(1, kMaxSize);
  JsonNode bits = node["weight_bits"];
  product.weightBits = bits.integer(4, 8);
  if (product.weightBits != 4 && product.weightBits != 8)
    bits.error("expected 4 or 8");
  JsonNode panel = node["panel"];
  product.panelChannels = panel.integer(1, kMaxSize);
  if (product.panelChannels % (2 * kBlockChannels) != 0)
    panel.error("expected a multiple of 32");
  product.weights = readIndex(node["weights"], plan.weights.size());
  product.scales = readIndex(node["scales"], plan.weights.size());
  if (node.failed())
    return product;
  auto require = [&](const char *what, uint32_t index, ElementType type,
                     int64_t elements) {
    const TensorType &weight = plan.weights[index];
    if (weight.type != type || weight.shape != std::vector<int64_t>{elements})
      node[what].error("expected " + describe(type, {elements}) + ", got " +
                       describe(weight));
  };
  require("weights", product.weights, ElementType::U8,
          roundUp(product.n, product.panelChannels) * product.paddedK() *
              product.weightBits / 8);
  require("scales", product.scales, ElementType::F32, product.n);
  return product;
}

PackCandidate readCandidate(const JsonNode &node, const Plan &plan,
                            const std::vector<PackProduct> &products) {
  PackCandidate candidate;
  JsonNode functionNode = node["function"];
  candidate.function = readIndex(functionNode, plan.functions.size());
  candidate.product = readIndex(node["product"], products.size());
  candidate.schedule = node["schedule"].string();
  candidate.predictedSeconds =
      1e-9 *
      static_cast<double>(node["predicted_ns"].integer(0, kMaxNanoseconds));
  candidate.floorSeconds =
      1e-9 * static_cast<double>(node["floor_ns"].integer(0, kMaxNanoseconds));
  candidate.tileTokens = node["tile_tokens"].integer(0, kTileK * 2);
  JsonNode tokens = node["tokens"];
  candidate.tokens = tokens.integer(1, kMaxSize);
  if (node.failed())
    return candidate;

  const FunctionPlan &function = plan.functions[candidate.function];
  const PackProduct &product = products[candidate.product];
  if (function.maxTokens() != candidate.tokens)
    tokens.error("expected the function's bucket, which is " +
                 std::to_string(function.maxTokens()));
  int64_t bytes = activationBytes(candidate, product, candidate.tokens);
  bool fits =
      function.inputs.size() == 2 && function.outputs.size() == 1 &&
      function.states.empty() && function.inputs[0].type == ElementType::I8 &&
      function.inputs[0].bytes(candidate.tokens) ==
          static_cast<uint64_t>(bytes) &&
      function.inputs[1].type == ElementType::F32 &&
      function.inputs[1].shape == std::vector<int64_t>{kTokensDim} &&
      function.outputs[0].type == ElementType::F16 &&
      function.outputs[0].shape == std::vector<int64_t>{kTokensDim, product.n};
  if (!fits)
    functionNode.error("the function '" + function.name +
                       "' has not the signature of a product");
  return candidate;
}

} // namespace

Status Pack::read() {
  auto section = opened->section(bundle::kPackSection);
  if (!section)
    return invalidArgument("is no pack: it has no section 'pack.json' "
                           "(odyssey-compile --emit=pack makes packs)");
  JsonDocument document(
      bundle::kPackSection,
      {reinterpret_cast<const char *>(section->data()), section->size()});
  JsonNode root = document.root();
  JsonNode format = root["format"];
  if (int64_t version = format.integer(0, kMaxSize);
      version != bundle::kPackFormat)
    format.error("version " + std::to_string(version) +
                 " is not the version that this runtime reads (" +
                 std::to_string(bundle::kPackFormat) + ")");
  const Plan &plan = opened->plan();
  gpuName = root["gpu"].string();
  JsonNode products = root["products"], candidates = root["candidates"];
  size_t count = products.size(1);
  for (size_t i = 0; i < count && document.status().ok(); ++i)
    productList.push_back(readProduct(products.at(i), plan));
  count = candidates.size(1);
  for (size_t i = 0; i < count && document.status().ok(); ++i)
    candidateList.push_back(readCandidate(candidates.at(i), plan, productList));
  return document.status();
}

Result<std::shared_ptr<const Pack>> Pack::open(const std::string &path) {
  std::shared_ptr<Pack> pack(new Pack());
  ODYSSEY_ASSIGN_OR_RETURN(pack->opened, Bundle::open(path));
  ODYSSEY_RETURN_IF_ERROR(pack->read().withContext("'" + path + "'"));
  return std::shared_ptr<const Pack>(std::move(pack));
}

int packedWeight(const PackProduct &product, const uint8_t *packed,
                 int64_t channel, int64_t k) {
  int64_t panel = channel / product.panelChannels;
  int64_t inPanel = channel % product.panelChannels;
  int64_t bits = product.weightBits;
  int64_t panelBytes = product.panelChannels * product.paddedK() * bits / 8;
  int64_t stepBytes = product.panelChannels * kBlockK * bits / 8;
  int64_t blockBytes = kBlockChannels * kBlockK * bits / 8;
  // Channel 4g + 2i + p of 32 is row g + 8p of block i; p = 1 is the low
  // nibble.
  int64_t of32 = inPanel % 32;
  int64_t g = of32 / 4, i = of32 / 2 % 2, p = of32 % 2;
  int64_t block = inPanel / 32 * 2 + i;
  // k = 32s + 16h + 4t + j is byte j of lane 4g + t: of 4 bits of its word 2s +
  // h, of 8 bits of word 2h + p in piece s.
  int64_t inStep = k % kBlockK;
  int64_t s = inStep / 32, h = inStep / 16 % 2, t = inStep / 4 % 4,
          j = inStep % 4;
  const uint8_t *ofLane = packed + panel * panelBytes +
                          k / kBlockK * stepBytes + block * blockBytes +
                          (4 * g + t) * 16;
  if (bits == 8)
    return static_cast<int8_t>(ofLane[s * kPieceBytes + (2 * h + p) * 4 + j]);
  uint8_t byte = ofLane[(2 * s + h) * 4 + j];
  int nibble = p == 0 ? byte >> 4 : byte & 15;
  return nibble >= 8 ? nibble - 16 : nibble;
}

int64_t activationOffset(const PackCandidate &candidate,
                         const PackProduct &product, int64_t token, int64_t k) {
  if (candidate.tileTokens == 0)
    return token * product.paddedK() + k;
  int64_t tilesAlongK = (product.k + kTileK - 1) / kTileK;
  int64_t tile = token / candidate.tileTokens * tilesAlongK + k / kTileK;
  int64_t row = token % candidate.tileTokens;
  int64_t piece = (k % kTileK / 16) ^ (row % 8);
  return (tile * candidate.tileTokens + row) * kTileK + piece * 16 + k % 16;
}

int64_t activationBytes(const PackCandidate &candidate,
                        const PackProduct &product, int64_t tokens) {
  if (candidate.tileTokens == 0)
    return tokens * product.paddedK();
  return roundUp(tokens, candidate.tileTokens) * roundUp(product.k, kTileK);
}

} // namespace odyssey::runtime

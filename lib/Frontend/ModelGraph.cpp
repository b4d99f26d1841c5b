//===- ModelGraph.cpp - A decoder as graph IR -----------------------------===//

#include "odyssey/Frontend/ModelGraph.h"

#include "odyssey/Dialect/Odyssey/Odyssey.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

#include <cmath>

using namespace mlir;
using namespace odyssey;

namespace {

class ModelGraphBuilder {
public:
  ModelGraphBuilder(MLIRContext *context, const ModelConfig &config,
                    const ModelLimits &limits)
      : b(UnknownLoc::get(context), context), config(config), limits(limits) {}

  OwningOpRef<ModuleOp> build() {
    OwningOpRef<ModuleOp> module = ModuleOp::create(b.getLoc());
    b.setInsertionPointToEnd(module->getBody());
    buildForward();
    b.setInsertionPointToEnd(module->getBody());
    buildLogits();
    return module;
  }

private:
  RankedTensorType perToken(Type element) {
    return RankedTensorType::get({ShapedType::kDynamic}, element);
  }
  RankedTensorType rows(int64_t columns) {
    return RankedTensorType::get({ShapedType::kDynamic, columns},
                                 b.getF16Type());
  }
  Value weight(const Twine &name, ArrayRef<int64_t> shape) {
    return graph::WeightOp::create(b,
                                   RankedTensorType::get(shape, b.getF16Type()),
                                   b.getStrArrayAttr({name.str()}));
  }
  Value linear(Value x, const Twine &name, int64_t n, bool hasBias = false) {
    int64_t k = cast<ShapedType>(x.getType()).getDimSize(1);
    return graph::LinearOp::create(
        b, rows(n), x, weight(name + ".weight", {n, k}),
        hasBias ? weight(name + ".bias", {n}) : Value(),
        /*keep=*/UnitAttr(), fastgemm::ScheduleAttr());
  }
  Value norm(Value x, const Twine &name) {
    return graph::RmsNormOp::create(
        b, x.getType(), x, weight(name + ".weight", {config.hiddenSize}),
        b.getF32FloatAttr(config.rmsNormEps));
  }
  Value add(Value a, Value c) {
    return graph::AddOp::create(b, a.getType(), a, c);
  }
  Value ropeTable();
  Value attentionBlock(Value x, int64_t layer);
  Value mlpBlock(Value x, int64_t layer);
  void buildForward();
  void buildLogits();

  /// A function whose i-th argument and result have these names.
  func::FuncOp function(StringRef name, TypeRange inputs,
                        ArrayRef<StringRef> inputNames, TypeRange results,
                        ArrayRef<StringRef> resultNames) {
    auto func =
        func::FuncOp::create(b, name, b.getFunctionType(inputs, results));
    for (auto [i, text] : llvm::enumerate(inputNames))
      func.setArgAttr(i, graph::kNameAttrName, b.getStringAttr(text));
    for (auto [i, text] : llvm::enumerate(resultNames))
      func.setResultAttr(i, graph::kNameAttrName, b.getStringAttr(text));
    b.setInsertionPointToStart(func.addEntryBlock());
    return func;
  }

  ImplicitLocOpBuilder b;
  const ModelConfig &config;
  const ModelLimits &limits;
  Value positions, sequences, pageTable, cache, table;
};

Value ModelGraphBuilder::ropeTable() {
  const RopeScaling &scaling = config.ropeScaling;
  StringRef kind = "none";
  SmallVector<double> parameters;
  switch (scaling.kind) {
  case RopeScaling::Kind::None:
    break;
  case RopeScaling::Kind::Linear:
    kind = "linear";
    parameters = {scaling.factor};
    break;
  case RopeScaling::Kind::Llama3:
    kind = "llama3";
    parameters = {scaling.factor, scaling.lowFreqFactor, scaling.highFreqFactor,
                  static_cast<double>(scaling.originalMaxContext)};
    break;
  }
  return graph::RopeTableOp::create(
      b,
      RankedTensorType::get({limits.maxContext, config.headDim},
                            b.getF32Type()),
      b.getF64FloatAttr(config.ropeTheta), b.getStringAttr(kind),
      b.getDenseF64ArrayAttr(parameters));
}

Value ModelGraphBuilder::attentionBlock(Value x, int64_t layer) {
  std::string prefix = "model.layers." + std::to_string(layer);
  Value h = norm(x, prefix + ".input_layernorm");
  std::string attention = prefix + ".self_attn.";
  bool hasBias = config.hasAttentionBias();
  Value q = linear(h, attention + "q_proj", config.queryWidth(), hasBias);
  Value k = linear(h, attention + "k_proj", config.keyValueWidth(), hasBias);
  Value v = linear(h, attention + "v_proj", config.keyValueWidth(), hasBias);
  Value queryNorm, keyNorm;
  FloatAttr epsilon;
  if (config.hasHeadNorms()) {
    queryNorm = weight(attention + "q_norm.weight", {config.headDim});
    keyNorm = weight(attention + "k_norm.weight", {config.headDim});
    epsilon = b.getF32FloatAttr(config.rmsNormEps);
  }
  Value layerIndex = arith::ConstantOp::create(b, b.getI32IntegerAttr(layer));
  auto heads = static_cast<uint32_t>(config.numHeads);
  Value rotated = graph::RopeAppendOp::create(
      b, rows(config.queryWidth()), ValueRange{q, k, v}, table, positions,
      sequences, pageTable, cache, layerIndex, queryNorm, keyNorm, heads,
      epsilon);
  auto scale =
      static_cast<float>(1.0 / std::sqrt(static_cast<double>(config.headDim)));
  Value mixed = graph::AttentionOp::create(
      b, rows(config.queryWidth()), rotated, positions, sequences, pageTable,
      cache, layerIndex, b.getI32IntegerAttr(config.numHeads),
      b.getF32FloatAttr(scale), /*tile_tokens=*/IntegerAttr());
  return add(x, linear(mixed, attention + "o_proj", config.hiddenSize));
}

Value ModelGraphBuilder::mlpBlock(Value x, int64_t layer) {
  std::string prefix = "model.layers." + std::to_string(layer);
  Value h = norm(x, prefix + ".post_attention_layernorm");
  Value gate = linear(h, prefix + ".mlp.gate_proj", config.ffnSize);
  Value up = linear(h, prefix + ".mlp.up_proj", config.ffnSize);
  Value active =
      graph::SiluMulOp::create(b, rows(config.ffnSize), ValueRange{gate, up});
  return add(x, linear(active, prefix + ".mlp.down_proj", config.hiddenSize));
}

void ModelGraphBuilder::buildForward() {
  Type i32 = b.getI32Type(), f16 = b.getF16Type();
  auto pageTableType =
      RankedTensorType::get({limits.maxBatch, limits.pagesPerSequence()}, i32);
  bool isInt8 = limits.kvCache == KvCacheType::I8;
  auto cacheType = MemRefType::get(
      {config.numLayers, limits.maxBatch * limits.pagesPerSequence(), 2,
       config.numKvHeads, kPageTokens,
       config.headDim + graph::kCacheScaleBytes / (isInt8 ? 1 : 2)},
      isInt8 ? Type(b.getI8Type()) : f16);
  auto hiddenType =
      MemRefType::get({limits.maxStepTokens, config.hiddenSize}, f16);
  func::FuncOp forward = function(
      "forward",
      {perToken(i32), perToken(i32), perToken(i32), pageTableType, cacheType,
       hiddenType},
      {"tokens", "positions", "sequences", "page_table", "kv_cache", "hidden"},
      {}, {});
  positions = forward.getArgument(1), sequences = forward.getArgument(2);
  pageTable = forward.getArgument(3), cache = forward.getArgument(4);
  table = ropeTable();

  Value x = graph::EmbeddingOp::create(
      b, rows(config.hiddenSize), forward.getArgument(0),
      weight("model.embed_tokens.weight",
             {config.vocabSize, config.hiddenSize}));
  for (int64_t layer = 0; layer < config.numLayers; ++layer) {
    x = attentionBlock(x, layer);
    x = mlpBlock(x, layer);
  }
  graph::StoreRowsOp::create(b, norm(x, "model.norm"), forward.getArgument(5));
  func::ReturnOp::create(b);
}

void ModelGraphBuilder::buildLogits() {
  Type i32 = b.getI32Type();
  auto hiddenType = MemRefType::get({limits.maxStepTokens, config.hiddenSize},
                                    b.getF16Type());
  auto logitsType = RankedTensorType::get(
      {ShapedType::kDynamic, config.vocabSize}, b.getF32Type());
  func::FuncOp logits =
      function("logits", {perToken(i32), hiddenType}, {"rows", "hidden"},
               {logitsType, perToken(i32)}, {"logits", "next_token"});
  Value hidden = graph::GatherRowsOp::create(
      b, rows(config.hiddenSize), logits.getArgument(1), logits.getArgument(0));
  StringRef head =
      config.tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
  Value scores = graph::LinearOp::create(
      b, logitsType, hidden,
      weight(head, {config.vocabSize, config.hiddenSize}), /*bias=*/Value(),
      b.getUnitAttr(), fastgemm::ScheduleAttr());
  Value next = graph::ArgmaxOp::create(b, perToken(i32), scores);
  func::ReturnOp::create(b, ValueRange{scores, next});
}

} // namespace

OwningOpRef<ModuleOp> odyssey::buildModelGraph(MLIRContext *context,
                                               const ModelConfig &config,
                                               const ModelLimits &limits) {
  return ModelGraphBuilder(context, config, limits).build();
}

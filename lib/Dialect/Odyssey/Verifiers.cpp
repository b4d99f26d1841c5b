//===- Verifiers.cpp - What the operations of the graph demand ------------===//
//
// Constraints that types alone cannot say. Messages name what is wrong and what
// was expected, with both numbers.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Dialect/Odyssey/Odyssey.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::graph;

/// Sizes are equal; two dynamic sizes are the same number of tokens.
static LogicalResult verifySameSize(Operation *op, StringRef what, int64_t size,
                                    StringRef expectedWhat, int64_t expected) {
  if (size == expected)
    return success();
  auto text = [](int64_t size) {
    return ShapedType::isDynamic(size) ? std::string("?")
                                       : std::to_string(size);
  };
  return op->emitOpError() << "expects " << what << " (" << text(size)
                           << ") to equal " << expectedWhat << " ("
                           << text(expected) << ")";
}

/// Only the leading dimension may be dynamic, and no size may be zero.
static LogicalResult verifyTensor(Operation *op, StringRef what, Type type) {
  auto shaped = cast<ShapedType>(type);
  for (auto [i, size] : llvm::enumerate(shaped.getShape())) {
    if (ShapedType::isDynamic(size) && i != 0)
      return op->emitOpError() << "expects only the leading dimension of "
                               << what << " to be dynamic, got " << type;
    if (size == 0)
      return op->emitOpError()
             << "expects " << what << " to have no zero size, got " << type;
  }
  return success();
}

static LogicalResult verifyTensors(Operation *op) {
  for (auto [i, type] : llvm::enumerate(op->getOperandTypes()))
    if (isa<ShapedType>(type) &&
        failed(verifyTensor(op, "operand " + std::to_string(i), type)))
      return failure();
  for (auto [i, type] : llvm::enumerate(op->getResultTypes()))
    if (isa<ShapedType>(type) &&
        failed(verifyTensor(op, "result " + std::to_string(i), type)))
      return failure();
  return success();
}

static int64_t rows(Value value) {
  return cast<ShapedType>(value.getType()).getDimSize(0);
}
static int64_t columns(Value value) {
  return cast<ShapedType>(value.getType()).getDimSize(1);
}

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

LogicalResult WeightOp::verify() {
  if (getNames().empty())
    return emitOpError() << "expects at least one name";
  if (getInterleaved() && rows(getResult()) % 4 != 0)
    return emitOpError()
           << "expects interleaved rows to be a multiple of 4, got "
           << rows(getResult());
  return verifyTensors(*this);
}

LogicalResult RopeTableOp::verify() {
  auto type = cast<RankedTensorType>(getTable().getType());
  if (type.getRank() != 2 || type.getDimSize(1) % 2 != 0)
    return emitOpError() << "expects a table of [positions, even head "
                            "dimension], got "
                         << type;
  size_t expected = llvm::StringSwitch<size_t>(getScaling())
                        .Case("none", 0)
                        .Case("linear", 1)
                        .Case("llama3", 4)
                        .Default(~size_t(0));
  if (expected == ~size_t(0))
    return emitOpError()
           << "expects scaling 'none', 'linear' or 'llama3', got '"
           << getScaling() << "'";
  if (getParameters().size() != expected)
    return emitOpError() << "expects " << expected
                         << " parameters for scaling '" << getScaling()
                         << "', got " << getParameters().size();
  return verifyTensors(*this);
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

LogicalResult LinearOp::verify() {
  if (failed(verifyTensors(*this)) ||
      failed(verifySameSize(*this, "K of the weights", columns(getWeights()),
                            "K of x", columns(getX()))) ||
      failed(verifySameSize(*this, "the result's rows", rows(getResult()),
                            "the rows of x", rows(getX()))) ||
      failed(verifySameSize(*this, "the result's columns", columns(getResult()),
                            "N of the weights", rows(getWeights()))))
    return failure();
  if (!getBias())
    return success();
  return verifySameSize(*this, "the number of biases", rows(getBias()),
                        "N of the weights", rows(getWeights()));
}

/// Quantized activations come as values [M, K] and scales [M].
static LogicalResult verifyQuantized(Operation *op, Value x, Value values,
                                     Value scales, int64_t width) {
  if (failed(verifySameSize(op, "the rows of the values", rows(values),
                            "the rows of x", rows(x))) ||
      failed(verifySameSize(op, "the columns of the values", columns(values),
                            "the columns of the row", width)) ||
      failed(verifySameSize(op, "the number of scales", rows(scales),
                            "the rows of x", rows(x))))
    return failure();
  return verifyTensors(op);
}

LogicalResult QuantizeOp::verify() {
  if (getMaxima() &&
      failed(verifySameSize(*this, "the rows of the maxima", rows(getMaxima()),
                            "the rows of x", rows(getX()))))
    return failure();
  return verifyQuantized(*this, getX(), getValues(), getScales(),
                         columns(getX()));
}

/// C7 to C10, C12: the multipliers of a product with groups, or none.
static LogicalResult verifyGroups(MatmulOp op) {
  auto packed = dyn_cast_or_null<fastgemm::PackedAttr>(
      op.getWeights().getType().getEncoding());
  int64_t offset = op.getMultipliers() ? 8 : 0;
  // C8
  if (packed && packed.getOffset() != offset)
    return op.emitOpError()
           << "expects weights " << (offset ? "with" : "without")
           << " groups to be packed with offset " << offset << ", got "
           << packed.getOffset();
  // C7
  if (op.getGroupSize().has_value() != static_cast<bool>(op.getMultipliers()))
    return op.emitOpError() << "expects group_size and multipliers together";
  if (!op.getMultipliers())
    return success();
  int64_t size = *op.getGroupSize();
  if (size != 32 && size != 64 && size != 128)
    return op.emitOpError()
           << "expects groups of 32, 64 or 128 input channels, got " << size;
  if (failed(verifySameSize(op, "the multipliers' rows",
                            rows(op.getMultipliers()), "N of the weights",
                            op.getN())) ||
      failed(verifySameSize(op, "the multipliers' columns",
                            columns(op.getMultipliers()), "the groups of K",
                            (op.getK() + size - 1) / size)))
    return failure();
  // C9
  if (Attribute encoding = op.getMultipliers().getType().getEncoding()) {
    auto layout = dyn_cast<fastgemm::MultipliersAttr>(encoding);
    if (!layout || layout.getGroup() != size || !packed ||
        layout.getChannels() != packed.getChannels())
      return op.emitOpError()
             << "expects multipliers without encoding or with "
                "#fastgemm.multipliers of the group size and the weights' "
                "panels, got "
             << encoding;
  }
  // C12
  if (op.getWeightFormat().bits == 8)
    return op.emitOpError() << "expects no groups with weights of 8 bits";
  // C10
  if (op.getSchedule() && op.getSchedule()->getPath() == fastgemm::Path::Wgmma)
    return op.emitOpError()
           << "expects a schedule of path mma_sync for a product with groups";
  return success();
}

LogicalResult MatmulOp::verify() {
  if (failed(verifyTensors(*this)))
    return failure();
  // C1
  if (failed(verifySameSize(*this, "K of the weights", getK(), "K of x",
                            columns(getX()))))
    return failure();
  // C2
  if (failed(verifySameSize(*this, "the number of x scales", rows(getXScales()),
                            "the rows of x", rows(getX()))) ||
      failed(verifySameSize(*this, "the number of weight scales",
                            rows(getWeightScales()), "N of the weights",
                            getN())) ||
      (getBias() &&
       failed(verifySameSize(*this, "the number of biases", rows(getBias()),
                             "N of the weights", getN()))))
    return failure();
  // C3
  if (failed(verifySameSize(*this, "the result's rows", rows(getResult()),
                            "the rows of x", rows(getX()))) ||
      failed(verifySameSize(*this, "the result's columns", columns(getResult()),
                            getSiluMul() ? "half of N of the weights"
                                         : "N of the weights",
                            getSiluMul() ? getN() / 2 : getN())))
    return failure();
  // C4
  if (int64_t maxK = getWeightFormat().maxK(); getK() > maxK)
    return emitOpError() << "expects K of at most " << maxK
                         << ", so that no 32-bit sum overflows, got " << getK();
  // C5
  if (auto encoding = getWeights().getType().getEncoding();
      encoding && !isa<fastgemm::PackedAttr>(encoding))
    return emitOpError() << "expects weights without encoding or with "
                            "#fastgemm.packed, got "
                         << encoding;
  // C6
  if (getResidual() &&
      (failed(verifySameSize(*this, "the residual's rows", rows(getResidual()),
                             "the result's rows", rows(getResult()))) ||
       failed(verifySameSize(*this, "the residual's columns",
                             columns(getResidual()), "the result's columns",
                             columns(getResult())))))
    return failure();
  // C11
  if (getSiluMul() && getN() % 4 != 0)
    return emitOpError() << "expects N of a multiple of 4 with silu_mul, got "
                         << getN();
  if (getSiluMul() && getResidual())
    return emitOpError() << "expects no residual with silu_mul";
  // C13
  if (getMaxima()) {
    fastgemm::ScheduleAttr schedule = getScheduleAttr();
    if (!schedule || schedule.getPath() != fastgemm::Path::Wgmma ||
        schedule.getCtas() > 0 || schedule.getStreamK() > 0 ||
        schedule.getMulticast() > 1)
      return emitOpError() << "expects a schedule of path wgmma without ctas, "
                              "stream_k and multicast with maxima";
    if (getN() % 4 != 0)
      return emitOpError() << "expects N of a multiple of 4 with maxima, got "
                           << getN();
    if (failed(verifySameSize(*this, "the rows of the maxima",
                              rows(getMaxima()), "the result's rows",
                              rows(getResult()))) ||
        failed(verifySameSize(
            *this, "the columns of the maxima", columns(getMaxima()),
            "the warps of a row of tiles", getMaximaColumns())))
      return failure();
  }
  // C14
  if (getNorm()) {
    if (!getMaxima() || getSiluMul())
      return emitOpError()
             << "expects maxima and no silu_mul with the weights of a norm";
    if (failed(verifySameSize(*this, "the size of the norm's weights",
                              rows(getNorm()), "the result's columns",
                              columns(getResult()))))
      return failure();
  }
  if (getMaxima()) {
    ShapedType type = getMaxima().getType();
    if ((type.getRank() == 3) != static_cast<bool>(getNorm()) ||
        (type.getRank() == 3 && type.getDimSize(2) != 2))
      return emitOpError() << "expects maxima of "
                           << (getNorm() ? "[tokens, warps, 2] with"
                                         : "[tokens, warps] without")
                           << " the weights of a norm, got " << type;
  }
  return verifyGroups(*this);
}

//===----------------------------------------------------------------------===//
// Norms and elementwise operations
//===----------------------------------------------------------------------===//

LogicalResult RmsNormOp::verify() {
  if (failed(verifySameSize(*this, "the size of the weight", rows(getWeight()),
                            "the columns of x", columns(getX()))))
    return failure();
  return verifyTensors(*this);
}

LogicalResult RmsNormQuantizeOp::verify() {
  if (failed(verifySameSize(*this, "the size of the weight", rows(getWeight()),
                            "the columns of x", columns(getX()))))
    return failure();
  if (Value statistics = getStatistics()) {
    auto type = cast<ShapedType>(statistics.getType());
    if (type.getDimSize(2) != 2 ||
        type.getDimSize(1) * kRowSegment < columns(getX()))
      return emitOpError()
             << "expects statistics of [tokens, columns, 2], with "
                "a column for every "
             << kRowSegment << " of the " << columns(getX()) << " of x, got "
             << type;
    if (failed(verifySameSize(*this, "the rows of the statistics",
                              rows(statistics), "the rows of x", rows(getX()))))
      return failure();
  }
  return verifyQuantized(*this, getX(), getValues(), getScales(),
                         columns(getX()));
}

/// Gate and up as two tensors [M, F] or as one [M, 2 F].
static LogicalResult verifyGateUp(Operation *op, OperandRange inputs,
                                  int64_t width) {
  if (inputs.empty() || inputs.size() > 2)
    return op->emitOpError()
           << "expects gate and up as one or two operands, got "
           << inputs.size();
  for (Value input : inputs) {
    int64_t expected = inputs.size() == 1 ? 2 * width : width;
    if (failed(verifySameSize(op, "the columns of an operand", columns(input),
                              "those that the result needs", expected)) ||
        failed(verifySameSize(op, "the rows of an operand", rows(input),
                              "the rows of the result",
                              rows(op->getResult(0)))))
      return failure();
  }
  return verifyTensors(op);
}

LogicalResult SiluMulOp::verify() {
  return verifyGateUp(*this, getInputs(), columns(getResult()));
}

LogicalResult SiluMulQuantizeOp::verify() {
  if (failed(verifySameSize(*this, "the number of scales", rows(getScales()),
                            "the rows of the values", rows(getValues()))))
    return failure();
  return verifyGateUp(*this, getInputs(), columns(getValues()));
}

//===----------------------------------------------------------------------===//
// Embedding and selection of rows
//===----------------------------------------------------------------------===//

LogicalResult EmbeddingOp::verify() {
  if (failed(verifySameSize(*this, "the result's rows", rows(getResult()),
                            "the number of ids", rows(getIds()))) ||
      failed(verifySameSize(*this, "the result's columns", columns(getResult()),
                            "the table's", columns(getTable()))))
    return failure();
  return verifyTensors(*this);
}

LogicalResult StoreRowsOp::verify() {
  if (failed(verifyTensors(*this)))
    return failure();
  return verifySameSize(*this, "the columns of the rows", columns(getRows()),
                        "those of the state", columns(getState()));
}

LogicalResult GatherRowsOp::verify() {
  if (failed(verifyTensors(*this)) ||
      failed(verifySameSize(*this, "the result's rows", rows(getResult()),
                            "the number of indices", rows(getIndices()))))
    return failure();
  return verifySameSize(*this, "the result's columns", columns(getResult()),
                        "those of the state", columns(getState()));
}

LogicalResult ArgmaxOp::verify() {
  if (failed(verifySameSize(*this, "the number of indices", rows(getIndices()),
                            "the rows of x", rows(getX()))))
    return failure();
  return verifyTensors(*this);
}

//===----------------------------------------------------------------------===//
// Attention
//===----------------------------------------------------------------------===//

int64_t graph::cacheHeadDim(MemRefType cache) {
  int64_t elementBytes = cache.getElementTypeBitWidth() / 8;
  return cache.getDimSize(5) - kCacheScaleBytes / elementBytes;
}

int64_t graph::chunksOfSequence(Value pageTable, MemRefType cache) {
  int64_t positions = columns(pageTable) * cache.getDimSize(4);
  return (positions + kAttentionChunk - 1) / kAttentionChunk;
}

namespace {
/// The sizes that the operations on the KV cache agree on.
struct CacheShape {
  explicit CacheShape(Value cache) {
    auto type = cast<MemRefType>(cache.getType());
    ArrayRef<int64_t> shape = type.getShape();
    layers = shape[0], pages = shape[1], kvHeads = shape[3];
    pageTokens = shape[4], headDim = cacheHeadDim(type);
  }
  int64_t layers, pages, kvHeads, pageTokens, headDim;
};
} // namespace

template <typename OpTy>
static LogicalResult verifyCacheUser(OpTy op, Value queries) {
  auto type = cast<MemRefType>(op.getCache().getType());
  CacheShape cache(op.getCache());
  if (failed(verifyTensors(op)))
    return failure();
  if (!type.hasStaticShape() || type.getDimSize(2) != 2)
    return op.emitOpError()
           << "expects a cache of [layers, pages, 2, KV heads, page tokens, "
              "head dimension], got "
           << type;
  APInt layer;
  if (matchPattern(op.getLayer(), m_ConstantInt(&layer)) &&
      layer.uge(cache.layers))
    return op.emitOpError() << "expects a layer below " << cache.layers
                            << ", got " << layer.getSExtValue();
  if (cache.headDim < 8 || cache.headDim % 8 != 0 || cache.headDim > 256)
    return op.emitOpError() << "expects a head dimension that is a multiple of "
                               "8 and at most 256, got "
                            << cache.headDim;
  if (cache.pageTokens != 64)
    return op.emitOpError()
           << "expects pages of 64 tokens, got " << cache.pageTokens;
  if (op.getHeads() < 1 || op.getHeads() % cache.kvHeads != 0)
    return op.emitOpError() << "expects the number of heads (" << op.getHeads()
                            << ") to be a multiple of the number of KV heads ("
                            << cache.kvHeads << ")";
  for (Value perToken : {op.getPositions(), op.getSequences()})
    if (failed(verifySameSize(op, "the size of positions and sequences",
                              rows(perToken), "the rows of the queries",
                              rows(queries))))
      return failure();
  return verifySameSize(op, "the columns of the queries", columns(queries),
                        "heads x head dimension",
                        op.getHeads() * cache.headDim);
}

/// What rotates queries and keys: `queries` are those that come out of it, or
/// what has their shape.
template <typename OpTy>
static LogicalResult verifyRotation(OpTy op, Value queries) {
  if (failed(verifyCacheUser(op, queries)))
    return failure();
  CacheShape cache(op.getCache());
  int64_t queryWidth = op.getHeads() * cache.headDim;
  int64_t keyWidth = cache.kvHeads * cache.headDim;
  SmallVector<int64_t> widths;
  if (op.getInputs().size() == 1)
    widths = {queryWidth + 2 * keyWidth};
  else if (op.getInputs().size() == 3)
    widths = {queryWidth, keyWidth, keyWidth};
  else
    return op.emitOpError()
           << "expects queries, keys and values as one or three tensors, got "
           << op.getInputs().size();
  for (auto [input, width] : llvm::zip_equal(op.getInputs(), widths))
    if (failed(verifySameSize(op, "the columns of an input", columns(input),
                              "those that the heads need", width)) ||
        failed(verifySameSize(op, "the rows of an input", rows(input),
                              "the rows of the queries", rows(queries))))
      return failure();
  if (static_cast<bool>(op.getQueryNorm()) !=
          static_cast<bool>(op.getKeyNorm()) ||
      static_cast<bool>(op.getQueryNorm()) != op.getEpsilon().has_value())
    return op.emitOpError() << "expects the norms of queries and keys and an "
                               "epsilon, or none of the three";
  for (Value norm : {op.getQueryNorm(), op.getKeyNorm()})
    if (norm &&
        failed(verifySameSize(op, "the size of a norm's weight", rows(norm),
                              "the head dimension", cache.headDim)))
      return failure();
  return verifySameSize(op, "the columns of the table", columns(op.getTable()),
                        "the head dimension", cache.headDim);
}

LogicalResult RopeAppendOp::verify() {
  return verifyRotation(*this, getQueries());
}

/// CTAs share chunks.
template <typename OpTy>
static LogicalResult verifySplits(OpTy op, int64_t chunks) {
  if (auto splits = static_cast<int32_t>(op.getSplits());
      splits < 1 || splits > chunks)
    return op.emitOpError()
           << "expects 1 to " << chunks
           << " splits, as many as there are chunks, got " << splits;
  return success();
}

LogicalResult DecodeAttentionOp::verify() {
  if (failed(verifyRotation(*this, getResult())))
    return failure();
  CacheShape cache(getCache());
  if (int64_t group = getHeads() / cache.kvHeads; group > kMaxGroup)
    return emitOpError() << "expects at most " << kMaxGroup
                         << " heads to share a KV head, got " << group;
  if (failed(verifySameSize(*this, "the rows of the maxima", rows(getMaxima()),
                            "the result's rows", rows(getResult()))) ||
      failed(verifySameSize(*this, "the columns of the maxima",
                            columns(getMaxima()), "the number of KV heads",
                            cache.kvHeads)))
    return failure();
  return verifySplits(
      *this,
      chunksOfSequence(getPageTable(), cast<MemRefType>(getCache().getType())));
}

LogicalResult AttentionOp::verify() {
  if (failed(verifyCacheUser(*this, getQueries())) ||
      failed(verifySameSize(*this, "the result's columns", columns(getResult()),
                            "those of the queries", columns(getQueries()))) ||
      failed(verifySameSize(*this, "the result's rows", rows(getResult()),
                            "those of the queries", rows(getQueries()))))
    return failure();
  if (!getTileTokens())
    return success();
  int64_t tileRows =
      static_cast<int64_t>(static_cast<int32_t>(*getTileTokens())) *
      (getHeads() / CacheShape(getCache()).kvHeads);
  // A warp takes 16 rows, a CTA up to 32 warps.
  if (tileRows < 1 || tileRows > 512)
    return emitOpError() << "expects tile_tokens x heads per KV head to be 1 "
                            "to 512, got "
                         << tileRows;
  return success();
}

/// What the two tensors of an attention's chunks agree on: [tokens, heads,
/// chunks, d] and [tokens, heads, chunks, 2].
static LogicalResult verifyChunks(Operation *op, Value values, Value stats,
                                  Value positions) {
  auto valuesType = cast<ShapedType>(values.getType());
  SmallVector<int64_t> expected(valuesType.getShape());
  expected.back() = 2;
  if (cast<ShapedType>(stats.getType()).getShape() != ArrayRef(expected))
    return op->emitOpError()
           << "expects maxima and sums of [tokens, heads, chunks, 2] that go "
              "with "
           << valuesType << ", got " << stats.getType();
  return verifySameSize(op, "the number of positions", rows(positions),
                        "the tokens of the chunks", rows(values));
}

LogicalResult AttentionChunksOp::verify() {
  if (failed(verifyCacheUser(*this, getQueries())) ||
      failed(
          verifyChunks(*this, getChunkValues(), getStats(), getPositions())) ||
      failed(verifySameSize(*this, "the tokens of the chunks",
                            rows(getChunkValues()), "those of the queries",
                            rows(getQueries()))))
    return failure();
  CacheShape cache(getCache());
  ArrayRef<int64_t> shape =
      cast<ShapedType>(getChunkValues().getType()).getShape();
  if (failed(verifySameSize(*this, "the heads of the chunks", shape[1],
                            "the number of heads", getHeads())) ||
      failed(verifySameSize(
          *this, "the number of chunks", shape[2],
          "the chunks of a sequence's pages",
          chunksOfSequence(getPageTable(),
                           cast<MemRefType>(getCache().getType())))) ||
      failed(verifySameSize(*this, "the size of a chunk's row", shape[3],
                            "the head dimension", cache.headDim)))
    return failure();
  return verifySplits(*this, shape[2]);
}

/// The result of merging, [tokens, heads x d].
static LogicalResult verifyMerged(Operation *op, Value chunks, Value result) {
  auto shape = cast<ShapedType>(chunks.getType()).getShape();
  if (failed(verifySameSize(op, "the result's rows", rows(result),
                            "the tokens of the chunks", shape[0])) ||
      failed(verifySameSize(op, "the result's columns", columns(result),
                            "heads x head dimension", shape[1] * shape[3])))
    return failure();
  if (shape[3] % 8 != 0)
    return op->emitOpError()
           << "expects a head dimension that is a multiple of 8, got "
           << shape[3];
  return verifyTensors(op);
}

LogicalResult AttentionMergeOp::verify() {
  if (failed(verifyChunks(*this, getChunkValues(), getStats(), getPositions())))
    return failure();
  return verifyMerged(*this, getChunkValues(), getResult());
}

LogicalResult AttentionMergeQuantizeOp::verify() {
  if (failed(
          verifyChunks(*this, getChunkValues(), getStats(), getPositions())) ||
      failed(verifySameSize(*this, "the number of scales", rows(getScales()),
                            "the rows of the values", rows(getValues()))))
    return failure();
  return verifyMerged(*this, getChunkValues(), getValues());
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

LogicalResult KernelOp::verify() {
  Block &block = getBody().front();
  size_t count = llvm::range_size(block) - 1;
  bool isProduct =
      count > 0 && isa<MatmulOp>(block.getTerminator()->getPrevNode());
  if (count != 1 && !(count == 2 && isProduct))
    return emitOpError()
           << "expects one operation, or a product behind one, and "
              "odyssey.return, got "
           << count + 1 << " operations";
  if (!llvm::equal(block.getTerminator()->getOperandTypes(), getResultTypes()))
    return emitOpError() << "expects odyssey.return to return the kernel's "
                            "result types";
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  Operation *callee = symbols.lookupNearestSymbolFrom(*this, getKernel());
  if (!callee)
    return emitOpError() << "expects a kernel, got the unknown symbol "
                         << getKernel();
  auto kernel = dyn_cast<KernelOp>(callee);
  if (!kernel)
    return success(); // Already lowered to a gpu.func.
  if (!llvm::equal(kernel.getArgumentTypes(), getOperandTypes()) ||
      !llvm::equal(kernel.getResultTypes(), getResultTypes()))
    return (emitOpError() << "expects the operand and result types of "
                          << getKernel())
               .attachNote(kernel.getLoc())
           << "the kernel is declared here";
  return success();
}

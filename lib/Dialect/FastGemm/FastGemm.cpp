//===- FastGemm.cpp - The kernel-level dialect ----------------------------===//

#include "odyssey/Dialect/FastGemm/FastGemm.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace odyssey::fastgemm;

#include "odyssey/Dialect/FastGemm/Dialect.cpp.inc"
#include "odyssey/Dialect/FastGemm/Enums.cpp.inc"

/// `shared_bytes = 512`, then any of `, cluster = 4`, `, scratch_bytes = 2048`
/// and `, counters = true`.
static ParseResult parseLaunchMemory(AsmParser &parser, int64_t &sharedBytes,
                                     int64_t &cluster, int64_t &scratchBytes,
                                     bool &counters) {
  cluster = 1, scratchBytes = 0, counters = false;
  if (parser.parseKeyword("shared_bytes") || parser.parseEqual() ||
      parser.parseInteger(sharedBytes))
    return failure();
  while (succeeded(parser.parseOptionalComma())) {
    StringRef name;
    SMLoc where = parser.getCurrentLocation();
    if (parser.parseKeyword(&name) || parser.parseEqual())
      return failure();
    if (name == "cluster" || name == "scratch_bytes") {
      int64_t value;
      if (parser.parseInteger(value))
        return failure();
      (name == "cluster" ? cluster : scratchBytes) = value;
    } else if (name == "counters") {
      FailureOr<bool> value = FieldParser<bool>::parse(parser);
      if (failed(value))
        return failure();
      counters = *value;
    } else {
      return parser.emitError(where)
             << "expects cluster, scratch_bytes or counters, got " << name;
    }
  }
  return success();
}

static void printLaunchMemory(AsmPrinter &printer, int64_t sharedBytes,
                              int64_t cluster, int64_t scratchBytes,
                              bool counters) {
  printer << "shared_bytes = " << sharedBytes;
  if (cluster != 1)
    printer << ", cluster = " << cluster;
  if (scratchBytes != 0)
    printer << ", scratch_bytes = " << scratchBytes;
  if (counters)
    printer << ", counters = true";
}

#define GET_ATTRDEF_CLASSES
#include "odyssey/Dialect/FastGemm/Attrs.cpp.inc"

void FastGemmDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "odyssey/Dialect/FastGemm/Attrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "odyssey/Dialect/FastGemm/Ops.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Attributes
//===----------------------------------------------------------------------===//

bool odyssey::fastgemm::isWgmmaWidth(int64_t tokens) {
  return tokens >= 8 && tokens <= 256 &&
         (tokens % 16 == 0 || tokens == 8 || tokens == 24);
}

/// What holds on the path wgmma besides.
static LogicalResult
verifyWgmmaSchedule(function_ref<InFlightDiagnostic()> emitError,
                    int64_t channels, int64_t tokens, int64_t k,
                    int64_t channelWarps, int64_t tokenWarps, int64_t splitK) {
  int64_t mostTokens = ScheduleAttr::getMostTokens(channelWarps);
  if ((channelWarps != 4 && channelWarps != 8 && channelWarps != 12) ||
      tokenWarps != 1)
    return emitError()
           << "expects 4 x 1, 8 x 1 or 12 x 1 warps on the path wgmma, got "
           << channelWarps << " x " << tokenWarps;
  if (channels != 32 * channelWarps)
    return emitError() << "expects 32 channels per warp on the path wgmma ("
                       << 32 * channelWarps << "), got " << channels;
  if (!isWgmmaWidth(tokens) || tokens > mostTokens)
    return emitError()
           << "expects tokens to be 8, 24 or a multiple of 16 up to "
           << mostTokens << " with " << channelWarps
           << " warps on the path wgmma, got " << tokens;
  if (k != SwizzledAttr::kTileK)
    return emitError() << "expects k = " << SwizzledAttr::kTileK
                       << " on the path wgmma, got " << k;
  // A cluster of more CTAs is not portable (CUDA C++ Programming Guide,
  // "Thread Block Clusters").
  if (splitK > 8)
    return emitError() << "expects split_k of 1 to 8 on the path wgmma, got "
                       << splitK;
  return success();
}

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   Path path, int64_t channels, int64_t tokens,
                                   int64_t k, int64_t channelWarps,
                                   int64_t tokenWarps, int64_t stages,
                                   int64_t splitK, int64_t ctas,
                                   int64_t streamK, int64_t multicast) {
  if (channelWarps < 1 || tokenWarps < 1 || channelWarps * tokenWarps > 32)
    return emitError() << "expects 1 to 32 warps, got " << channelWarps << " x "
                       << tokenWarps;
  if (channels < 1 || channels % (32 * channelWarps) != 0)
    return emitError() << "expects channels to be a multiple of 32 per channel "
                          "warp ("
                       << 32 * channelWarps << "), got " << channels;
  if (tokens < 1 || tokens % (8 * tokenWarps) != 0)
    return emitError()
           << "expects tokens to be a multiple of 8 per token warp ("
           << 8 * tokenWarps << "), got " << tokens;
  if (k < 1 || k % 64 != 0)
    return emitError() << "expects k to be a multiple of 64, got " << k;
  if (stages < 2 || stages > 8)
    return emitError() << "expects 2 to 8 stages, got " << stages;
  if (splitK < 1)
    return emitError() << "expects split_k to be at least 1, got " << splitK;
  if (streamK < 0)
    return emitError() << "expects stream_k to be at least 0, got " << streamK;
  if (splitK > 1 && streamK > 0)
    return emitError() << "expects at most one of split_k (" << splitK
                       << ") and stream_k (" << streamK << ")";
  if (ctas > 0 && streamK > 0)
    return emitError() << "expects at most one of ctas (" << ctas
                       << ") and stream_k (" << streamK << ")";
  if (ctas < 0 || (ctas > 0 && (path != Path::Wgmma || splitK != 1)))
    return emitError()
           << "expects ctas of 0, or more on the path wgmma without "
              "split_k, got "
           << ctas;
  // Larger clusters leave multiprocessors of a GPC without work.
  if (multicast != 1 && multicast != 2)
    return emitError() << "expects multicast of 1 or 2, got " << multicast;
  if (multicast > 1 && (path != Path::Wgmma || splitK > 1 || streamK > 0))
    return emitError() << "expects multicast of 1, or more on the path wgmma "
                          "without split_k and stream_k, got "
                       << multicast;
  if (ctas % multicast != 0)
    return emitError() << "expects ctas to be a multiple of multicast ("
                       << multicast << "), got " << ctas;
  if (path == Path::Wgmma)
    return verifyWgmmaSchedule(emitError, channels, tokens, k, channelWarps,
                               tokenWarps, splitK);
  return success();
}

/// All encodings describe matrices of one element type.
static LogicalResult
verifyMatrixEncoding(ArrayRef<int64_t> shape, Type elementType,
                     unsigned elementBits,
                     function_ref<InFlightDiagnostic()> emitError) {
  if (shape.size() != 2)
    return emitError() << "expects a matrix, got a tensor of rank "
                       << shape.size();
  if (!elementType.isSignlessInteger(elementBits))
    return emitError() << "expects elements of type i" << elementBits
                       << ", got " << elementType;
  return success();
}

static LogicalResult verifyPanel(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t channels) {
  if (channels < 1 || channels % 32 != 0)
    return emitError() << "expects channels to be a multiple of 32, got "
                       << channels;
  return success();
}

LogicalResult PackedAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t channels, int64_t offset) {
  if (offset != 0 && offset != 8)
    return emitError() << "expects an offset of 0 or 8, got " << offset;
  return verifyPanel(emitError, channels);
}

LogicalResult
PackedAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                           function_ref<InFlightDiagnostic()> emitError) const {
  bool isByte = elementType.isSignlessInteger(8);
  if (!isByte && !elementType.isSignlessInteger(4))
    return emitError() << "expects elements of type i4 or i8, got "
                       << elementType;
  if (isByte && getOffset() != 0)
    return emitError() << "expects an offset of 0 for elements of type i8, got "
                       << getOffset();
  return verifyMatrixEncoding(shape, elementType, isByte ? 8 : 4, emitError);
}

LogicalResult
MultipliersAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                        int64_t channels, int64_t group) {
  if (group != 32 && group != 64 && group != 128)
    return emitError() << "expects groups of 32, 64 or 128 input channels, got "
                       << group;
  return verifyPanel(emitError, channels);
}

LogicalResult MultipliersAttr::verifyEncoding(
    ArrayRef<int64_t> shape, Type elementType,
    function_ref<InFlightDiagnostic()> emitError) const {
  return verifyMatrixEncoding(shape, elementType, 8, emitError);
}

LogicalResult RowsAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                               int64_t stride) {
  if (stride < 1 || stride % 64 != 0)
    return emitError() << "expects stride to be a multiple of 64, got "
                       << stride;
  return success();
}

LogicalResult
RowsAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                         function_ref<InFlightDiagnostic()> emitError) const {
  if (failed(verifyMatrixEncoding(shape, elementType, 8, emitError)))
    return failure();
  if (shape[1] > getStride())
    return emitError() << "expects a stride of at least the " << shape[1]
                       << " elements of a row, got " << getStride();
  return success();
}

LogicalResult SwizzledAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   int64_t tokens) {
  if (!isWgmmaWidth(tokens))
    return emitError()
           << "expects tokens to be 8, 24 or a multiple of 16 up to "
              "256, got "
           << tokens;
  return success();
}

LogicalResult SwizzledAttr::verifyEncoding(
    ArrayRef<int64_t> shape, Type elementType,
    function_ref<InFlightDiagnostic()> emitError) const {
  return verifyMatrixEncoding(shape, elementType, 8, emitError);
}

LogicalResult LaunchAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<int64_t> grid,
                                 ArrayRef<int64_t> perTokens, int64_t block,
                                 int64_t sharedBytes, int64_t cluster,
                                 int64_t scratchBytes, bool counters) {
  if (grid.size() != 3 || perTokens.size() != 3)
    return emitError() << "expects three grid dimensions";
  for (auto [a, d] : llvm::zip_equal(grid, perTokens))
    if (a < 1 || d < 0)
      return emitError() << "expects a positive grid";
  if (block < 32 || block > 1024 || block % 32 != 0)
    return emitError() << "expects a block of 32 to 1024 threads in whole "
                          "warps, got "
                       << block;
  if (sharedBytes < 0)
    return emitError() << "expects a size of shared memory, got "
                       << sharedBytes;
  if (cluster < 1 || grid[0] % cluster != 0)
    return emitError() << "expects clusters that divide the grid's " << grid[0]
                       << " CTAs, got " << cluster;
  if (scratchBytes < 0)
    return emitError() << "expects a size of scratch memory, got "
                       << scratchBytes;
  return success();
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

/// A 32-bit integer attribute without its type: `16`.
static ParseResult parsePlain(OpAsmParser &parser, IntegerAttr &attr) {
  int64_t value;
  if (parser.parseInteger(value))
    return failure();
  attr = parser.getBuilder().getI32IntegerAttr(value);
  return success();
}
static void printPlain(OpAsmPrinter &printer, Operation *, IntegerAttr attr) {
  printer << attr.getInt();
}

LogicalResult AsyncCopyOp::verify() {
  uint32_t bytes = getBytes();
  if (bytes != 4 && bytes != 8 && bytes != 16)
    return emitOpError() << "expects to copy 4, 8 or 16 bytes, got " << bytes;
  return success();
}

LogicalResult AsyncCopyOp::canonicalize(AsyncCopyOp op,
                                        PatternRewriter &rewriter) {
  APInt valid;
  if (!op.getValid() || !matchPattern(op.getValid(), m_ConstantInt(&valid)) ||
      valid != op.getBytes())
    return rewriter.notifyMatchFailure(op, "not known to copy all bytes");
  rewriter.modifyOpInPlace(op, [&] { op.getValidMutable().clear(); });
  return success();
}

LogicalResult WgmmaOp::verify() {
  if (!isWgmmaWidth(getTokens()))
    return emitOpError() << "expects 1 or 3 accumulators or an even number of "
                            "them up to 32, got "
                         << getAccumulators().size();
  return success();
}

LogicalResult WgmmaWaitOp::verify() {
  if (getAccumulators().empty())
    return emitOpError() << "expects accumulators to wait for";
  return success();
}

/// A splat of zeros.
static bool isZero(Attribute attr) {
  auto splat = dyn_cast_or_null<SplatElementsAttr>(attr);
  return splat && splat.getElementType().isInteger() &&
         splat.getSplatValue<APInt>().isZero();
}

LogicalResult DequantOp::fold(FoldAdaptor adaptor,
                              SmallVectorImpl<OpFoldResult> &results) {
  if (!isZero(adaptor.getPacked()))
    return failure();
  results.assign(2, getPacked());
  return success();
}

OpFoldResult MmaS8Op::fold(FoldAdaptor adaptor) {
  if (isZero(adaptor.getA()) || isZero(adaptor.getB()))
    return getAccumulator();
  return {};
}

#define GET_OP_CLASSES
#include "odyssey/Dialect/FastGemm/Ops.cpp.inc"

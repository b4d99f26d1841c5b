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

LogicalResult ScheduleAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                   Path path, int64_t channels, int64_t tokens,
                                   int64_t k, int64_t channelWarps,
                                   int64_t tokenWarps, int64_t stages,
                                   int64_t splitK) {
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
  return success();
}

/// Both encodings describe matrices of one element type.
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

LogicalResult PackedAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 int64_t channels) {
  if (channels < 1 || channels % 32 != 0)
    return emitError() << "expects channels to be a multiple of 32, got "
                       << channels;
  return success();
}

LogicalResult
PackedAttr::verifyEncoding(ArrayRef<int64_t> shape, Type elementType,
                           function_ref<InFlightDiagnostic()> emitError) const {
  return verifyMatrixEncoding(shape, elementType, 4, emitError);
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

LogicalResult LaunchAttr::verify(function_ref<InFlightDiagnostic()> emitError,
                                 ArrayRef<int64_t> grid,
                                 ArrayRef<int64_t> perTokens, int64_t block,
                                 int64_t sharedBytes) {
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

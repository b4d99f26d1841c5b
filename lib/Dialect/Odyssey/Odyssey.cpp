//===- Odyssey.cpp - The tensor-level dialect -----------------------------===//
//
// Registration and custom syntax. The verifiers are in Verifiers.cpp.
//
//===----------------------------------------------------------------------===//

#include "odyssey/Dialect/Odyssey/Odyssey.h"

#include "mlir/IR/Builders.h"
#include "mlir/Interfaces/FunctionImplementation.h"

using namespace mlir;
using namespace odyssey::graph;

#include "odyssey/Dialect/Odyssey/Dialect.cpp.inc"

void OdysseyDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "odyssey/Dialect/Odyssey/Ops.cpp.inc"
      >();
}

//===----------------------------------------------------------------------===//
// Custom directives: attributes without their types
//===----------------------------------------------------------------------===//

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

static ParseResult parsePlainF32(OpAsmParser &parser, FloatAttr &attr) {
  return parser.parseAttribute(attr, parser.getBuilder().getF32Type());
}
static void printPlainF32(OpAsmPrinter &printer, Operation *, FloatAttr attr) {
  printer.printAttributeWithoutType(attr);
}

static ParseResult parsePlainF64(OpAsmParser &parser, FloatAttr &attr) {
  return parser.parseAttribute(attr, parser.getBuilder().getF64Type());
}
static void printPlainF64(OpAsmPrinter &printer, Operation *, FloatAttr attr) {
  printer.printAttributeWithoutType(attr);
}

/// One or more strings: `"q", "k", "v"`.
static ParseResult parseNames(OpAsmParser &parser, ArrayAttr &names) {
  SmallVector<Attribute> list;
  auto one = [&]() -> ParseResult {
    std::string name;
    if (parser.parseString(&name))
      return failure();
    list.push_back(parser.getBuilder().getStringAttr(name));
    return success();
  };
  if (parser.parseCommaSeparatedList(one))
    return failure();
  names = parser.getBuilder().getArrayAttr(list);
  return success();
}
static void printNames(OpAsmPrinter &printer, Operation *, ArrayAttr names) {
  llvm::interleaveComma(names, printer);
}

//===----------------------------------------------------------------------===//
// KernelOp
//===----------------------------------------------------------------------===//

ParseResult KernelOp::parse(OpAsmParser &parser, OperationState &result) {
  auto buildType = [](Builder &builder, ArrayRef<Type> arguments,
                      ArrayRef<Type> results,
                      function_interface_impl::VariadicFlag, std::string &) {
    return builder.getFunctionType(arguments, results);
  };
  return function_interface_impl::parseFunctionOp(
      parser, result, /*allowVariadic=*/false,
      getFunctionTypeAttrName(result.name), buildType,
      getArgAttrsAttrName(result.name), getResAttrsAttrName(result.name));
}

void KernelOp::print(OpAsmPrinter &printer) {
  function_interface_impl::printFunctionOp(
      printer, *this, /*isVariadic=*/false, getFunctionTypeAttrName(),
      getArgAttrsAttrName(), getResAttrsAttrName());
}

void ReturnOp::build(OpBuilder &, OperationState &) {}

#define GET_OP_CLASSES
#include "odyssey/Dialect/Odyssey/Ops.cpp.inc"

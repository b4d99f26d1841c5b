//===- MlirHeaders.h - Headers that are compiled once -----------*- C++ -*-===//
//
// The precompiled header of the compiler's libraries and tools: MLIR's headers
// take most of the time that a file of ours takes to compile. Every file still
// includes what it uses.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_LIB_MLIRHEADERS_H
#define ODYSSEY_LIB_MLIRHEADERS_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Interfaces/FunctionImplementation.h"
#include "mlir/Pass/Pass.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/DialectConversion.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#endif // ODYSSEY_LIB_MLIRHEADERS_H

//===- Conversion.td - Passes that lower kernels ----------------*- tablegen -*-===//

#ifndef ODYSSEY_CONVERSION_PASSES
#define ODYSSEY_CONVERSION_PASSES

include "mlir/Pass/PassBase.td"

def ConvertOdysseyToFastGemm
    : Pass<"convert-odyssey-to-fastgemm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "write out each kernel as loops over tiles and fragments";
  let description = [{
    Every `odyssey.kernel` becomes a `gpu.func` with the launch configuration
    `fastgemm.launch`. Its parameters are the addresses of the kernel's operands,
    of its results, and the number of tokens M as i32. An operation that no
    kernel is known for, or a schedule that its shape cannot follow, is an
    error.
  }];
  let dependentDialects = [
    "::odyssey::fastgemm::FastGemmDialect", "::mlir::arith::ArithDialect",
    "::mlir::gpu::GPUDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::NVVM::NVVMDialect", "::mlir::math::MathDialect"];
}

def LowerDequant
    : Pass<"fastgemm-lower-dequant", "::mlir::gpu::GPUModuleOp"> {
  let summary = "unpack 4-bit weights with two ANDs and one shift per 8 weights";
  let description = [{
    ```mlir
    %a0, %a1 = fastgemm.dequant %w : ...
    // becomes, for each of the four words,
    %hi = arith.andi %word, 0xF0F0F0F0
    %sh = arith.shli %word, 4
    %lo = arith.andi %sh, 0xF0F0F0F0
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::vector::VectorDialect"];
}

def ConvertFastGemmToNVVM
    : Pass<"convert-fastgemm-to-nvvm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "map fragments and copies to NVVM operations";
  let description = [{
    Copies become `nvvm.cp.async`, fragment loads `nvvm.ldmatrix`, products
    `nvvm.mma.sync`. `fastgemm.dequant` must have been lowered before.
  }];
  let dependentDialects = [
    "::mlir::NVVM::NVVMDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::vector::VectorDialect"];
}

def LowerKernelFunctions
    : Pass<"fastgemm-lower-kernel-functions", "::mlir::gpu::GPUModuleOp"> {
  let summary = "turn kernels into llvm.funcs with NVVM's kernel attributes";
  let description = [{
    Every `gpu.func` with `fastgemm.launch` becomes an `llvm.func` that is an
    NVVM kernel with exactly that block size; `gpu.return` and `gpu.barrier`
    become `llvm.return` and `nvvm.barrier0`. Structured control flow must have
    been lowered before.
  }];
  let dependentDialects = ["::mlir::NVVM::NVVMDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

#endif // ODYSSEY_CONVERSION_PASSES

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
    kernel is known for, a product without a schedule or without packed weights,
    and a schedule that its shape cannot follow are errors.

    ```mlir
    odyssey.kernel @matmul(%x: tensor<?x64xi8>, ...) -> tensor<?x64xf16>
        attributes {kind = "matmul"} {
      %y = odyssey.matmul %x scale %xs, %w scale %ws
          schedule <path = mma_sync, channels = 64, tokens = 16, k = 64,
                    channel_warps = 2, token_warps = 1, stages = 2> : ...
      odyssey.return %y : tensor<?x64xf16>
    }
    // becomes
    gpu.func @matmul(%x: !llvm.ptr<1>, ..., %y: !llvm.ptr<1>, %m: i32) kernel
        attributes {fastgemm.launch = #fastgemm.launch<grid = [1, 1, 1],
                        per_tokens = [0, 16, 0], block = 64,
                        shared_bytes = 6144>, kind = "matmul"} {
      ...
      fastgemm.async_copy %shared, %global, 16 : !llvm.ptr<3>, !llvm.ptr<1>
      ...
      scf.for %tile = %c0 to %tiles step %c1 iter_args(...) {
        %b = fastgemm.load_matrix %p : !llvm.ptr<3> -> vector<4xi32>
        %a0, %a1 = fastgemm.dequant %w
            : vector<4xi32> -> vector<4xi32>, vector<4xi32>
        %d = fastgemm.mma_s8 %a0, %b0, %c
            : vector<4xi32>, vector<2xi32> -> vector<4xi32>
        ...
    ```
  }];
  let dependentDialects = [
    "::odyssey::fastgemm::FastGemmDialect", "::mlir::arith::ArithDialect",
    "::mlir::gpu::GPUDialect", "::mlir::scf::SCFDialect",
    "::mlir::vector::VectorDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::NVVM::NVVMDialect", "::mlir::math::MathDialect"];
}

def LowerDequant
    : Pass<"fastgemm-lower-dequant", "::mlir::gpu::GPUModuleOp"> {
  let summary = "unpack 4-bit weights in registers";
  let description = [{
    Every `fastgemm.dequant` becomes two ANDs and one shift per word of 8 weights,
    every `fastgemm.dequant_groups` one shift, two ANDs, two multiplications with
    additions and two exclusive ors; all else is left as it is.

    ```mlir
    %a0, %a1 = fastgemm.dequant %w : ...
    // becomes, for each of the four words,
    %hi = arith.andi %word, 0xF0F0F0F0
    %sh = arith.shli %word, 4
    %lo = arith.andi %sh, 0xF0F0F0F0
    ```
    ```mlir
    %a0, %a1 = fastgemm.dequant_groups %w, %m : ...
    // becomes, for each multiplier,
    %a = arith.addi (arith.muli %m, -0x08080808), 0x80808080
    // and for each of the four words, of rows g and g + 8,
    %u = arith.andi (arith.shrui %word, 4), 0x0F0F0F0F
    %h = arith.xori (arith.addi (arith.muli %u, %m_g), %a_g), 0x80808080
    %v = arith.andi %word, 0x0F0F0F0F
    %l = arith.xori (arith.addi (arith.muli %v, %m_g8), %a_g8), 0x80808080
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::vector::VectorDialect"];
}

def ConvertFastGemmToNVVM
    : Pass<"convert-fastgemm-to-nvvm", "::mlir::gpu::GPUModuleOp"> {
  let summary = "map fragments and copies to NVVM operations";
  let description = [{
    Copies become `nvvm.cp.async.shared.global` (of 16 bytes past L1), fragment
    loads `nvvm.ldmatrix`, products `nvvm.mma.sync`. Operations of other dialects
    are left as they are. `fastgemm.dequant` must have been lowered before, else it
    is an error.

    ```mlir
    fastgemm.async_copy %shared, %global, 16 : !llvm.ptr<3>, !llvm.ptr<1>
    // becomes
    nvvm.cp.async.shared.global %shared, %global, 16, cache = cg
        : !llvm.ptr<3>, !llvm.ptr<1>
    ```
  }];
  let dependentDialects = [
    "::mlir::NVVM::NVVMDialect", "::mlir::LLVM::LLVMDialect",
    "::mlir::vector::VectorDialect"];
}

def LowerKernelFunctions
    : Pass<"fastgemm-lower-kernel-functions", "::mlir::gpu::GPUModuleOp"> {
  let summary = "turn kernels into llvm.funcs with NVVM's kernel attributes";
  let description = [{
    Every `gpu.func` becomes an `llvm.func` that is an NVVM kernel with exactly
    the block size of its `fastgemm.launch`; `gpu.return` and `gpu.barrier` become
    `llvm.return` and `nvvm.barrier0`. A `gpu.func` without `fastgemm.launch` is an
    error. Structured control flow must have been lowered before.

    ```mlir
    gpu.func @k(%p: !llvm.ptr<1>) kernel attributes {
        fastgemm.launch = #fastgemm.launch<grid = [1, 1, 1],
            per_tokens = [0, 0, 0], block = 64, shared_bytes = 0>} {
      gpu.return
    }
    // becomes
    llvm.func @k(%p: !llvm.ptr<1>) attributes {
        nvvm.kernel, nvvm.minctasm = 1 : i32,
        nvvm.reqntid = array<i32: 64, 1, 1>, ...} {
      llvm.return
    }
    ```
  }];
  let dependentDialects = ["::mlir::NVVM::NVVMDialect",
                           "::mlir::LLVM::LLVMDialect"];
}

#endif // ODYSSEY_CONVERSION_PASSES

//===- FastGemmBase.td - The kernel-level dialect ---------------*- tablegen -*-===//

#ifndef FASTGEMM_BASE
#define FASTGEMM_BASE

include "mlir/IR/OpBase.td"

def FastGemm_Dialect : Dialect {
  let name = "fastgemm";
  let cppNamespace = "::odyssey::fastgemm";
  let summary = "Register fragments, dequantization, asynchronous copies, mma";
  let description = [{
    The level between a scheduled product and NVVM. A kernel here is a
    `gpu.func` of `scf` loops over CTA, warp and instruction tiles. What is
    particular to W4A8 tensor core kernels is in this dialect's operations: the
    asynchronous copies into shared memory, the loads of register fragments, the
    unpacking of 4-bit weights in registers and the matrix instructions.

    Fragments are MLIR vectors of what one lane of a warp holds. Their layout
    is that of the PTX instruction, with `g = lane / 4` and `t = lane % 4`.

    Memory operands are LLVM pointers: address space 1 is global memory, address
    space 3 is shared memory.

    The attributes of this dialect, `#fastgemm.schedule`, `#fastgemm.packed`
    and `#fastgemm.rows`, are written onto the tensor-level graph, where a person
    can read and change them before any lowering.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect"];
  let useDefaultAttributePrinterParser = 1;
}

class FastGemm_Op<string mnemonic, list<Trait> traits = []>
    : Op<FastGemm_Dialect, mnemonic, traits>;

#endif // FASTGEMM_BASE

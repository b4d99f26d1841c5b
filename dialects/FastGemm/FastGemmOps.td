//===- FastGemmOps.td - Operations on register fragments --------*- tablegen -*-===//

#ifndef FASTGEMM_OPS
#define FASTGEMM_OPS

include "FastGemm/FastGemmAttrs.td"
include "mlir/Dialect/LLVMIR/LLVMOpBase.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def FastGemm_SharedPtr : LLVM_PointerInAddressSpace<3>;
def FastGemm_GlobalPtr : LLVM_PointerInAddressSpace<1>;
def FastGemm_I32x4 : FixedVectorOfLengthAndType<[4], [I32]>;
def FastGemm_I32x2 : FixedVectorOfLengthAndType<[2], [I32]>;
def FastGemm_F32x4 : FixedVectorOfLengthAndType<[4], [F32]>;

//===----------------------------------------------------------------------===//
// Asynchronous copies
//===----------------------------------------------------------------------===//

def FastGemm_AsyncCopyOp : FastGemm_Op<"async_copy", [
    MemoryEffects<[MemWrite, MemRead]>]> {
  let summary = "copies bytes from global to shared memory without waiting";
  let description = [{
    Starts the copy of `bytes` bytes (4, 8 or 16) from `source` to `destination`,
    both aligned to `bytes`. With `valid`, only the first `valid` bytes are read
    and the rest is filled with zeros; 0 reads nothing. The copy belongs to the
    group that the next `fastgemm.async_commit` of this thread closes. A constant
    `valid` of all `bytes` is canonicalized away.

    Example:

    ```mlir
    fastgemm.async_copy %shared, %global, 16 : !llvm.ptr<3>, !llvm.ptr<1>
    fastgemm.async_copy %shared, %global, 16 valid %n : !llvm.ptr<3>, !llvm.ptr<1>
    ```
  }];
  let arguments = (ins FastGemm_SharedPtr:$destination,
                       FastGemm_GlobalPtr:$source,
                       I32Attr:$bytes, Optional<I32>:$valid);
  let assemblyFormat = [{
    $destination `,` $source `,` custom<Plain>($bytes) (`valid` $valid^)? attr-dict
      `:` qualified(type($destination)) `,` qualified(type($source))
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def FastGemm_AsyncCommitOp : FastGemm_Op<"async_commit", [
    MemoryEffects<[MemWrite, MemRead]>]> {
  let summary = "closes a group of asynchronous copies";
  let description = [{
    All copies that this thread started since the last commit become one group,
    which may be empty.

    Example:

    ```mlir
    fastgemm.async_commit
    ```
  }];
  let assemblyFormat = "attr-dict";
}

def FastGemm_AsyncWaitOp : FastGemm_Op<"async_wait", [
    MemoryEffects<[MemWrite, MemRead]>]> {
  let summary = "waits until at most so many groups of copies are pending";
  let description = [{
    After it, the data of all but the newest `pending` groups is visible to this
    thread; a `gpu.barrier` makes it visible to the CTA.

    Example:

    ```mlir
    fastgemm.async_wait 2
    ```
  }];
  let arguments = (ins ConfinedAttr<I32Attr, [IntNonNegative]>:$pending);
  let assemblyFormat = "custom<Plain>($pending) attr-dict";
}

def FastGemm_EvictFirstPolicyOp : FastGemm_Op<"evict_first_policy", [Pure]> {
  let summary = "a cache policy for bytes that are read once";
  let description = [{
    The operand `l2_cache_hint` of copies whose bytes leave the L2 cache before
    others do (PTX ISA, "createpolicy").

    Example:

    ```mlir
    %policy = fastgemm.evict_first_policy : i64
    ```
  }];
  let results = (outs I64:$policy);
  let assemblyFormat = "attr-dict `:` type($policy)";
}

def FastGemm_BarrierWaitOp : FastGemm_Op<"barrier_wait", [
    MemoryEffects<[MemWrite, MemRead]>]> {
  let summary = "waits for a phase of an mbarrier";
  let description = [{
    Returns when the phase of parity `parity` (0 or 1) of the mbarrier at
    `barrier` has ended: the one before the running phase, or none other. What
    its arrivals released and its bulk copies wrote is then visible to this
    thread. A fresh barrier's phase of parity 1 counts as ended. `nvvm` has the
    other operations on an mbarrier.

    With `cluster`, arrivals may be those of other CTAs of the cluster.

    Example:

    ```mlir
    fastgemm.barrier_wait %full, %parity : !llvm.ptr<3>
    fastgemm.barrier_wait %empty, %parity cluster : !llvm.ptr<3>
    ```
  }];
  let arguments = (ins FastGemm_SharedPtr:$barrier, I32:$parity,
                       UnitAttr:$cluster);
  let assemblyFormat = [{
    $barrier `,` $parity (`cluster` $cluster^)? attr-dict
      `:` qualified(type($barrier))
  }];
}

//===----------------------------------------------------------------------===//
// Fragments
//===----------------------------------------------------------------------===//

def FastGemm_LoadMatrixOp : FastGemm_Op<"load_matrix", [
    MemoryEffects<[MemRead]>]> {
  let summary = "loads 8x8 matrices of 16-bit elements from shared memory";
  let description = [{
    Lanes `8i` to `8i + 7` pass the addresses of the eight 16-byte rows of matrix
    i; element i of the result is this lane's 32 bits of matrix i: two 16-bit (or
    four 8-bit) elements at row `g`, 32-bit column `t`. With `transpose`, the two
    16-bit elements at rows `2t`, `2t + 1` of column `g`.

    Example:

    ```mlir
    %b = fastgemm.load_matrix %p : !llvm.ptr<3> -> vector<4xi32>
    %v = fastgemm.load_matrix %p transpose : !llvm.ptr<3> -> vector<2xi32>
    ```
  }];
  let arguments = (ins FastGemm_SharedPtr:$address, UnitAttr:$transpose);
  let results = (outs FixedVectorOfLengthAndType<[1, 2, 4], [I32]>:$matrices);
  let assemblyFormat = [{
    $address (`transpose` $transpose^)? attr-dict `:` qualified(type($address)) `->` type($matrices)
  }];
}

def FastGemm_DequantOp : FastGemm_Op<"dequant", [Pure]> {
  let summary = "unpacks 4-bit weights into two fragments of 8-bit weights";
  let description = [{
    `packed` is one lane's 16 bytes of a block of 16 channels x 64 input
    channels (`#fastgemm.packed`): 32 weights. The results are the A fragments
    of the two `m16n8k32` steps, in which every weight q stands as the signed
    byte 16 q: unpacking is two ANDs and one shift per 8 weights. The factor 16
    is taken back by the epilogue's scale.

    Example:

    ```mlir
    %a0, %a1 = fastgemm.dequant %w : vector<4xi32> -> vector<4xi32>, vector<4xi32>
    ```

    Folds when all weights are zero.
  }];
  let hasFolder = 1;
  let arguments = (ins FastGemm_I32x4:$packed);
  let results = (outs FastGemm_I32x4:$low, FastGemm_I32x4:$high);
  let assemblyFormat = [{
    $packed attr-dict `:` type($packed) `->` type($low) `,` type($high)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$packed), [{
    build($_builder, $_state, packed.getType(), packed.getType(), packed);
  }]>];
}

def FastGemm_DequantGroupsOp : FastGemm_Op<"dequant_groups", [Pure]> {
  let summary = "unpacks 4-bit weights and multiplies them by their groups' integers";
  let description = [{
    As `fastgemm.dequant`, for weights packed with `offset = 8`: in the results
    every weight q stands as the signed byte m q. Element `2s + p` of
    `multipliers` is the m, 0 to 15, of row `g + 8p` in k32 step s. Unpacking takes
    three instructions per 4 weights: a mask, a multiplication of all four at once
    with an addition, and an exclusive or.

    Example:

    ```mlir
    %a0, %a1 = fastgemm.dequant_groups %w, %m
        : vector<4xi32>, vector<4xi32> -> vector<4xi32>, vector<4xi32>
    ```
  }];
  let arguments = (ins FastGemm_I32x4:$packed, FastGemm_I32x4:$multipliers);
  let results = (outs FastGemm_I32x4:$low, FastGemm_I32x4:$high);
  let assemblyFormat = [{
    $packed `,` $multipliers attr-dict `:` type($packed) `,` type($multipliers)
      `->` type($low) `,` type($high)
  }];
  let builders = [OpBuilder<(ins "::mlir::Value":$packed,
                                "::mlir::Value":$multipliers), [{
    build($_builder, $_state, packed.getType(), packed.getType(), packed,
          multipliers);
  }]>];
}

def FastGemm_MmaS8Op : FastGemm_Op<"mma_s8", [Pure,
    AllTypesMatch<["accumulator", "result"]>]> {
  let summary = "multiplies 16x32 by 32x8 signed bytes into 32-bit sums";
  let description = [{
    `mma.sync.m16n8k32`: A is 16 channels x 32 k, B 32 k x 8 tokens. Sums wrap;
    the verifier of `odyssey.matmul` bounds K so that they never do.

    Example:

    ```mlir
    %d = fastgemm.mma_s8 %a, %b, %c : vector<4xi32>, vector<2xi32> -> vector<4xi32>
    ```

    Folds to the accumulator when a or b is zero.
  }];
  let hasFolder = 1;
  let arguments = (ins FastGemm_I32x4:$a, FastGemm_I32x2:$b,
                       FastGemm_I32x4:$accumulator);
  let results = (outs FastGemm_I32x4:$result);
  let assemblyFormat = [{
    $a `,` $b `,` $accumulator attr-dict `:` type($a) `,` type($b) `->` type($result)
  }];
}

//===----------------------------------------------------------------------===//
// Products of a warpgroup
//===----------------------------------------------------------------------===//

def FastGemm_WgmmaOp : FastGemm_Op<"wgmma", [
    MemoryEffects<[MemRead, MemWrite]>,
    RangedTypesMatchWith<"results have the accumulators' types", "results",
                         "accumulators",
                         "llvm::make_range($_self.begin(), $_self.end())">]> {
  let summary = "multiplies 64x32 by 32xN signed bytes without waiting";
  let description = [{
    `wgmma.mma_async.m64nNk32`, issued by the four warps of a warpgroup: A is 64
    channels x 32 k in registers, each warp having the fragment of its 16 channels
    as for `fastgemm.mma_s8`; B is 32 k x N tokens in shared memory, named by a
    matrix descriptor. There is one accumulator, laid out as that of
    `fastgemm.mma_s8`, for each 8 tokens, so their number gives N.

    The product runs on after this operation. The registers of A and the results
    may be used by nothing but a further product of the same shape until a
    `fastgemm.wgmma_wait` has covered the group of this one; new registers come
    to it through a `fastgemm.wgmma_fence`.

    Example:

    ```mlir
    %d:2 = fastgemm.wgmma %a, %b(%c0, %c1)
        : vector<4xi32>, i64 -> vector<4xi32>, vector<4xi32>
    ```
  }];
  let arguments = (ins FastGemm_I32x4:$a, I64:$descriptor,
                       Variadic<FastGemm_I32x4>:$accumulators);
  let results = (outs Variadic<FastGemm_I32x4>:$results);
  let assemblyFormat = [{
    $a `,` $descriptor `(` $accumulators `)` attr-dict
      `:` type($a) `,` type($descriptor) `->` type($results)
  }];
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "::mlir::Value":$a, "::mlir::Value":$descriptor,
                           "::mlir::ValueRange":$accumulators), [{
    build($_builder, $_state, accumulators.getTypes(), a, descriptor, accumulators);
  }]>];
  let extraClassDeclaration = [{
    /// N, the width of the product.
    int64_t getTokens() { return 8 * getAccumulators().size(); }
  }];
}

def FastGemm_WgmmaFenceOp : FastGemm_Op<"wgmma_fence", [
    MemoryEffects<[MemRead, MemWrite]>,
    RangedTypesMatchWith<"results have the registers' types", "results",
                         "registers",
                         "llvm::make_range($_self.begin(), $_self.end())">]> {
  let summary = "orders changes of registers before products that use them";
  let description = [{
    `wgmma.fence`. The results are the registers, written; that they pass through
    it keeps whatever computes them before it. Products take their fragments and
    accumulators from here.

    Example:

    ```mlir
    %b:2 = fastgemm.wgmma_fence(%a#0, %a#1) : vector<4xi32>, vector<4xi32>
    ```
  }];
  let arguments = (ins Variadic<FastGemm_I32x4>:$registers);
  let results = (outs Variadic<FastGemm_I32x4>:$results);
  let assemblyFormat = "`(` $registers `)` attr-dict `:` type($results)";
  let builders = [OpBuilder<(ins "::mlir::ValueRange":$registers), [{
    build($_builder, $_state, registers.getTypes(), registers);
  }]>];
}

def FastGemm_WgmmaWaitOp : FastGemm_Op<"wgmma_wait", [
    MemoryEffects<[MemRead, MemWrite]>,
    RangedTypesMatchWith<"results have the accumulators' types", "results",
                         "accumulators",
                         "llvm::make_range($_self.begin(), $_self.end())">]> {
  let summary = "waits until at most so many groups of products are running";
  let description = [{
    Groups are closed by `nvvm.wgmma.commit.group.sync.aligned`. After this
    operation, the results are the accumulators, finished. That they pass through
    it keeps every use of them behind it.

    Example:

    ```mlir
    %e:2 = fastgemm.wgmma_wait 0(%d#0, %d#1) : vector<4xi32>, vector<4xi32>
    ```
  }];
  let arguments = (ins ConfinedAttr<I32Attr, [IntNonNegative]>:$pending,
                       Variadic<FastGemm_I32x4>:$accumulators);
  let results = (outs Variadic<FastGemm_I32x4>:$results);
  let assemblyFormat = [{
    custom<Plain>($pending) `(` $accumulators `)` attr-dict `:` type($results)
  }];
  let hasVerifier = 1;
  let builders = [OpBuilder<(ins "int32_t":$pending, "::mlir::ValueRange":$accumulators), [{
    build($_builder, $_state, accumulators.getTypes(), $_builder.getI32IntegerAttr(pending), accumulators);
  }]>];
}

def FastGemm_MmaF16Op : FastGemm_Op<"mma_f16", [Pure,
    AllTypesMatch<["accumulator", "result"]>]> {
  let summary = "multiplies 16x16 by 16x8 half floats into 32-bit sums";
  let description = [{
    `mma.sync.m16n8k16` with fp32 accumulation; each 32-bit element of a and b
    holds two adjacent fp16 along k.

    Example:

    ```mlir
    %d = fastgemm.mma_f16 %a, %b, %c : vector<4xi32>, vector<2xi32> -> vector<4xf32>
    ```
  }];
  let arguments = (ins FastGemm_I32x4:$a, FastGemm_I32x2:$b,
                       FastGemm_F32x4:$accumulator);
  let results = (outs FastGemm_F32x4:$result);
  let assemblyFormat = [{
    $a `,` $b `,` $accumulator attr-dict `:` type($a) `,` type($b) `->` type($result)
  }];
}

#endif // FASTGEMM_OPS

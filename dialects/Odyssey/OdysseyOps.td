//===- OdysseyOps.td - Operations of the model graph ------------*- tablegen -*-===//

#ifndef ODYSSEY_OPS
#define ODYSSEY_OPS

include "FastGemm/FastGemmAttrs.td"
include "Odyssey/OdysseyAttentionOps.td"
include "Odyssey/OdysseyBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/Interfaces/CallInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/FunctionInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

//===----------------------------------------------------------------------===//
// Constants
//===----------------------------------------------------------------------===//

def Odyssey_WeightOp : Odyssey_Op<"weight", [Pure]> {
  let summary = "a weight of the checkpoint, by name";
  let description = [{
    The tensor `names[0]` of the checkpoint (or of the safetensors file given to
    `odyssey-compile --weights`); several names are concatenated along the first
    dimension. A tensor of `i4` is stored in the file as I8 values from -8 to 7; the
    weights of a product of `i8` as such from -127 to 127.

    With `interleaved`, the rows of the concatenation's halves take turns, two by
    two: rows 0 and 1 of the first half, rows 0 and 1 of the second, rows 2 and 3
    of the first, and so on (`include/odyssey/Layout/InterleavedRows.h`). The
    number of rows is then a multiple of 4.

    Example:

    ```mlir
    %w = odyssey.weight "w" : tensor<192x64xi4>
    %qkv = odyssey.weight "q", "k", "v" : tensor<128x64xi4>
    %gu = odyssey.weight "gate", "up" interleaved : tensor<344x64xi4>
    ```
  }];
  let arguments = (ins StrArrayAttr:$names, UnitAttr:$interleaved);
  let results = (outs AnyStaticShapeTensor:$result);
  let assemblyFormat = [{
    custom<Names>($names) (`interleaved` $interleaved^)? attr-dict
      `:` type($result)
  }];
  let hasVerifier = 1;
}

def Odyssey_RopeTableOp : Odyssey_Op<"rope_table", [Pure]> {
  let summary = "cosines and sines of the rotary position embedding";
  let description = [{
    Row p holds `cos(p * f_i)` for i in 0 .. d/2 - 1, then `sin(p * f_i)`, with
    `f_i = theta^(-2i/d)`, computed in double precision and rounded to fp32 when
    the bundle is written. `scaling` names a change of the frequencies:
    `none`, `linear` (parameters: factor) or `llama3` (factor,
    low_freq_factor, high_freq_factor, original context).

    Example:

    ```mlir
    %t = odyssey.rope_table theta = 1.0e4 : tensor<128x8xf32>
    ```
  }];
  let arguments = (ins F64Attr:$theta,
                       DefaultValuedAttr<StrAttr, "\"none\"">:$scaling,
                       DefaultValuedAttr<DenseF64ArrayAttr, "{}">:$parameters);
  let results = (outs StaticShapeTensorOf<[F32]>:$table);
  let assemblyFormat = [{
    `theta` `=` custom<PlainF64>($theta) attr-dict `:` type($table)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

def Odyssey_LinearOp : Odyssey_Op<"linear", [Pure]> {
  let summary = "a product with 16-bit weights";
  let description = [{
    `result[m, n] = sum_k x[m, k] * weights[n, k]` on the fp16 tensor cores:
    operands are rounded to units of groups of 32 k, whose sums are then exact,
    and these are added in fp32, in ascending k (`docs/numerics.md`, N14), plus
    `bias[n]` in fp32 where given. The result is rounded to its element type. `odyssey-quantize-linears` turns
    this into `odyssey.quantize` and `odyssey.matmul`, but for those marked
    `keep`.

    Example:

    ```mlir
    %y = odyssey.linear %x, %w keep : (tensor<?x64xf16>, tensor<512x64xf16>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins Odyssey_F16Matrix:$x, Odyssey_F16Matrix:$weights,
                       Optional<Odyssey_F16Vector>:$bias,
                       UnitAttr:$keep,
                       OptionalAttr<FastGemm_ScheduleAttr>:$schedule);
  let results = (outs Odyssey_FloatMatrix:$result);
  let assemblyFormat = [{
    $x `,` $weights (`bias` $bias^)? (`keep` $keep^)? (`schedule` $schedule^)?
      attr-dict
      `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Odyssey_QuantizeOp : Odyssey_Op<"quantize", [Pure]> {
  let summary = "quantizes each token's row to 8 bits";
  let description = [{
    Per row: `a = max |x|`, `scale = a / 127`, `values = clamp(rne(x * (127 / a)),
    -127, 127)`; a row of zeros gives scale 0 and values 0.

    The greatest of `maxima[m, :]`, where given, is `max |x[m, :]|`: a kernel
    that wants a part of the row then need not read all of it.

    Example:

    ```mlir
    %q, %s = odyssey.quantize %x : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
    %r, %t = odyssey.quantize %x maxima %m : tensor<?x64xf16>, tensor<?x4xf32>
        -> tensor<?x64xi8>, tensor<?xf32>
    ```
  }];
  let arguments = (ins Odyssey_F16Matrix:$x,
                       Optional<2DTensorOf<[F32]>>:$maxima);
  let results = (outs Odyssey_I8Matrix:$values, Odyssey_F32Vector:$scales);
  let assemblyFormat = [{
    $x (`maxima` $maxima^)? attr-dict `:` type($x) (`,` type($maxima)^)?
      `->` type($values) `,` type($scales)
  }];
  let builders = [OpBuilder<(ins "::mlir::Type":$values, "::mlir::Type":$scales,
                                 "::mlir::Value":$x), [{
    build($_builder, $_state, values, scales, x, /*maxima=*/::mlir::Value());
  }]>];
  let hasVerifier = 1;
}

def Odyssey_MatmulOp : Odyssey_Op<"matmul", [Pure, AttrSizedOperandSegments]> {
  let summary = "the W4A8 product, or W8A8";
  let description = [{
    `acc = sum_k x[m, k] * 16 * w[n, k]` in exact int32, then
    `fp32(acc) * (weight_scales[n] / 16) * x_scales[m]`, left to right, each
    product rounded to fp32, plus `bias[n]` where given, then one rounding to
    fp16. With `residual`, `fp16(fp32(that) + fp32(residual[m, n]))` follows:
    the two roundings of a product and an `odyssey.add`. With `silu_mul`, every
    four channels are two of a gate and the same two of an up projection, and
    `odyssey.silu_mul` of the rounded products is the result. The result does not
    depend on the schedule.

    `maxima` is a second result that `odyssey-fuse-prologues` may ask for, with a
    column for every warp of the schedule's CTAs that multiplies: the 32 channels
    (with `silu_mul`, the 16 of the result) of that warp. It holds numbers of
    which the greatest in row m is `max |result[m, :]|`. Of a product whose
    result goes to a norm with the weights `norm`, it holds pairs instead: the
    greatest `|result[m, n] * norm[n]|` among the 32 channels, and the sum of
    their squares, `result[m, n]^2`, as numerics N15 adds them.

    With groups of `group_size` input channels, each has an integer within the
    channel's scale, `multipliers[n, k / group_size]`, 0 to 15, which takes the
    place of the 16: `acc = sum_k x[m, k] * multipliers[n, k / group_size] *
    w[n, k]`, then `fp32(acc) * weight_scales[n] * x_scales[m]`.

    `weights` are of 4 or of 8 bits. Those of 8 bits, -127 to 127, are not
    multiplied by 16: `acc = sum_k x[m, k] * w[n, k]`, then `fp32(acc) *
    weight_scales[n] * x_scales[m]`. Once packed, the weights' type carries
    `#fastgemm.packed`.

    The attribute `schedule` is set by `odyssey-schedule`, or by hand, which that
    pass respects.

    Constraints:
    * (C1) K of `x` and of `weights` are equal.
    * (C2) One of `x_scales` per row of `x`, one of `weight_scales` and, where
      given, of `bias` per row of `weights`.
    * (C3) The result has the rows of `x` and a column per row of `weights`, with
      `silu_mul` half as many.
    * (C4) K is at most 132104, or 133144 with weights of 8 bits, so that no
      32-bit sum overflows.
    * (C5) `weights` have no encoding but `#fastgemm.packed`.
    * (C6) `residual`, where given, has the result's rows and columns.
    * (C7) Groups are of 32, 64 or 128 input channels, and `multipliers` has a row
      per row of `weights` and a column per group, the last of which may be short.
    * (C8) `weights` are packed with offset 8 where there are groups, and 0 where
      there are none.
    * (C9) `multipliers` have no encoding but `#fastgemm.multipliers`, of the
      group size and the panels of the weights.
    * (C10) A product with groups has no schedule of the path `wgmma`.
    * (C11) With `silu_mul`, `weights` have a multiple of 4 rows, and there is no
      `residual`.
    * (C12) `weights` of 8 bits have no groups.
    * (C13) With `maxima`, the schedule is of the path `wgmma`, without `ctas`,
      `stream_k` and `multicast`, `weights` have a multiple of 4 rows, and `maxima`
      has the result's rows and `channel_warps` columns for each tile of channels.
    * (C14) `norm`, where given, has an element per column of the result. With it
      there are `maxima`, of rank 3, whose last size is 2, and there is no
      `silu_mul`; without it, `maxima` have rank 2.

    Example:

    ```mlir
    %y = odyssey.matmul %x scale %xs, %w scale %ws residual %r
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<192x64xi4>, tensor<192xf32>,
           tensor<?x192xf16>) -> tensor<?x192xf16>
    %a = odyssey.matmul %x scale %xs, %gu scale %gus silu_mul
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<344x64xi4>, tensor<344xf32>)
        -> tensor<?x172xf16>
    %z = odyssey.matmul %x scale %xs, %w scale %ws groups %wm of 32
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<192x64xi4>, tensor<192xf32>,
           tensor<192x2xi8>) -> tensor<?x192xf16>
    %e = odyssey.matmul %x scale %xs, %we scale %ws
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<192x64xi8>, tensor<192xf32>)
        -> tensor<?x192xf16>
    ```
  }];
  let arguments = (ins Odyssey_I8Matrix:$x, Odyssey_F32Vector:$x_scales,
                       Odyssey_WeightMatrix:$weights,
                       Odyssey_F32Vector:$weight_scales,
                       Optional<Odyssey_F16Vector>:$bias,
                       Optional<Odyssey_F16Matrix>:$residual,
                       Optional<Odyssey_I8Matrix>:$multipliers,
                       Optional<Odyssey_F16Vector>:$norm,
                       OptionalAttr<I32Attr>:$group_size,
                       OptionalAttr<FastGemm_ScheduleAttr>:$schedule,
                       UnitAttr:$silu_mul);
  let results = (outs Odyssey_F16Matrix:$result,
                      Optional<TensorRankOf<[F32], [2, 3]>>:$maxima);
  let assemblyFormat = [{
    $x `scale` $x_scales `,` $weights `scale` $weight_scales (`bias` $bias^)?
      (`residual` $residual^)?
      (`groups` $multipliers^ `of` custom<Plain>($group_size))?
      (`norm` $norm^)?
      (`silu_mul` $silu_mul^)?
      (`schedule` $schedule^)? attr-dict
      `:` functional-type(operands, results)
  }];
  let builders = [
    // Without maxima.
    OpBuilder<(ins "::mlir::Type":$result, "::mlir::Value":$x,
                   "::mlir::Value":$x_scales, "::mlir::Value":$weights,
                   "::mlir::Value":$weight_scales, "::mlir::Value":$bias,
                   "::mlir::Value":$residual, "::mlir::Value":$multipliers,
                   "::mlir::IntegerAttr":$group_size,
                   "::odyssey::fastgemm::ScheduleAttr":$schedule,
                   CArg<"bool", "false">:$silu_mul), [{
      build($_builder, $_state, result, /*maxima=*/::mlir::Type(), x, x_scales,
            weights, weight_scales, bias, residual, multipliers,
            /*norm=*/::mlir::Value(), group_size, schedule, silu_mul);
    }]>];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    int64_t getN() { return getWeights().getType().getDimSize(0); }
    int64_t getK() { return getWeights().getType().getDimSize(1); }
    /// Columns of `maxima`; the product must have a schedule.
    int64_t getMaximaColumns() {
      ::odyssey::fastgemm::ScheduleAttr schedule = getScheduleAttr();
      return (getN() + schedule.getChannels() - 1) / schedule.getChannels() *
             schedule.getChannelWarps();
    }
    /// Input channels of a group, or 0 where a channel is one.
    int64_t getGroupSizeOrZero() { return getGroupSize().value_or(0); }
    /// The width of the weights and of their groups.
    ::odyssey::layout::WeightFormat getWeightFormat() {
      return {getWeights().getType().getElementTypeBitWidth(),
              getGroupSizeOrZero()};
    }
    /// The product's shared memory per CTA in bytes; it must have a schedule.
    int64_t getSharedBytes() {
      return getScheduleAttr().getSharedBytes(getWeightFormat());
    }
  }];
}

//===----------------------------------------------------------------------===//
// Norms and elementwise operations
//===----------------------------------------------------------------------===//

def Odyssey_RmsNormOp : Odyssey_Op<"rms_norm", [Pure,
    AllTypesMatch<["x", "result"]>]> {
  let summary = "root mean square normalization of each row";
  let description = [{
    `result = fp16((x * r) * weight)` with `r = 1 / sqrt(mean(x^2) + epsilon)`
    in fp32.

    Example:

    ```mlir
    %h = odyssey.rms_norm %x, %w epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16>
    ```
  }];
  let arguments = (ins Odyssey_F16Matrix:$x, Odyssey_F16Vector:$weight,
                       F32Attr:$epsilon);
  let results = (outs Odyssey_F16Matrix:$result);
  let assemblyFormat = [{
    $x `,` $weight `epsilon` `=` custom<PlainF32>($epsilon) attr-dict
      `:` type($x) `,` type($weight)
  }];
  let hasVerifier = 1;
}

def Odyssey_RmsNormQuantizeOp : Odyssey_Op<"rms_norm_quantize", [Pure]> {
  let summary = "normalization and quantization of each row in one kernel";
  let description = [{
    A norm is a factor per row and one per column, and quantization takes any
    factor of a row back: `u = x * weight`, `a = max |u|`, `values =
    clamp(rne(u * (127 / a)), -127, 127)`, `scale = (a / 127) * r` with the `r`
    of `odyssey.rms_norm`, in fp32; a row of zeros gives scale 0 and values 0.
    What is quantized has not been rounded to fp16 before, as in `odyssey.rms_norm`
    followed by `odyssey.quantize`.

    `statistics`, where given, has a pair for every 32 columns, and perhaps more
    behind them that are zeros: their greatest `|u|`, and the sum of their `x^2`
    as numerics N15 adds them. A kernel that wants a part of the row then need not
    read all of it.

    Example:

    ```mlir
    %q, %s = odyssey.rms_norm_quantize %x, %w epsilon = 1.0e-5
        : tensor<?x64xf16>, tensor<64xf16> -> tensor<?x64xi8>, tensor<?xf32>
    %r, %t = odyssey.rms_norm_quantize %x, %w statistics %u epsilon = 1.0e-5
        : tensor<?x64xf16>, tensor<64xf16>, tensor<?x4x2xf32>
        -> tensor<?x64xi8>, tensor<?xf32>
    ```
  }];
  let arguments = (ins Odyssey_F16Matrix:$x, Odyssey_F16Vector:$weight,
                       Optional<3DTensorOf<[F32]>>:$statistics,
                       F32Attr:$epsilon);
  let results = (outs Odyssey_I8Matrix:$values, Odyssey_F32Vector:$scales);
  let assemblyFormat = [{
    $x `,` $weight (`statistics` $statistics^)?
      `epsilon` `=` custom<PlainF32>($epsilon) attr-dict
      `:` type($x) `,` type($weight) (`,` type($statistics)^)?
      `->` type($values) `,` type($scales)
  }];
  let hasVerifier = 1;
}

def Odyssey_SiluMulOp : Odyssey_Op<"silu_mul", [Pure]> {
  let summary = "SiLU of the gate times the up projection";
  let description = [{
    `result = fp16((gate / (1 + exp(-gate))) * up)` in fp32. With one operand,
    its row holds the gate in the first half and up in the second.

    Example:

    ```mlir
    %a = odyssey.silu_mul %gate, %up
        : (tensor<?x172xf16>, tensor<?x172xf16>) -> tensor<?x172xf16>
    ```
  }];
  let arguments = (ins Variadic<Odyssey_F16Matrix>:$inputs);
  let results = (outs Odyssey_F16Matrix:$result);
  let assemblyFormat = "$inputs attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Odyssey_SiluMulQuantizeOp : Odyssey_Op<"silu_mul_quantize", [Pure]> {
  let summary = "SiLU, product and quantization in one kernel";
  let description = [{
    Equal, bit for bit, to `odyssey.silu_mul` followed by `odyssey.quantize`.

    Example:

    ```mlir
    %q, %s = odyssey.silu_mul_quantize %gate_up
        : (tensor<?x344xf16>) -> (tensor<?x172xi8>, tensor<?xf32>)
    ```
  }];
  let arguments = (ins Variadic<Odyssey_F16Matrix>:$inputs);
  let results = (outs Odyssey_I8Matrix:$values, Odyssey_F32Vector:$scales);
  let assemblyFormat = "$inputs attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Odyssey_AddOp : Odyssey_Op<"add", [Pure, Commutative,
    SameOperandsAndResultType]> {
  let summary = "adds in fp32 and rounds to fp16";
  let description = [{
    The residual connection.

    Example:

    ```mlir
    %y = odyssey.add %x, %r : tensor<?x64xf16>
    ```
  }];
  let arguments = (ins Odyssey_F16Matrix:$lhs, Odyssey_F16Matrix:$rhs);
  let results = (outs Odyssey_F16Matrix:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
}

//===----------------------------------------------------------------------===//
// Embedding and selection of rows
//===----------------------------------------------------------------------===//

def Odyssey_EmbeddingOp : Odyssey_Op<"embedding", [Pure]> {
  let summary = "the rows of a table that the token ids name";
  let description = [{
    The runtime guarantees that ids are inside the table.

    Example:

    ```mlir
    %x = odyssey.embedding %tokens, %table
        : (tensor<?xi32>, tensor<512x64xf16>) -> tensor<?x64xf16>
    ```
  }];
  let arguments = (ins Odyssey_I32Vector:$ids, Odyssey_F16Matrix:$table);
  let results = (outs Odyssey_F16Matrix:$result);
  let assemblyFormat = "$ids `,` $table attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Odyssey_StoreRowsOp : Odyssey_Op<"store_rows", [
    MemoryEffects<[MemWrite]>]> {
  let summary = "writes rows to a state";
  let description = [{
    Row m of `rows` becomes row m of `state`.

    Example:

    ```mlir
    odyssey.store_rows %h, %hidden : tensor<?x64xf16>, memref<128x64xf16>
    ```
  }];
  let arguments = (ins Odyssey_F16Matrix:$rows,
                       Arg<MemRefRankOf<[F16], [2]>, "", [MemWrite]>:$state);
  let assemblyFormat = "$rows `,` $state attr-dict `:` type($rows) `,` type($state)";
  let hasVerifier = 1;
}

def Odyssey_GatherRowsOp : Odyssey_Op<"gather_rows", [
    MemoryEffects<[MemRead]>]> {
  let summary = "reads rows of a state";
  let description = [{
    Row m of the result is row `indices[m]` of `state`.

    Example:

    ```mlir
    %h = odyssey.gather_rows %hidden, %rows
        : (memref<128x64xf16>, tensor<?xi32>) -> tensor<?x64xf16>
    ```
  }];
  let arguments = (ins Arg<MemRefRankOf<[F16], [2]>, "", [MemRead]>:$state,
                       Odyssey_I32Vector:$indices);
  let results = (outs Odyssey_F16Matrix:$result);
  let assemblyFormat = "$state `,` $indices attr-dict `:` functional-type(operands, results)";
  let hasVerifier = 1;
}

def Odyssey_ArgmaxOp : Odyssey_Op<"argmax", [Pure]> {
  let summary = "the index of the greatest element of each row";
  let description = [{
    The lowest index on a tie.

    Example:

    ```mlir
    %next = odyssey.argmax %logits : tensor<?x512xf32> -> tensor<?xi32>
    ```
  }];
  let arguments = (ins 2DTensorOf<[F32]>:$x);
  let results = (outs Odyssey_I32Vector:$indices);
  let assemblyFormat = "$x attr-dict `:` type($x) `->` type($indices)";
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

def Odyssey_KernelOp : Odyssey_Op<"kernel", [
    IsolatedFromAbove, FunctionOpInterface,
    HasParent<"::mlir::gpu::GPUModuleOp">,
    SingleBlockImplicitTerminator<"::odyssey::graph::ReturnOp">]> {
  let summary = "one tensor operation, outlined, before it becomes a kernel";
  let description = [{
    The body is one operation of this dialect and an `odyssey.return`; an
    `odyssey.matmul` may have the operation that quantizes its activations in
    front of it, whose operands then come first. All launches of the same operation with the same types and schedule share one
    kernel. `kind` groups kernels in statistics. `convert-odyssey-to-fastgemm`
    replaces it by a `gpu.func` whose parameters are the addresses of operands
    and results, then M.

    Example:

    ```mlir
    odyssey.kernel @add_64(%a: tensor<?x64xf16>, %b: tensor<?x64xf16>)
        -> tensor<?x64xf16> attributes {kind = "add"} {
      %0 = odyssey.add %a, %b : tensor<?x64xf16>
      odyssey.return %0 : tensor<?x64xf16>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       TypeAttrOf<FunctionType>:$function_type,
                       StrAttr:$kind,
                       OptionalAttr<DictArrayAttr>:$arg_attrs,
                       OptionalAttr<DictArrayAttr>:$res_attrs);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::Region *getCallableRegion() { return &getBody(); }
    ::llvm::ArrayRef<::mlir::Type> getArgumentTypes() {
      return getFunctionType().getInputs();
    }
    ::llvm::ArrayRef<::mlir::Type> getResultTypes() {
      return getFunctionType().getResults();
    }
  }];
}

def Odyssey_ReturnOp : Odyssey_Op<"return", [Pure, HasParent<"KernelOp">,
    ReturnLike, Terminator]> {
  let summary = "the results of a kernel";
  let description = [{
    Example:

    ```mlir
    odyssey.return %0 : tensor<?x64xf16>
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
  let builders = [OpBuilder<(ins), "">];
}

def Odyssey_LaunchOp : Odyssey_Op<"launch", [
    MemoryEffects<[MemRead, MemWrite]>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "launches a kernel";
  let description = [{
    Example:

    ```mlir
    %y = odyssey.launch @kernels::@add_64(%a, %b)
        : (tensor<?x64xf16>, tensor<?x64xf16>) -> tensor<?x64xf16>
    ```
  }];
  let arguments = (ins SymbolRefAttr:$kernel, Variadic<AnyType>:$operands);
  let results = (outs Variadic<AnyTensor>:$results);
  let assemblyFormat = [{
    $kernel `(` $operands `)` attr-dict `:` functional-type($operands, $results)
  }];
}

#endif // ODYSSEY_OPS

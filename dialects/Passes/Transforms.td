//===- Transforms.td - Passes on the tensor level ---------------*- tablegen -*-===//

#ifndef ODYSSEY_TRANSFORMS_PASSES
#define ODYSSEY_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def QuantizeLinears : Pass<"odyssey-quantize-linears", "::mlir::ModuleOp"> {
  let summary = "turn 16-bit products into W4A8 or W8A8 products";
  let description = [{
    Every `odyssey.linear` with an fp16 result whose weights come from
    `odyssey.weight` and that is not marked `keep` becomes `odyssey.quantize` of
    its input and an `odyssey.matmul` with the integer weight of the same name and
    its scales (`<name>_scale`). Linears of one input share one
    `odyssey.quantize`; an input that is an `odyssey.rms_norm`, and is read by such
    linears alone, becomes `odyssey.rms_norm_quantize` instead, whose values are
    not rounded to fp16 in between. A schedule written by hand stays with the
    product. All others are left as they are. K above 132104 (133144 with weights
    of 8 bits) is an error.

    With `group-size` the product has groups: its scales are
    `<name>_channel_scale`, its multipliers `<name>_multiplier`. A size that is not
    32, 64 or 128 is an error. With `weight-bits=8` weights are of 8 bits, which have
    no groups; another width than 4 and 8 is an error.

    ```mlir
    %w = odyssey.weight "q.weight" : tensor<64x64xf16>
    %y = odyssey.linear %x, %w
        : (tensor<?x64xf16>, tensor<64x64xf16>) -> tensor<?x64xf16>
    // becomes
    %q, %qs = odyssey.quantize %x
        : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
    %w = odyssey.weight "q.weight" : tensor<64x64xi4>
    %s = odyssey.weight "q.weight_scale" : tensor<64xf32>
    %y = odyssey.matmul %q scale %qs, %w scale %s
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>)
        -> tensor<?x64xf16>
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let options = [
    Option<"groupSize", "group-size", "int64_t", "0",
           "Input channels that share a multiplier: 32, 64 or 128; 0 (default) for one scale per output channel">,
    Option<"weightBits", "weight-bits", "int64_t", "4", "Bits of a weight: 4 (default) or 8">];
  let statistics = [Statistic<"quantized", "quantized", "Products turned into products of integers">];
}

def Fuse : Pass<"odyssey-fuse", "::mlir::ModuleOp"> {
  let summary = "fuse products that share an input, and operations with what follows";
  let description = [{
    * `odyssey.matmul`s that read the same activations and feed one
      `odyssey.rope_append`, `odyssey.silu_mul` or `odyssey.silu_mul_quantize`
      become one product with concatenated weights, scales and biases. They must
      have no other use, no schedule yet, weights, scales and multipliers by name,
      groups of one size, and a bias either all or none.
    * Where that is an `odyssey.silu_mul` of an even number of channels, it goes
      into the product as well: weights, scales, multipliers and biases of gate
      and up are interleaved, so that one thread has both of a channel.
    * An `odyssey.silu_mul` whose only use is an `odyssey.quantize` becomes
      `odyssey.silu_mul_quantize`.
    * An `odyssey.matmul` whose only use is an `odyssey.add` takes the other
      operand of the sum as its `residual`, unless it has one.

    No result changes by a bit. What does not match is left as it is.

    ```mlir
    %g = odyssey.matmul %q scale %qs, %gate scale %gate_scale : ...
    %u = odyssey.matmul %q scale %qs, %up scale %up_scale : ...
    %a = odyssey.silu_mul %g, %u
        : (tensor<?x172xf16>, tensor<?x172xf16>) -> tensor<?x172xf16>
    %b, %bs = odyssey.quantize %a
        : tensor<?x172xf16> -> tensor<?x172xi8>, tensor<?xf32>
    // becomes
    %w = odyssey.weight "gate", "up" interleaved : tensor<344x64xi4>
    %s = odyssey.weight "gate_scale", "up_scale" interleaved : tensor<344xf32>
    %a = odyssey.matmul %q scale %qs, %w scale %s silu_mul
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<344x64xi4>, tensor<344xf32>)
        -> tensor<?x172xf16>
    %b, %bs = odyssey.quantize %a
        : tensor<?x172xf16> -> tensor<?x172xi8>, tensor<?xf32>
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let statistics = [
    Statistic<"fusedProducts", "fused-products", "Products merged into another">,
    Statistic<"fusedQuantizations", "fused-quantizations", "Quantizations merged into their producer">,
    Statistic<"fusedResiduals", "fused-residuals", "Sums merged into a product">,
    Statistic<"fusedActivations", "fused-activations", "Activations merged into a product">];
}

def Schedule : Pass<"odyssey-schedule", "::mlir::ModuleOp"> {
  let summary = "choose the schedule of every product, per token bucket";
  let description = [{
    Each function whose token count is dynamic is cloned once per bucket, as
    `<name>_t<tokens>` with the attributes `odyssey.function` and
    `odyssey.bucket`, and every `odyssey.matmul` and `odyssey.linear` in it is
    given a `#fastgemm.schedule` for that many tokens on that target, every
    `odyssey.attention` its `tile_tokens`. What the IR already carries is kept.
    For an `odyssey.matmul` it is the schedule that was measured to be the
    fastest on that GPU, else the one that the cost model predicts to be
    (`docs/schedules.md`); products that read the same activations get schedules
    that want them in the same layout.
    The original function is erased. A function without dynamic size is its own
    bucket 0; declarations, and functions that have a bucket, are left as they
    are. An unknown target or GPU, buckets that do not ascend, a product that no
    schedule can serve, a schedule that needs more shared memory than the target
    has and a database that cannot be read are errors.

    ```mlir
    func.func @main(%x: tensor<?x64xi8>, %xs: tensor<?xf32>)
        -> tensor<?x64xf16> {
      ...
      %y = odyssey.matmul %x scale %xs, %w scale %ws : ...
    // becomes, for the bucket of 16 tokens,
    func.func @main_t16(%x: tensor<?x64xi8>, %xs: tensor<?xf32>)
        -> tensor<?x64xf16>
        attributes {odyssey.bucket = 16 : i64, odyssey.function = "main"} {
      ...
      %y = odyssey.matmul %x scale %xs, %w scale %ws
          schedule <path = mma_sync, channels = 32, tokens = 16, k = 64,
                    channel_warps = 2, token_warps = 1, stages = 2> : ...
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let options = [
    Option<"target", "target", "std::string", "\"sm_80\"",
           "Architecture that the kernels are for: sm_80, sm_86, sm_89 or sm_90a">,
    Option<"gpu", "gpu", "std::string", "\"\"",
           "GPU of the target, for example l40s (default: the target's first)">,
    ListOption<"tuning", "tuning", "std::string",
               "Databases of measured schedules, beside those of the compiler">,
    ListOption<"buckets", "buckets", "int64_t",
               "Token counts to specialize for, ascending (default: 1, 8, 16, 32, 64, 128)">];
  let statistics = [Statistic<"scheduled", "scheduled", "Products given a schedule">];
}

def FuseDecodeAttention : Pass<"odyssey-fuse-decode-attention", "::mlir::ModuleOp"> {
  let summary = "rotate, append and attend in one kernel in steps of one token";
  let description = [{
    In functions of the bucket of one token, an `odyssey.rope_append` and the
    `odyssey.attention` that alone uses its queries become
    `odyssey.decode_attention`, where both name the same cache, layer, pages and
    positions and nothing between them touches memory. At most 16 heads may share
    a KV head. No result changes by a bit; what does not match is left as it is.

    ```mlir
    %q = odyssey.rope_append %qkv table %t at %p, %s, %pages cache %kv
        layer %layer heads 8 : ...
    %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer heads 8
        scale = 0.35355339 : ...
    // becomes
    %o, %max = odyssey.decode_attention %qkv table %t at %p, %s, %pages cache %kv
        layer %layer heads 8 scale = 0.35355339 splits 2 : ...
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let options = [
    Option<"maxSplits", "max-splits", "int64_t", "64",
           "Most CTAs of one token and KV head">];
  let statistics = [
    Statistic<"fused", "fused", "Attentions that rotate and append">];
}

def SplitAttention : Pass<"odyssey-split-attention", "::mlir::ModuleOp"> {
  let summary = "spread attention of few tokens over the KV length";
  let description = [{
    In functions for at most 64 tokens, an `odyssey.attention` whose context is
    longer than one chunk of 256 positions becomes `odyssey.attention_chunks`,
    whose CTAs share the KV length, and `odyssey.attention_merge`; with a
    quantization that is its only use it becomes
    `odyssey.attention_merge_quantize`, so that there is no kernel more than
    before. All bits stay as they are. Where the chunks of all tokens together
    would take more than 256 MiB, and in functions without the attribute
    `odyssey.bucket`, attention is left as it is.

    ```mlir
    %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer
        heads 8 scale = 0.35355339 {tile_tokens = 1 : i32}
        : ..., tensor<1x8xi32>, ... -> tensor<?x64xf16>
    %x, %xs = odyssey.quantize %o : ...
    // becomes
    %v, %stats = odyssey.attention_chunks %q at %p, %s, %pages cache %kv
        layer %layer heads 8 scale = 0.35355339 splits 2
        : ... -> tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>
    %x, %xs = odyssey.attention_merge_quantize %v, %stats at %p : ...
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let options = [
    Option<"maxSplits", "max-splits", "int64_t", "64",
           "Most CTAs of one token and KV head">];
  let statistics = [Statistic<"split", "split", "Attentions spread over the KV length">];
}

def PackWeights : Pass<"odyssey-pack-weights", "::mlir::ModuleOp"> {
  let summary = "give weights and activations the layout that kernels read";
  let description = [{
    The type of every weight of 4 bits, and of every weight of 8 bits that a product
    takes as such, gets the encoding `#fastgemm.packed`, with panels as wide as the
    widest schedule by hand of its products asks for; that of every tensor of 8-bit
    activations that an operation makes gets `#fastgemm.rows`; group multipliers get
    `#fastgemm.multipliers` of the same panels as their weights, which are then
    packed with an offset of 8. The data itself is rewritten when the bundle is
    written. A type that has an encoding keeps it, and what a function returns stays
    plain.

    Errors are such a weight that something else than a product uses, or products
    with different groups, multipliers that are no `odyssey.weight` or belong to
    weights of other panels, and 8-bit activations that are an argument or a result of the function with columns that
    64 does not divide.

    ```mlir
    %w = odyssey.weight "w" : tensor<192x64xi4>
    // becomes
    %w = odyssey.weight "w" : tensor<192x64xi4, #fastgemm.packed<channels = 64>>
    ```
    ```mlir
    %q, %s = odyssey.quantize %x
        : tensor<?x172xf16> -> tensor<?x172xi8>, tensor<?xf32>
    // becomes
    %q, %s = odyssey.quantize %x
        : tensor<?x172xf16>
        -> tensor<?x172xi8, #fastgemm.rows<stride = 192>>, tensor<?xf32>
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let statistics = [Statistic<"packed", "packed", "Weights given a packed layout">];
}

def FusePrologues : Pass<"odyssey-fuse-prologues", "::mlir::ModuleOp"> {
  let summary = "let products of one token quantize it themselves";
  let description = [{
    In functions of the bucket of one token, an `odyssey.matmul` with a schedule
    of path `wgmma` without `ctas`, `stream_k` and `multicast` is marked `odyssey.prologue`
    where `odyssey.quantize`, `odyssey.rms_norm_quantize`,
    `odyssey.silu_mul_quantize` or `odyssey.attention_merge_quantize` makes its
    activations for it alone.
    `odyssey-outline-kernels` then puts both into one kernel, in which every CTA
    quantizes the token while the first weights are on their way. K is divisible
    by 8, and a CTA's part of the token fits beside its stages. An
    `odyssey.quantize` of what `odyssey.decode_attention` or a product of path
    `wgmma` without `ctas` makes gets its `maxima`, so that a CTA reads no more of
    the token than its own part; likewise an `odyssey.rms_norm_quantize`, whose
    weights become the product's `norm`. No result changes by a bit; what does not
    match is left as it is.

    ```mlir
    %q, %s = odyssey.quantize %x : ...
    %y = odyssey.matmul %q scale %s, %w scale %ws schedule <path = wgmma, ...> : ...
    // becomes
    %q, %s = odyssey.quantize %x : ...
    %y = odyssey.matmul %q scale %s, %w scale %ws schedule <path = wgmma, ...>
        {odyssey.prologue} : ...
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let statistics = [Statistic<"fused", "fused", "Products that quantize their token">];
}

def PrefetchWeights : Pass<"odyssey-prefetch-weights", "::mlir::ModuleOp"> {
  let summary = "let products ask the L2 cache for weights before they may begin";
  let description = [{
    In functions of at most 64 tokens, a scheduled `odyssey.matmul` of path
    `wgmma` without `ctas` gets the attribute `odyssey.prefetch`: the number of
    stages of weights, behind those that its stages in shared memory hold, which
    each CTA asks the L2 cache for (`cp.async.bulk.prefetch.L2`) when it begins.
    Kernels begin before the one in front has ended, so that memory is read while
    a product still waits for its activations or quantizes them. All CTAs of a
    product together ask for at most `percent-of-l2` of the GPU's L2 cache. What
    has the attribute keeps it. No result changes.

    ```mlir
    %y = odyssey.matmul %q scale %s, %w scale %ws
        schedule <path = wgmma, ..., stages = 6, split_k = 2> : ...
    // becomes
    %y = odyssey.matmul %q scale %s, %w scale %ws
        schedule <path = wgmma, ..., stages = 6, split_k = 2>
        {odyssey.prefetch = 10 : i64} : ...
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let options = [
    Option<"target", "target", "std::string", "\"sm_90a\"",
           "Architecture that the kernels are for">,
    Option<"gpu", "gpu", "std::string", "\"\"",
           "GPU of the target, for example h200 (default: the target's first)">,
    Option<"percent", "percent-of-l2", "int64_t", "40",
           "Most of the L2 cache that the weights asked for may take">];
  let statistics = [
    Statistic<"prefetching", "prefetching", "Products that prefetch weights">];
}

def OutlineKernels : Pass<"odyssey-outline-kernels", "::mlir::ModuleOp"> {
  let summary = "make one kernel per distinct operation, shape and schedule";
  let description = [{
    Every operation of the graph that computes becomes an `odyssey.launch` of an
    `odyssey.kernel` in the `gpu.module` `@kernels`; equal operations (same kind,
    types and attributes, whatever their weights) share a kernel. Weights, rope
    tables and operations of other dialects stay where they are. A symbol
    `@kernels` that is there already is an error; without anything to outline no
    module is made. A product marked `odyssey.prologue` and the operation that
    quantizes its activations become one kernel. With `dependent-launch`, kernels get the attribute
    `fastgemm.dependent_launch`: they may be launched before the one in front of
    them has ended, and wait for that themselves.

    ```mlir
    %y = odyssey.add %a, %b : tensor<?x64xf16>
    // becomes
    %y = odyssey.launch @kernels::@add_n64(%a, %b)
        : (tensor<?x64xf16>, tensor<?x64xf16>) -> tensor<?x64xf16>
    // and
    gpu.module @kernels {
      odyssey.kernel @add_n64(%a: tensor<?x64xf16>, %b: tensor<?x64xf16>)
          -> tensor<?x64xf16> attributes {kind = "add"} {
        %0 = odyssey.add %a, %b : tensor<?x64xf16>
        odyssey.return %0 : tensor<?x64xf16>
      }
    }
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect",
                           "::mlir::gpu::GPUDialect"];
  let options = [
    Option<"dependentLaunch", "dependent-launch", "bool", "false",
           "Let kernels begin before the one in front has ended (sm_90 and later)">];
  let statistics = [
    Statistic<"kernels", "kernels", "Distinct kernels">,
    Statistic<"launches", "launches", "Launches">];
}

#endif // ODYSSEY_TRANSFORMS_PASSES

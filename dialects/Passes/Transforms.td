//===- Transforms.td - Passes on the tensor level ---------------*- tablegen -*-===//

#ifndef ODYSSEY_TRANSFORMS_PASSES
#define ODYSSEY_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def QuantizeLinears : Pass<"odyssey-quantize-linears", "::mlir::ModuleOp"> {
  let summary = "turn 16-bit products into W4A8 products";
  let description = [{
    Every `odyssey.linear` whose weights come from `odyssey.weight` and that is
    not marked `keep` becomes `odyssey.quantize` of its input and an
    `odyssey.matmul` with the 4-bit weight of the same name and its scales
    (`<name>_scale`). Others are left as they are. Linears of one input share one
    `odyssey.quantize`.

    ```mlir
    %w = odyssey.weight "q.weight" : tensor<64x64xf16>
    %y = odyssey.linear %x, %w : ...
    // becomes
    %w = odyssey.weight "q.weight" : tensor<64x64xi4>
    %s = odyssey.weight "q.weight_scale" : tensor<64xf32>
    %q, %qs = odyssey.quantize %x : ...
    %y = odyssey.matmul %q scale %qs, %w scale %s : ...
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let statistics = [Statistic<"quantized", "quantized", "Products turned into W4A8">];
}

def Fuse : Pass<"odyssey-fuse", "::mlir::ModuleOp"> {
  let summary = "fuse products that share an input, and norms with quantization";
  let description = [{
    * `odyssey.matmul`s that read the same activations and feed one
      `odyssey.rope_append` or `odyssey.silu_mul` become one product with
      concatenated weights.
    * `odyssey.rms_norm` and `odyssey.silu_mul` whose only use is an
      `odyssey.quantize` become `odyssey.rms_norm_quantize` and
      `odyssey.silu_mul_quantize`.

    No result changes by a bit. What does not match is left as it is.
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let statistics = [
    Statistic<"fusedProducts", "fused-products", "Products merged into another">,
    Statistic<"fusedQuantizations", "fused-quantizations", "Quantizations merged into their producer">];
}

def Schedule : Pass<"odyssey-schedule", "::mlir::ModuleOp"> {
  let summary = "choose the schedule of every product, per token bucket";
  let description = [{
    Each function whose token count is dynamic is cloned once per bucket, as
    `<name>_t<tokens>` with the attributes `odyssey.function` and
    `odyssey.bucket`, and every `odyssey.matmul` and `odyssey.linear` in it is
    given a `#fastgemm.schedule` for that many tokens on that target. A schedule
    that the IR already carries is kept. The original function is erased. A
    function without dynamic size is its own bucket 0.
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let options = [
    Option<"target", "target", "std::string", "\"sm_80\"",
           "GPU that the kernels are for: sm_80, sm_86 or sm_89">,
    ListOption<"buckets", "buckets", "int64_t",
               "Token counts to specialize for, ascending (default: 1, 8, 16, 32, 64, 128)">];
  let statistics = [Statistic<"scheduled", "scheduled", "Products given a schedule">];
}

def PackWeights : Pass<"odyssey-pack-weights", "::mlir::ModuleOp"> {
  let summary = "give weights and activations the layout that kernels read";
  let description = [{
    The type of every 4-bit weight that only products use gets the encoding
    `#fastgemm.packed`, that of every tensor of 8-bit activations
    `#fastgemm.rows`. The data itself is rewritten when the bundle is written.

    ```mlir
    %w = odyssey.weight "w" : tensor<192x64xi4>
    // becomes
    %w = odyssey.weight "w" : tensor<192x64xi4, #fastgemm.packed<channels = 64>>
    ```
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect"];
  let statistics = [Statistic<"packed", "packed", "Weights given a packed layout">];
}

def OutlineKernels : Pass<"odyssey-outline-kernels", "::mlir::ModuleOp"> {
  let summary = "make one kernel per distinct operation, shape and schedule";
  let description = [{
    Every operation of the graph that computes becomes an `odyssey.launch` of an
    `odyssey.kernel` in the `gpu.module` `@kernels`; equal operations (same kind,
    types and attributes, whatever their weights) share a kernel.
  }];
  let dependentDialects = ["::odyssey::graph::OdysseyDialect",
                           "::mlir::gpu::GPUDialect"];
  let statistics = [
    Statistic<"kernels", "kernels", "Distinct kernels">,
    Statistic<"launches", "launches", "Launches">];
}

#endif // ODYSSEY_TRANSFORMS_PASSES

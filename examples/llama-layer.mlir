// One decoder layer of a small LLaMA (hidden size 64, 8 heads over 4 KV heads of
// dimension 8, feed-forward size 172, context 128) as it comes from a checkpoint:
// all products are of 16 bits, nothing is fused.
//
//   odyssey-opt examples/llama-layer.mlir --odyssey-quantize-linears
//   odyssey-opt examples/llama-layer.mlir --odyssey-quantize-linears --odyssey-fuse
//   odyssey-opt examples/llama-layer.mlir --odyssey-to-kernels=buckets=16

func.func @layer(
    %x: tensor<?x64xf16> {odyssey.name = "x"},
    %positions: tensor<?xi32> {odyssey.name = "positions"},
    %sequences: tensor<?xi32> {odyssey.name = "sequences"},
    %pages: tensor<1x2xi32> {odyssey.name = "page_table"},
    %cache: memref<1x2x2x4x64x10xf16> {odyssey.name = "kv_cache"})
    -> (tensor<?x64xf16> {odyssey.name = "y"}) {
  %layer = arith.constant 0 : i32
  %table = odyssey.rope_table theta = 1.0e4 : tensor<128x8xf32>

  // Attention.
  %norm1 = odyssey.weight "input_layernorm.weight" : tensor<64xf16>
  %wq = odyssey.weight "self_attn.q_proj.weight" : tensor<64x64xf16>
  %wk = odyssey.weight "self_attn.k_proj.weight" : tensor<32x64xf16>
  %wv = odyssey.weight "self_attn.v_proj.weight" : tensor<32x64xf16>
  %wo = odyssey.weight "self_attn.o_proj.weight" : tensor<64x64xf16>
  %h1 = odyssey.rms_norm %x, %norm1 epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16>
  %q = odyssey.linear %h1, %wq
      : (tensor<?x64xf16>, tensor<64x64xf16>) -> tensor<?x64xf16>
  %k = odyssey.linear %h1, %wk
      : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  %v = odyssey.linear %h1, %wv
      : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  %rotated = odyssey.rope_append %q, %k, %v table %table
      at %positions, %sequences, %pages cache %cache layer %layer heads 8
      : (tensor<?x64xf16>, tensor<?x32xf16>, tensor<?x32xf16>), tensor<128x8xf32>,
        tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<1x2x2x4x64x10xf16> -> tensor<?x64xf16>
  %mixed = odyssey.attention %rotated at %positions, %sequences, %pages
      cache %cache layer %layer heads 8 scale = 0.353553390
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<1x2x2x4x64x10xf16>
      -> tensor<?x64xf16>
  %o = odyssey.linear %mixed, %wo
      : (tensor<?x64xf16>, tensor<64x64xf16>) -> tensor<?x64xf16>
  %x1 = odyssey.add %x, %o : tensor<?x64xf16>

  // Feed-forward network.
  %norm2 = odyssey.weight "post_attention_layernorm.weight" : tensor<64xf16>
  %wg = odyssey.weight "mlp.gate_proj.weight" : tensor<172x64xf16>
  %wu = odyssey.weight "mlp.up_proj.weight" : tensor<172x64xf16>
  %wd = odyssey.weight "mlp.down_proj.weight" : tensor<64x172xf16>
  %h2 = odyssey.rms_norm %x1, %norm2 epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16>
  %gate = odyssey.linear %h2, %wg
      : (tensor<?x64xf16>, tensor<172x64xf16>) -> tensor<?x172xf16>
  %up = odyssey.linear %h2, %wu
      : (tensor<?x64xf16>, tensor<172x64xf16>) -> tensor<?x172xf16>
  %active = odyssey.silu_mul %gate, %up
      : (tensor<?x172xf16>, tensor<?x172xf16>) -> tensor<?x172xf16>
  %down = odyssey.linear %active, %wd
      : (tensor<?x172xf16>, tensor<64x172xf16>) -> tensor<?x64xf16>
  %y = odyssey.add %x1, %down : tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

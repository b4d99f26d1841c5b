// One decoder layer with the shapes of LLaMA 2 7B (hidden size 4096, 32 heads of
// dimension 128, feed-forward size 11008, context 4096), as llama-layer.mlir.
//
//   odyssey-compile examples/llama-7b-layer.mlir --weights=none --target=sm_80 -o layer.odyssey

func.func @layer(
    %x: tensor<?x4096xf16> {odyssey.name = "x"},
    %positions: tensor<?xi32> {odyssey.name = "positions"},
    %sequences: tensor<?xi32> {odyssey.name = "sequences"},
    %pages: tensor<1x64xi32> {odyssey.name = "page_table"},
    %cache: memref<1x64x2x32x64x130xf16> {odyssey.name = "kv_cache"})
    -> (tensor<?x4096xf16> {odyssey.name = "y"}) {
  %layer = arith.constant 0 : i32
  %table = odyssey.rope_table theta = 1.0e4 : tensor<4096x128xf32>

  // Attention.
  %norm1 = odyssey.weight "input_layernorm.weight" : tensor<4096xf16>
  %wq = odyssey.weight "self_attn.q_proj.weight" : tensor<4096x4096xf16>
  %wk = odyssey.weight "self_attn.k_proj.weight" : tensor<4096x4096xf16>
  %wv = odyssey.weight "self_attn.v_proj.weight" : tensor<4096x4096xf16>
  %wo = odyssey.weight "self_attn.o_proj.weight" : tensor<4096x4096xf16>
  %h1 = odyssey.rms_norm %x, %norm1 epsilon = 1.0e-5 : tensor<?x4096xf16>, tensor<4096xf16>
  %q = odyssey.linear %h1, %wq
      : (tensor<?x4096xf16>, tensor<4096x4096xf16>) -> tensor<?x4096xf16>
  %k = odyssey.linear %h1, %wk
      : (tensor<?x4096xf16>, tensor<4096x4096xf16>) -> tensor<?x4096xf16>
  %v = odyssey.linear %h1, %wv
      : (tensor<?x4096xf16>, tensor<4096x4096xf16>) -> tensor<?x4096xf16>
  %rotated = odyssey.rope_append %q, %k, %v table %table
      at %positions, %sequences, %pages cache %cache layer %layer heads 32
      : (tensor<?x4096xf16>, tensor<?x4096xf16>, tensor<?x4096xf16>), tensor<4096x128xf32>,
        tensor<?xi32>, tensor<?xi32>, tensor<1x64xi32>, memref<1x64x2x32x64x130xf16> -> tensor<?x4096xf16>
  %mixed = odyssey.attention %rotated at %positions, %sequences, %pages
      cache %cache layer %layer heads 32 scale = 0.088388347
      : tensor<?x4096xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x64xi32>, memref<1x64x2x32x64x130xf16>
      -> tensor<?x4096xf16>
  %o = odyssey.linear %mixed, %wo
      : (tensor<?x4096xf16>, tensor<4096x4096xf16>) -> tensor<?x4096xf16>
  %x1 = odyssey.add %x, %o : tensor<?x4096xf16>

  // Feed-forward network.
  %norm2 = odyssey.weight "post_attention_layernorm.weight" : tensor<4096xf16>
  %wg = odyssey.weight "mlp.gate_proj.weight" : tensor<11008x4096xf16>
  %wu = odyssey.weight "mlp.up_proj.weight" : tensor<11008x4096xf16>
  %wd = odyssey.weight "mlp.down_proj.weight" : tensor<4096x11008xf16>
  %h2 = odyssey.rms_norm %x1, %norm2 epsilon = 1.0e-5 : tensor<?x4096xf16>, tensor<4096xf16>
  %gate = odyssey.linear %h2, %wg
      : (tensor<?x4096xf16>, tensor<11008x4096xf16>) -> tensor<?x11008xf16>
  %up = odyssey.linear %h2, %wu
      : (tensor<?x4096xf16>, tensor<11008x4096xf16>) -> tensor<?x11008xf16>
  %active = odyssey.silu_mul %gate, %up
      : (tensor<?x11008xf16>, tensor<?x11008xf16>) -> tensor<?x11008xf16>
  %down = odyssey.linear %active, %wd
      : (tensor<?x11008xf16>, tensor<4096x11008xf16>) -> tensor<?x4096xf16>
  %y = odyssey.add %x1, %down : tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

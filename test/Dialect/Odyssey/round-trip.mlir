// RUN: odyssey-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: func.func @products
// CHECK: odyssey.weight "q", "k" : tensor<128x64xi4>
// CHECK: odyssey.quantize %{{.*}} : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
// CHECK: odyssey.matmul %{{.*}} scale %{{.*}}, %{{.*}} scale %{{.*}} : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>) -> tensor<?x128xf16>
// CHECK: odyssey.matmul %{{.*}} bias %{{.*}} schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2> :
// CHECK: odyssey.matmul %{{.*}} residual %{{.*}} : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<?x128xf16>) -> tensor<?x128xf16>
// CHECK: odyssey.matmul %{{.*}} bias %{{.*}} residual %{{.*}} : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<128xf16>, tensor<?x128xf16>) -> tensor<?x128xf16>
// CHECK: odyssey.weight "gate", "up" interleaved : tensor<128x64xi4>
// CHECK: odyssey.matmul %{{.*}} silu_mul schedule <path = mma_sync, {{.*}}> : {{.*}} -> tensor<?x64xf16>
// CHECK: odyssey.linear %{{.*}}, %{{.*}} keep : (tensor<?x64xf16>, tensor<512x64xf16>) -> tensor<?x512xf32>
// CHECK: odyssey.linear %{{.*}}, %{{.*}} bias %{{.*}} : (tensor<?x64xf16>, tensor<512x64xf16>, tensor<512xf16>) -> tensor<?x512xf16>
// CHECK: odyssey.argmax %{{.*}} : tensor<?x512xf32> -> tensor<?xi32>
func.func @products(%x: tensor<?x64xf16>) -> tensor<?xi32> {
  %w = odyssey.weight "q", "k" : tensor<128x64xi4>
  %ws = odyssey.weight "q_scale", "k_scale" : tensor<128xf32>
  %b = odyssey.weight "q_bias", "k_bias" : tensor<128xf16>
  %head = odyssey.weight "lm_head" : tensor<512x64xf16>
  %q, %s = odyssey.quantize %x : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>) -> tensor<?x128xf16>
  %z = odyssey.matmul %q scale %s, %w scale %ws bias %b
      schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<128xf16>) -> tensor<?x128xf16>
  %r = odyssey.matmul %q scale %s, %w scale %ws residual %y
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<?x128xf16>) -> tensor<?x128xf16>
  %br = odyssey.matmul %q scale %s, %w scale %ws bias %b residual %r
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<128xf16>, tensor<?x128xf16>) -> tensor<?x128xf16>
  %gu = odyssey.weight "gate", "up" interleaved : tensor<128x64xi4>
  %a = odyssey.matmul %q scale %s, %gu scale %ws silu_mul
      schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>) -> tensor<?x64xf16>
  %logits = odyssey.linear %x, %head keep : (tensor<?x64xf16>, tensor<512x64xf16>) -> tensor<?x512xf32>
  %hb = odyssey.weight "lm_head_bias" : tensor<512xf16>
  %biased = odyssey.linear %x, %head bias %hb : (tensor<?x64xf16>, tensor<512x64xf16>, tensor<512xf16>) -> tensor<?x512xf16>
  %next = odyssey.argmax %logits : tensor<?x512xf32> -> tensor<?xi32>
  return %next : tensor<?xi32>
}

// CHECK-LABEL: func.func @rows
// CHECK: odyssey.embedding %{{.*}}, %{{.*}} : (tensor<?xi32>, tensor<512x64xf16>) -> tensor<?x64xf16>
// CHECK: odyssey.rms_norm %{{.*}}, %{{.*}} epsilon = 9.99999974E-6 : tensor<?x64xf16>, tensor<64xf16>
// CHECK: odyssey.rms_norm_quantize %{{.*}}, %{{.*}} epsilon = 9.99999974E-6 : tensor<?x64xf16>, tensor<64xf16> -> tensor<?x64xi8>, tensor<?xf32>
// CHECK: odyssey.add %{{.*}}, %{{.*}} : tensor<?x64xf16>
// CHECK: odyssey.silu_mul %{{.*}}, %{{.*}} : (tensor<?x64xf16>, tensor<?x64xf16>) -> tensor<?x64xf16>
// CHECK: odyssey.silu_mul_quantize %{{.*}} : (tensor<?x64xf16>) -> (tensor<?x32xi8>, tensor<?xf32>)
// CHECK: odyssey.store_rows %{{.*}}, %{{.*}} : tensor<?x64xf16>, memref<128x64xf16>
// CHECK: odyssey.gather_rows %{{.*}}, %{{.*}} : (memref<128x64xf16>, tensor<?xi32>) -> tensor<?x64xf16>
func.func @rows(%ids: tensor<?xi32>, %hidden: memref<128x64xf16>) -> tensor<?x64xf16> {
  %table = odyssey.weight "embedding" : tensor<512x64xf16>
  %norm = odyssey.weight "norm" : tensor<64xf16>
  %x = odyssey.embedding %ids, %table : (tensor<?xi32>, tensor<512x64xf16>) -> tensor<?x64xf16>
  %h = odyssey.rms_norm %x, %norm epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16>
  %q, %s = odyssey.rms_norm_quantize %x, %norm epsilon = 1.0e-5
      : tensor<?x64xf16>, tensor<64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  %a = odyssey.add %x, %h : tensor<?x64xf16>
  %m = odyssey.silu_mul %x, %h : (tensor<?x64xf16>, tensor<?x64xf16>) -> tensor<?x64xf16>
  %mq, %ms = odyssey.silu_mul_quantize %m : (tensor<?x64xf16>) -> (tensor<?x32xi8>, tensor<?xf32>)
  odyssey.store_rows %a, %hidden : tensor<?x64xf16>, memref<128x64xf16>
  %y = odyssey.gather_rows %hidden, %ids : (memref<128x64xf16>, tensor<?xi32>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// CHECK-LABEL: func.func @attention
// CHECK: odyssey.rope_table theta = 1.000000e+04 : tensor<128x8xf32>
// CHECK: odyssey.rope_table theta = 5.000000e+05 {parameters = array<f64: 8.000000e+00, 1.000000e+00, 4.000000e+00, 8.192000e+03>, scaling = "llama3"} : tensor<128x8xf32>
// CHECK: odyssey.rope_append %{{.*}} table %{{.*}} at %{{.*}}, %{{.*}}, %{{.*}} cache %{{.*}} layer %{{.*}} heads 8 : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
// CHECK: odyssey.rope_append %{{.*}} heads 8 norm %{{.*}}, %{{.*}} epsilon = 9.99999997E-7 : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16>, tensor<8xf16>, tensor<8xf16> -> tensor<?x64xf16>
// CHECK: odyssey.attention %{{.*}} at %{{.*}}, %{{.*}}, %{{.*}} cache %{{.*}} layer %{{.*}} heads 8 scale = 0.353553385 {tile_tokens = 4 : i32} : tensor<?x64xf16>
func.func @attention(%qkv: tensor<?x128xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x2xi32>,
                     %kv: memref<5x2x2x4x64x10xf16>) -> tensor<?x64xf16> {
  %layer = arith.constant 4 : i32
  %t = odyssey.rope_table theta = 1.0e4 : tensor<128x8xf32>
  %t2 = odyssey.rope_table theta = 5.0e5 {scaling = "llama3", parameters = array<f64: 8.0, 1.0, 4.0, 8192.0>} : tensor<128x8xf32>
  %q = odyssey.rope_append %qkv table %t at %p, %s, %pages cache %kv layer %layer heads 8
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>,
        memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  %qw = odyssey.weight "q_norm" : tensor<8xf16>
  %kw = odyssey.weight "k_norm" : tensor<8xf16>
  %n = odyssey.rope_append %qkv table %t at %p, %s, %pages cache %kv layer %layer heads 8 norm %qw, %kw epsilon = 1.0e-6
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>,
        memref<5x2x2x4x64x10xf16>, tensor<8xf16>, tensor<8xf16> -> tensor<?x64xf16>
  %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35355339 {tile_tokens = 4 : i32}
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>,
        memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return %o : tensor<?x64xf16>
}

// CHECK-LABEL: func.func @attention_chunks
// CHECK: odyssey.attention_chunks %{{.*}} at %{{.*}}, %{{.*}}, %{{.*}} cache %{{.*}} layer %{{.*}} heads 8 scale = 0.353553385 splits 2 : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>
// CHECK: odyssey.attention_merge %{{.*}}, %{{.*}} at %{{.*}} : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<?xi32> -> tensor<?x64xf16>
// CHECK: odyssey.attention_merge_quantize %{{.*}}, %{{.*}} at %{{.*}} : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<?xi32> -> tensor<?x64xi8>, tensor<?xf32>
func.func @attention_chunks(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x8xi32>,
                            %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  %v, %stats = odyssey.attention_chunks %q at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35355339 splits 2
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16>
      -> tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>
  %o = odyssey.attention_merge %v, %stats at %p
      : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<?xi32> -> tensor<?x64xf16>
  %x, %xs = odyssey.attention_merge_quantize %v, %stats at %p
      : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<?xi32> -> tensor<?x64xi8>, tensor<?xf32>
  return
}

// CHECK-LABEL: func.func @decode_attention
// CHECK: odyssey.decode_attention %{{.*}} table %{{.*}} at %{{.*}}, %{{.*}}, %{{.*}} cache %{{.*}} layer %{{.*}} heads 8 scale = 0.353553385 splits 2 : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x64xf16>, tensor<?x4xf32>
// CHECK: odyssey.decode_attention {{.*}} splits 1 norm %{{.*}}, %{{.*}} epsilon = 9.99999997E-7 : {{.*}}, memref<5x8x2x4x64x10xf16>, tensor<8xf16>, tensor<8xf16> -> tensor<?x64xf16>, tensor<?x4xf32>
// CHECK: odyssey.quantize %{{.*}} maxima %{{.*}} : tensor<?x64xf16>, tensor<?x4xf32> -> tensor<?x64xi8>, tensor<?xf32>
func.func @decode_attention(%qkv: tensor<?x128xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %s: tensor<?xi32>,
                            %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32, %w: tensor<8xf16>) {
  %o, %max = odyssey.decode_attention %qkv table %t at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35355339 splits 2
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16>
      -> tensor<?x64xf16>, tensor<?x4xf32>
  %n, %nmax = odyssey.decode_attention %qkv table %t at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35355339 splits 1
      norm %w, %w epsilon = 1.0e-6
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16>,
        tensor<8xf16>, tensor<8xf16> -> tensor<?x64xf16>, tensor<?x4xf32>
  %x, %xs = odyssey.quantize %o maxima %max : tensor<?x64xf16>, tensor<?x4xf32> -> tensor<?x64xi8>, tensor<?xf32>
  return
}

// CHECK-LABEL: func.func @statistics
// CHECK: %[[Y:.*]], %[[M:.*]] = odyssey.matmul %{{.*}} scale %{{.*}}, %{{.*}} scale %{{.*}} norm %{{.*}} schedule <{{.*}}> : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<128xf16>) -> (tensor<?x128xf16>, tensor<?x4x2xf32>)
// CHECK: odyssey.rms_norm_quantize %[[Y]], %{{.*}} statistics %[[M]] epsilon = 9.99999974E-6 : tensor<?x128xf16>, tensor<128xf16>, tensor<?x4x2xf32> -> tensor<?x128xi8>, tensor<?xf32>
func.func @statistics(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<128x64xi4>, %s: tensor<128xf32>, %g: tensor<128xf16>) {
  %y, %m = odyssey.matmul %x scale %xs, %w scale %s norm %g
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<128xf16>) -> (tensor<?x128xf16>, tensor<?x4x2xf32>)
  %q, %qs = odyssey.rms_norm_quantize %y, %g statistics %m epsilon = 1.0e-5
      : tensor<?x128xf16>, tensor<128xf16>, tensor<?x4x2xf32> -> tensor<?x128xi8>, tensor<?xf32>
  return
}

// CHECK-LABEL: func.func @launch
// CHECK: odyssey.launch @kernels::@add_64(%{{.*}}, %{{.*}}) : (tensor<?x64xf16>, tensor<?x64xf16>) -> tensor<?x64xf16>
func.func @launch(%a: tensor<?x64xf16>) -> tensor<?x64xf16> {
  %y = odyssey.launch @kernels::@add_64(%a, %a) : (tensor<?x64xf16>, tensor<?x64xf16>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}
// CHECK: odyssey.kernel @add_64(%{{.*}}: tensor<?x64xf16>, %{{.*}}: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"} {
// CHECK: odyssey.return %{{.*}} : tensor<?x64xf16>
// CHECK: odyssey.kernel @quantize_matmul(
// CHECK-NEXT: odyssey.quantize
// CHECK-NEXT: odyssey.matmul
// CHECK-NEXT: odyssey.return %{{.*}} : tensor<?x32xf16>
gpu.module @kernels {
  odyssey.kernel @add_64(%a: tensor<?x64xf16>, %b: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"} {
    %0 = odyssey.add %a, %b : tensor<?x64xf16>
    odyssey.return %0 : tensor<?x64xf16>
  }
  odyssey.kernel @quantize_matmul(%x: tensor<?x64xf16>, %w: tensor<32x64xi4>, %ws: tensor<32xf32>) -> tensor<?x32xf16> attributes {kind = "matmul"} {
    %q, %s = odyssey.quantize %x : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
    %y = odyssey.matmul %q scale %s, %w scale %ws : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
    odyssey.return %y : tensor<?x32xf16>
  }
}

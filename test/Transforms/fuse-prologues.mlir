// RUN: odyssey-opt %s --odyssey-fuse-prologues | FileCheck %s

// A product that quantizes what a product in front makes learns the greatest
// magnitudes from it: four warps for each of two tiles. The attention of decode
// has them anyway.

!up = tensor<160x128xi4, #fastgemm.packed<channels = 128>>
!down = tensor<128x80xi4, #fastgemm.packed<channels = 128>>
!square = tensor<128x128xi4, #fastgemm.packed<channels = 128>>
!q128 = tensor<?x128xi8, #fastgemm.swizzled<tokens = 8>>
!q80 = tensor<?x80xi8, #fastgemm.swizzled<tokens = 8>>
#hopper = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
#many = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2, ctas = 4>

// CHECK-LABEL: func.func @layer(
// CHECK: %[[O:.*]], %[[OMAX:.*]] = odyssey.decode_attention
// CHECK: %[[Q:.*]], %[[QS:.*]] = odyssey.quantize %[[O]] maxima %[[OMAX]] : tensor<?x128xf16>, tensor<?x4xf32>
// CHECK: %[[A:.*]], %[[AMAX:.*]] = odyssey.matmul %[[Q]] scale %[[QS]], {{.*}} silu_mul schedule <{{.*}}> {odyssey.prologue} : {{.*}} -> (tensor<?x80xf16>, tensor<?x8xf32>)
// CHECK: %[[R:.*]], %[[RS:.*]] = odyssey.quantize %[[A]] maxima %[[AMAX]] : tensor<?x80xf16>, tensor<?x8xf32>
// CHECK: odyssey.matmul %[[R]] scale %[[RS]], {{.*}} {odyssey.prologue} : {{.*}} -> tensor<?x128xf16>
func.func @layer(%qkv: tensor<?x256xf16>, %t: tensor<128x16xf32>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>,
                 %kv: memref<5x8x2x4x64x18xf16>, %layer: i32, %w: !up, %s: tensor<160xf32>, %v: !down, %vs: tensor<128xf32>)
    -> tensor<?x128xf16> attributes {odyssey.bucket = 1 : i64, odyssey.function = "layer"} {
  %o, %max = odyssey.decode_attention %qkv table %t at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.25 splits 2
      : (tensor<?x256xf16>), tensor<128x16xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x18xf16>
      -> tensor<?x128xf16>, tensor<?x4xf32>
  %q, %qs = odyssey.quantize %o : tensor<?x128xf16> -> !q128, tensor<?xf32>
  %a = odyssey.matmul %q scale %qs, %w scale %s silu_mul schedule #hopper
      : (!q128, tensor<?xf32>, !up, tensor<160xf32>) -> tensor<?x80xf16>
  %r, %rs = odyssey.quantize %a : tensor<?x80xf16> -> !q80, tensor<?xf32>
  %y = odyssey.matmul %r scale %rs, %v scale %vs schedule #hopper
      : (!q80, tensor<?xf32>, !down, tensor<128xf32>) -> tensor<?x128xf16>
  return %y : tensor<?x128xf16>
}

// Persistent CTAs neither quantize nor tell; what quantizes for two products, and
// steps of more tokens, stay as they are.

// CHECK-LABEL: func.func @others(
// CHECK: odyssey.quantize %{{.*}} : tensor<?x128xf16>
// CHECK: odyssey.matmul {{.*}} ctas = 4> : {{.*}} -> tensor<?x128xf16>
// CHECK: odyssey.quantize %{{.*}} : tensor<?x128xf16> ->
// CHECK: odyssey.matmul {{.*}} {odyssey.prologue}
// CHECK: odyssey.quantize %{{.*}} : tensor<?x128xf16> ->
// CHECK-NOT: odyssey.prologue
func.func @others(%x: tensor<?x128xf16>, %w: !square, %s: tensor<128xf32>) -> (tensor<?x128xf16>, tensor<?x128xf16>)
    attributes {odyssey.bucket = 1 : i64, odyssey.function = "others"} {
  %q, %qs = odyssey.quantize %x : tensor<?x128xf16> -> !q128, tensor<?xf32>
  %a = odyssey.matmul %q scale %qs, %w scale %s schedule #many
      : (!q128, tensor<?xf32>, !square, tensor<128xf32>) -> tensor<?x128xf16>
  %r, %rs = odyssey.quantize %a : tensor<?x128xf16> -> !q128, tensor<?xf32>
  %b = odyssey.matmul %r scale %rs, %w scale %s schedule #hopper
      : (!q128, tensor<?xf32>, !square, tensor<128xf32>) -> tensor<?x128xf16>
  %u, %us = odyssey.quantize %b : tensor<?x128xf16> -> !q128, tensor<?xf32>
  %c = odyssey.matmul %u scale %us, %w scale %s schedule #hopper
      : (!q128, tensor<?xf32>, !square, tensor<128xf32>) -> tensor<?x128xf16>
  %d = odyssey.matmul %u scale %us, %w scale %s schedule #hopper
      : (!q128, tensor<?xf32>, !square, tensor<128xf32>) -> tensor<?x128xf16>
  return %c, %d : tensor<?x128xf16>, tensor<?x128xf16>
}
func.func @two_tokens(%x: tensor<?x128xf16>, %w: !square, %s: tensor<128xf32>) -> tensor<?x128xf16>
    attributes {odyssey.bucket = 2 : i64, odyssey.function = "two_tokens"} {
  %q, %qs = odyssey.quantize %x : tensor<?x128xf16> -> !q128, tensor<?xf32>
  %a = odyssey.matmul %q scale %qs, %w scale %s schedule #hopper
      : (!q128, tensor<?xf32>, !square, tensor<128xf32>) -> tensor<?x128xf16>
  return %a : tensor<?x128xf16>
}

// A norm learns its sum of squares as well. Its weights move in front of the
// product; a product that has told one norm tells no other.

// CHECK-LABEL: func.func @norms(
// CHECK-SAME: %[[X:.*]]: tensor<?x128xf16>
// CHECK: %[[G:.*]] = odyssey.weight "g" : tensor<128xf16>
// CHECK: %[[A:.*]], %[[PAIRS:.*]] = odyssey.matmul %{{.*}} scale %{{.*}}, %{{.*}} scale %{{.*}} residual %[[X]] norm %[[G]] schedule <{{.*}}> {odyssey.prologue} : {{.*}} -> (tensor<?x128xf16>, tensor<?x4x2xf32>)
// CHECK: odyssey.rms_norm_quantize %[[A]], %{{.*}} epsilon = 9.99999997E-7 : tensor<?x128xf16>, tensor<128xf16> ->
// CHECK: odyssey.matmul {{.*}} {odyssey.prologue} : {{.*}} -> tensor<?x128xf16>
// CHECK: odyssey.rms_norm_quantize %[[A]], %[[G]] statistics %[[PAIRS]] epsilon = 9.99999974E-6 : tensor<?x128xf16>, tensor<128xf16>, tensor<?x4x2xf32>
// CHECK: odyssey.matmul {{.*}} {odyssey.prologue} : {{.*}} -> tensor<?x128xf16>
func.func @norms(%x: tensor<?x128xf16>, %w: !square, %s: tensor<128xf32>) -> (tensor<?x128xf16>, tensor<?x128xf16>)
    attributes {odyssey.bucket = 1 : i64, odyssey.function = "norms"} {
  %q, %qs = odyssey.quantize %x : tensor<?x128xf16> -> !q128, tensor<?xf32>
  %a = odyssey.matmul %q scale %qs, %w scale %s residual %x schedule #hopper
      : (!q128, tensor<?xf32>, !square, tensor<128xf32>, tensor<?x128xf16>) -> tensor<?x128xf16>
  %h = odyssey.weight "h" : tensor<128xf16>
  %r, %rs = odyssey.rms_norm_quantize %a, %h epsilon = 1.0e-6 : tensor<?x128xf16>, tensor<128xf16> -> !q128, tensor<?xf32>
  %b = odyssey.matmul %r scale %rs, %w scale %s schedule #hopper
      : (!q128, tensor<?xf32>, !square, tensor<128xf32>) -> tensor<?x128xf16>
  %g = odyssey.weight "g" : tensor<128xf16>
  %t, %ts = odyssey.rms_norm_quantize %a, %g epsilon = 1.0e-5 : tensor<?x128xf16>, tensor<128xf16> -> !q128, tensor<?xf32>
  %c = odyssey.matmul %t scale %ts, %w scale %s schedule #hopper
      : (!q128, tensor<?xf32>, !square, tensor<128xf32>) -> tensor<?x128xf16>
  return %b, %c : tensor<?x128xf16>, tensor<?x128xf16>
}

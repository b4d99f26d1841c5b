// RUN: odyssey-opt %s --odyssey-fuse --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @query_key_value
// CHECK: %[[W:.*]] = odyssey.weight "q", "k", "v" : tensor<128x64xi4>
// CHECK: %[[S:.*]] = odyssey.weight "qs", "ks", "vs" : tensor<128xf32>
// CHECK: %[[QKV:.*]] = odyssey.matmul %{{.*}} scale %{{.*}}, %[[W]] scale %[[S]] : {{.*}} -> tensor<?x128xf16>
// CHECK: odyssey.rope_append %[[QKV]] table
func.func @query_key_value(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %t: tensor<128x8xf32>, %p: tensor<?xi32>,
                           %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) -> tensor<?x64xf16> {
  %wq = odyssey.weight "q" : tensor<64x64xi4>
  %sq = odyssey.weight "qs" : tensor<64xf32>
  %wk = odyssey.weight "k" : tensor<32x64xi4>
  %sk = odyssey.weight "ks" : tensor<32xf32>
  %wv = odyssey.weight "v" : tensor<32x64xi4>
  %sv = odyssey.weight "vs" : tensor<32xf32>
  %q = odyssey.matmul %x scale %xs, %wq scale %sq : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  %k = odyssey.matmul %x scale %xs, %wk scale %sk : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %v = odyssey.matmul %x scale %xs, %wv scale %sv : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %r = odyssey.rope_append %q, %k, %v table %t at %p, %p, %pages cache %kv layer %layer heads 8
      : (tensor<?x64xf16>, tensor<?x32xf16>, tensor<?x32xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>,
        memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return %r : tensor<?x64xf16>
}

// -----

// The activation goes into the product, which needs gate and up side by side.

// CHECK-LABEL: func.func @gate_up
// CHECK: %[[W:.*]] = odyssey.weight "gate", "up" interleaved : tensor<64x64xi4>
// CHECK: %[[S:.*]] = odyssey.weight "gs", "us" interleaved : tensor<64xf32>
// CHECK: %[[A:.*]] = odyssey.matmul %{{.*}} scale %{{.*}}, %[[W]] scale %[[S]] silu_mul : {{.*}} -> tensor<?x32xf16>
// CHECK-NOT: odyssey.silu_mul
// CHECK: return %[[A]]
func.func @gate_up(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %sg = odyssey.weight "gs" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %su = odyssey.weight "us" : tensor<32xf32>
  %g = odyssey.matmul %x scale %xs, %wg scale %sg : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %su : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// Biases are merged as the weights are.

// CHECK-LABEL: func.func @biases
// CHECK: %[[B:.*]] = odyssey.weight "gb", "ub" interleaved : tensor<64xf16>
// CHECK: odyssey.matmul {{.*}} bias %[[B]] silu_mul :
func.func @biases(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %gb = odyssey.weight "gb" : tensor<32xf16>
  %ub = odyssey.weight "ub" : tensor<32xf16>
  %g = odyssey.matmul %x scale %xs, %wg scale %s bias %gb : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32xf16>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %s bias %ub : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32xf16>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// Only one of the products has a bias.

// CHECK-LABEL: func.func @one_bias
// CHECK-COUNT-2: odyssey.matmul
// CHECK: odyssey.silu_mul %{{.*}}, %{{.*}} :
func.func @one_bias(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %gb = odyssey.weight "gb" : tensor<32xf16>
  %g = odyssey.matmul %x scale %xs, %wg scale %s bias %gb : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32xf16>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// CHECK-LABEL: func.func @different_inputs
// CHECK-COUNT-2: odyssey.matmul
// CHECK: odyssey.silu_mul %{{.*}}, %{{.*}} :
func.func @different_inputs(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %z: tensor<?x64xi8>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %g = odyssey.matmul %x scale %xs, %wg scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %u = odyssey.matmul %z scale %xs, %wu scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// The same values with other scales are other activations.

// CHECK-LABEL: func.func @different_scales
// CHECK-COUNT-2: odyssey.matmul
// CHECK: odyssey.silu_mul %{{.*}}, %{{.*}} :
func.func @different_scales(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %zs: tensor<?xf32>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %g = odyssey.matmul %x scale %xs, %wg scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %zs, %wu scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// Up stands in front of gate: operands decide the order, not the block.

// CHECK-LABEL: func.func @order_of_operands
// CHECK: odyssey.weight "gate", "up" interleaved : tensor<64x64xi4>
// CHECK: odyssey.matmul {{.*}} silu_mul :
func.func @order_of_operands(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> tensor<?x32xf16> {
  %s = odyssey.weight "s" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %u = odyssey.matmul %x scale %xs, %wu scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %g = odyssey.matmul %x scale %xs, %wg scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// The gate's product is returned as well, so it must stay.

// CHECK-LABEL: func.func @product_with_another_use
// CHECK-COUNT-2: odyssey.matmul
// CHECK: odyssey.silu_mul %{{.*}}, %{{.*}} :
func.func @product_with_another_use(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> (tensor<?x32xf16>, tensor<?x32xf16>) {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %g = odyssey.matmul %x scale %xs, %wg scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a, %g : tensor<?x32xf16>, tensor<?x32xf16>
}

// -----

// A schedule written by hand is meant for exactly this product.

// CHECK-LABEL: func.func @scheduled
// CHECK-COUNT-2: odyssey.matmul
// CHECK: odyssey.silu_mul %{{.*}}, %{{.*}} :
func.func @scheduled(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> tensor<?x64xf16> {
  %wg = odyssey.weight "gate" : tensor<64x64xi4>
  %s = odyssey.weight "s" : tensor<64xf32>
  %wu = odyssey.weight "up" : tensor<64x64xi4>
  %g = odyssey.matmul %x scale %xs, %wg scale %s schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x64xf16>, tensor<?x64xf16>) -> tensor<?x64xf16>
  return %a : tensor<?x64xf16>
}

// -----

// Weights without names cannot be concatenated.

// CHECK-LABEL: func.func @weights_as_arguments
// CHECK-COUNT-2: odyssey.matmul
func.func @weights_as_arguments(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<32x64xi4>, %s: tensor<32xf32>) -> tensor<?x32xf16> {
  %g = odyssey.matmul %x scale %xs, %w scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %w scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// A norm and its quantization stay two: rms_norm_quantize rounds once less, and
// fusing changes no bit.

// CHECK-LABEL: func.func @norm_quantize
// CHECK-NEXT: odyssey.rms_norm %
// CHECK-NEXT: odyssey.quantize
// CHECK-NEXT: return
func.func @norm_quantize(%x: tensor<?x64xf16>, %w: tensor<64xf16>) -> (tensor<?x64xi8>, tensor<?xf32>) {
  %h = odyssey.rms_norm %x, %w epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16>
  %q, %s = odyssey.quantize %h : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  return %q, %s : tensor<?x64xi8>, tensor<?xf32>
}

// -----

// CHECK-LABEL: func.func @silu_quantize
// CHECK-SAME: %[[G:.*]]: tensor<?x32xf16>, %[[U:.*]]: tensor<?x32xf16>
// CHECK-NEXT: odyssey.silu_mul_quantize %[[G]], %[[U]]
// CHECK-NEXT: return
func.func @silu_quantize(%g: tensor<?x32xf16>, %u: tensor<?x32xf16>) -> (tensor<?x32xi8>, tensor<?xf32>) {
  %h = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  %q, %s = odyssey.quantize %h : tensor<?x32xf16> -> tensor<?x32xi8>, tensor<?xf32>
  return %q, %s : tensor<?x32xi8>, tensor<?xf32>
}

// -----

// The activation is needed in fp16 too: computing it twice would save nothing.

// CHECK-LABEL: func.func @silu_with_another_use
// CHECK: odyssey.silu_mul %
// CHECK: odyssey.quantize
func.func @silu_with_another_use(%g: tensor<?x32xf16>, %u: tensor<?x32xf16>) -> (tensor<?x32xi8>, tensor<?xf32>, tensor<?x32xf16>) {
  %h = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  %q, %s = odyssey.quantize %h : tensor<?x32xf16> -> tensor<?x32xi8>, tensor<?xf32>
  return %q, %s, %h : tensor<?x32xi8>, tensor<?xf32>, tensor<?x32xf16>
}

// -----

// CHECK-LABEL: func.func @plain_quantize
// CHECK: odyssey.add
// CHECK: odyssey.quantize
func.func @plain_quantize(%x: tensor<?x64xf16>) -> (tensor<?x64xi8>, tensor<?xf32>) {
  %h = odyssey.add %x, %x : tensor<?x64xf16>
  %q, %s = odyssey.quantize %h : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  return %q, %s : tensor<?x64xi8>, tensor<?xf32>
}

// -----

// The product takes the other operand of the sum, in either order, and keeps its
// bias and its schedule.

// CHECK-LABEL: func.func @residual
// CHECK-SAME: %[[X:.*]]: tensor<?x64xi8>, %[[XS:.*]]: tensor<?xf32>, %[[R:.*]]: tensor<?x32xf16>, %[[B:.*]]: tensor<32xf16>
// CHECK: %[[FIRST:.*]] = odyssey.matmul %[[X]] scale %[[XS]], %{{.*}} scale %{{.*}} bias %[[B]] residual %[[R]] :
// CHECK: %[[SECOND:.*]] = odyssey.matmul %[[X]] scale %[[XS]], %{{.*}} scale %{{.*}} residual %[[FIRST]] schedule <path = mma_sync
// CHECK-NOT: odyssey.add
// CHECK: return %[[SECOND]]
func.func @residual(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %r: tensor<?x32xf16>, %b: tensor<32xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "w" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %y = odyssey.matmul %x scale %xs, %w scale %s bias %b : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32xf16>) -> tensor<?x32xf16>
  %a = odyssey.add %y, %r : tensor<?x32xf16>
  %z = odyssey.matmul %x scale %xs, %w scale %s schedule <path = mma_sync, channels = 32, tokens = 8, k = 64, channel_warps = 1, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %c = odyssey.add %a, %z : tensor<?x32xf16>
  return %c : tensor<?x32xf16>
}

// -----

// Of two products one is the other's residual; a product has at most one.

// CHECK-LABEL: func.func @two_products
// CHECK: %[[Z:.*]] = odyssey.matmul %{{.*}} scale %{{.*}}, %{{.*}} scale %{{.*}} :
// CHECK: %[[Y:.*]] = odyssey.matmul %{{.*}} residual %[[Z]] :
// CHECK-NOT: odyssey.matmul
// CHECK: odyssey.add %[[Y]], %{{.*}} :
func.func @two_products(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %r: tensor<?x32xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "w" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %y = odyssey.matmul %x scale %xs, %w scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %z = odyssey.matmul %x scale %xs, %w scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.add %y, %z : tensor<?x32xf16>
  %c = odyssey.add %a, %r : tensor<?x32xf16>
  return %c : tensor<?x32xf16>
}

// -----

// The product alone is needed as well, or is both operands.

// CHECK-LABEL: func.func @no_residual
// CHECK: odyssey.matmul
// CHECK: odyssey.add
// CHECK: odyssey.matmul
// CHECK: odyssey.add
func.func @no_residual(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %r: tensor<?x32xf16>) -> (tensor<?x32xf16>, tensor<?x32xf16>, tensor<?x32xf16>) {
  %w = odyssey.weight "w" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %y = odyssey.matmul %x scale %xs, %w scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.add %y, %r : tensor<?x32xf16>
  %z = odyssey.matmul %x scale %xs, %w scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %c = odyssey.add %z, %z : tensor<?x32xf16>
  return %y, %a, %c : tensor<?x32xf16>, tensor<?x32xf16>, tensor<?x32xf16>
}

// -----

// What a residual is added to is no longer a product that could be merged.

// CHECK-LABEL: func.func @residual_of_a_gate
// CHECK-COUNT-2: odyssey.matmul
// CHECK: odyssey.silu_mul %{{.*}}, %{{.*}} :
func.func @residual_of_a_gate(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %r: tensor<?x32xf16>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %g = odyssey.matmul %x scale %xs, %wg scale %s residual %r : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<?x32xf16>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// Two channels of a gate and two of an up projection make four: an odd number of
// channels keeps its activation, which then takes the quantization.

// CHECK-LABEL: func.func @odd_channels
// CHECK: odyssey.weight "gate", "up" : tensor<66x64xi4>
// CHECK: %[[GU:.*]] = odyssey.matmul {{.*}} -> tensor<?x66xf16>
// CHECK: odyssey.silu_mul_quantize %[[GU]] :
func.func @odd_channels(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> (tensor<?x33xi8>, tensor<?xf32>) {
  %wg = odyssey.weight "gate" : tensor<33x64xi4>
  %s = odyssey.weight "s" : tensor<33xf32>
  %wu = odyssey.weight "up" : tensor<33x64xi4>
  %g = odyssey.matmul %x scale %xs, %wg scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<33x64xi4>, tensor<33xf32>) -> tensor<?x33xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<33x64xi4>, tensor<33xf32>) -> tensor<?x33xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x33xf16>, tensor<?x33xf16>) -> tensor<?x33xf16>
  %q, %qs = odyssey.quantize %a : tensor<?x33xf16> -> tensor<?x33xi8>, tensor<?xf32>
  return %q, %qs : tensor<?x33xi8>, tensor<?xf32>
}

// -----

// The activation goes into the product before its quantization could take it; a
// product with an activation is no operand of a sum.

// CHECK-LABEL: func.func @gate_up_quantize
// CHECK: %[[A:.*]] = odyssey.matmul {{.*}} silu_mul :
// CHECK: odyssey.quantize %[[A]]
// CHECK: %[[B:.*]] = odyssey.matmul {{.*}} silu_mul :
// CHECK: odyssey.add %[[B]]
func.func @gate_up_quantize(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %r: tensor<?x32xf16>) -> (tensor<?x32xi8>, tensor<?xf32>, tensor<?x32xf16>) {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %g = odyssey.matmul %x scale %xs, %wg scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  %q, %qs = odyssey.quantize %a : tensor<?x32xf16> -> tensor<?x32xi8>, tensor<?xf32>
  %wi = odyssey.weight "gate", "up" interleaved : tensor<64x64xi4>
  %si = odyssey.weight "s", "s" interleaved : tensor<64xf32>
  %b = odyssey.matmul %x scale %xs, %wi scale %si silu_mul : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x32xf16>
  %c = odyssey.add %b, %r : tensor<?x32xf16>
  return %q, %qs, %c : tensor<?x32xi8>, tensor<?xf32>, tensor<?x32xf16>
}

// RUN: odyssey-opt %s --odyssey-quantize-linears --split-input-file | FileCheck %s

// CHECK-LABEL: func.func @linear
// CHECK-SAME: %[[X:.*]]: tensor<?x64xf16>
// CHECK: %[[Q:.*]], %[[QS:.*]] = odyssey.quantize %[[X]] : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
// CHECK: %[[W:.*]] = odyssey.weight "q.weight" : tensor<32x64xi4>
// CHECK: %[[WS:.*]] = odyssey.weight "q.weight_scale" : tensor<32xf32>
// CHECK: %[[Y:.*]] = odyssey.matmul %[[Q]] scale %[[QS]], %[[W]] scale %[[WS]]
// CHECK-NOT: odyssey.linear
// CHECK: return %[[Y]]
func.func @linear(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "q.weight" : tensor<32x64xf16>
  %y = odyssey.linear %x, %w : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

// -----

// Every part of a concatenated weight has its own scales.

// CHECK-LABEL: func.func @concatenated
// CHECK: odyssey.weight "q", "k" : tensor<32x64xi4>
// CHECK: odyssey.weight "q_scale", "k_scale" : tensor<32xf32>
func.func @concatenated(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "q", "k" : tensor<32x64xf16>
  %y = odyssey.linear %x, %w : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

// -----

// Linears of one input share one quantization.

// CHECK-LABEL: func.func @shared_input
// CHECK-COUNT-1: odyssey.quantize
// CHECK-NOT: odyssey.quantize
// CHECK-COUNT-2: odyssey.matmul
func.func @shared_input(%x: tensor<?x64xf16>) -> (tensor<?x32xf16>, tensor<?x32xf16>) {
  %a = odyssey.weight "a" : tensor<32x64xf16>
  %b = odyssey.weight "b" : tensor<32x64xf16>
  %ya = odyssey.linear %x, %a : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  %yb = odyssey.linear %x, %b : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  return %ya, %yb : tensor<?x32xf16>, tensor<?x32xf16>
}

// -----

// Inputs that differ are quantized each.

// CHECK-LABEL: func.func @different_inputs
// CHECK-SAME: %[[X:.*]]: tensor<?x64xf16>, %[[Z:.*]]: tensor<?x64xf16>
// CHECK-DAG: odyssey.quantize %[[X]]
// CHECK-DAG: odyssey.quantize %[[Z]]
func.func @different_inputs(%x: tensor<?x64xf16>, %z: tensor<?x64xf16>) -> (tensor<?x32xf16>, tensor<?x32xf16>) {
  %a = odyssey.weight "a" : tensor<32x64xf16>
  %ya = odyssey.linear %x, %a : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  %yb = odyssey.linear %z, %a : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  return %ya, %yb : tensor<?x32xf16>, tensor<?x32xf16>
}

// -----

// A schedule written by hand stays with the product.

// CHECK-LABEL: func.func @schedule
// CHECK: odyssey.matmul {{.*}} schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 3>
func.func @schedule(%x: tensor<?x64xf16>) -> tensor<?x64xf16> {
  %w = odyssey.weight "w" : tensor<64x64xf16>
  %y = odyssey.linear %x, %w schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 3>
      : (tensor<?x64xf16>, tensor<64x64xf16>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// -----

// CHECK-LABEL: func.func @keep
// CHECK: odyssey.weight "lm_head" : tensor<32x64xf16>
// CHECK: odyssey.linear %{{.*}}, %{{.*}} keep
// CHECK-NOT: odyssey.matmul
func.func @keep(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "lm_head" : tensor<32x64xf16>
  %y = odyssey.linear %x, %w keep : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

// -----

// A product with fp32 results has no W4A8 form.

// CHECK-LABEL: func.func @fp32_result
// CHECK: odyssey.linear
// CHECK-NOT: odyssey.matmul
func.func @fp32_result(%x: tensor<?x64xf16>) -> tensor<?x32xf32> {
  %w = odyssey.weight "w" : tensor<32x64xf16>
  %y = odyssey.linear %x, %w : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}

// -----

// Weights without a name have no quantized counterpart in the checkpoint.

// CHECK-LABEL: func.func @weights_as_argument
// CHECK: odyssey.linear
// CHECK-NOT: odyssey.matmul
func.func @weights_as_argument(%x: tensor<?x64xf16>, %w: tensor<32x64xf16>) -> tensor<?x32xf16> {
  %y = odyssey.linear %x, %w : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

// -----

// The table of tied embeddings stays fp16 for its other user.

// CHECK-LABEL: func.func @other_user
// CHECK-DAG: odyssey.weight "table" : tensor<512x64xf16>
// CHECK-DAG: odyssey.weight "table" : tensor<512x64xi4>
// CHECK-DAG: odyssey.matmul
func.func @other_user(%ids: tensor<?xi32>) -> tensor<?x512xf16> {
  %w = odyssey.weight "table" : tensor<512x64xf16>
  %x = odyssey.embedding %ids, %w : (tensor<?xi32>, tensor<512x64xf16>) -> tensor<?x64xf16>
  %y = odyssey.linear %x, %w : (tensor<?x64xf16>, tensor<512x64xf16>) -> tensor<?x512xf16>
  return %y : tensor<?x512xf16>
}

// -----

// A bias goes along.

// CHECK-LABEL: func.func @bias
// CHECK: %[[B:.*]] = odyssey.weight "q.bias" : tensor<32xf16>
// CHECK: odyssey.matmul {{.*}} bias %[[B]] :
func.func @bias(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "q.weight" : tensor<32x64xf16>
  %b = odyssey.weight "q.bias" : tensor<32xf16>
  %y = odyssey.linear %x, %w bias %b : (tensor<?x64xf16>, tensor<32x64xf16>, tensor<32xf16>) -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

// -----

// A norm that such linears alone read is quantized as it is made, once.

// CHECK-LABEL: func.func @norm
// CHECK-SAME: %[[X:.*]]: tensor<?x64xf16>, %[[G:.*]]: tensor<64xf16>
// CHECK: %[[Q:.*]], %[[QS:.*]] = odyssey.rms_norm_quantize %[[X]], %[[G]] epsilon = 9.99999974E-6
// CHECK-NOT: odyssey.quantize
// CHECK: odyssey.matmul %[[Q]] scale %[[QS]],
// CHECK: odyssey.matmul %[[Q]] scale %[[QS]],
// CHECK-NOT: odyssey.rms_norm
func.func @norm(%x: tensor<?x64xf16>, %g: tensor<64xf16>) -> (tensor<?x32xf16>, tensor<?x32xf16>) {
  %a = odyssey.weight "a" : tensor<32x64xf16>
  %b = odyssey.weight "b" : tensor<32x64xf16>
  %h = odyssey.rms_norm %x, %g epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16>
  %ya = odyssey.linear %h, %a : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  %yb = odyssey.linear %h, %b : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  return %ya, %yb : tensor<?x32xf16>, tensor<?x32xf16>
}

// -----

// What else reads a norm needs it in fp16: here a linear that stays, there the
// caller.

// CHECK-LABEL: func.func @norm_in_half
// CHECK: %[[H:.*]] = odyssey.rms_norm %
// CHECK: odyssey.quantize %[[H]]
// CHECK: odyssey.linear %[[H]]
// CHECK: %[[I:.*]] = odyssey.rms_norm %
// CHECK: odyssey.quantize %[[I]]
// CHECK: return %{{.*}}, %{{.*}}, %{{.*}}, %[[I]]
func.func @norm_in_half(%x: tensor<?x64xf16>, %g: tensor<64xf16>) -> (tensor<?x32xf16>, tensor<?x32xf16>, tensor<?x32xf16>, tensor<?x64xf16>) {
  %a = odyssey.weight "a" : tensor<32x64xf16>
  %h = odyssey.rms_norm %x, %g epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16>
  %ya = odyssey.linear %h, %a : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  %yb = odyssey.linear %h, %a keep : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  %i = odyssey.rms_norm %x, %g epsilon = 1.0e-6 : tensor<?x64xf16>, tensor<64xf16>
  %yc = odyssey.linear %i, %a : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  return %ya, %yb, %yc, %i : tensor<?x32xf16>, tensor<?x32xf16>, tensor<?x32xf16>, tensor<?x64xf16>
}

// RUN: odyssey-opt %s --odyssey-quantize-linears="group-size=64" --split-input-file | FileCheck %s
// RUN: not odyssey-opt %s --odyssey-quantize-linears="group-size=48" --split-input-file 2>&1 | FileCheck %s --check-prefix=SIZE

// SIZE: error: expects a group size of 32, 64 or 128, or 0 for none, got 48

// K = 172 is three groups of 64, the last one short.

// CHECK-LABEL: func.func @linear
// CHECK-DAG: %[[W:.*]] = odyssey.weight "q.weight" : tensor<32x172xi4>
// CHECK-DAG: %[[S:.*]] = odyssey.weight "q.weight_channel_scale" : tensor<32xf32>
// CHECK-DAG: %[[M:.*]] = odyssey.weight "q.weight_multiplier" : tensor<32x3xi8>
// CHECK: odyssey.matmul %{{.*}} scale %{{.*}}, %[[W]] scale %[[S]] groups %[[M]] of 64 :
func.func @linear(%x: tensor<?x172xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "q.weight" : tensor<32x172xf16>
  %y = odyssey.linear %x, %w : (tensor<?x172xf16>, tensor<32x172xf16>) -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

// -----

// CHECK-LABEL: func.func @concatenated
// CHECK: odyssey.weight "q_channel_scale", "k_channel_scale" : tensor<32xf32>
// CHECK: odyssey.weight "q_multiplier", "k_multiplier" : tensor<32x1xi8>
func.func @concatenated(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "q", "k" : tensor<32x64xf16>
  %y = odyssey.linear %x, %w : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

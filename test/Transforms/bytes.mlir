// RUN: odyssey-opt %s --odyssey-quantize-linears=weight-bits=8 --split-input-file | FileCheck %s --check-prefix=QUANTIZE
// RUN: odyssey-opt %s --odyssey-quantize-linears=weight-bits=8 --odyssey-fuse --odyssey-schedule="target=sm_80 buckets=1 tuning=%S/Inputs/tuning.json" --odyssey-pack-weights --odyssey-outline-kernels --split-input-file | FileCheck %s
// RUN: not odyssey-opt %s --odyssey-quantize-linears=weight-bits=6 --split-input-file 2>&1 | FileCheck %s --check-prefix=WIDTH
// RUN: not odyssey-opt %s --odyssey-quantize-linears="weight-bits=8 group-size=64" --split-input-file 2>&1 | FileCheck %s --check-prefix=GROUPS

// WIDTH: error: expects weights of 4 bits, or of 8 bits without groups, got 6 bits
// GROUPS: error: expects weights of 4 bits, or of 8 bits without groups, got 8 bits

// The way down with weights of 8 bits. What was measured of 4 bits, the tuning database
// has it for these sizes, says nothing here: the schedule is another. Panels are as
// wide, the kernel's name tells the width.

// QUANTIZE-LABEL: func.func @product
// QUANTIZE-DAG: odyssey.weight "w" : tensor<4096x4096xi8>
// QUANTIZE-DAG: odyssey.weight "w_scale" : tensor<4096xf32>
// CHECK-LABEL: func.func @product_t1
// CHECK: %[[W:.*]] = odyssey.weight "w" : tensor<4096x4096xi8, #fastgemm.packed<channels = 128>>
// CHECK: odyssey.launch @kernels::@matmul_w8a8_n4096_k4096_t8(%{{.*}}, %{{.*}}, %[[W]], %{{.*}})
// CHECK: odyssey.kernel @matmul_w8a8_n4096_k4096_t8(
// CHECK-NOT: channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 3>
// CHECK: odyssey.return
func.func @product(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %w = odyssey.weight "w" : tensor<4096x4096xf16>
  %y = odyssey.linear %x, %w : (tensor<?x4096xf16>, tensor<4096x4096xf16>) -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// -----

// Gate, up and what follows become one product, as with 4 bits.

// CHECK-LABEL: func.func @gated_t1
// CHECK: odyssey.weight "gate", "up" interleaved : tensor<64x64xi8, #fastgemm.packed<channels = 64>>
// CHECK: odyssey.launch @kernels::@matmul_w8a8_n64_k64_t8_silu
func.func @gated(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xf16>
  %wu = odyssey.weight "up" : tensor<32x64xf16>
  %g = odyssey.linear %x, %wg : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  %u = odyssey.linear %x, %wu : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// Weights of different widths stay apart.

// CHECK-LABEL: func.func @two_widths_t1
// CHECK-DAG: odyssey.weight "gate" : tensor<32x64xi4, #fastgemm.packed<channels = 64>>
// CHECK-DAG: odyssey.weight "up" : tensor<32x64xi8, #fastgemm.packed<channels = 64>>
// CHECK-DAG: odyssey.launch @kernels::@matmul_w4a8_n32_k64_t8
// CHECK-DAG: odyssey.launch @kernels::@matmul_w8a8_n32_k64_t8
// CHECK: odyssey.launch @kernels::@silu_mul
func.func @two_widths(%x: tensor<?x64xf16>) -> tensor<?x32xf16> {
  %q, %s = odyssey.quantize %x : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %sg = odyssey.weight "gate_scale" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi8>
  %su = odyssey.weight "up_scale" : tensor<32xf32>
  %g = odyssey.matmul %q scale %s, %wg scale %sg : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %u = odyssey.matmul %q scale %s, %wu scale %su : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi8>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// A matrix of 8 bits that no product takes as its weights keeps its layout.

// CHECK-LABEL: func.func @no_weights
// CHECK: odyssey.weight "table" : tensor<64x64xi8>
// CHECK-NEXT: return
func.func @no_weights() -> tensor<64x64xi8> {
  %t = odyssey.weight "table" : tensor<64x64xi8>
  return %t : tensor<64x64xi8>
}

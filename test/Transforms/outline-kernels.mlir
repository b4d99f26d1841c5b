// RUN: odyssey-opt %s --odyssey-outline-kernels --split-input-file | FileCheck %s
// RUN: odyssey-opt %s --odyssey-outline-kernels=dependent-launch --split-input-file | FileCheck %s --check-prefix=DEPENDENT

// Kernels that may begin before the one in front has ended say so.

// DEPENDENT-LABEL: func.func @equal
// DEPENDENT: odyssey.kernel @add_n64({{.*}} attributes {fastgemm.dependent_launch, kind = "add"}

// Equal operations share a kernel, whatever their operands.

// CHECK-LABEL: func.func @equal
// CHECK-SAME: %[[X:.*]]: tensor<?x64xf16>
// CHECK: %[[A:.*]] = odyssey.launch @kernels::@add_n64(%[[X]], %[[X]]) : (tensor<?x64xf16>, tensor<?x64xf16>) -> tensor<?x64xf16>
// CHECK: %[[B:.*]] = odyssey.launch @kernels::@add_n64(%[[A]], %[[X]])
// CHECK: return %[[B]]
// CHECK: gpu.module @kernels
// CHECK: odyssey.kernel @add_n64(%[[L:.*]]: tensor<?x64xf16>, %[[R:.*]]: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"}
// CHECK: %[[S:.*]] = odyssey.add %[[L]], %[[R]] : tensor<?x64xf16>
// CHECK: odyssey.return %[[S]]
// CHECK-NOT: odyssey.kernel
func.func @equal(%x: tensor<?x64xf16>) -> tensor<?x64xf16> {
  %a = odyssey.add %x, %x : tensor<?x64xf16>
  %b = odyssey.add %a, %x : tensor<?x64xf16>
  return %b : tensor<?x64xf16>
}

// -----

// Functions share kernels too.

// CHECK-LABEL: func.func @first
// CHECK: odyssey.launch @kernels::@add_n64
// CHECK-LABEL: func.func @second
// CHECK: odyssey.launch @kernels::@add_n64
// CHECK-COUNT-1: odyssey.kernel
// CHECK-NOT: odyssey.kernel
func.func @first(%x: tensor<?x64xf16>) -> tensor<?x64xf16> {
  %a = odyssey.add %x, %x : tensor<?x64xf16>
  return %a : tensor<?x64xf16>
}
func.func @second(%x: tensor<?x64xf16>) -> tensor<?x64xf16> {
  %a = odyssey.add %x, %x : tensor<?x64xf16>
  return %a : tensor<?x64xf16>
}

// -----

// An attribute, a type or a schedule that differs makes another kernel; names are unique.

// CHECK-LABEL: func.func @different
// CHECK: odyssey.launch @kernels::@rms_norm_n64(
// CHECK: odyssey.launch @kernels::@rms_norm_n64_0(
// CHECK: odyssey.launch @kernels::@rms_norm_n32(
// CHECK: odyssey.kernel @rms_norm_n64(
// CHECK: epsilon = 9.99999974E-6
// CHECK: odyssey.kernel @rms_norm_n64_0(
// CHECK: epsilon = 9.99999997E-7
// CHECK: odyssey.kernel @rms_norm_n32(
func.func @different(%x: tensor<?x64xf16>, %w: tensor<64xf16>, %y: tensor<?x32xf16>, %v: tensor<32xf16>)
    -> (tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x32xf16>) {
  %0 = odyssey.rms_norm %x, %w epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16>
  %1 = odyssey.rms_norm %x, %w epsilon = 1.0e-6 : tensor<?x64xf16>, tensor<64xf16>
  %2 = odyssey.rms_norm %y, %v epsilon = 1.0e-5 : tensor<?x32xf16>, tensor<32xf16>
  return %0, %1, %2 : tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x32xf16>
}

// -----

// Weights and constants stay in the graph; kernels take them as operands.

// CHECK-LABEL: func.func @product
// CHECK: %[[W:.*]] = odyssey.weight "w"
// CHECK: odyssey.launch @kernels::@matmul_w4a8_n64_k64_t8(%{{.*}}, %{{.*}}, %[[W]], %{{.*}})
// CHECK: odyssey.kernel @matmul_w4a8_n64_k64_t8(
// CHECK-SAME: attributes {kind = "matmul"}
func.func @product(%x: tensor<?x64xi8, #fastgemm.rows<stride = 64>>, %s: tensor<?xf32>) -> tensor<?x64xf16> {
  %w = odyssey.weight "w" : tensor<64x64xi4, #fastgemm.packed<channels = 64>>
  %ws = odyssey.weight "s" : tensor<64xf32>
  %y = odyssey.matmul %x scale %s, %w scale %ws
      schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
      : (tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// -----

// The layer is an operand, so that all layers share a kernel.

// CHECK-LABEL: func.func @layers
// CHECK-DAG: %[[L0:.*]] = arith.constant 0 : i32
// CHECK-DAG: %[[L1:.*]] = arith.constant 1 : i32
// CHECK: odyssey.launch @kernels::@attention_h8_kv4_d8_t1({{.*}}, %[[L0]])
// CHECK: odyssey.launch @kernels::@attention_h8_kv4_d8_t1({{.*}}, %[[L1]])
// CHECK-COUNT-1: odyssey.kernel
// CHECK-NOT: odyssey.kernel
func.func @layers(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>,
                  %kv: memref<5x2x2x4x64x10xf16>) -> tensor<?x64xf16> {
  %l0 = arith.constant 0 : i32
  %l1 = arith.constant 1 : i32
  %a = odyssey.attention %q at %p, %p, %pages cache %kv layer %l0 heads 8 scale = 0.35 {tile_tokens = 1 : i32}
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  %b = odyssey.attention %a at %p, %p, %pages cache %kv layer %l1 heads 8 scale = 0.35 {tile_tokens = 1 : i32}
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return %b : tensor<?x64xf16>
}

// -----

// What every kind of operation is called in statistics.

// CHECK-LABEL: func.func @kinds
// CHECK-DAG: odyssey.kernel @quantize_n64({{.*}} attributes {kind = "quantize"}
// CHECK-DAG: odyssey.kernel @rms_norm_quantize_n64({{.*}} attributes {kind = "norm"}
// CHECK-DAG: odyssey.kernel @silu_mul_n32({{.*}} attributes {kind = "activation"}
// CHECK-DAG: odyssey.kernel @embedding_n64({{.*}} attributes {kind = "embedding"}
// CHECK-DAG: odyssey.kernel @store_rows({{.*}} attributes {kind = "embedding"}
// CHECK-DAG: odyssey.kernel @gather_rows_n64({{.*}} attributes {kind = "embedding"}
// CHECK-DAG: odyssey.kernel @matmul_f16_n512_k64({{.*}} attributes {kind = "lm_head"}
// CHECK-DAG: odyssey.kernel @argmax_n512({{.*}} attributes {kind = "sample"}
// CHECK-DAG: odyssey.kernel @rope_append_h8({{.*}} attributes {kind = "rope"}
func.func @kinds(%ids: tensor<?xi32>, %w: tensor<512x64xf16>, %norm: tensor<64xf16>, %state: memref<128x64xf16>,
                 %qkv: tensor<?x128xf16>, %t: tensor<128x8xf32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x10xf16>) {
  %layer = arith.constant 0 : i32
  %x = odyssey.embedding %ids, %w : (tensor<?xi32>, tensor<512x64xf16>) -> tensor<?x64xf16>
  %q, %s = odyssey.quantize %x : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  %nq, %ns = odyssey.rms_norm_quantize %x, %norm epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  %a = odyssey.silu_mul %x : (tensor<?x64xf16>) -> tensor<?x32xf16>
  odyssey.store_rows %x, %state : tensor<?x64xf16>, memref<128x64xf16>
  %h = odyssey.gather_rows %state, %ids : (memref<128x64xf16>, tensor<?xi32>) -> tensor<?x64xf16>
  %l = odyssey.linear %h, %w keep : (tensor<?x64xf16>, tensor<512x64xf16>) -> tensor<?x512xf32>
  %n = odyssey.argmax %l : tensor<?x512xf32> -> tensor<?xi32>
  %r = odyssey.rope_append %qkv table %t at %ids, %ids, %pages cache %kv layer %layer heads 8
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return
}

// -----

// CHECK-LABEL: func.func @nothing
// CHECK-NOT: gpu.module
func.func @nothing(%x: tensor<?x64xf16>) -> tensor<?x64xf16> {
  return %x : tensor<?x64xf16>
}

// RUN: odyssey-opt %s --verify-roundtrip | FileCheck %s

// Weights of 8 bits: as they come, and packed.

// CHECK-LABEL: func.func @bytes
// CHECK: odyssey.weight "w" : tensor<128x100xi8>
// CHECK: odyssey.matmul %{{.*}} scale %{{.*}}, %{{.*}} scale %{{.*}} : (tensor<?x100xi8>, tensor<?xf32>, tensor<128x100xi8>, tensor<128xf32>) -> tensor<?x128xf16>
// CHECK: odyssey.weight "w" : tensor<128x100xi8, #fastgemm.packed<channels = 64>>
// CHECK: odyssey.matmul %{{.*}} residual %{{.*}} schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2> :
func.func @bytes(%x: tensor<?x100xi8>, %s: tensor<?xf32>) -> tensor<?x128xf16> {
  %w = odyssey.weight "w" : tensor<128x100xi8>
  %ws = odyssey.weight "ws" : tensor<128xf32>
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x100xi8>, tensor<?xf32>, tensor<128x100xi8>, tensor<128xf32>) -> tensor<?x128xf16>
  %p = odyssey.weight "w" : tensor<128x100xi8, #fastgemm.packed<channels = 64>>
  %z = odyssey.matmul %x scale %s, %p scale %ws residual %y
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x100xi8>, tensor<?xf32>, tensor<128x100xi8, #fastgemm.packed<channels = 64>>, tensor<128xf32>, tensor<?x128xf16>) -> tensor<?x128xf16>
  return %z : tensor<?x128xf16>
}

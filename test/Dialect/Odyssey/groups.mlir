// RUN: odyssey-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: func.func @groups
// CHECK: odyssey.matmul %{{.*}} scale %{{.*}}, %{{.*}} scale %{{.*}} groups %{{.*}} of 32 : (tensor<?x100xi8>, tensor<?xf32>, tensor<128x100xi4>, tensor<128xf32>, tensor<128x4xi8>) -> tensor<?x128xf16>
// CHECK: odyssey.matmul %{{.*}} bias %{{.*}} groups %{{.*}} of 128 schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2> :
func.func @groups(%x: tensor<?x100xi8>, %s: tensor<?xf32>, %w: tensor<128x100xi4>, %ws: tensor<128xf32>,
                  %b: tensor<128xf16>, %m4: tensor<128x4xi8>, %m1: tensor<128x1xi8>) {
  // The fourth group has 4 input channels.
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m4 of 32
      : (tensor<?x100xi8>, tensor<?xf32>, tensor<128x100xi4>, tensor<128xf32>, tensor<128x4xi8>) -> tensor<?x128xf16>
  %z = odyssey.matmul %x scale %s, %w scale %ws bias %b groups %m1 of 128
      schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
      : (tensor<?x100xi8>, tensor<?xf32>, tensor<128x100xi4>, tensor<128xf32>, tensor<128xf16>, tensor<128x1xi8>) -> tensor<?x128xf16>
  return
}

// CHECK-LABEL: func.func @packed
// CHECK-SAME: tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>
// CHECK-SAME: tensor<64x2xi8, #fastgemm.multipliers<channels = 64, group = 32>>
func.func @packed(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, %ws: tensor<64xf32>,
                  %m: tensor<64x2xi8, #fastgemm.multipliers<channels = 64, group = 32>>) {
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 32
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, tensor<64xf32>, tensor<64x2xi8, #fastgemm.multipliers<channels = 64, group = 32>>) -> tensor<?x64xf16>
  return
}

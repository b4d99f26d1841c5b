// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// A stage of 64 k has two rows of 64 multipliers of 4 bits: 64 bytes beside its 3072.
// Of the 64 threads four copy 16 bytes of it each.

// CHECK-LABEL: gpu.func @groups_of_32
// CHECK-SAME: %[[WS:arg3]]: !llvm.ptr<1>, %[[M:arg4]]: !llvm.ptr<1>
// CHECK-SAME: shared_bytes = 6272
// CHECK: %[[FEW:.*]] = arith.cmpi ult, %{{.*}}, %c4_i32 : i32
// CHECK: scf.if %[[FEW]] {
// CHECK: llvm.getelementptr
// CHECK: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 : !llvm.ptr<3>, !llvm.ptr<1>
// CHECK: }
// CHECK: fastgemm.async_commit
// Per pair of blocks a word of four multipliers for each of the two groups.
// CHECK: scf.for
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 2 : i64} : !llvm.ptr<3> -> i16
// Multipliers of rows g and g + 8 of block 0: channels 4g and 4g + 1.
// CHECK: %[[M0:.*]] = arith.andi %[[WORD:.*]], %c15_i32 : i32
// CHECK: %[[SHIFTED:.*]] = arith.shrui %[[WORD]], %c4_i32 : i32
// CHECK: %[[M1:.*]] = arith.andi %[[SHIFTED]], %c15_i32 : i32
// CHECK: %[[M2:.*]] = arith.andi %[[OTHER:.*]], %c15_i32 : i32
// CHECK: %[[MULTIPLIERS:.*]] = vector.from_elements %[[M0]], %[[M1]], %[[M2]], %{{.*}} : vector<4xi32>
// CHECK: fastgemm.dequant_groups %{{.*}}, %[[MULTIPLIERS]]
// CHECK-NOT: fastgemm.dequant %
// The scale of the channel is used as it is.
// CHECK-NOT: 6.250000e-02
// CHECK: gpu.return
gpu.module @kernels {
  odyssey.kernel @groups_of_32(%x: tensor<?x128xi8, #fastgemm.rows<stride = 128>>, %xs: tensor<?xf32>, %w: tensor<64x128xi4, #fastgemm.packed<channels = 64, offset = 8>>, %ws: tensor<64xf32>, %m: tensor<64x4xi8, #fastgemm.multipliers<channels = 64, group = 32>>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws groups %m of 32
        schedule <path = mma_sync, channels = 64, tokens = 16, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x128xi8, #fastgemm.rows<stride = 128>>, tensor<?xf32>, tensor<64x128xi4, #fastgemm.packed<channels = 64, offset = 8>>, tensor<64xf32>, tensor<64x4xi8, #fastgemm.multipliers<channels = 64, group = 32>>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// Stages of 64 k in groups of 128: two stages read the same row, tile / 2.

// CHECK-LABEL: gpu.func @half_a_group
// CHECK: scf.for %[[TILE:arg[0-9]+]] =
// CHECK: %[[AHEAD:.*]] = arith.addi %[[TILE]], %{{.*}} : i32
// CHECK: arith.divui %{{.*}}, %c2_i32 : i32
// CHECK-COUNT-1: llvm.load %{{.*}} {alignment = 2 : i64} : !llvm.ptr<3> -> i16
// CHECK: fastgemm.dequant_groups
gpu.module @kernels {
  odyssey.kernel @half_a_group(%x: tensor<?x256xi8, #fastgemm.rows<stride = 256>>, %xs: tensor<?xf32>, %w: tensor<32x256xi4, #fastgemm.packed<channels = 32, offset = 8>>, %ws: tensor<32xf32>, %m: tensor<32x2xi8, #fastgemm.multipliers<channels = 32, group = 128>>) -> tensor<?x32xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws groups %m of 128
        schedule <path = mma_sync, channels = 32, tokens = 8, k = 64, channel_warps = 1, token_warps = 1, stages = 2>
        : (tensor<?x256xi8, #fastgemm.rows<stride = 256>>, tensor<?xf32>, tensor<32x256xi4, #fastgemm.packed<channels = 32, offset = 8>>, tensor<32xf32>, tensor<32x2xi8, #fastgemm.multipliers<channels = 32, group = 128>>) -> tensor<?x32xf16>
    odyssey.return %y : tensor<?x32xf16>
  }
}

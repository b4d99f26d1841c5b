// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// Weights of 8 bits on the path mma_sync: as matmul.mlir has it for 4 bits, but for
// twice the bytes of weights, 64 * 64 + 16 * 64 = 5120 a stage, of which each thread
// copies 4 x 16 and 16 of activations, and for fragments, which are loaded.

// CHECK-LABEL: gpu.func @structure
// CHECK-SAME: fastgemm.launch = #fastgemm.launch<grid = [1, 1, 1], per_tokens = [0, 16, 0], block = 64, shared_bytes = 15360>
// The scale of the channel is used as it is.
// CHECK-NOT: 6.250000e-02
// CHECK-COUNT-4: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 : !llvm.ptr<3>, !llvm.ptr<1>
// CHECK: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 valid
// CHECK: fastgemm.async_commit
// CHECK: fastgemm.async_wait 1
// Per warp 2 blocks of 16 channels, two k32 steps each, and 2 blocks of 8 tokens.
// CHECK-COUNT-4: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xi32>
// CHECK-COUNT-2: fastgemm.load_matrix
// CHECK: scf.for {{.*}} iter_args({{.*}}, %[[A0:arg[0-9]+]] = %{{[0-9]+}}, %[[A1:arg[0-9]+]] = %{{[0-9]+}}, %[[A2:arg[0-9]+]] = %{{[0-9]+}}, %[[A3:arg[0-9]+]] = %{{[0-9]+}}, %[[B0:arg[0-9]+]] = %{{[0-9]+}}, %[[B1:arg[0-9]+]] = %{{[0-9]+}}) ->
// CHECK-COUNT-4: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xi32>
// CHECK-NOT: fastgemm.dequant
// CHECK: %[[LOW:.*]] = vector.extract_strided_slice %[[B0]] {offsets = [0]
// CHECK: fastgemm.mma_s8 %[[A0]], %[[LOW]],
// CHECK: fastgemm.mma_s8 %[[A0]],
// CHECK: %[[HIGH:.*]] = vector.extract_strided_slice %[[B0]] {offsets = [2]
// CHECK: fastgemm.mma_s8 %[[A1]], %[[HIGH]],
// CHECK: fastgemm.mma_s8 %[[A1]],
// CHECK-COUNT-2: fastgemm.mma_s8 %[[A2]],
// CHECK-COUNT-2: fastgemm.mma_s8 %[[A3]],
// CHECK-NOT: fastgemm.mma_s8
// CHECK-NOT: fastgemm.dequant
// CHECK: gpu.return
gpu.module @kernels {
  odyssey.kernel @structure(%x: tensor<?x128xi8, #fastgemm.rows<stride = 128>>, %xs: tensor<?xf32>, %w: tensor<64x128xi8, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 16, k = 64, channel_warps = 2, token_warps = 1, stages = 3>
        : (tensor<?x128xi8, #fastgemm.rows<stride = 128>>, tensor<?xf32>, tensor<64x128xi8, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// On the path wgmma: a stage is 8 * 128 + 128 * 128 = 17408 bytes, two of them and four
// barriers 34848. A half's products take four loaded fragments.

// CHECK-LABEL: gpu.func @wgmma
// CHECK-SAME: block = 160, shared_bytes = 34848>
// CHECK-NOT: 6.250000e-02
// CHECK: fastgemm.barrier_wait
// CHECK-COUNT-4: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xi32>
// CHECK: scf.for
// CHECK-NOT: fastgemm.dequant
// CHECK: %[[F:.*]]:6 = fastgemm.wgmma_fence(
// CHECK: fastgemm.wgmma %[[F]]#0,
// CHECK: fastgemm.wgmma %[[F]]#1,
// CHECK: fastgemm.wgmma %[[F]]#2,
// CHECK: fastgemm.wgmma %[[F]]#3,
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK-COUNT-4: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xi32>
// CHECK: fastgemm.wgmma_wait 0(
// CHECK-NOT: fastgemm.dequant
// A panel's stage in one bulk copy, of 16384 bytes.
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %{{.*}}, %{{.*}}, %{{.*}}, %c16384_i32 l2_cache_hint
// CHECK: gpu.return
gpu.module @kernels {
  odyssey.kernel @wgmma(%x: tensor<?x256xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>, %w: tensor<128x256xi8, #fastgemm.packed<channels = 128>>, %ws: tensor<128xf32>) -> tensor<?x128xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
        : (tensor<?x256xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, tensor<128x256xi8, #fastgemm.packed<channels = 128>>, tensor<128xf32>) -> tensor<?x128xf16>
    odyssey.return %y : tensor<?x128xf16>
  }
}

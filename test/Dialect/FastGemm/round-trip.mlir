// RUN: odyssey-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: gpu.func @fragments
// CHECK: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 : !llvm.ptr<3>, !llvm.ptr<1>
// CHECK: fastgemm.async_copy %{{.*}}, %{{.*}}, 4 valid %{{.*}} : !llvm.ptr<3>, !llvm.ptr<1>
// CHECK: fastgemm.async_commit
// CHECK: fastgemm.async_wait 2
// CHECK: fastgemm.load_matrix %{{.*}} : !llvm.ptr<3> -> vector<4xi32>
// CHECK: fastgemm.load_matrix %{{.*}} transpose : !llvm.ptr<3> -> vector<2xi32>
// CHECK: %[[LOW:.*]], %[[HIGH:.*]] = fastgemm.dequant %{{.*}} : vector<4xi32> -> vector<4xi32>, vector<4xi32>
// CHECK: fastgemm.mma_s8 %[[LOW]], %{{.*}}, %{{.*}} : vector<4xi32>, vector<2xi32> -> vector<4xi32>
// CHECK: fastgemm.mma_f16 %[[HIGH]], %{{.*}}, %{{.*}} : vector<4xi32>, vector<2xi32> -> vector<4xf32>
gpu.module @kernels {
  gpu.func @fragments(%s: !llvm.ptr<3>, %g: !llvm.ptr<1>, %n: i32, %w: vector<4xi32>,
                      %c: vector<4xi32>, %f: vector<4xf32>) {
    fastgemm.async_copy %s, %g, 16 : !llvm.ptr<3>, !llvm.ptr<1>
    fastgemm.async_copy %s, %g, 4 valid %n : !llvm.ptr<3>, !llvm.ptr<1>
    fastgemm.async_commit
    fastgemm.async_wait 2
    %m = fastgemm.load_matrix %s : !llvm.ptr<3> -> vector<4xi32>
    %b = fastgemm.load_matrix %s transpose : !llvm.ptr<3> -> vector<2xi32>
    %a0, %a1 = fastgemm.dequant %w : vector<4xi32> -> vector<4xi32>, vector<4xi32>
    %d = fastgemm.mma_s8 %a0, %b, %c : vector<4xi32>, vector<2xi32> -> vector<4xi32>
    %e = fastgemm.mma_f16 %a1, %b, %f : vector<4xi32>, vector<2xi32> -> vector<4xf32>
    gpu.return
  }
}

// CHECK-LABEL: func.func private @attributes
// CHECK-SAME: schedule = #fastgemm.schedule<path = mma_sync, channels = 128, tokens = 16, k = 64, channel_warps = 4, token_warps = 1, stages = 4>
// CHECK-SAME: split = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 3, split_k = 4>
// CHECK-SAME: stream = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 128, channel_warps = 2, token_warps = 1, stages = 3, stream_k = 216>
func.func private @attributes() attributes {
  schedule = #fastgemm.schedule<path = mma_sync, channels = 128, tokens = 16, k = 64, channel_warps = 4, token_warps = 1, stages = 4>,
  split = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 3, split_k = 4>,
  stream = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 128, channel_warps = 2, token_warps = 1, stages = 3, stream_k = 216>
}

// CHECK-LABEL: func.func private @shared
// CHECK-SAME: schedule = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 128, k = 128, channel_warps = 4, token_warps = 1, stages = 6, stream_k = 128>
func.func private @shared() attributes {
  schedule = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 128, k = 128, channel_warps = 4, token_warps = 1, stages = 6, stream_k = 128>
}

// CHECK-LABEL: func.func private @persistent
// CHECK-SAME: schedule = #fastgemm.schedule<path = wgmma, channels = 256, tokens = 160, k = 128, channel_warps = 8, token_warps = 1, stages = 5, ctas = 132>
func.func private @persistent() attributes {
  schedule = #fastgemm.schedule<path = wgmma, channels = 256, tokens = 160, k = 128, channel_warps = 8, token_warps = 1, stages = 5, ctas = 132>
}

// CHECK-LABEL: func.func private @sharing_activations
// CHECK-SAME: schedule = #fastgemm.schedule<path = wgmma, channels = 384, tokens = 80, k = 128, channel_warps = 12, token_warps = 1, stages = 5, ctas = 132, multicast = 2>
func.func private @sharing_activations() attributes {
  schedule = #fastgemm.schedule<path = wgmma, channels = 384, tokens = 80, k = 128, channel_warps = 12, token_warps = 1, stages = 5, ctas = 132, multicast = 2>
}

// CHECK-LABEL: func.func private @layouts
// CHECK-SAME: tensor<192x64xi4, #fastgemm.packed<channels = 64>>
// CHECK-SAME: tensor<?x172xi8, #fastgemm.rows<stride = 192>>
// CHECK-SAME: tensor<?x172xi8, #fastgemm.swizzled<tokens = 24>>
func.func private @layouts(tensor<192x64xi4, #fastgemm.packed<channels = 64>>,
                           tensor<?x172xi8, #fastgemm.rows<stride = 192>>,
                           tensor<?x172xi8, #fastgemm.swizzled<tokens = 24>>)

// CHECK-LABEL: func.func private @launch
// CHECK-SAME: #fastgemm.launch<grid = [3, 1, 1], per_tokens = [0, 16, 0], block = 128, shared_bytes = 24576>
// CHECK-SAME: #fastgemm.launch<grid = [3, 1, 4], per_tokens = [0, 8, 0], block = 64, shared_bytes = 24576, scratch_bytes = 2048, counters = true>
func.func private @launch() attributes {
  launch = #fastgemm.launch<grid = [3, 1, 1], per_tokens = [0, 16, 0], block = 128, shared_bytes = 24576>,
  together = #fastgemm.launch<grid = [3, 1, 4], per_tokens = [0, 8, 0], block = 64, shared_bytes = 24576, scratch_bytes = 2048, counters = true>
}

// CHECK-LABEL: func.func private @cluster
// CHECK-SAME: #fastgemm.launch<grid = [128, 1, 1], per_tokens = [0, 8, 0], block = 160, shared_bytes = 59488, cluster = 4>
func.func private @cluster() attributes {
  launch = #fastgemm.launch<grid = [128, 1, 1], per_tokens = [0, 8, 0], block = 160, shared_bytes = 59488, cluster = 4>
}

// CHECK-LABEL: gpu.func @warpgroup
// CHECK-SAME: %[[S:.*]]: !llvm.ptr<3>, %[[B:.*]]: i64, %[[P:.*]]: i32, %[[A:.*]]: vector<4xi32>, %[[C:.*]]: vector<4xi32>
// CHECK: fastgemm.evict_first_policy : i64
// CHECK: fastgemm.barrier_wait %[[S]], %[[P]] : !llvm.ptr<3>
// CHECK: fastgemm.barrier_wait %[[S]], %[[P]] cluster : !llvm.ptr<3>
// CHECK: %[[F:.*]]:2 = fastgemm.wgmma_fence(%[[A]], %[[C]]) : vector<4xi32>, vector<4xi32>
// CHECK: %[[D:.*]] = fastgemm.wgmma %[[F]]#0, %[[B]](%[[F]]#1) : vector<4xi32>, i64 -> vector<4xi32>
// CHECK: fastgemm.wgmma_wait 0(%[[D]]) : vector<4xi32>
gpu.module @warpgroups {
  gpu.func @warpgroup(%s: !llvm.ptr<3>, %b: i64, %p: i32, %a: vector<4xi32>, %c: vector<4xi32>) {
    %policy = fastgemm.evict_first_policy : i64
    fastgemm.barrier_wait %s, %p : !llvm.ptr<3>
    fastgemm.barrier_wait %s, %p cluster : !llvm.ptr<3>
    %f:2 = fastgemm.wgmma_fence(%a, %c) : vector<4xi32>, vector<4xi32>
    %d = fastgemm.wgmma %f#0, %b(%f#1) : vector<4xi32>, i64 -> vector<4xi32>
    %e = fastgemm.wgmma_wait 0(%d) : vector<4xi32>
    gpu.return
  }
}

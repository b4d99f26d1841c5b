// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// Llama 2 7B, one sequence of up to 1,024 tokens: 32 KV heads x 4 splits are 128
// CTAs of four warps. Three stages of 32 KiB and 512 bytes of scales, 2 KiB of sums, 2 KiB
// of weights, 256 bytes of maxima.

// CHECK-LABEL: gpu.func @chunks
// CHECK-SAME: (%[[Q:.*]]: !llvm.ptr<1>, %[[P:.*]]: !llvm.ptr<1>, %[[S:.*]]: !llvm.ptr<1>, %[[PAGES:.*]]: !llvm.ptr<1>, %[[KV:.*]]: !llvm.ptr<1>, %[[LAYER:.*]]: i32, %[[V:.*]]: !llvm.ptr<1>, %[[STATS:.*]]: !llvm.ptr<1>, %[[M:.*]]: i32) kernel
// CHECK-SAME: grid = [32, 1, 4], per_tokens = [0, 1, 0], block = 128, shared_bytes = 104192
// CHECK-SAME: kind = "attention"
// A token at position -1 has (-1 + 256) / 256 = 0 chunks, that at 256 has two.
// CHECK: %[[POSITION:.*]] = llvm.load
// CHECK: %[[UP:.*]] = arith.addi %[[POSITION]], %{{.*}}256
// CHECK: %[[CHUNKS:.*]] = arith.divui %[[UP]], %{{.*}}256
// CHECK: arith.cmpi ult, %[[SPLIT:.*]], %[[CHUNKS]]
// Two of three stages are started before the queries are loaded.
// CHECK: fastgemm.async_copy
// CHECK: fastgemm.async_commit
// CHECK: fastgemm.async_copy
// CHECK: fastgemm.async_commit
// CHECK-NOT: fastgemm.async_commit
// CHECK: scf.for %{{.*}} = %[[SPLIT]] to %[[CHUNKS]] step %{{.*}}
// CHECK: scf.for
// CHECK: fastgemm.async_wait 1
// CHECK-NEXT: gpu.barrier
// The scores of a warp's 16 positions: two accumulators, 8 steps of 16 elements.
// CHECK-COUNT-16: fastgemm.mma_f16
// CHECK-NOT: fastgemm.mma_f16
// Maxima of the four warps, then their sums, then their weights.
// CHECK: gpu.barrier
// CHECK: llvm.store %{{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<3>
// CHECK-NEXT: gpu.barrier
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK: llvm.store %{{.*}} {alignment = 16 : i64} : vector<4xi32>, !llvm.ptr<3>
// CHECK-NEXT: gpu.barrier
// A quarter of the 16 pieces of the values' columns, in 4 steps.
// CHECK-COUNT-16: fastgemm.mma_f16
// CHECK-NOT: fastgemm.mma_f16
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<1>
// The next chunk's pages may come when nobody reads those of this one.
// CHECK: gpu.barrier
// CHECK: fastgemm.async_copy
// CHECK: gpu.return
gpu.module @kernels {
  odyssey.kernel @chunks(%q: tensor<?x4096xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x16xi32>, %kv: memref<32x16x2x32x64x130xf16>, %layer: i32) -> (tensor<?x32x4x128xf32>, tensor<?x32x4x2xf32>) attributes {fastgemm.dependent_launch, kind = "attention"} {
    %v, %stats = odyssey.attention_chunks %q at %p, %s, %pages cache %kv layer %layer heads 32 scale = 0.088388346 splits 4
        : tensor<?x4096xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x16xi32>, memref<32x16x2x32x64x130xf16> -> tensor<?x32x4x128xf32>, tensor<?x32x4x2xf32>
    odyssey.return %v, %stats : tensor<?x32x4x128xf32>, tensor<?x32x4x2xf32>
  }
}

// -----

// 20 heads a KV head are two tiles of rows.

// CHECK-LABEL: gpu.func @many_heads
// CHECK-SAME: grid = [2, 1, 2], per_tokens = [0, 1, 0], block = 128
gpu.module @kernels {
  odyssey.kernel @many_heads(%q: tensor<?x160xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<2x8x2x1x64x10xf16>, %layer: i32) -> (tensor<?x20x2x8xf32>, tensor<?x20x2x2xf32>) attributes {kind = "attention"} {
    %v, %stats = odyssey.attention_chunks %q at %p, %s, %pages cache %kv layer %layer heads 20 scale = 0.35 splits 2
        : tensor<?x160xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<2x8x2x1x64x10xf16> -> tensor<?x20x2x8xf32>, tensor<?x20x2x2xf32>
    odyssey.return %v, %stats : tensor<?x20x2x8xf32>, tensor<?x20x2x2xf32>
  }
}

// -----

// Merging: over the chunks up to the position, factors by two exponentials, the
// division, the rounding to fp16, and N7.

// CHECK-LABEL: gpu.func @merge
// CHECK-SAME: grid = [1, 1, 1], per_tokens = [1, 0, 0], block = 256
// CHECK: scf.for
// CHECK: arith.maxnumf
// CHECK: arith.mulf %{{.*}} : vector<4xf32>
// CHECK: arith.addf %{{.*}} : vector<4xf32>
// CHECK: scf.yield
// CHECK: arith.divf
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK: llvm.intr.fabs
// CHECK: llvm.store %{{.*}} {alignment = 8 : i64} : vector<2xi32>, !llvm.ptr<1>
gpu.module @kernels {
  odyssey.kernel @merge(%v: tensor<?x32x4x128xf32>, %stats: tensor<?x32x4x2xf32>, %p: tensor<?xi32>) -> (tensor<?x4096xi8>, tensor<?xf32>) attributes {kind = "attention"} {
    %x, %xs = odyssey.attention_merge_quantize %v, %stats at %p
        : tensor<?x32x4x128xf32>, tensor<?x32x4x2xf32>, tensor<?xi32> -> tensor<?x4096xi8>, tensor<?xf32>
    odyssey.return %x, %xs : tensor<?x4096xi8>, tensor<?xf32>
  }
}

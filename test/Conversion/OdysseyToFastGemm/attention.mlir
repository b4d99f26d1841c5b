// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// One CTA a KV head (2) and 8 tokens; two heads share a KV head, so its tile is 16
// rows: one warp. Keys and values of a page are 64 rows of 16 bytes each.

// CHECK-LABEL: gpu.func @structure
// CHECK-SAME: (%[[Q:.*]]: !llvm.ptr<1>, %[[P:.*]]: !llvm.ptr<1>, %[[S:.*]]: !llvm.ptr<1>, %[[PAGES:.*]]: !llvm.ptr<1>, %[[KV:.*]]: !llvm.ptr<1>, %[[LAYER:.*]]: i32, %[[O:.*]]: !llvm.ptr<1>, %[[M:.*]]: i32) kernel
// CHECK-SAME: grid = [2, 1, 1], per_tokens = [0, 8, 0], block = 32
// CHECK-SAME: kind = "attention"
// The scale of the scores, 0.35 log2(e), and the softmax's mask.
// CHECK-DAG: arith.constant 0.504943{{[0-9]*}} : f32
// CHECK-DAG: %[[MINUS_INFINITY:.*]] = arith.constant 0xFF800000 : f32
// Over the tokens of the tile: each that begins a run of one sequence ...
// CHECK: scf.for
// ... with the greatest position of the run ...
// CHECK: scf.for
// ... walks the sequence's pages, the first of which is copied here.
// CHECK: scf.if
// CHECK-NEXT: gpu.barrier
// CHECK-COUNT-4: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 : !llvm.ptr<3>, !llvm.ptr<1>
// 16 lanes bring the scales, of keys and of values.
// CHECK: scf.if
// CHECK-COUNT-2: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 : !llvm.ptr<3>, !llvm.ptr<1>
// CHECK: fastgemm.async_commit
// Chunks of four pages; the pages of each.
// CHECK: scf.for %[[FIRST:.*]] = %{{.*}} to %[[COUNT:.*]] step %c4_i32
// CHECK: %[[BEHIND:.*]] = arith.addi %[[FIRST]], %c4_i32
// CHECK: %[[END:.*]] = arith.minui %[[BEHIND]], %[[COUNT]]
// CHECK: scf.for %{{.*}} = %[[FIRST]] to %[[END]] step %c1_i32
// CHECK: fastgemm.async_wait 0
// CHECK-NEXT: gpu.barrier
// The next page is on its way while this one is used.
// CHECK: scf.if
// CHECK-COUNT-6: fastgemm.async_copy
// CHECK: fastgemm.async_commit
// Scores of 16 rows x 64 positions: 8 products of k = 8, padded with zeros to 16.
// CHECK-COUNT-8: fastgemm.mma_f16
// A position behind the row's own, or of another sequence, is masked.
// CHECK: arith.select %{{.*}}, %[[MINUS_INFINITY]], %{{.*}} : f32
// The row's maximum over its four lanes.
// CHECK: nvvm.shfl.sync bfly
// CHECK: nvvm.shfl.sync bfly
// CHECK-NOT: math.exp
// CHECK: arith.addf %{{.*}}, %[[TO_INTEGER:.*]] : f32
// Two sums over the four lanes: of the exponentials, and with the values' scales, whose
// exponent gives the factor of the weights. Those are integers.
// CHECK-COUNT-4: nvvm.shfl.sync bfly
// CHECK: arith.andi
// CHECK: %[[SHIFTED:.*]] = llvm.intr.fma(%{{.*}}, %{{.*}}, %[[TO_INTEGER]]) : (f32, f32, f32) -> f32
// CHECK-NEXT: %[[WEIGHT:.*]] = arith.subf %[[SHIFTED]], %[[TO_INTEGER]] : f32
// CHECK-NEXT: arith.truncf %[[WEIGHT]] : f32 to f16
// Values, transposed on the way: 4 steps of 16 positions, from zero. Then the page is
// added to those before.
// CHECK: fastgemm.load_matrix %{{.*}} transpose : !llvm.ptr<3> -> vector<2xi32>
// CHECK: fastgemm.mma_f16
// CHECK: fastgemm.load_matrix %{{.*}} transpose
// CHECK: fastgemm.mma_f16
// CHECK: fastgemm.load_matrix %{{.*}} transpose
// CHECK: fastgemm.mma_f16
// CHECK: fastgemm.load_matrix %{{.*}} transpose
// CHECK: %[[PAGE:.*]] = fastgemm.mma_f16
// CHECK-NOT: fastgemm.mma_f16
// CHECK: %[[ELEMENT:.*]] = vector.extract %[[PAGE]][0]
// CHECK: fma{{.*}}%[[ELEMENT]], %
// After a chunk, it is merged with those before: the greater maximum.
// CHECK: scf.yield
// CHECK: arith.maxnumf
// CHECK: scf.yield
// Rows that exist are divided by their sum and stored.
// CHECK: scf.if
// CHECK: arith.divf
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 4 : i64} : i32, !llvm.ptr<1>
// CHECK: gpu.return
gpu.module @kernels {
  odyssey.kernel @structure(%q: tensor<?x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x2x64x10xf16>, %layer: i32) -> tensor<?x32xf16> attributes {kind = "attention"} {
    %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer heads 4 scale = 0.35 {tile_tokens = 8 : i32}
        : tensor<?x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x2x64x10xf16> -> tensor<?x32xf16>
    odyssey.return %o : tensor<?x32xf16>
  }
}

// -----

// Decode: one token a CTA. Without tile_tokens that is the default.

// CHECK-LABEL: gpu.func @one_token
// CHECK-SAME: grid = [2, 1, 1], per_tokens = [0, 1, 0], block = 32
gpu.module @kernels {
  odyssey.kernel @one_token(%q: tensor<?x128xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x2x64x66xf16>, %layer: i32) -> tensor<?x128xf16> attributes {kind = "attention"} {
    %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer heads 2 scale = 0.125
        : tensor<?x128xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x2x64x66xf16> -> tensor<?x128xf16>
    odyssey.return %o : tensor<?x128xf16>
  }
}

// -----

// A cache of 8-bit integers comes as it is, 64 x 8 bytes and 64 scales for keys
// and for values, and is widened to the page in fp16: two slots of 1,536 bytes,
// the page of 2,048 behind them, and 512 bytes of queries.

// CHECK-LABEL: gpu.func @int8
// CHECK-SAME: block = 32, shared_bytes = 5632
// CHECK: scf.for
// CHECK: scf.if
// CHECK-NEXT: gpu.barrier
// CHECK-COUNT-4: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 : !llvm.ptr<3>, !llvm.ptr<1>
// CHECK: fastgemm.async_wait 0
// CHECK-NEXT: gpu.barrier
// CHECK: arith.shrsi
// CHECK-NEXT: arith.sitofp %{{.*}} : i32 to f16
// CHECK: llvm.store %{{.*}} {alignment = 16 : i64} : vector<4xi32>, !llvm.ptr<3>
// CHECK: gpu.barrier
// CHECK: fastgemm.mma_f16
gpu.module @kernels {
  odyssey.kernel @int8(%q: tensor<?x32xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x2x64x12xi8>, %layer: i32) -> tensor<?x32xf16> attributes {kind = "attention"} {
    %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer heads 4 scale = 0.35 {tile_tokens = 8 : i32}
        : tensor<?x32xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x2x64x12xi8> -> tensor<?x32xf16>
    odyssey.return %o : tensor<?x32xf16>
  }
}

// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// One CTA a token, a warp a head: 2 query heads and one of keys are 3 warps. Pairs (i,
// i + d/2) of query heads are rotated in fp32, rounded to fp16, and then to a unit that
// follows from their length; those of key heads, and values, become integers in fp16
// with a scale.

// CHECK-LABEL: gpu.func @fused_input
// CHECK-SAME: (%[[QKV:.*]]: !llvm.ptr<1>, %[[TABLE:.*]]: !llvm.ptr<1>, %[[P:.*]]: !llvm.ptr<1>, %[[S:.*]]: !llvm.ptr<1>, %[[PAGES:.*]]: !llvm.ptr<1>, %[[KV:.*]]: !llvm.ptr<1>, %[[LAYER:.*]]: i32, %[[Q:.*]]: !llvm.ptr<1>, %[[M:.*]]: i32) kernel
// CHECK-SAME: grid = [1, 1, 1], per_tokens = [1, 0, 0], block = 96, shared_bytes = 0
// CHECK-SAME: kind = "rope"
// A row holds 2 query heads, then one head of keys, 32 bytes on, then the values.
// CHECK: %[[ROW:.*]] = llvm.getelementptr %[[QKV]]
// CHECK: %[[KEYS:.*]] = llvm.getelementptr %[[ROW]][32]
// CHECK: %[[VALUES:.*]] = llvm.getelementptr %[[ROW]][48]
// The page of the position, 64 tokens each.
// CHECK: arith.divui %[[POSITION:.*]], %{{.*}} : i32
// CHECK: arith.remui %[[POSITION]], %{{.*}} : i32
// CHECK: llvm.getelementptr %[[TABLE]]
// CHECK: scf.for
// CHECK: %[[LOW:.*]] = scf.if %{{.*}} -> (f32)
// CHECK: %[[HIGH:.*]] = scf.if %{{.*}} -> (f32)
// CHECK: scf.if
// CHECK: %[[COSINE:.*]] = llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<1> -> f32
// CHECK: %[[SINE:.*]] = llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<1> -> f32
// CHECK: %[[A:.*]] = arith.mulf %[[LOW]], %[[COSINE]] : f32
// CHECK: %[[B:.*]] = arith.mulf %[[HIGH]], %[[SINE]] : f32
// CHECK: %[[FIRST:.*]] = arith.subf %[[A]], %[[B]] : f32
// CHECK: arith.truncf %[[FIRST]] : f32 to f16
// CHECK: scf.if
// CHECK: %[[C:.*]] = arith.mulf %[[HIGH]], %[[COSINE]] : f32
// CHECK: %[[D:.*]] = arith.mulf %[[LOW]], %[[SINE]] : f32
// CHECK: %[[SECOND:.*]] = arith.addf %[[C]], %[[D]] : f32
// CHECK: arith.truncf %[[SECOND]] : f32 to f16
// The length of the query, of which the unit is a 4064th, rounded up to a power of two.
// CHECK-COUNT-5: nvvm.shfl.sync bfly
// CHECK: %[[LENGTH:.*]] = llvm.intr.sqrt
// CHECK: arith.divf %[[LENGTH]], %[[NORM:.*]] : f32
// CHECK: arith.andi
// CHECK: llvm.intr.roundeven
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK: llvm.store %{{.*}} {alignment = 2 : i64} : f16, !llvm.ptr<1>
// CHECK: scf.for
// CHECK: llvm.getelementptr %[[KEYS]]
// CHECK: %[[LENGTH:.*]] = llvm.intr.sqrt
// CHECK: arith.divf %[[NORM]], %[[LENGTH]] : f32
// CHECK: llvm.intr.roundeven
// CHECK: llvm.store %{{.*}} {alignment = 2 : i64} : f16, !llvm.ptr<1>
// CHECK: %[[SCALE:.*]] = arith.divf %[[LENGTH]], %[[NORM]] : f32
// CHECK: llvm.store %[[SCALE]], %{{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<1>
// Values: by their greatest magnitude.
// CHECK: scf.for
// CHECK: llvm.getelementptr %[[VALUES]]
// CHECK: llvm.intr.fabs
// CHECK-NOT: llvm.intr.sqrt
// CHECK: llvm.intr.roundeven
// CHECK: llvm.store %{{.*}} {alignment = 2 : i64} : f16, !llvm.ptr<1>
// CHECK: llvm.store %{{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<1>
gpu.module @kernels {
  odyssey.kernel @fused_input(%qkv: tensor<?x32xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x1x64x10xf16>, %layer: i32) -> tensor<?x16xf16> attributes {kind = "rope"} {
    %r = odyssey.rope_append %qkv table %t at %p, %s, %pages cache %kv layer %layer heads 2
        : (tensor<?x32xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x1x64x10xf16> -> tensor<?x16xf16>
    odyssey.return %r : tensor<?x16xf16>
  }
}

// -----

// Three tensors are three addresses.

// CHECK-LABEL: gpu.func @three_inputs
// CHECK-SAME: (%[[Q:[a-z0-9]*]]: !llvm.ptr<1>, %[[K:[a-z0-9]*]]: !llvm.ptr<1>, %[[V:[a-z0-9]*]]: !llvm.ptr<1>, %[[TABLE:[a-z0-9]*]]: !llvm.ptr<1>
// CHECK: llvm.getelementptr %[[Q]]
// CHECK: llvm.getelementptr %[[K]]
// CHECK: llvm.getelementptr %[[V]]
gpu.module @kernels {
  odyssey.kernel @three_inputs(%q: tensor<?x16xf16>, %k: tensor<?x8xf16>, %v: tensor<?x8xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x1x64x10xf16>, %layer: i32) -> tensor<?x16xf16> attributes {kind = "rope"} {
    %r = odyssey.rope_append %q, %k, %v table %t at %p, %s, %pages cache %kv layer %layer heads 2
        : (tensor<?x16xf16>, tensor<?x8xf16>, tensor<?x8xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x1x64x10xf16> -> tensor<?x16xf16>
    odyssey.return %r : tensor<?x16xf16>
  }
}

// -----

// With norms. The 4 pairs of a head of 8 are in lanes 0 to 3, the others add zeros. The
// squares are summed as a butterfly over the warp, and what is normalized is rounded
// before it turns.

// CHECK-LABEL: gpu.func @norms
// CHECK-SAME: %[[LAYER:.*]]: i32, %[[QW:.*]]: !llvm.ptr<1>, %[[KW:.*]]: !llvm.ptr<1>, %[[Q:.*]]: !llvm.ptr<1>, %[[M:.*]]: i32) kernel
// CHECK-SAME: block = 96, shared_bytes = 0
// CHECK: %[[WARP:.*]] = arith.shrui %{{.*}}, %{{.*}} : i32
// CHECK: scf.for %{{.*}} = %[[WARP]] to
// CHECK: %[[LOW:.*]] = scf.if %{{.*}} -> (f32)
// CHECK: %[[HIGH:.*]] = scf.if %{{.*}} -> (f32)
// CHECK: %[[SQUARE:.*]] = arith.mulf %[[LOW]], %[[LOW]] : f32
// CHECK: arith.mulf %[[HIGH]], %[[HIGH]] : f32
// CHECK-COUNT-5: nvvm.shfl.sync bfly
// CHECK: arith.divf
// CHECK: %[[ROOT:.*]] = llvm.intr.sqrt
// CHECK: %[[R:.*]] = arith.divf %{{.*}}, %[[ROOT]] : f32
// CHECK: scf.if
// CHECK: llvm.getelementptr %[[QW]]
// CHECK: %[[SCALED:.*]] = arith.mulf %[[LOW]], %[[R]] : f32
// CHECK: %[[NORMALIZED:.*]] = arith.mulf %[[SCALED]], %{{.*}} : f32
// CHECK: %[[HALF:.*]] = arith.truncf %[[NORMALIZED]] : f32 to f16
// CHECK: %[[WIDE:.*]] = arith.extf %[[HALF]] : f16 to f32
// CHECK: scf.yield %[[WIDE]] : f32
// CHECK: arith.subf
// CHECK: scf.for %{{.*}} = %[[WARP]] to
// CHECK-COUNT-5: nvvm.shfl.sync bfly
// CHECK: llvm.getelementptr %[[KW]]
// Values have no norm.
// CHECK: scf.for
// CHECK-NOT: llvm.intr.sqrt
// CHECK: gpu.return
gpu.module @kernels {
  odyssey.kernel @norms(%qkv: tensor<?x32xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x1x64x10xf16>, %layer: i32, %qw: tensor<8xf16>, %kw: tensor<8xf16>) -> tensor<?x16xf16> attributes {kind = "rope"} {
    %r = odyssey.rope_append %qkv table %t at %p, %s, %pages cache %kv layer %layer heads 2 norm %qw, %kw epsilon = 1.0e-6
        : (tensor<?x32xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x1x64x10xf16>, tensor<8xf16>, tensor<8xf16> -> tensor<?x16xf16>
    odyssey.return %r : tensor<?x16xf16>
  }
}

// -----

// A cache of 8-bit integers: a head belongs to a warp, which finds the greatest
// magnitude, stores the integers one by one, and the scale behind 64 rows of them.

// CHECK-LABEL: gpu.func @int8
// CHECK-SAME: block = 96
// Queries stay in fp16.
// CHECK: scf.for
// CHECK: llvm.intr.sqrt
// CHECK: llvm.store %{{.*}} {alignment = 2 : i64} : f16, !llvm.ptr<1>
// Keys, then values; those are not rotated.
// CHECK: scf.for
// CHECK: arith.subf
// CHECK: llvm.intr.fabs
// CHECK-COUNT-5: nvvm.shfl.sync bfly
// CHECK: llvm.intr.roundeven
// CHECK: llvm.store %{{.*}} {alignment = 1 : i64} : i8, !llvm.ptr<1>
// CHECK: llvm.store %{{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<1>
// CHECK: scf.for
// CHECK-NOT: arith.subf
// CHECK: llvm.intr.fabs
// CHECK-COUNT-5: nvvm.shfl.sync bfly
// CHECK: llvm.intr.roundeven
// CHECK: llvm.store %{{.*}} {alignment = 1 : i64} : i8, !llvm.ptr<1>
// CHECK: llvm.store %{{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<1>
gpu.module @kernels {
  odyssey.kernel @int8(%qkv: tensor<?x256xf16>, %t: tensor<128x64xf32>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x1x64x68xi8>, %layer: i32) -> tensor<?x128xf16> attributes {kind = "rope"} {
    %r = odyssey.rope_append %qkv table %t at %p, %s, %pages cache %kv layer %layer heads 2
        : (tensor<?x256xf16>), tensor<128x64xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x1x64x68xi8> -> tensor<?x128xf16>
    odyssey.return %r : tensor<?x128xf16>
  }
}

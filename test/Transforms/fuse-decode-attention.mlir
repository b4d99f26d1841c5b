// RUN: odyssey-opt %s --odyssey-fuse-decode-attention --split-input-file | FileCheck %s
// RUN: odyssey-opt %s --odyssey-fuse-decode-attention=max-splits=1 --split-input-file | FileCheck %s --check-prefix=ONE
// RUN: not odyssey-opt %s --odyssey-fuse-decode-attention=max-splits=0 --split-input-file 2>&1 | FileCheck %s --check-prefix=ERROR
// ERROR: expects max-splits of at least 1, got 0

// CHECK-LABEL: func.func @decode(
// CHECK-SAME: %[[X:.*]]: tensor<?x128xf16>, %[[T:.*]]: tensor<128x8xf32>, %[[P:.*]]: tensor<?xi32>, %[[S:.*]]: tensor<?xi32>, %[[PAGES:.*]]: tensor<1x9xi32>, %[[KV:.*]]: memref<5x9x2x4x64x10xf16>, %[[LAYER:.*]]: i32, %[[W:.*]]: tensor<8xf16>
// CHECK-NEXT: %[[O:.*]], %{{.*}} = odyssey.decode_attention %[[X]] table %[[T]] at %[[P]], %[[S]], %[[PAGES]] cache %[[KV]] layer %[[LAYER]] heads 8 scale = 3.500000e-01 splits 3 norm %[[W]], %[[W]] epsilon = 9.99999997E-7
// CHECK-SAME: -> tensor<?x64xf16>, tensor<?x4xf32>
// CHECK-NEXT: return %[[O]]
// ONE-LABEL: func.func @decode(
// ONE: splits 1 norm
func.func @decode(%x: tensor<?x128xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %s: tensor<?xi32>,
                  %pages: tensor<1x9xi32>, %kv: memref<5x9x2x4x64x10xf16>, %layer: i32, %w: tensor<8xf16>) -> tensor<?x64xf16>
    attributes {odyssey.bucket = 1 : i64, odyssey.function = "decode"} {
  %q = odyssey.rope_append %x table %t at %p, %s, %pages cache %kv layer %layer heads 8 norm %w, %w epsilon = 1.0e-6
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16>, tensor<8xf16>, tensor<8xf16> -> tensor<?x64xf16>
  %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  return %o : tensor<?x64xf16>
}

// -----

// Tokens of one sequence may share a step of more than one.

// CHECK-LABEL: func.func @two_tokens(
// CHECK: odyssey.rope_append
// CHECK: odyssey.attention
func.func @two_tokens(%x: tensor<?x128xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %s: tensor<?xi32>,
                      %pages: tensor<1x9xi32>, %kv: memref<5x9x2x4x64x10xf16>, %layer: i32) -> tensor<?x64xf16>
    attributes {odyssey.bucket = 2 : i64, odyssey.function = "two_tokens"} {
  %q = odyssey.rope_append %x table %t at %p, %s, %pages cache %kv layer %layer heads 8
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  return %o : tensor<?x64xf16>
}

// -----

// Another layer, another use of the queries, a look at the cache in between, and
// 17 heads on one KV head.

// CHECK-LABEL: func.func @others(
// CHECK-NOT: odyssey.decode_attention
func.func @others(%x: tensor<?x128xf16>, %y: tensor<?x152xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %s: tensor<?xi32>,
                  %pages: tensor<1x9xi32>, %kv: memref<5x9x2x4x64x10xf16>, %one: memref<5x9x2x1x64x10xf16>,
                  %layer: i32, %next: i32)
    -> (tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x136xf16>)
    attributes {odyssey.bucket = 1 : i64, odyssey.function = "others"} {
  %q = odyssey.rope_append %x table %t at %p, %s, %pages cache %kv layer %layer heads 8
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  %a = odyssey.attention %q at %p, %s, %pages cache %kv layer %next heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  %r = odyssey.rope_append %x table %t at %p, %s, %pages cache %kv layer %layer heads 8
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  %b = odyssey.attention %r at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  %u = odyssey.rope_append %x table %t at %p, %s, %pages cache %kv layer %layer heads 8
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  %c = odyssey.attention %a at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  %d = odyssey.attention %u at %p, %s, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x4x64x10xf16> -> tensor<?x64xf16>
  %v = odyssey.rope_append %y table %t at %p, %s, %pages cache %one layer %layer heads 17
      : (tensor<?x152xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x1x64x10xf16> -> tensor<?x136xf16>
  %e = odyssey.attention %v at %p, %s, %pages cache %one layer %layer heads 17 scale = 0.35
      : tensor<?x136xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x9xi32>, memref<5x9x2x1x64x10xf16> -> tensor<?x136xf16>
  return %r, %b, %c, %d, %e : tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x64xf16>, tensor<?x136xf16>
}

// RUN: odyssey-opt %s --odyssey-split-attention --split-input-file | FileCheck %s
// RUN: odyssey-opt %s --odyssey-split-attention=max-splits=3 --split-input-file | FileCheck %s --check-prefix=THREE

// Eight chunks of 256 positions; the quantization that is the only use goes along.

// CHECK-LABEL: func.func @decode(
// CHECK-SAME: %[[Q:.*]]: tensor<?x64xf16>, %[[P:.*]]: tensor<?xi32>, %[[S:.*]]: tensor<?xi32>, %[[T:.*]]: tensor<2x32xi32>, %[[KV:.*]]: memref<5x64x2x4x64x10xf16>, %[[LAYER:.*]]: i32
// CHECK: %[[V:.*]], %[[STATS:.*]] = odyssey.attention_chunks %[[Q]] at %[[P]], %[[S]], %[[T]] cache %[[KV]] layer %[[LAYER]] heads 8 scale = 3.500000e-01 splits 8
// CHECK-SAME: -> tensor<?x8x8x8xf32>, tensor<?x8x8x2xf32>
// CHECK-NEXT: %[[X:.*]], %[[XS:.*]] = odyssey.attention_merge_quantize %[[V]], %[[STATS]] at %[[P]]
// CHECK-NEXT: return %[[X]], %[[XS]]
// THREE-LABEL: func.func @decode(
// THREE: odyssey.attention_chunks {{.*}} splits 3
func.func @decode(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %t: tensor<2x32xi32>,
                  %kv: memref<5x64x2x4x64x10xf16>, %layer: i32) -> (tensor<?x64xi8>, tensor<?xf32>)
    attributes {odyssey.bucket = 64 : i64, odyssey.function = "decode"} {
  %o = odyssey.attention %q at %p, %s, %t cache %kv layer %layer heads 8 scale = 0.35 {tile_tokens = 1 : i32}
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<2x32xi32>, memref<5x64x2x4x64x10xf16> -> tensor<?x64xf16>
  %x, %xs = odyssey.quantize %o : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  return %x, %xs : tensor<?x64xi8>, tensor<?xf32>
}

// -----

// Another use needs the result in fp16. The last chunk is not full: five pages.

// CHECK-LABEL: func.func @two_uses(
// CHECK: %[[V:.*]], %[[STATS:.*]] = odyssey.attention_chunks {{.*}} splits 2
// CHECK: %[[O:.*]] = odyssey.attention_merge %[[V]], %[[STATS]] at %{{.*}} : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<?xi32> -> tensor<?x64xf16>
// CHECK: odyssey.quantize %[[O]]
// CHECK: return %[[O]]
func.func @two_uses(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %t: tensor<1x5xi32>,
                    %kv: memref<5x64x2x4x64x10xf16>, %layer: i32) -> (tensor<?x64xf16>, tensor<?x64xi8>, tensor<?xf32>)
    attributes {odyssey.bucket = 1 : i64, odyssey.function = "two_uses"} {
  %o = odyssey.attention %q at %p, %p, %t cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x5xi32>, memref<5x64x2x4x64x10xf16> -> tensor<?x64xf16>
  %x, %xs = odyssey.quantize %o : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  return %o, %x, %xs : tensor<?x64xf16>, tensor<?x64xi8>, tensor<?xf32>
}

// -----

// Too many tokens, a context of one chunk, chunks of more than 256 MiB, and a
// function without a bucket.

// CHECK-LABEL: func.func @prefill(
// CHECK: odyssey.attention %
func.func @prefill(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %t: tensor<1x5xi32>,
                   %kv: memref<5x64x2x4x64x10xf16>, %layer: i32) -> tensor<?x64xf16>
    attributes {odyssey.bucket = 128 : i64, odyssey.function = "prefill"} {
  %o = odyssey.attention %q at %p, %p, %t cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x5xi32>, memref<5x64x2x4x64x10xf16> -> tensor<?x64xf16>
  return %o : tensor<?x64xf16>
}
// CHECK-LABEL: func.func @short(
// CHECK: odyssey.attention %
func.func @short(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %t: tensor<1x4xi32>,
                 %kv: memref<5x64x2x4x64x10xf16>, %layer: i32) -> tensor<?x64xf16>
    attributes {odyssey.bucket = 1 : i64, odyssey.function = "short"} {
  %o = odyssey.attention %q at %p, %p, %t cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x4xi32>, memref<5x64x2x4x64x10xf16> -> tensor<?x64xf16>
  return %o : tensor<?x64xf16>
}
// 16 tokens x 32 heads x 1020 chunks x 130 numbers of 4 bytes are 259 MiB.
// CHECK-LABEL: func.func @large(
// CHECK: odyssey.attention %
func.func @large(%q: tensor<?x4096xf16>, %p: tensor<?xi32>, %t: tensor<1x4080xi32>,
                 %kv: memref<5x4080x2x8x64x130xf16>, %layer: i32) -> tensor<?x4096xf16>
    attributes {odyssey.bucket = 16 : i64, odyssey.function = "large"} {
  %o = odyssey.attention %q at %p, %p, %t cache %kv layer %layer heads 32 scale = 0.35
      : tensor<?x4096xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x4080xi32>, memref<5x4080x2x8x64x130xf16> -> tensor<?x4096xf16>
  return %o : tensor<?x4096xf16>
}
// CHECK-LABEL: func.func @no_bucket(
// CHECK: odyssey.attention %
func.func @no_bucket(%q: tensor<4x64xf16>, %p: tensor<4xi32>, %t: tensor<1x8xi32>,
                     %kv: memref<5x64x2x4x64x10xf16>, %layer: i32) -> tensor<4x64xf16> {
  %o = odyssey.attention %q at %p, %p, %t cache %kv layer %layer heads 8 scale = 0.35
      : tensor<4x64xf16>, tensor<4xi32>, tensor<4xi32>, tensor<1x8xi32>, memref<5x64x2x4x64x10xf16> -> tensor<4x64xf16>
  return %o : tensor<4x64xf16>
}

// -----

// Bucket 0: the tokens are those of the type.

// CHECK-LABEL: func.func @static(
// CHECK: odyssey.attention_chunks {{.*}} -> tensor<4x8x2x8xf32>, tensor<4x8x2x2xf32>
func.func @static(%q: tensor<4x64xf16>, %p: tensor<4xi32>, %t: tensor<1x8xi32>,
                  %kv: memref<5x64x2x4x64x10xf16>, %layer: i32) -> tensor<4x64xf16>
    attributes {odyssey.bucket = 0 : i64, odyssey.function = "static"} {
  %o = odyssey.attention %q at %p, %p, %t cache %kv layer %layer heads 8 scale = 0.35
      : tensor<4x64xf16>, tensor<4xi32>, tensor<4xi32>, tensor<1x8xi32>, memref<5x64x2x4x64x10xf16> -> tensor<4x64xf16>
  return %o : tensor<4x64xf16>
}

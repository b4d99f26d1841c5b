// RUN: odyssey-opt %s --split-input-file --verify-diagnostics

func.func @chunks_stats(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention_chunks' op expects maxima and sums of [tokens, heads, chunks, 2] that go with 'tensor<?x8x2x8xf32>', got 'tensor<?x8x2x3xf32>'}}
  %v, %s = odyssey.attention_chunks %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 2
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x8x2x8xf32>, tensor<?x8x2x3xf32>
  return
}

// -----

func.func @chunks_tokens(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention_chunks' op expects the number of positions (?) to equal the tokens of the chunks (4)}}
  %v, %s = odyssey.attention_chunks %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 2
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<4x8x2x8xf32>, tensor<4x8x2x2xf32>
  return
}

// -----

func.func @chunks_heads(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention_chunks' op expects the heads of the chunks (4) to equal the number of heads (8)}}
  %v, %s = odyssey.attention_chunks %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 2
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x4x2x8xf32>, tensor<?x4x2x2xf32>
  return
}

// -----

func.func @chunks_count(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention_chunks' op expects the number of chunks (3) to equal the chunks of a sequence's pages (2)}}
  %v, %s = odyssey.attention_chunks %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 2
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x8x3x8xf32>, tensor<?x8x3x2xf32>
  return
}

// -----

func.func @chunks_row(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention_chunks' op expects the size of a chunk's row (16) to equal the head dimension (8)}}
  %v, %s = odyssey.attention_chunks %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 2
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x8x2x16xf32>, tensor<?x8x2x2xf32>
  return
}

// -----

func.func @no_splits(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention_chunks' op expects 1 to 2 splits, as many as there are chunks, got 0}}
  %v, %s = odyssey.attention_chunks %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 0
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>
  return
}

// -----

func.func @many_splits(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention_chunks' op expects 1 to 2 splits, as many as there are chunks, got 3}}
  %v, %s = odyssey.attention_chunks %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 3
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>
  return
}

// -----

func.func @merge_positions(%v: tensor<?x8x2x8xf32>, %s: tensor<?x8x2x2xf32>, %p: tensor<4xi32>) {
  // expected-error@+1 {{'odyssey.attention_merge' op expects the number of positions (4) to equal the tokens of the chunks (?)}}
  %o = odyssey.attention_merge %v, %s at %p
      : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<4xi32> -> tensor<?x64xf16>
  return
}

// -----

func.func @merge_columns(%v: tensor<?x8x2x8xf32>, %s: tensor<?x8x2x2xf32>, %p: tensor<?xi32>) {
  // expected-error@+1 {{'odyssey.attention_merge' op expects the result's columns (32) to equal heads x head dimension (64)}}
  %o = odyssey.attention_merge %v, %s at %p
      : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<?xi32> -> tensor<?x32xf16>
  return
}

// -----

func.func @merge_head(%v: tensor<?x8x2x12xf32>, %s: tensor<?x8x2x2xf32>, %p: tensor<?xi32>) {
  // expected-error@+1 {{'odyssey.attention_merge' op expects a head dimension that is a multiple of 8, got 12}}
  %o = odyssey.attention_merge %v, %s at %p
      : tensor<?x8x2x12xf32>, tensor<?x8x2x2xf32>, tensor<?xi32> -> tensor<?x96xf16>
  return
}

// -----

func.func @merge_scales(%v: tensor<?x8x2x8xf32>, %s: tensor<?x8x2x2xf32>, %p: tensor<?xi32>) {
  // expected-error@+1 {{'odyssey.attention_merge_quantize' op expects the number of scales (4) to equal the rows of the values (?)}}
  %x, %xs = odyssey.attention_merge_quantize %v, %s at %p
      : tensor<?x8x2x8xf32>, tensor<?x8x2x2xf32>, tensor<?xi32> -> tensor<?x64xi8>, tensor<4xf32>
  return
}

// -----

// Of i8, the last 4 bytes are the scale.
func.func @int8_head(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>, %kv: memref<5x2x2x4x64x8xi8>, %layer: i32) {
  // expected-error@+1 {{'odyssey.attention' op expects a head dimension that is a multiple of 8 and at most 256, got 4}}
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x8xi8> -> tensor<?x64xf16>
  return
}

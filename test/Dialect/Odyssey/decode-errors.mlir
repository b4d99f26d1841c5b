// RUN: odyssey-opt %s --split-input-file --verify-diagnostics

func.func @splits(%qkv: tensor<?x128xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.decode_attention' op expects 1 to 2 splits, as many as there are chunks, got 3}}
  %o, %m = odyssey.decode_attention %qkv table %t at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 3
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x64xf16>, tensor<?x4xf32>
  return
}

// -----

func.func @group(%qkv: tensor<?x152xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x1x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.decode_attention' op expects at most 16 heads to share a KV head, got 17}}
  %o, %m = odyssey.decode_attention %qkv table %t at %p, %p, %pages cache %kv layer %layer heads 17 scale = 0.35 splits 1
      : (tensor<?x152xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x1x64x10xf16> -> tensor<?x136xf16>, tensor<?x1xf32>
  return
}

// -----

func.func @maxima(%qkv: tensor<?x128xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.decode_attention' op expects the columns of the maxima (8) to equal the number of KV heads (4)}}
  %o, %m = odyssey.decode_attention %qkv table %t at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 2
      : (tensor<?x128xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x64xf16>, tensor<?x8xf32>
  return
}

// -----

func.func @inputs(%q: tensor<?x64xf16>, %t: tensor<128x8xf32>, %p: tensor<?xi32>, %pages: tensor<1x8xi32>, %kv: memref<5x8x2x4x64x10xf16>, %layer: i32) {
  // expected-error@+1 {{'odyssey.decode_attention' op expects queries, keys and values as one or three tensors, got 2}}
  %o, %m = odyssey.decode_attention %q, %q table %t at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35 splits 2
      : (tensor<?x64xf16>, tensor<?x64xf16>), tensor<128x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<1x8xi32>, memref<5x8x2x4x64x10xf16> -> tensor<?x64xf16>, tensor<?x4xf32>
  return
}

// -----

func.func @quantize(%x: tensor<4x64xf16>, %m: tensor<3x4xf32>) {
  // expected-error@+1 {{'odyssey.quantize' op expects the rows of the maxima (3) to equal the rows of x (4)}}
  %q, %s = odyssey.quantize %x maxima %m : tensor<4x64xf16>, tensor<3x4xf32> -> tensor<4x64xi8>, tensor<4xf32>
  return
}

// -----

func.func @no_schedule(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<128x64xi4>, %s: tensor<128xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects a schedule of path wgmma without ctas, stream_k and multicast with maxima}}
  %y, %m = odyssey.matmul %x scale %xs, %w scale %s : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>)
      -> (tensor<?x128xf16>, tensor<?x4xf32>)
  return
}

// -----

func.func @columns(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<132x64xi4>, %s: tensor<132xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the columns of the maxima (4) to equal the warps of a row of tiles (8)}}
  %y, %m = odyssey.matmul %x scale %xs, %w scale %s
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<132x64xi4>, tensor<132xf32>) -> (tensor<?x132xf16>, tensor<?x4xf32>)
  return
}

// -----

func.func @channels(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<130x64xi4>, %s: tensor<130xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects N of a multiple of 4 with maxima, got 130}}
  %y, %m = odyssey.matmul %x scale %xs, %w scale %s
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<130x64xi4>, tensor<130xf32>) -> (tensor<?x130xf16>, tensor<?x8xf32>)
  return
}

// -----

func.func @norm_without_maxima(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<128x64xi4>, %s: tensor<128xf32>, %g: tensor<128xf16>) {
  // expected-error@+1 {{'odyssey.matmul' op expects maxima and no silu_mul with the weights of a norm}}
  %y = odyssey.matmul %x scale %xs, %w scale %s norm %g
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<128xf16>) -> tensor<?x128xf16>
  return
}

// -----

func.func @norm_of_another_size(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<128x64xi4>, %s: tensor<128xf32>, %g: tensor<64xf16>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the size of the norm's weights (64) to equal the result's columns (128)}}
  %y, %m = odyssey.matmul %x scale %xs, %w scale %s norm %g
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<64xf16>) -> (tensor<?x128xf16>, tensor<?x4x2xf32>)
  return
}

// -----

func.func @norm_and_maxima_alone(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<128x64xi4>, %s: tensor<128xf32>, %g: tensor<128xf16>) {
  // expected-error@+1 {{'odyssey.matmul' op expects maxima of [tokens, warps, 2] with the weights of a norm, got 'tensor<?x4xf32>'}}
  %y, %m = odyssey.matmul %x scale %xs, %w scale %s norm %g
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>, tensor<128xf16>) -> (tensor<?x128xf16>, tensor<?x4xf32>)
  return
}

// -----

func.func @pairs_without_norm(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<128x64xi4>, %s: tensor<128xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects maxima of [tokens, warps] without the weights of a norm, got 'tensor<?x4x2xf32>'}}
  %y, %m = odyssey.matmul %x scale %xs, %w scale %s
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<128x64xi4>, tensor<128xf32>) -> (tensor<?x128xf16>, tensor<?x4x2xf32>)
  return
}

// -----

func.func @few_statistics(%x: tensor<?x80xf16>, %w: tensor<80xf16>, %m: tensor<?x2x2xf32>) {
  // expected-error@+1 {{'odyssey.rms_norm_quantize' op expects statistics of [tokens, columns, 2], with a column for every 32 of the 80 of x, got 'tensor<?x2x2xf32>'}}
  %q, %s = odyssey.rms_norm_quantize %x, %w statistics %m epsilon = 1.0e-5
      : tensor<?x80xf16>, tensor<80xf16>, tensor<?x2x2xf32> -> tensor<?x80xi8>, tensor<?xf32>
  return
}

// -----

func.func @statistics_of_other_rows(%x: tensor<4x64xf16>, %w: tensor<64xf16>, %m: tensor<3x2x2xf32>) {
  // expected-error@+1 {{'odyssey.rms_norm_quantize' op expects the rows of the statistics (3) to equal the rows of x (4)}}
  %q, %s = odyssey.rms_norm_quantize %x, %w statistics %m epsilon = 1.0e-5
      : tensor<4x64xf16>, tensor<64xf16>, tensor<3x2x2xf32> -> tensor<4x64xi8>, tensor<4xf32>
  return
}

// RUN: odyssey-opt %s --split-input-file --verify-diagnostics

// C7
func.func @group_size(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4>, %ws: tensor<64xf32>, %m: tensor<64x2xi8>) {
  // expected-error@+1 {{'odyssey.matmul' op expects groups of 32, 64 or 128 input channels, got 16}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 16
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>, tensor<64x2xi8>) -> tensor<?x64xf16>
  return
}

// -----

// C7
func.func @multiplier_rows(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4>, %ws: tensor<64xf32>, %m: tensor<32x2xi8>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the multipliers' rows (32) to equal N of the weights (64)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 32
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>, tensor<32x2xi8>) -> tensor<?x64xf16>
  return
}

// -----

// C7
func.func @multiplier_columns(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4>, %ws: tensor<64xf32>, %m: tensor<64x3xi8>) {
  // expected-error@+1 {{'odyssey.matmul' op expects the multipliers' columns (3) to equal the groups of K (2)}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 32
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>, tensor<64x3xi8>) -> tensor<?x64xf16>
  return
}

// -----

// C7
func.func @size_without_multipliers(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4>, %ws: tensor<64xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects group_size and multipliers together}}
  %y = odyssey.matmul %x scale %s, %w scale %ws {group_size = 32 : i32}
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  return
}

// -----

// C8
func.func @offset_missing(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>, %m: tensor<64x2xi8>) {
  // expected-error@+1 {{'odyssey.matmul' op expects weights with groups to be packed with offset 8, got 0}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 32
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>, tensor<64x2xi8>) -> tensor<?x64xf16>
  return
}

// -----

// C8
func.func @offset_without_groups(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, %ws: tensor<64xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects weights without groups to be packed with offset 0, got 8}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, tensor<64xf32>) -> tensor<?x64xf16>
  return
}

// -----

// C9
func.func @encoding_size(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, %ws: tensor<64xf32>, %m: tensor<64x2xi8, #fastgemm.multipliers<channels = 64, group = 64>>) {
  // expected-error@+1 {{'odyssey.matmul' op expects multipliers without encoding or with #fastgemm.multipliers of the group size and the weights' panels, got #fastgemm.multipliers<channels = 64, group = 64>}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 32
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, tensor<64xf32>, tensor<64x2xi8, #fastgemm.multipliers<channels = 64, group = 64>>) -> tensor<?x64xf16>
  return
}

// -----

// C9
func.func @encoding_panels(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, %ws: tensor<64xf32>, %m: tensor<64x2xi8, #fastgemm.multipliers<channels = 32, group = 32>>) {
  // expected-error@+1 {{'odyssey.matmul' op expects multipliers without encoding or with #fastgemm.multipliers of the group size and the weights' panels, got #fastgemm.multipliers<channels = 32, group = 32>}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 32
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, tensor<64xf32>, tensor<64x2xi8, #fastgemm.multipliers<channels = 32, group = 32>>) -> tensor<?x64xf16>
  return
}

// -----

// C9
func.func @encoding_alone(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, %ws: tensor<64xf32>, %m: tensor<64x2xi8, #fastgemm.rows<stride = 64>>) {
  // expected-error@+1 {{'odyssey.matmul' op expects multipliers without encoding or with #fastgemm.multipliers of the group size and the weights' panels, got #fastgemm.rows<stride = 64>}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 32
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, tensor<64xf32>, tensor<64x2xi8, #fastgemm.rows<stride = 64>>) -> tensor<?x64xf16>
  return
}

// -----

// C10
func.func @wgmma(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi4>, %ws: tensor<64xf32>, %m: tensor<64x2xi8>) {
  // expected-error@+1 {{'odyssey.matmul' op expects a schedule of path mma_sync for a product with groups}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 32
      schedule <path = wgmma, channels = 128, tokens = 16, k = 128, channel_warps = 4, token_warps = 1, stages = 4>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>, tensor<64x2xi8>) -> tensor<?x64xf16>
  return
}

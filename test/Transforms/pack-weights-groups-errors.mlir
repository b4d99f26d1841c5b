// RUN: odyssey-opt %s --odyssey-pack-weights --split-input-file --verify-diagnostics

func.func @with_and_without(%x: tensor<?x64xi8>, %s: tensor<?xf32>) {
  // expected-error@+1 {{'odyssey.weight' op of 4 bits is used by products with and without groups}}
  %w = odyssey.weight "w" : tensor<64x64xi4>
  %ws = odyssey.weight "s" : tensor<64xf32>
  %m = odyssey.weight "m" : tensor<64x1xi8>
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 64 : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>, tensor<64x1xi8>) -> tensor<?x64xf16>
  %z = odyssey.matmul %x scale %s, %w scale %ws : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  return
}

// -----

func.func @multipliers_as_argument(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %m: tensor<64x1xi8>) {
  %w = odyssey.weight "w" : tensor<64x64xi4>
  %ws = odyssey.weight "s" : tensor<64xf32>
  // expected-error@+1 {{'odyssey.matmul' op expects multipliers by name}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 64 : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>, tensor<64x1xi8>) -> tensor<?x64xf16>
  return
}

// -----

// A schedule by hand makes the panels of one of the weights wider.
func.func @two_panels(%x: tensor<?x64xi8>, %s: tensor<?xf32>) {
  %v = odyssey.weight "v" : tensor<64x64xi4>
  %w = odyssey.weight "w" : tensor<64x64xi4>
  %ws = odyssey.weight "s" : tensor<64xf32>
  %m = odyssey.weight "m" : tensor<64x1xi8>
  %y = odyssey.matmul %x scale %s, %v scale %ws groups %m of 64 : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>, tensor<64x1xi8>) -> tensor<?x64xf16>
  // expected-error@+1 {{'odyssey.matmul' op expects multipliers for groups of 64 in panels of 128 channels, got #fastgemm.multipliers<channels = 64, group = 64>}}
  %z = odyssey.matmul %x scale %s, %w scale %ws groups %m of 64
      schedule <path = mma_sync, channels = 128, tokens = 8, k = 64, channel_warps = 4, token_warps = 1, stages = 2> : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>, tensor<64x1xi8>) -> tensor<?x64xf16>
  return
}

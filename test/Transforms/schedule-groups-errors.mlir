// RUN: odyssey-opt %s --odyssey-schedule="target=sm_80" --verify-diagnostics

// The stages' multipliers count: 6 stages of 128 x 128 / 2 + 152 x 128 bytes are
// 165888 without them, which sm_80 has.

func.func @product(%x: tensor<?x1024xi8>, %xs: tensor<?xf32>) -> tensor<?x128xf16> {
  %w = odyssey.weight "w" : tensor<128x1024xi4>
  %ws = odyssey.weight "s" : tensor<128xf32>
  %m = odyssey.weight "m" : tensor<128x32xi8>
  %z = odyssey.matmul %x scale %xs, %w scale %ws
      schedule <path = mma_sync, channels = 128, tokens = 152, k = 128, channel_warps = 4, token_warps = 1, stages = 6>
      : (tensor<?x1024xi8>, tensor<?xf32>, tensor<128x1024xi4>, tensor<128xf32>) -> tensor<?x128xf16>
  // expected-error@+1 {{expects a schedule that needs at most 166912 bytes of shared memory on sm_80, got 167424}}
  %y = odyssey.matmul %x scale %xs, %w scale %ws groups %m of 32
      schedule <path = mma_sync, channels = 128, tokens = 152, k = 128, channel_warps = 4, token_warps = 1, stages = 6>
      : (tensor<?x1024xi8>, tensor<?xf32>, tensor<128x1024xi4>, tensor<128xf32>, tensor<128x32xi8>) -> tensor<?x128xf16>
  return %y : tensor<?x128xf16>
}

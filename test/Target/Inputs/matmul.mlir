// One activation, multiplied by schedules that are written down: for few tokens and
// for many.
func.func @few(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %w = odyssey.weight "w" : tensor<4096x4096xi4>
  %ws = odyssey.weight "w_scale" : tensor<4096xf32>
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = mma_sync, channels = 64, tokens = 8, k = 128, channel_warps = 2, token_warps = 1, stages = 6>
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<4096x4096xi4>, tensor<4096xf32>) -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

func.func @many(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %w = odyssey.weight "w" : tensor<4096x4096xi4>
  %ws = odyssey.weight "w_scale" : tensor<4096xf32>
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = mma_sync, channels = 128, tokens = 128, k = 128, channel_warps = 4, token_warps = 2, stages = 3>
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<4096x4096xi4>, tensor<4096xf32>) -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

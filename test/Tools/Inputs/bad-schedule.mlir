func.func @main(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> tensor<?x64xf16> {
  %w = odyssey.weight "w" : tensor<64x64xi4>
  %ws = odyssey.weight "w_scale" : tensor<64xf32>
  %y = odyssey.matmul %x scale %s, %w scale %ws
      schedule <path = mma_sync, channels = 64, tokens = 8, k = 128, channel_warps = 2, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

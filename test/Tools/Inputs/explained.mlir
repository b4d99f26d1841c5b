// Two products: one to choose for, one with a schedule by hand.
func.func @main(%x: tensor<?x4096xf16>) -> (tensor<?x4096xf16>, tensor<?x512xf16>) {
  %w = odyssey.weight "chosen" : tensor<4096x4096xi4>
  %ws = odyssey.weight "chosen_scale" : tensor<4096xf32>
  %v = odyssey.weight "by_hand" : tensor<512x4096xi4>
  %vs = odyssey.weight "by_hand_scale" : tensor<512xf32>
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<4096x4096xi4>, tensor<4096xf32>) -> tensor<?x4096xf16>
  %z = odyssey.matmul %q scale %s, %v scale %vs
      schedule <path = mma_sync, channels = 32, tokens = 24, k = 64, channel_warps = 1, token_warps = 3, stages = 5>
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<512x4096xi4>, tensor<512xf32>) -> tensor<?x512xf16>
  return %y, %z : tensor<?x4096xf16>, tensor<?x512xf16>
}

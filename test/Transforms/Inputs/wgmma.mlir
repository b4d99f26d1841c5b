// A product whose schedule, written by hand, takes the path wgmma.
func.func @product(%x: tensor<?x192xf16>) -> tensor<?x128xf16> {
  %w = odyssey.weight "w" : tensor<128x192xi4>
  %ws = odyssey.weight "s" : tensor<128xf32>
  %q, %s = odyssey.quantize %x : tensor<?x192xf16> -> tensor<?x192xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 3, split_k = 2>
      : (tensor<?x192xi8>, tensor<?xf32>, tensor<128x192xi4>, tensor<128xf32>) -> tensor<?x128xf16>
  return %y : tensor<?x128xf16>
}

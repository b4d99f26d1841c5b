// A linear layer for few tokens, before quantization.
func.func @main(%x: tensor<8x4096xf16>) -> tensor<8x128xf16> {
  %w = odyssey.weight "w" : tensor<128x4096xf16>
  %y = odyssey.linear %x, %w
      schedule <path = mma_sync, channels = 64, tokens = 8, k = 128, channel_warps = 2, token_warps = 1, stages = 4>
      : (tensor<8x4096xf16>, tensor<128x4096xf16>) -> tensor<8x128xf16>
  return %y : tensor<8x128xf16>
}

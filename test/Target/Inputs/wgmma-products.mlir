// A product of many tokens and one of few, as they are scheduled on an H200; two whose
// CTAs share the sums of all tiles, of two and of one consumer warpgroup; one whose
// CTAs share activations; and one of three consumer warpgroups.

func.func @many(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %w = odyssey.weight "w" : tensor<4096x4096xi4>
  %ws = odyssey.weight "s" : tensor<4096xf32>
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = wgmma, channels = 256, tokens = 128, k = 128, channel_warps = 8, token_warps = 1, stages = 5, ctas = 132>
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<4096x4096xi4>, tensor<4096xf32>) -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

func.func @few(%x: tensor<?x4096xf16>) -> tensor<?x4096xf16> {
  %w = odyssey.weight "w" : tensor<4096x4096xi4>
  %ws = odyssey.weight "s" : tensor<4096xf32>
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 6, split_k = 4>
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<4096x4096xi4>, tensor<4096xf32>) -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

func.func @shared_wide(%x: tensor<?x11008xf16>) -> tensor<?x4096xf16> {
  %w = odyssey.weight "w" : tensor<4096x11008xi4>
  %ws = odyssey.weight "s" : tensor<4096xf32>
  %q, %s = odyssey.quantize %x : tensor<?x11008xf16> -> tensor<?x11008xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = wgmma, channels = 256, tokens = 128, k = 128, channel_warps = 8, token_warps = 1, stages = 5, stream_k = 128>
      : (tensor<?x11008xi8>, tensor<?xf32>, tensor<4096x11008xi4>, tensor<4096xf32>) -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

func.func @shared(%x: tensor<?x11008xf16>) -> tensor<?x4096xf16> {
  %w = odyssey.weight "w" : tensor<4096x11008xi4>
  %ws = odyssey.weight "s" : tensor<4096xf32>
  %q, %s = odyssey.quantize %x : tensor<?x11008xf16> -> tensor<?x11008xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = wgmma, channels = 128, tokens = 128, k = 128, channel_warps = 4, token_warps = 1, stages = 6, stream_k = 128>
      : (tensor<?x11008xi8>, tensor<?xf32>, tensor<4096x11008xi4>, tensor<4096xf32>) -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

func.func @sharing_activations(%x: tensor<?x4096xf16>) -> tensor<?x12288xf16> {
  %w = odyssey.weight "w" : tensor<12288x4096xi4>
  %ws = odyssey.weight "s" : tensor<12288xf32>
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = wgmma, channels = 256, tokens = 144, k = 128, channel_warps = 8, token_warps = 1, stages = 5, ctas = 132, multicast = 2>
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<12288x4096xi4>, tensor<12288xf32>) -> tensor<?x12288xf16>
  return %y : tensor<?x12288xf16>
}

func.func @three(%x: tensor<?x4096xf16>) -> tensor<?x12288xf16> {
  %w = odyssey.weight "w" : tensor<12288x4096xi4>
  %ws = odyssey.weight "s" : tensor<12288xf32>
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = wgmma, channels = 384, tokens = 80, k = 128, channel_warps = 12, token_warps = 1, stages = 5, ctas = 132>
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<12288x4096xi4>, tensor<12288xf32>) -> tensor<?x12288xf16>
  return %y : tensor<?x12288xf16>
}

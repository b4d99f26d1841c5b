// RUN: odyssey-opt %s --split-input-file --verify-diagnostics --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm))'

gpu.module @kernels {
  odyssey.kernel @no_schedule(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    // expected-error@+1 {{'odyssey.matmul' op expects a schedule (run odyssey-schedule)}}
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @wgmma_panels(%x: tensor<?x64xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    // expected-error@+1 {{'odyssey.matmul' op expects weights packed in panels of 128 channels on the path wgmma, got 64}}
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
        : (tensor<?x64xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @wgmma_split(%x: tensor<?x64xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 128>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    // expected-error@+1 {{'odyssey.matmul' op expects split_k to be at most the 1 stages of K, got 2}}
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2, split_k = 2>
        : (tensor<?x64xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 128>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @wgmma_rows(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 128>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    // expected-error@+1 {{'odyssey.matmul' op expects activations swizzled in tiles of 8 tokens on the path wgmma}}
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 128>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @not_packed(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<64x64xi4>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    // expected-error@+1 {{'odyssey.matmul' op expects packed weights (run odyssey-pack-weights)}}
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @stride(%x: tensor<?x172xi8, #fastgemm.rows<stride = 256>>, %xs: tensor<?xf32>, %w: tensor<64x172xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    // expected-error@+1 {{'odyssey.matmul' op expects activations with a row stride of 192 bytes, got 256}}
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x172xi8, #fastgemm.rows<stride = 256>>, tensor<?xf32>, tensor<64x172xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @depth(%x: tensor<?x172xi8, #fastgemm.rows<stride = 192>>, %xs: tensor<?xf32>, %w: tensor<64x172xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    // expected-error@+1 {{'odyssey.matmul' op expects the schedule's k (128) to divide the padded K (192)}}
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 128, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x172xi8, #fastgemm.rows<stride = 192>>, tensor<?xf32>, tensor<64x172xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @channels(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<192x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<192xf32>) -> tensor<?x192xf16> attributes {kind = "matmul"} {
    // expected-error@+1 {{'odyssey.matmul' op expects the schedule's channels (128) to divide the padded N (192)}}
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 128, tokens = 8, k = 64, channel_warps = 4, token_warps = 1, stages = 2>
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<192x64xi4, #fastgemm.packed<channels = 64>>, tensor<192xf32>) -> tensor<?x192xf16>
    odyssey.return %y : tensor<?x192xf16>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @split_k(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    // expected-error@+1 {{'odyssey.matmul' op expects split_k (2) of at most the number of stages that K has (1)}}
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2, split_k = 2>
        : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @linear_no_schedule(%x: tensor<?x64xf16>, %w: tensor<32x64xf16>) -> tensor<?x32xf32> attributes {kind = "lm_head"} {
    // expected-error@+1 {{'odyssey.linear' op expects a schedule (run odyssey-schedule)}}
    %y = odyssey.linear %x, %w keep : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf32>
    odyssey.return %y : tensor<?x32xf32>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @linear_depth(%x: tensor<?x128xf16>, %w: tensor<32x128xf16>) -> tensor<?x32xf32> attributes {kind = "lm_head"} {
    // expected-error@+1 {{'odyssey.linear' op expects a schedule of path mma_sync with k = 64, without split_k and stream_k}}
    %y = odyssey.linear %x, %w keep
        schedule <path = mma_sync, channels = 32, tokens = 8, k = 128, channel_warps = 1, token_warps = 1, stages = 2>
        : (tensor<?x128xf16>, tensor<32x128xf16>) -> tensor<?x32xf32>
    odyssey.return %y : tensor<?x32xf32>
  }
}

// -----

// Copies take 16 bytes: rows of 60 halves are not aligned to that.
gpu.module @kernels {
  odyssey.kernel @linear_k(%x: tensor<?x60xf16>, %w: tensor<32x60xf16>) -> tensor<?x32xf32> attributes {kind = "lm_head"} {
    // expected-error@+1 {{'odyssey.linear' op expects K to be a multiple of 8, got 60}}
    %y = odyssey.linear %x, %w keep
        schedule <path = mma_sync, channels = 32, tokens = 8, k = 64, channel_warps = 1, token_warps = 1, stages = 2>
        : (tensor<?x60xf16>, tensor<32x60xf16>) -> tensor<?x32xf32>
    odyssey.return %y : tensor<?x32xf32>
  }
}

// -----

gpu.module @kernels {
  odyssey.kernel @unknown(%x: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"} {
    // expected-error@+1 {{'arith.negf' op has no kernel}}
    %y = arith.negf %x : tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

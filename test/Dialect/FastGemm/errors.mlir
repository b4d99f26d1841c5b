// RUN: odyssey-opt %s --split-input-file --verify-diagnostics

// expected-error@+1 {{expects 1 to 32 warps, got 8 x 8}}
func.func private @warps() attributes {s = #fastgemm.schedule<path = mma_sync, channels = 256, tokens = 64, k = 64, channel_warps = 8, token_warps = 8, stages = 4>}

// -----

// expected-error@+1 {{expects channels to be a multiple of 32 per channel warp (128), got 64}}
func.func private @channels() attributes {s = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 4, token_warps = 1, stages = 4>}

// -----

// expected-error@+1 {{expects tokens to be a multiple of 8 per token warp (16), got 8}}
func.func private @tokens() attributes {s = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 2, stages = 4>}

// -----

// expected-error@+1 {{expects k to be a multiple of 64, got 96}}
func.func private @depth() attributes {s = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 96, channel_warps = 2, token_warps = 1, stages = 4>}

// -----

// expected-error@+1 {{expects 2 to 8 stages, got 1}}
func.func private @stages() attributes {s = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 1>}

// -----

// expected-error@+1 {{expects split_k to be at least 1, got 0}}
func.func private @split() attributes {s = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2, split_k = 0>}

// -----

// expected-error@+1 {{expects stream_k to be at least 0, got -1}}
func.func private @stream() attributes {s = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2, stream_k = -1>}

// -----

// expected-error@+1 {{expects at most one of split_k (2) and stream_k (216)}}
func.func private @split_and_stream() attributes {s = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2, split_k = 2, stream_k = 216>}

// -----

// expected-error@+1 {{expects channels to be a multiple of 32, got 48}}
func.func private @panel(tensor<192x64xi4, #fastgemm.packed<channels = 48>>)

// -----

// expected-error@+1 {{expects elements of type i4 or i8, got 'i16'}}
func.func private @packed_type(tensor<192x64xi16, #fastgemm.packed<channels = 64>>)

// -----

// expected-error@+1 {{expects an offset of 0 for elements of type i8, got 8}}
func.func private @packed_bytes(tensor<192x64xi8, #fastgemm.packed<channels = 64, offset = 8>>)

// -----

// expected-error@+1 {{expects a matrix, got a tensor of rank 1}}
func.func private @packed_rank(tensor<192xi4, #fastgemm.packed<channels = 64>>)

// -----

// expected-error@+1 {{expects a stride of at least the 172 elements of a row, got 128}}
func.func private @stride(tensor<?x172xi8, #fastgemm.rows<stride = 128>>)

// -----

// expected-error@+1 {{expects stride to be a multiple of 64, got 100}}
func.func private @unaligned(tensor<?x72xi8, #fastgemm.rows<stride = 100>>)

// -----

// expected-error@+1 {{expects a block of 32 to 1024 threads in whole warps, got 100}}
func.func private @block() attributes {l = #fastgemm.launch<grid = [1, 1, 1], per_tokens = [0, 0, 0], block = 100, shared_bytes = 0>}

// -----

gpu.module @kernels {
  gpu.func @copy(%s: !llvm.ptr<3>, %g: !llvm.ptr<1>) {
    // expected-error@+1 {{'fastgemm.async_copy' op expects to copy 4, 8 or 16 bytes, got 12}}
    fastgemm.async_copy %s, %g, 12 : !llvm.ptr<3>, !llvm.ptr<1>
    gpu.return
  }
}

// -----

// expected-error@+1 {{expects three grid dimensions}}
func.func private @grid_rank() attributes {l = #fastgemm.launch<grid = [1, 1], per_tokens = [0, 0, 0], block = 32, shared_bytes = 0>}

// -----

// expected-error@+1 {{expects a positive grid}}
func.func private @grid() attributes {l = #fastgemm.launch<grid = [1, 0, 1], per_tokens = [0, 0, 0], block = 32, shared_bytes = 0>}

// -----

// expected-error@+1 {{expects a size of shared memory, got -1}}
func.func private @shared() attributes {l = #fastgemm.launch<grid = [1, 1, 1], per_tokens = [0, 0, 0], block = 32, shared_bytes = -1>}

// -----

// expected-error@+1 {{expects a size of scratch memory, got -16}}
func.func private @scratch() attributes {l = #fastgemm.launch<grid = [1, 1, 1], per_tokens = [0, 0, 0], block = 32, shared_bytes = 0, scratch_bytes = -16>}

// -----

// expected-error@+1 {{expects 4 x 1, 8 x 1 or 12 x 1 warps on the path wgmma, got 2 x 1}}
func.func private @wgmma_warps() attributes {a = #fastgemm.schedule<path = wgmma, channels = 64, tokens = 8, k = 128, channel_warps = 2, token_warps = 1, stages = 4>}

// -----

// expected-error@+1 {{expects 4 x 1, 8 x 1 or 12 x 1 warps on the path wgmma, got 4 x 2}}
func.func private @wgmma_token_warps() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 16, k = 128, channel_warps = 4, token_warps = 2, stages = 4>}

// -----

// expected-error@+1 {{expects 32 channels per warp on the path wgmma (128), got 256}}
func.func private @wgmma_channels() attributes {a = #fastgemm.schedule<path = wgmma, channels = 256, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 4>}

// -----

// 40 is a multiple of 8, and no width of an integer wgmma.
// expected-error@+1 {{expects tokens to be 8, 24 or a multiple of 16 up to 160 with 4 warps on the path wgmma, got 40}}
func.func private @wgmma_width() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 40, k = 128, channel_warps = 4, token_warps = 1, stages = 4>}

// -----

// expected-error@+1 {{expects tokens to be 8, 24 or a multiple of 16 up to 160 with 4 warps on the path wgmma, got 176}}
func.func private @wgmma_registers() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 176, k = 128, channel_warps = 4, token_warps = 1, stages = 4>}

// -----

// expected-error@+1 {{expects tokens to be 8, 24 or a multiple of 16 up to 80 with 12 warps on the path wgmma, got 96}}
func.func private @wgmma_registers_of_three() attributes {a = #fastgemm.schedule<path = wgmma, channels = 384, tokens = 96, k = 128, channel_warps = 12, token_warps = 1, stages = 3>}

// -----

// expected-error@+1 {{expects multicast of 1 or 2, got 4}}
func.func private @wgmma_multicast() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 64, k = 128, channel_warps = 4, token_warps = 1, stages = 4, multicast = 4>}

// -----

// expected-error@+1 {{expects multicast of 1, or more on the path wgmma without split_k and stream_k, got 2}}
func.func private @wgmma_multicast_split() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 64, k = 128, channel_warps = 4, token_warps = 1, stages = 4, split_k = 2, multicast = 2>}

// -----

// expected-error@+1 {{expects multicast of 1, or more on the path wgmma without split_k and stream_k, got 2}}
func.func private @wgmma_multicast_stream() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 64, k = 128, channel_warps = 4, token_warps = 1, stages = 4, stream_k = 132, multicast = 2>}

// -----

// expected-error@+1 {{expects multicast of 1, or more on the path wgmma without split_k and stream_k, got 2}}
func.func private @mma_sync_multicast() attributes {a = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2, multicast = 2>}

// -----

// expected-error@+1 {{expects ctas to be a multiple of multicast (2), got 131}}
func.func private @wgmma_multicast_ctas() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 64, k = 128, channel_warps = 4, token_warps = 1, stages = 4, ctas = 131, multicast = 2>}

// -----

// expected-error@+1 {{expects k = 128 on the path wgmma, got 64}}
func.func private @wgmma_depth() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 64, channel_warps = 4, token_warps = 1, stages = 4>}

// -----

// expected-error@+1 {{expects split_k of 1 to 8 on the path wgmma, got 16}}
func.func private @wgmma_split() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 4, split_k = 16>}

// -----

// expected-error@+1 {{expects at most one of ctas (132) and stream_k (132)}}
func.func private @persistent_stream() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 4, ctas = 132, stream_k = 132>}

// -----

// expected-error@+1 {{expects at most one of split_k (2) and stream_k (132)}}
func.func private @wgmma_split_and_stream() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 4, split_k = 2, stream_k = 132>}

// -----

// expected-error@+1 {{expects ctas of 0, or more on the path wgmma without split_k, got 132}}
func.func private @wgmma_persistent_split() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 4, split_k = 2, ctas = 132>}

// -----

// expected-error@+1 {{expects ctas of 0, or more on the path wgmma without split_k, got -1}}
func.func private @negative_ctas() attributes {a = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 4, ctas = -1>}

// -----

// expected-error@+1 {{expects ctas of 0, or more on the path wgmma without split_k, got 108}}
func.func private @persistent_mma_sync() attributes {a = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2, ctas = 108>}

// -----

// expected-error@+1 {{expects tokens to be 8, 24 or a multiple of 16 up to 256, got 40}}
func.func private @swizzled_width(tensor<?x64xi8, #fastgemm.swizzled<tokens = 40>>)

// -----

// expected-error@+1 {{expects tokens to be 8, 24 or a multiple of 16 up to 256, got 272}}
func.func private @swizzled_most(tensor<?x64xi8, #fastgemm.swizzled<tokens = 272>>)

// -----

// expected-error@+1 {{expects elements of type i8, got 'f16'}}
func.func private @swizzled_type(tensor<?x64xf16, #fastgemm.swizzled<tokens = 8>>)

// -----

// expected-error@+1 {{expects a matrix, got a tensor of rank 3}}
func.func private @swizzled_rank(tensor<?x2x64xi8, #fastgemm.swizzled<tokens = 8>>)

// -----

// expected-error@+1 {{expects clusters that divide the grid's 6 CTAs, got 4}}
func.func private @cluster() attributes {a = #fastgemm.launch<grid = [6, 1, 1], per_tokens = [0, 0, 0], block = 32, shared_bytes = 0, cluster = 4>}

// -----

// expected-error@+1 {{expects clusters that divide the grid's 6 CTAs, got 0}}
func.func private @no_cluster() attributes {a = #fastgemm.launch<grid = [6, 1, 1], per_tokens = [0, 0, 0], block = 32, shared_bytes = 0, cluster = 0>}

// -----

// expected-error@+1 {{expects cluster, scratch_bytes or counters, got threads}}
func.func private @launch_word() attributes {a = #fastgemm.launch<grid = [6, 1, 1], per_tokens = [0, 0, 0], block = 32, shared_bytes = 0, threads = 4>}

// -----

gpu.module @kernels {
  gpu.func @wgmma_none(%a: vector<4xi32>, %b: i64) {
    // expected-error@+1 {{'fastgemm.wgmma' op expects 1 or 3 accumulators or an even number of them up to 32, got 0}}
    "fastgemm.wgmma"(%a, %b) : (vector<4xi32>, i64) -> ()
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @wgmma_five(%a: vector<4xi32>, %b: i64, %c: vector<4xi32>) {
    // expected-error@+1 {{'fastgemm.wgmma' op expects 1 or 3 accumulators or an even number of them up to 32, got 5}}
    %d:5 = fastgemm.wgmma %a, %b(%c, %c, %c, %c, %c) : vector<4xi32>, i64 -> vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @wgmma_many(%a: vector<4xi32>, %b: i64, %c: vector<4xi32>) {
    // expected-error@+1 {{'fastgemm.wgmma' op expects 1 or 3 accumulators or an even number of them up to 32, got 34}}
    %d:34 = fastgemm.wgmma %a, %b(%c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c, %c) : vector<4xi32>, i64 -> vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>, vector<4xi32>
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @wait_for_nothing() {
    // expected-error@+1 {{'fastgemm.wgmma_wait' op expects accumulators to wait for}}
    "fastgemm.wgmma_wait"() {pending = 0 : i32} : () -> ()
    gpu.return
  }
}

// -----

gpu.module @kernels {
  gpu.func @negative_wait(%c: vector<4xi32>) {
    // expected-error@+1 {{'fastgemm.wgmma_wait' op attribute 'pending' failed to satisfy constraint: 32-bit signless integer attribute whose value is non-negative}}
    %d = fastgemm.wgmma_wait -1(%c) : vector<4xi32>
    gpu.return
  }
}

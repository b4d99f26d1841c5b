// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// A tile of 64 channels x 16 tokens, two warps, stages of 64 k; K = 128 is two tiles.
// A stage is 64 * 64 / 2 + 16 * 64 = 3072 bytes, three of them 9216.

// CHECK: llvm.mlir.global external @odyssey_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
// CHECK-LABEL: gpu.func @structure
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1>, %[[XS:.*]]: !llvm.ptr<1>, %[[W:.*]]: !llvm.ptr<1>, %[[WS:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[M:.*]]: i32) kernel
// CHECK-SAME: fastgemm.launch = #fastgemm.launch<grid = [1, 1, 1], per_tokens = [0, 16, 0], block = 64, shared_bytes = 9216>
// CHECK-SAME: kind = "matmul", known_block_size = array<i32: 64, 1, 1>
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0 : i32
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : i32
// CHECK-DAG: %[[TWO:.*]] = arith.constant 2 : i32
// CHECK-DAG: %[[SIXTEEN:.*]] = arith.constant 16 : i32
// Tokens behind M are read from row 0, of which no byte is valid.
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %{{.*}}, %[[M]] : i32
// CHECK: arith.select %[[INSIDE]], %{{.*}}, %[[ZERO]] : i32
// CHECK: %[[VALID:.*]] = arith.select %[[INSIDE]], %[[SIXTEEN]], %[[ZERO]] : i32
// Two of the three stages are filled before the loop: weights whole, activations
// with a count. Each thread copies 2 x 16 bytes of weights and 16 of activations.
// CHECK-COUNT-2: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 : !llvm.ptr<3>, !llvm.ptr<1>
// CHECK: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 valid %[[VALID]] :
// CHECK: fastgemm.async_commit
// CHECK-COUNT-2: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 : !llvm.ptr<3>, !llvm.ptr<1>
// CHECK: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 valid %[[VALID]] :
// CHECK: fastgemm.async_commit
// CHECK: fastgemm.async_wait 1
// CHECK: gpu.barrier
// The first fragments: per warp 2 blocks of 16 channels and 2 of 8 tokens.
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xi32>
// CHECK: fastgemm.load_matrix
// CHECK: fastgemm.load_matrix
// CHECK: %[[LOOP:.*]]:10 = scf.for %[[TILE:.*]] = %[[ZERO]] to %[[TWO]] step %[[ONE]] iter_args(
// CHECK: %[[AHEAD:.*]] = arith.addi %[[TILE]], %[[TWO]] : i32
// CHECK: %[[MORE:.*]] = arith.cmpi ult, %[[AHEAD]], %[[TWO]] : i32
// CHECK: scf.if %[[MORE]] {
// CHECK-COUNT-3: fastgemm.async_copy
// CHECK: }
// Outside the condition, so that groups and tiles stay in step.
// CHECK-NEXT: fastgemm.async_commit
// CHECK: fastgemm.async_wait 1
// CHECK-NEXT: gpu.barrier
// The next tile's fragments are loaded before this one's products.
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<3> -> vector<4xi32>
// CHECK-COUNT-2: fastgemm.load_matrix
// CHECK-COUNT-1: fastgemm.dequant
// CHECK-COUNT-4: fastgemm.mma_s8
// CHECK-COUNT-1: fastgemm.dequant
// CHECK-COUNT-4: fastgemm.mma_s8
// CHECK-NOT: fastgemm.mma_s8
// CHECK: scf.yield
// CHECK-NOT: gpu.barrier
// Four tokens of four channels each: stores are predicated, and 8 bytes wide.
// CHECK-COUNT-4: llvm.store %{{.*}}, %{{.*}} {alignment = 8 : i64} : vector<4xf16>, !llvm.ptr<1>
// CHECK-NOT: llvm.store
// CHECK: gpu.return
gpu.module @kernels {
  odyssey.kernel @structure(%x: tensor<?x128xi8, #fastgemm.rows<stride = 128>>, %xs: tensor<?xf32>, %w: tensor<64x128xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 16, k = 64, channel_warps = 2, token_warps = 1, stages = 3>
        : (tensor<?x128xi8, #fastgemm.rows<stride = 128>>, tensor<?xf32>, tensor<64x128xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// The epilogue: fp32(acc) * (weight scale / 16) * token scale, left to right, no
// fused multiply-add, then one rounding.

// CHECK-LABEL: gpu.func @epilogue
// CHECK-SAME: %[[X:.*]]: !llvm.ptr<1>, %[[XS:.*]]: !llvm.ptr<1>, %[[W:.*]]: !llvm.ptr<1>, %[[WS:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[M:.*]]: i32
// CHECK: %[[SIXTEENTH:.*]] = arith.constant 6.250000e-02 : f32
// CHECK: fastgemm.mma_s8
// CHECK: %[[CHANNEL_INSIDE:.*]] = arith.cmpi ult, %{{.*}}, %{{.*}} : i32
// CHECK: scf.if %[[CHANNEL_INSIDE]]
// CHECK: %[[TOKEN_INSIDE:.*]] = arith.cmpi ult, %{{.*}}, %[[M]] : i32
// CHECK: scf.if %[[TOKEN_INSIDE]]
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[XS]]
// CHECK: %[[TOKEN_SCALE:.*]] = llvm.load %[[AT]] {alignment = 4 : i64} : !llvm.ptr<1> -> f32
// CHECK: %[[SCALES:.*]] = llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK: %[[SCALE:.*]] = vector.extract %[[SCALES]][0]
// CHECK-DAG: %[[SUM:.*]] = arith.sitofp %{{.*}} : i32 to f32
// CHECK-DAG: %[[WEIGHT_SCALE:.*]] = arith.mulf %[[SCALE]], %[[SIXTEENTH]] : f32
// CHECK: %[[BY_WEIGHT:.*]] = arith.mulf %[[SUM]], %[[WEIGHT_SCALE]] : f32
// CHECK: %[[BY_TOKEN:.*]] = arith.mulf %[[BY_WEIGHT]], %[[TOKEN_SCALE]] : f32
// CHECK: arith.truncf %[[BY_TOKEN]] : f32 to f16
// CHECK-NOT: llvm.intr.fma
gpu.module @kernels {
  odyssey.kernel @epilogue(%x: tensor<?x64xi8, #fastgemm.rows<stride = 64>>, %xs: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// A bias is added in fp32, before the rounding.

// CHECK-LABEL: gpu.func @bias
// CHECK: %[[BIASES:.*]] = llvm.load %{{.*}} {alignment = 8 : i64} : !llvm.ptr<1> -> vector<4xf16>
// CHECK: %[[SCALED:.*]] = arith.mulf
// CHECK: %[[BIAS:.*]] = arith.extf %{{.*}} : f16 to f32
// CHECK: %[[RESULT:.*]] = arith.addf %{{.*}}, %[[BIAS]] : f32
// CHECK: arith.truncf %[[RESULT]] : f32 to f16
gpu.module @kernels {
  odyssey.kernel @bias(%x: tensor<?x64xi8, #fastgemm.rows<stride = 64>>, %xs: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>, %b: tensor<64xf16>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws bias %b
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>, tensor<64xf16>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// A residual is added to the product as fp16 would have stored it.

// CHECK-LABEL: gpu.func @residual
// CHECK-SAME: %[[WS:[a-z0-9]*]]: !llvm.ptr<1>, %[[R:[a-z0-9]*]]: !llvm.ptr<1>, %[[Y:[a-z0-9]*]]: !llvm.ptr<1>, %[[M:[a-z0-9]*]]: i32) kernel
// CHECK: %[[ROW:.*]] = llvm.getelementptr %[[R]]
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[ROW]]
// CHECK: %[[RESIDUALS:.*]] = llvm.load %[[AT]] {alignment = 8 : i64} : !llvm.ptr<1> -> vector<4xf16>
// CHECK: %[[RESIDUAL:.*]] = vector.extract %[[RESIDUALS]][0]
// CHECK: %[[PRODUCT:.*]] = arith.truncf %{{.*}} : f32 to f16
// CHECK: %[[ROUNDED:.*]] = arith.extf %[[PRODUCT]] : f16 to f32
// CHECK: %[[ADDED:.*]] = arith.extf %[[RESIDUAL]] : f16 to f32
// CHECK: %[[RESULT:.*]] = arith.addf %[[ROUNDED]], %[[ADDED]] : f32
// CHECK: arith.truncf %[[RESULT]] : f32 to f16
gpu.module @kernels {
  odyssey.kernel @residual(%x: tensor<?x64xi8, #fastgemm.rows<stride = 64>>, %xs: tensor<?xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>, %r: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws residual %r
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>, tensor<?x64xf16>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// N = 70 is padded to 128 channels, two CTAs of 64; rows of 70 halves are not
// aligned to 8 bytes, so every channel is stored, and checked, for itself.

// CHECK-LABEL: gpu.func @ragged_channels
// CHECK-SAME: grid = [2, 1, 1], per_tokens = [0, 8, 0]
// CHECK: %[[N:.*]] = arith.constant 70 : i32
// CHECK-COUNT-4: llvm.store %{{.*}}, %{{.*}} {alignment = 2 : i64} : f16, !llvm.ptr<1>
// CHECK-NOT: vector<4xf16>
gpu.module @kernels {
  odyssey.kernel @ragged_channels(%x: tensor<?x64xi8, #fastgemm.rows<stride = 64>>, %xs: tensor<?xf32>, %w: tensor<70x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<70xf32>) -> tensor<?x70xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>, tensor<70x64xi4, #fastgemm.packed<channels = 64>>, tensor<70xf32>) -> tensor<?x70xf16>
    odyssey.return %y : tensor<?x70xf16>
  }
}

// -----

// A token count that is known at compile time needs no parameter: the grid is
// ceil(20 / 8) tiles, and comparisons are with the constant.

// CHECK-LABEL: gpu.func @static_tokens
// CHECK-SAME: %[[M:[a-z0-9]*]]: i32) kernel
// CHECK-SAME: grid = [1, 3, 1], per_tokens = [0, 0, 0]
// CHECK: %[[TOKENS:.*]] = arith.constant 20 : i32
// CHECK-NOT: %[[M]]
// CHECK: arith.cmpi ult, %{{.*}}, %[[TOKENS]] : i32
gpu.module @kernels {
  odyssey.kernel @static_tokens(%x: tensor<20x64xi8, #fastgemm.rows<stride = 64>>, %xs: tensor<20xf32>, %w: tensor<64x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<20x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<20x64xi8, #fastgemm.rows<stride = 64>>, tensor<20xf32>, tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<20x64xf16>
    odyssey.return %y : tensor<20x64xf16>
  }
}

// -----

// Fewer tiles of K than stages: what is not there is not copied, but every stage
// closes its group.

// CHECK-LABEL: gpu.func @short_k
// CHECK-COUNT-2: fastgemm.async_copy
// CHECK: fastgemm.async_commit
// CHECK-NEXT: fastgemm.async_commit
// CHECK-NEXT: fastgemm.async_commit
// CHECK-NEXT: fastgemm.async_wait 2
gpu.module @kernels {
  odyssey.kernel @short_k(%x: tensor<?x64xi8, #fastgemm.rows<stride = 64>>, %xs: tensor<?xf32>, %w: tensor<32x64xi4, #fastgemm.packed<channels = 32>>, %ws: tensor<32xf32>) -> tensor<?x32xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 32, tokens = 32, k = 64, channel_warps = 1, token_warps = 2, stages = 4>
        : (tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>, tensor<32x64xi4, #fastgemm.packed<channels = 32>>, tensor<32xf32>) -> tensor<?x32xf16>
    odyssey.return %y : tensor<?x32xf16>
  }
}

// -----

// Stages of 128 k are two sub-steps: twice the fragments, one barrier.

// CHECK-LABEL: gpu.func @two_sub_steps
// CHECK: scf.for
// CHECK-COUNT-1: gpu.barrier
// CHECK-NOT: gpu.barrier
// CHECK: scf.yield
gpu.module @kernels {
  odyssey.kernel @two_sub_steps(%x: tensor<?x256xi8, #fastgemm.rows<stride = 256>>, %xs: tensor<?xf32>, %w: tensor<64x256xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 128, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x256xi8, #fastgemm.rows<stride = 256>>, tensor<?xf32>, tensor<64x256xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// Three CTAs share each tile's sum over K: one or two of its four stages each. A
// CTA's partial sums are 64 x 8 of 4 bytes. Each leaves its own, then one thread
// counts the CTA; the last one adds the others' and goes on with the epilogue.

// CHECK-LABEL: gpu.func @split_k
// CHECK-SAME: %[[M:[a-z0-9]*]]: i32, %[[SCRATCH:[a-z0-9]*]]: !llvm.ptr<1>, %[[COUNTERS:[a-z0-9]*]]: !llvm.ptr<1>) kernel
// CHECK-SAME: #fastgemm.launch<grid = [1, 1, 3], per_tokens = [0, 8, 0], block = 64, shared_bytes = 5120, scratch_bytes = 2048, counters = true>
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : i32
// CHECK-DAG: %[[TWO:.*]] = arith.constant 2 : i32
// CHECK-DAG: %[[THREE:.*]] = arith.constant 3 : i32
// CHECK: %[[CTA:.*]] = nvvm.read.ptx.sreg.ctaid.z
// CHECK: scf.for
// CHECK: fastgemm.mma_s8
// CHECK: llvm.getelementptr %[[SCRATCH]]
// CHECK-COUNT-2: llvm.store %{{.*}}, %{{.*}} {alignment = 16 : i64} : vector<4xi32>, !llvm.ptr<1>
// CHECK-NEXT: gpu.barrier
// CHECK: scf.if
// CHECK: %[[COUNTER:.*]] = llvm.getelementptr %[[COUNTERS]]
// CHECK-NEXT: llvm.fence syncscope("device") acq_rel
// CHECK-NEXT: %[[BEFORE:.*]] = llvm.atomicrmw uinc_wrap %[[COUNTER]], %[[TWO]] syncscope("device") monotonic
// CHECK-NEXT: llvm.fence syncscope("device") acq_rel
// CHECK-NEXT: %[[LAST:.*]] = arith.cmpi eq, %[[BEFORE]], %[[TWO]] : i32
// CHECK: llvm.store %{{.*}} : i32, !llvm.ptr<3>
// CHECK: gpu.barrier
// CHECK: %[[FLAG:.*]] = llvm.load %{{.*}} : !llvm.ptr<3> -> i32
// CHECK: %[[IS_LAST:.*]] = arith.cmpi eq, %[[FLAG]], %[[ONE]] : i32
// CHECK: scf.if %[[IS_LAST]]
// CHECK: scf.for %{{.*}} = %[[ONE]] to %[[THREE]] step %[[ONE]]
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xi32>
// CHECK: scf.yield
// CHECK: llvm.store %{{.*}}, %{{.*}} : vector<4xf16>, !llvm.ptr<1>
gpu.module @kernels {
  odyssey.kernel @split_k(%x: tensor<?x256xi8, #fastgemm.rows<stride = 256>>, %xs: tensor<?xf32>, %w: tensor<64x256xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<64xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2, split_k = 3>
        : (tensor<?x256xi8, #fastgemm.rows<stride = 256>>, tensor<?xf32>, tensor<64x256xi4, #fastgemm.packed<channels = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// Three CTAs walk over the tiles in which their part of all stages lies. A CTA may
// leave the sums of two tiles: twice 64 x 8 of 4 bytes. Shared memory is free for
// the next tile when all threads are done with the one before.

// CHECK-LABEL: gpu.func @stream_k
// CHECK-SAME: #fastgemm.launch<grid = [3, 1, 1], per_tokens = [0, 0, 0], block = 64, shared_bytes = 5120, scratch_bytes = 4096, counters = true>
// CHECK: scf.for
// CHECK: gpu.barrier
// CHECK: fastgemm.async_copy
// CHECK: scf.for
// CHECK: fastgemm.mma_s8
// CHECK: llvm.atomicrmw uinc_wrap
gpu.module @kernels {
  odyssey.kernel @stream_k(%x: tensor<?x256xi8, #fastgemm.rows<stride = 256>>, %xs: tensor<?xf32>, %w: tensor<128x256xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<128xf32>) -> tensor<?x128xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2, stream_k = 3>
        : (tensor<?x256xi8, #fastgemm.rows<stride = 256>>, tensor<?xf32>, tensor<128x256xi4, #fastgemm.packed<channels = 64>>, tensor<128xf32>) -> tensor<?x128xf16>
    odyssey.return %y : tensor<?x128xf16>
  }
}

// -----

// Gate and up interleaved: each product is rounded, then two channels of the
// activation are stored, 4 bytes a thread and token, in rows of 64 halves.

// CHECK-LABEL: gpu.func @silu_mul
// CHECK-SAME: %[[Y:[a-z0-9]*]]: !llvm.ptr<1>, %[[M:[a-z0-9]*]]: i32) kernel
// CHECK: %[[ROW_BYTES:.*]] = arith.constant 128 : i64
// CHECK: fastgemm.mma_s8
// CHECK-COUNT-4: arith.truncf %{{.*}} : f32 to f16
// CHECK: %[[GATE:.*]] = arith.extf %{{.*}} : f16 to f32
// CHECK: %[[UP:.*]] = arith.extf %{{.*}} : f16 to f32
// CHECK: %[[SILU:.*]] = arith.divf %[[GATE]], %{{.*}} : f32
// CHECK: %[[PRODUCT:.*]] = arith.mulf %[[SILU]], %[[UP]] : f32
// CHECK: arith.truncf %[[PRODUCT]] : f32 to f16
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 4 : i64} : vector<2xf16>, !llvm.ptr<1>
// CHECK-NOT: vector<4xf16>
gpu.module @kernels {
  odyssey.kernel @silu_mul(%x: tensor<?x64xi8, #fastgemm.rows<stride = 64>>, %xs: tensor<?xf32>, %w: tensor<128x64xi4, #fastgemm.packed<channels = 64>>, %ws: tensor<128xf32>) -> tensor<?x64xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws silu_mul
        schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 2>
        : (tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>, tensor<128x64xi4, #fastgemm.packed<channels = 64>>, tensor<128xf32>) -> tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

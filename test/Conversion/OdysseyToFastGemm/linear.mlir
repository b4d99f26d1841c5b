// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// One CTA tile is 32 channels x 8 tokens by one warp; a stage holds 64 k of fp16:
// (32 + 8) * 128 = 5120 bytes. Both operands are predicated by rows: N and M.

// CHECK-LABEL: gpu.func @structure
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1>, %[[W:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[M:.*]]: i32) kernel
// CHECK-SAME: grid = [2, 1, 1], per_tokens = [0, 8, 0], block = 32, shared_bytes = 10240
// CHECK-SAME: kind = "lm_head"
// CHECK-DAG: %[[TILES:.*]] = arith.constant 4 : i32
// CHECK: arith.cmpi ult, %{{.*}}, %[[M]] : i32
// CHECK-COUNT-10: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 valid %{{.*}} :
// CHECK: fastgemm.async_commit
// CHECK: scf.for %[[TILE:.*]] = %{{.*}} to %[[TILES]] step %{{.*}} iter_args(
// CHECK: fastgemm.async_wait 0
// CHECK-NEXT: gpu.barrier
// CHECK: scf.if
// CHECK-COUNT-10: fastgemm.async_copy
// CHECK: }
// CHECK-NEXT: fastgemm.async_commit
// Two halves of the stage, groups of 32 k: one load of B feeds 8 tokens for two k16
// steps, one load of A 16 channels for one.
// CHECK: %[[B:.*]] = fastgemm.load_matrix %{{.*}} : !llvm.ptr<3> -> vector<4xi32>
// The four lanes of a row find its greatest magnitude, whose exponent gives the unit.
// CHECK: %[[B0:.*]] = vector.extract %[[B]][0]
// CHECK: arith.maxnumf %{{.*}} : vector<2xf16>
// CHECK-COUNT-2: nvvm.shfl.sync bfly
// CHECK: %[[PAIR:.*]] = llvm.bitcast %[[B0]] : i32 to vector<2xf16>
// CHECK: %[[SHIFTED:.*]] = arith.addf %[[PAIR]], %[[SHIFT:.*]] : vector<2xf16>
// CHECK: arith.subf %[[SHIFTED]], %[[SHIFT]] : vector<2xf16>
// CHECK-COUNT-2: fastgemm.load_matrix %{{.*}} : !llvm.ptr<3> -> vector<4xi32>
// CHECK-COUNT-4: nvvm.shfl.sync bfly
// A group's two products begin with zeros; their sum is added in fp32.
// CHECK: %[[STEP:.*]] = fastgemm.mma_f16 %{{.*}}, %{{.*}}, %[[ZEROS:.*]] : vector<4xi32>, vector<2xi32> -> vector<4xf32>
// CHECK: %[[GROUP:.*]] = fastgemm.mma_f16 %{{.*}}, %{{.*}}, %[[STEP]] :
// CHECK: arith.addf %{{.*}}, %[[GROUP]] : vector<4xf32>
// CHECK: fastgemm.mma_f16 %{{.*}}, %{{.*}}, %[[ZEROS]] :
// CHECK-COUNT-5: fastgemm.mma_f16
// CHECK-NOT: fastgemm.mma_f16
// CHECK: scf.yield
// CHECK-COUNT-2: llvm.store %{{.*}}, %{{.*}} {alignment = 16 : i64} : vector<4xf32>, !llvm.ptr<1>
// CHECK-NOT: llvm.store
gpu.module @kernels {
  odyssey.kernel @structure(%x: tensor<?x256xf16>, %w: tensor<64x256xf16>) -> tensor<?x64xf32> attributes {kind = "lm_head"} {
    %y = odyssey.linear %x, %w keep
        schedule <path = mma_sync, channels = 32, tokens = 8, k = 64, channel_warps = 1, token_warps = 1, stages = 2>
        : (tensor<?x256xf16>, tensor<64x256xf16>) -> tensor<?x64xf32>
    odyssey.return %y : tensor<?x64xf32>
  }
}

// -----

// A result of fp16 is rounded once, from the fp32 sum.

// CHECK-LABEL: gpu.func @half_result
// CHECK: arith.truncf %{{.*}} : f32 to f16
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 8 : i64} : vector<4xf16>, !llvm.ptr<1>
gpu.module @kernels {
  odyssey.kernel @half_result(%x: tensor<?x64xf16>, %w: tensor<32x64xf16>) -> tensor<?x32xf16> attributes {kind = "lm_head"} {
    %y = odyssey.linear %x, %w keep
        schedule <path = mma_sync, channels = 32, tokens = 8, k = 64, channel_warps = 1, token_warps = 1, stages = 2>
        : (tensor<?x64xf16>, tensor<32x64xf16>) -> tensor<?x32xf16>
    odyssey.return %y : tensor<?x32xf16>
  }
}

// -----

// N = 49155 and K = 72 divide nothing: rows behind N and chunks behind K read 0
// bytes, and every channel is stored for itself.

// CHECK-LABEL: gpu.func @ragged
// CHECK-SAME: grid = [1537, 1, 1]
// CHECK-DAG: %[[N:.*]] = arith.constant 49155 : i32
// CHECK-DAG: %[[CHUNKS:.*]] = arith.constant 9 : i32
// CHECK: arith.cmpi ult, %{{.*}}, %[[N]] : i32
// CHECK: arith.cmpi ult, %{{.*}}, %[[CHUNKS]] : i32
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 4 : i64} : f32, !llvm.ptr<1>
// CHECK-NOT: llvm.store {{.*}} : vector<4xf32>
gpu.module @kernels {
  odyssey.kernel @ragged(%x: tensor<?x72xf16>, %w: tensor<49155x72xf16>) -> tensor<?x49155xf32> attributes {kind = "lm_head"} {
    %y = odyssey.linear %x, %w keep
        schedule <path = mma_sync, channels = 32, tokens = 8, k = 64, channel_warps = 1, token_warps = 1, stages = 2>
        : (tensor<?x72xf16>, tensor<49155x72xf16>) -> tensor<?x49155xf32>
    odyssey.return %y : tensor<?x49155xf32>
  }
}

// -----

// A bias is added in fp32, to the channels that are stored.

// CHECK-LABEL: gpu.func @bias
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1>, %[[W:.*]]: !llvm.ptr<1>, %[[B:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[M:.*]]: i32) kernel
// CHECK: scf.if
// CHECK: %[[ADDRESS:.*]] = llvm.getelementptr %[[B]]
// CHECK: %[[HALF:.*]] = llvm.load %[[ADDRESS]] {alignment = 2 : i64} : !llvm.ptr<1> -> f16
// CHECK: %[[BIAS:.*]] = arith.extf %[[HALF]] : f16 to f32
// CHECK: %[[SUM:.*]] = arith.addf %{{.*}}, %[[BIAS]] : f32
// CHECK: arith.truncf %[[SUM]] : f32 to f16
gpu.module @kernels {
  odyssey.kernel @bias(%x: tensor<?x64xf16>, %w: tensor<32x64xf16>, %b: tensor<32xf16>) -> tensor<?x32xf16> attributes {kind = "lm_head"} {
    %y = odyssey.linear %x, %w bias %b keep
        schedule <path = mma_sync, channels = 32, tokens = 8, k = 64, channel_warps = 1, token_warps = 1, stages = 2>
        : (tensor<?x64xf16>, tensor<32x64xf16>, tensor<32xf16>) -> tensor<?x32xf16>
    odyssey.return %y : tensor<?x32xf16>
  }
}

// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// One CTA a token; a row of 64 halves is 8 pieces of 16 bytes.

// CHECK-LABEL: gpu.func @embedding
// CHECK-SAME: (%[[IDS:.*]]: !llvm.ptr<1>, %[[TABLE:.*]]: !llvm.ptr<1>, %[[X:.*]]: !llvm.ptr<1>, %{{.*}}: i32) kernel
// CHECK-SAME: grid = [1, 1, 1], per_tokens = [1, 0, 0], block = 32, shared_bytes = 0
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[IDS]]
// CHECK: %[[ID:.*]] = llvm.load %[[AT]] {alignment = 4 : i64} : !llvm.ptr<1> -> i32
// CHECK: %[[ROW:.*]] = arith.extui %[[ID]] : i32 to i64
// CHECK: %[[BYTES:.*]] = arith.muli %[[ROW]], %{{.*}} : i64
// CHECK: llvm.getelementptr %[[TABLE]][%[[BYTES]]]
// CHECK: scf.for
// CHECK: %[[PIECE:.*]] = llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<8xf16>
// CHECK: llvm.store %[[PIECE]], %{{.*}} {alignment = 16 : i64}
gpu.module @kernels {
  odyssey.kernel @embedding(%ids: tensor<?xi32>, %table: tensor<512x64xf16>) -> tensor<?x64xf16> attributes {kind = "embedding"} {
    %x = odyssey.embedding %ids, %table : (tensor<?xi32>, tensor<512x64xf16>) -> tensor<?x64xf16>
    odyssey.return %x : tensor<?x64xf16>
  }
}

// -----

// Rows of 6 halves are only divisible into pieces of 4 bytes.

// CHECK-LABEL: gpu.func @narrow_rows
// CHECK: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<1> -> vector<2xf16>
gpu.module @kernels {
  odyssey.kernel @narrow_rows(%ids: tensor<?xi32>, %table: tensor<512x6xf16>) -> tensor<?x6xf16> attributes {kind = "embedding"} {
    %x = odyssey.embedding %ids, %table : (tensor<?xi32>, tensor<512x6xf16>) -> tensor<?x6xf16>
    odyssey.return %x : tensor<?x6xf16>
  }
}

// -----

// The state is an operand; there is no result.

// CHECK-LABEL: gpu.func @store_rows
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1>, %[[STATE:.*]]: !llvm.ptr<1>, %{{.*}}: i32) kernel
// CHECK-SAME: per_tokens = [1, 0, 0]
// CHECK: llvm.getelementptr %[[X]]
// CHECK: llvm.getelementptr %[[STATE]]
// CHECK: llvm.store
gpu.module @kernels {
  odyssey.kernel @store_rows(%x: tensor<?x64xf16>, %state: memref<128x64xf16>) attributes {kind = "embedding"} {
    odyssey.store_rows %x, %state : tensor<?x64xf16>, memref<128x64xf16>
    odyssey.return
  }
}

// -----

// CHECK-LABEL: gpu.func @gather_rows
// CHECK-SAME: (%[[STATE:.*]]: !llvm.ptr<1>, %[[ROWS:.*]]: !llvm.ptr<1>, %[[X:.*]]: !llvm.ptr<1>, %{{.*}}: i32) kernel
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[ROWS]]
// CHECK: llvm.load %[[AT]] {alignment = 4 : i64} : !llvm.ptr<1> -> i32
// CHECK: llvm.getelementptr %[[STATE]]
// CHECK: llvm.getelementptr %[[X]]
gpu.module @kernels {
  odyssey.kernel @gather_rows(%state: memref<128x64xf16>, %rows: tensor<?xi32>) -> tensor<?x64xf16> attributes {kind = "embedding"} {
    %x = odyssey.gather_rows %state, %rows : (memref<128x64xf16>, tensor<?xi32>) -> tensor<?x64xf16>
    odyssey.return %x : tensor<?x64xf16>
  }
}

// -----

// The sum is made in fp32 and rounded once.

// CHECK-LABEL: gpu.func @add
// CHECK: %[[A:.*]] = arith.extf %{{.*}} : vector<8xf16> to vector<8xf32>
// CHECK: %[[B:.*]] = arith.extf %{{.*}} : vector<8xf16> to vector<8xf32>
// CHECK: %[[SUM:.*]] = arith.addf %[[A]], %[[B]] : vector<8xf32>
// CHECK: arith.truncf %[[SUM]] : vector<8xf32> to vector<8xf16>
gpu.module @kernels {
  odyssey.kernel @add(%a: tensor<?x64xf16>, %b: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"} {
    %y = odyssey.add %a, %b : tensor<?x64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// A table of more than 2^32 bytes: a row's offset is a 64-bit product.

// CHECK-LABEL: gpu.func @wide_offsets
// CHECK: %[[STRIDE:.*]] = arith.constant 32768 : i64
// CHECK: %[[ID:.*]] = llvm.load
// CHECK: %[[ROW:.*]] = arith.extui %[[ID]] : i32 to i64
// CHECK: arith.muli %[[ROW]], %[[STRIDE]] : i64
gpu.module @kernels {
  odyssey.kernel @wide_offsets(%ids: tensor<?xi32>, %table: tensor<262144x16384xf16>) -> tensor<?x16384xf16> attributes {kind = "embedding"} {
    %x = odyssey.embedding %ids, %table : (tensor<?xi32>, tensor<262144x16384xf16>) -> tensor<?x16384xf16>
    odyssey.return %x : tensor<?x16384xf16>
  }
}

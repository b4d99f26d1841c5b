// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// CHECK-LABEL: gpu.func @argmax
// CHECK-SAME: grid = [1, 1, 1], per_tokens = [1, 0, 0], block = 1024, shared_bytes = 256
// CHECK-SAME: kind = "sample"
// CHECK: %[[MINUS_INFINITY:.*]] = arith.constant 0xFF800000 : f32
// A thread reads four elements at a time. Within it indices ascend, so only a greater
// value replaces the best.
// CHECK: %[[FIRST:.*]] = arith.muli %{{.*}}, %c4_i32
// CHECK: scf.for %[[I:[^ ]*]] = %[[FIRST]] to %c512_i32 step %c4096_i32 iter_args(%[[VALUE:.*]] = %[[MINUS_INFINITY]], %[[INDEX:.*]] = %c0_i32)
// CHECK: %[[X:.*]] = llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xf32>
// CHECK: %[[X0:.*]] = vector.extract %[[X]][0]
// CHECK: %[[GREATER:.*]] = arith.cmpf ogt, %[[X0]], %[[VALUE]] : f32
// CHECK: %[[VALUE0:.*]] = arith.select %[[GREATER]], %[[X0]], %[[VALUE]] : f32
// CHECK: %[[INDEX0:.*]] = arith.select %[[GREATER]], %[[I]], %[[INDEX]] : i32
// CHECK: %[[X1:.*]] = vector.extract %[[X]][1]
// CHECK: %[[GREATER1:.*]] = arith.cmpf ogt, %[[X1]], %[[VALUE0]] : f32
// CHECK: arith.select %[[GREATER1]], %[[X1]], %[[VALUE0]] : f32
// CHECK: %[[I1:.*]] = arith.addi %[[I]], %c1_i32
// CHECK: arith.select %[[GREATER1]], %[[I1]], %[[INDEX0]] : i32
// Between threads the lower index wins a tie.
// CHECK: nvvm.shfl.sync bfly
// CHECK: nvvm.shfl.sync bfly
// CHECK-DAG: arith.cmpf ogt
// CHECK-DAG: arith.cmpf oeq
// CHECK-DAG: arith.cmpi ult
// CHECK: gpu.barrier
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 4 : i64} : i32, !llvm.ptr<1>
gpu.module @kernels {
  odyssey.kernel @argmax(%x: tensor<?x512xf32>) -> tensor<?xi32> attributes {kind = "sample"} {
    %i = odyssey.argmax %x : tensor<?x512xf32> -> tensor<?xi32>
    odyssey.return %i : tensor<?xi32>
  }
}

// -----

// Rows that are no multiple of four elements are not aligned for it.

// CHECK-LABEL: gpu.func @argmax_odd
// CHECK: scf.for %[[I:[^ ]*]] = %{{.*}} to %c511_i32 step %c1024_i32
// CHECK: llvm.load %{{.*}} {alignment = 4 : i64} : !llvm.ptr<1> -> {{f32|vector<1xf32>}}
gpu.module @kernels {
  odyssey.kernel @argmax_odd(%x: tensor<?x511xf32>) -> tensor<?xi32> attributes {kind = "sample"} {
    %i = odyssey.argmax %x : tensor<?x511xf32> -> tensor<?xi32>
    odyssey.return %i : tensor<?xi32>
  }
}

// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// CHECK-LABEL: gpu.func @argmax
// CHECK-SAME: grid = [1, 1, 1], per_tokens = [1, 0, 0], block = 256, shared_bytes = 64
// CHECK-SAME: kind = "sample"
// CHECK: %[[MINUS_INFINITY:.*]] = arith.constant 0xFF800000 : f32
// Within a thread indices ascend, so only a greater value replaces the best.
// CHECK: scf.for %[[I:.*]] = %{{.*}} iter_args(%[[VALUE:.*]] = %[[MINUS_INFINITY]], %[[INDEX:.*]] = %{{.*}})
// CHECK: %[[X:.*]] = llvm.load
// CHECK: %[[GREATER:.*]] = arith.cmpf ogt, %[[X]], %[[VALUE]] : f32
// CHECK: arith.select %[[GREATER]], %[[X]], %[[VALUE]] : f32
// CHECK: arith.select %[[GREATER]], %[[I]], %[[INDEX]] : i32
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

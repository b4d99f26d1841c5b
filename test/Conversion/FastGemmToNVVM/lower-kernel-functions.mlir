// RUN: odyssey-opt %s --pass-pipeline='builtin.module(gpu.module(fastgemm-lower-kernel-functions))' | FileCheck %s

gpu.module @kernels {
  // CHECK-LABEL: llvm.func @kernel(%{{.*}}: !llvm.ptr<1>, %{{.*}}: i32) attributes
  // CHECK-SAME: fastgemm.launch = #fastgemm.launch<grid = [3, 1, 1], per_tokens = [0, 16, 0], block = 128, shared_bytes = 24576>
  // CHECK-SAME: kind = "matmul"
  // CHECK-SAME: nvvm.kernel
  // CHECK-SAME: nvvm.minctasm = 1 : i32
  // CHECK-SAME: nvvm.reqntid = array<i32: 128, 1, 1>
  // CHECK: nvvm.barrier
  // CHECK: llvm.cond_br
  // CHECK: llvm.return
  // CHECK: llvm.return
  // CHECK-NOT: gpu.return
  gpu.func @kernel(%p: !llvm.ptr<1>, %m: i32) kernel attributes {
      fastgemm.launch = #fastgemm.launch<grid = [3, 1, 1], per_tokens = [0, 16, 0], block = 128, shared_bytes = 24576>,
      kind = "matmul"} {
    gpu.barrier
    %c = llvm.trunc %m : i32 to i1
    llvm.cond_br %c, ^a, ^b
  ^a:
    gpu.return
  ^b:
    gpu.return
  }

  // What is no kernel is left alone.
  // CHECK: llvm.mlir.global external @odyssey_shared
  llvm.mlir.global external @odyssey_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
}

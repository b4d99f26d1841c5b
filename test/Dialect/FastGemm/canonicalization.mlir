// RUN: odyssey-opt %s --canonicalize | FileCheck %s

gpu.module @kernels {
  // A copy of all its bytes needs no count.
  // CHECK-LABEL: gpu.func @whole_copy
  // CHECK: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 : !llvm.ptr<3>, !llvm.ptr<1>
  gpu.func @whole_copy(%s: !llvm.ptr<3>, %g: !llvm.ptr<1>) {
    %n = arith.constant 16 : i32
    fastgemm.async_copy %s, %g, 16 valid %n : !llvm.ptr<3>, !llvm.ptr<1>
    gpu.return
  }

  // CHECK-LABEL: gpu.func @partial_copy
  // CHECK: fastgemm.async_copy %{{.*}}, %{{.*}}, 16 valid %{{.*}} :
  gpu.func @partial_copy(%s: !llvm.ptr<3>, %g: !llvm.ptr<1>) {
    %n = arith.constant 8 : i32
    fastgemm.async_copy %s, %g, 16 valid %n : !llvm.ptr<3>, !llvm.ptr<1>
    gpu.return
  }

  // Weights of zero are fragments of zero, and add nothing.
  // CHECK-LABEL: gpu.func @zero_weights
  // CHECK-SAME: %{{.*}}: vector<2xi32>, %[[SUM:.*]]: vector<4xi32>, %[[OUT:.*]]: !llvm.ptr<1>
  // CHECK-NOT: fastgemm
  // CHECK: llvm.store %[[SUM]], %[[OUT]]
  gpu.func @zero_weights(%b: vector<2xi32>, %sum: vector<4xi32>, %out: !llvm.ptr<1>) {
    %zero = arith.constant dense<0> : vector<4xi32>
    %a0, %a1 = fastgemm.dequant %zero : vector<4xi32> -> vector<4xi32>, vector<4xi32>
    %s0 = fastgemm.mma_s8 %a0, %b, %sum : vector<4xi32>, vector<2xi32> -> vector<4xi32>
    %s1 = fastgemm.mma_s8 %a1, %b, %s0 : vector<4xi32>, vector<2xi32> -> vector<4xi32>
    llvm.store %s1, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }

  // CHECK-LABEL: gpu.func @zero_activations
  // CHECK-SAME: %[[SUM:.*]]: vector<4xi32>, %[[OUT:.*]]: !llvm.ptr<1>
  // CHECK-NOT: fastgemm.mma_s8
  gpu.func @zero_activations(%a: vector<4xi32>, %sum: vector<4xi32>, %out: !llvm.ptr<1>) {
    %zero = arith.constant dense<0> : vector<2xi32>
    %s0 = fastgemm.mma_s8 %a, %zero, %sum : vector<4xi32>, vector<2xi32> -> vector<4xi32>
    llvm.store %s0, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }

  // Floating-point sums do not fold: 0 times infinity is not 0.
  // CHECK-LABEL: gpu.func @zero_halves
  // CHECK: fastgemm.mma_f16
  gpu.func @zero_halves(%a: vector<4xi32>, %sum: vector<4xf32>, %out: !llvm.ptr<1>) {
    %zero = arith.constant dense<0> : vector<2xi32>
    %s0 = fastgemm.mma_f16 %a, %zero, %sum : vector<4xi32>, vector<2xi32> -> vector<4xf32>
    llvm.store %s0, %out : vector<4xf32>, !llvm.ptr<1>
    gpu.return
  }
}

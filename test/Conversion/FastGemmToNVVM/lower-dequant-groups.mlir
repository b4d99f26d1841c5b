// RUN: odyssey-opt %s --pass-pipeline='builtin.module(gpu.module(fastgemm-lower-dequant))' | FileCheck %s

// Per multiplier m the addend 128 - 8 m in every byte; per word of 8 weights a shift
// for the high nibbles and, for each half, a mask, a multiplication with an addition
// and a flip of the sign bits.

gpu.module @kernels {
  // CHECK-LABEL: gpu.func @dequant
  // CHECK-SAME: %[[W:.*]]: vector<4xi32>, %[[M:.*]]: vector<4xi32>
  // CHECK-DAG: %[[SIGNS:.*]] = arith.constant -2139062144 : i32
  // CHECK-DAG: %[[EIGHTS:.*]] = arith.constant -134744072 : i32
  // CHECK-DAG: %[[MASK:.*]] = arith.constant 252645135 : i32
  // CHECK-DAG: %[[FOUR:.*]] = arith.constant 4 : i32
  // The multipliers of step 0: rows g and g + 8.
  // CHECK: %[[M0:.*]] = vector.extract %[[M]][0]
  // CHECK-NEXT: %[[P0:.*]] = arith.muli %[[M0]], %[[EIGHTS]] : i32
  // CHECK-NEXT: %[[A0:.*]] = arith.addi %[[P0]], %[[SIGNS]] : i32
  // CHECK-NEXT: %[[M1:.*]] = vector.extract %[[M]][1]
  // CHECK-NEXT: %[[P1:.*]] = arith.muli %[[M1]], %[[EIGHTS]] : i32
  // CHECK-NEXT: %[[A1:.*]] = arith.addi %[[P1]], %[[SIGNS]] : i32
  // CHECK-NEXT: %[[W0:.*]] = vector.extract %[[W]][0]
  // CHECK-NEXT: %[[H0:.*]] = arith.shrui %[[W0]], %[[FOUR]] : i32
  // CHECK-NEXT: %[[U0:.*]] = arith.andi %[[H0]], %[[MASK]] : i32
  // CHECK-NEXT: %[[T0:.*]] = arith.muli %[[U0]], %[[M0]] : i32
  // CHECK-NEXT: %[[S0:.*]] = arith.addi %[[T0]], %[[A0]] : i32
  // CHECK-NEXT: %[[R0:.*]] = arith.xori %[[S0]], %[[SIGNS]] : i32
  // CHECK-NEXT: %[[U1:.*]] = arith.andi %[[W0]], %[[MASK]] : i32
  // CHECK-NEXT: %[[T1:.*]] = arith.muli %[[U1]], %[[M1]] : i32
  // CHECK-NEXT: %[[S1:.*]] = arith.addi %[[T1]], %[[A1]] : i32
  // CHECK-NEXT: %[[R1:.*]] = arith.xori %[[S1]], %[[SIGNS]] : i32
  // CHECK-NEXT: vector.extract %[[W]][1]
  // CHECK: %[[LOW:.*]] = vector.from_elements %[[R0]], %[[R1]], %{{.*}}, %{{.*}} : vector<4xi32>
  // Step 1 has its own.
  // CHECK: vector.extract %[[M]][2]
  // CHECK: vector.extract %[[M]][3]
  // CHECK: vector.extract %[[W]][2]
  // CHECK: vector.extract %[[W]][3]
  // CHECK: %[[HIGH:.*]] = vector.from_elements
  // CHECK-NEXT: llvm.store %[[LOW]]
  // CHECK-NEXT: llvm.store %[[HIGH]]
  gpu.func @dequant(%w: vector<4xi32>, %m: vector<4xi32>, %out: !llvm.ptr<1>) {
    %low, %high = fastgemm.dequant_groups %w, %m : vector<4xi32>, vector<4xi32> -> vector<4xi32>, vector<4xi32>
    llvm.store %low, %out : vector<4xi32>, !llvm.ptr<1>
    llvm.store %high, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }
}

// RUN: odyssey-opt %s --pass-pipeline='builtin.module(gpu.module(fastgemm-lower-dequant))' | FileCheck %s

gpu.module @kernels {
  // Per word of 8 weights two ANDs with 0xF0F0F0F0 and one shift. Words 0 and 1 are
  // the first k32 step, 2 and 3 the second; in each, row g is in the high nibbles
  // and row g + 8 in the low ones.
  // CHECK-LABEL: gpu.func @dequant
  // CHECK-SAME: %[[W:.*]]: vector<4xi32>
  // CHECK-DAG: %[[MASK:.*]] = arith.constant -252645136 : i32
  // CHECK-DAG: %[[FOUR:.*]] = arith.constant 4 : i32
  // CHECK: %[[W0:.*]] = vector.extract %[[W]][0]
  // CHECK-NEXT: %[[S0:.*]] = arith.shli %[[W0]], %[[FOUR]] : i32
  // CHECK-NEXT: %[[A0:.*]] = arith.andi %[[W0]], %[[MASK]] : i32
  // CHECK-NEXT: %[[A1:.*]] = arith.andi %[[S0]], %[[MASK]] : i32
  // CHECK-NEXT: %[[W1:.*]] = vector.extract %[[W]][1]
  // CHECK-NEXT: %[[S1:.*]] = arith.shli %[[W1]], %[[FOUR]] : i32
  // CHECK-NEXT: %[[A2:.*]] = arith.andi %[[W1]], %[[MASK]] : i32
  // CHECK-NEXT: %[[A3:.*]] = arith.andi %[[S1]], %[[MASK]] : i32
  // CHECK-NEXT: %[[LOW:.*]] = vector.from_elements %[[A0]], %[[A1]], %[[A2]], %[[A3]] : vector<4xi32>
  // CHECK-NEXT: %[[W2:.*]] = vector.extract %[[W]][2]
  // CHECK-NEXT: %[[S2:.*]] = arith.shli %[[W2]], %[[FOUR]] : i32
  // CHECK-NEXT: %[[B0:.*]] = arith.andi %[[W2]], %[[MASK]] : i32
  // CHECK-NEXT: %[[B1:.*]] = arith.andi %[[S2]], %[[MASK]] : i32
  // CHECK-NEXT: %[[W3:.*]] = vector.extract %[[W]][3]
  // CHECK-NEXT: %[[S3:.*]] = arith.shli %[[W3]], %[[FOUR]] : i32
  // CHECK-NEXT: %[[B2:.*]] = arith.andi %[[W3]], %[[MASK]] : i32
  // CHECK-NEXT: %[[B3:.*]] = arith.andi %[[S3]], %[[MASK]] : i32
  // CHECK-NEXT: %[[HIGH:.*]] = vector.from_elements %[[B0]], %[[B1]], %[[B2]], %[[B3]] : vector<4xi32>
  // CHECK-NEXT: llvm.store %[[LOW]]
  // CHECK-NEXT: llvm.store %[[HIGH]]
  // CHECK-NEXT: gpu.return
  gpu.func @dequant(%w: vector<4xi32>, %out: !llvm.ptr<1>) {
    %low, %high = fastgemm.dequant %w : vector<4xi32> -> vector<4xi32>, vector<4xi32>
    llvm.store %low, %out : vector<4xi32>, !llvm.ptr<1>
    llvm.store %high, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }

  // What is no dequantization stays.
  // CHECK-LABEL: gpu.func @mma
  // CHECK: fastgemm.mma_s8
  gpu.func @mma(%a: vector<4xi32>, %b: vector<2xi32>, %c: vector<4xi32>, %out: !llvm.ptr<1>) {
    %d = fastgemm.mma_s8 %a, %b, %c : vector<4xi32>, vector<2xi32> -> vector<4xi32>
    llvm.store %d, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }
}

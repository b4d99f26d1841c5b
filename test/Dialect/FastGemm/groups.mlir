// RUN: odyssey-opt %s --verify-roundtrip | FileCheck %s

// CHECK-LABEL: gpu.func @dequant_groups
// CHECK: fastgemm.dequant_groups %{{.*}}, %{{.*}} : vector<4xi32>, vector<4xi32> -> vector<4xi32>, vector<4xi32>
gpu.module @kernels {
  gpu.func @dequant_groups(%w: vector<4xi32>, %m: vector<4xi32>) {
    %a0, %a1 = fastgemm.dequant_groups %w, %m : vector<4xi32>, vector<4xi32> -> vector<4xi32>, vector<4xi32>
    gpu.return
  }
}

// An offset of 0 is not printed.
// CHECK-LABEL: func.func private @encodings
// CHECK-SAME: (tensor<64x64xi4, #fastgemm.packed<channels = 64>>, tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, tensor<64x1xi8, #fastgemm.multipliers<channels = 64, group = 128>>)
func.func private @encodings(tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 0>>, tensor<64x64xi4, #fastgemm.packed<channels = 64, offset = 8>>, tensor<64x1xi8, #fastgemm.multipliers<channels = 64, group = 128>>)

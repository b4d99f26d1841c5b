// RUN: odyssey-opt %s --odyssey-fuse --split-input-file | FileCheck %s

// Multipliers are interleaved as weights and scales are.

// CHECK-LABEL: func.func @one_size
// CHECK: %[[W:.*]] = odyssey.weight "gate", "up" interleaved : tensor<64x64xi4>
// CHECK: %[[S:.*]] = odyssey.weight "gate_scale", "up_scale" interleaved : tensor<64xf32>
// CHECK: %[[M:.*]] = odyssey.weight "gate_multiplier", "up_multiplier" interleaved : tensor<64x2xi8>
// CHECK: %[[Y:.*]] = odyssey.matmul %{{.*}}, %[[W]] scale %[[S]] groups %[[M]] of 32 silu_mul : {{.*}} -> tensor<?x32xf16>
// CHECK-NOT: odyssey.silu_mul
// CHECK: return %[[Y]]
func.func @one_size(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %sg = odyssey.weight "gate_scale" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %su = odyssey.weight "up_scale" : tensor<32xf32>
  %mg = odyssey.weight "gate_multiplier" : tensor<32x2xi8>
  %mu = odyssey.weight "up_multiplier" : tensor<32x2xi8>
  %g = odyssey.matmul %x scale %xs, %wg scale %sg groups %mg of 32 : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32x2xi8>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %su groups %mu of 32 : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32x2xi8>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// Groups of different sizes stay apart.

// CHECK-LABEL: func.func @two_sizes
// CHECK: odyssey.silu_mul %{{.*}}, %{{.*}} :
func.func @two_sizes(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %sg = odyssey.weight "gate_scale" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %su = odyssey.weight "up_scale" : tensor<32xf32>
  %mg = odyssey.weight "gate_multiplier" : tensor<32x2xi8>
  %mu = odyssey.weight "up_multiplier" : tensor<32x1xi8>
  %g = odyssey.matmul %x scale %xs, %wg scale %sg groups %mg of 32 : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32x2xi8>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %su groups %mu of 64 : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32x1xi8>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// So do products with groups and without.

// CHECK-LABEL: func.func @with_and_without
// CHECK: odyssey.silu_mul %{{.*}}, %{{.*}} :
func.func @with_and_without(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> tensor<?x32xf16> {
  %wg = odyssey.weight "gate" : tensor<32x64xi4>
  %sg = odyssey.weight "gate_scale" : tensor<32xf32>
  %wu = odyssey.weight "up" : tensor<32x64xi4>
  %su = odyssey.weight "up_scale" : tensor<32xf32>
  %mg = odyssey.weight "gate_multiplier" : tensor<32x2xi8>
  %g = odyssey.matmul %x scale %xs, %wg scale %sg groups %mg of 32 : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32x2xi8>) -> tensor<?x32xf16>
  %u = odyssey.matmul %x scale %xs, %wu scale %su : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>) -> tensor<?x32xf16>
  %a = odyssey.silu_mul %g, %u : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
  return %a : tensor<?x32xf16>
}

// -----

// A sum that goes into the product leaves its groups as they are.

// CHECK-LABEL: func.func @residual
// CHECK: %[[Y:.*]] = odyssey.matmul %{{.*}} scale %{{.*}}, %{{.*}} scale %{{.*}} residual %{{.*}} groups %{{.*}} of 32 :
// CHECK-NEXT: return %[[Y]]
func.func @residual(%x: tensor<?x64xi8>, %xs: tensor<?xf32>, %r: tensor<?x32xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "w" : tensor<32x64xi4>
  %s = odyssey.weight "s" : tensor<32xf32>
  %m = odyssey.weight "m" : tensor<32x2xi8>
  %y = odyssey.matmul %x scale %xs, %w scale %s groups %m of 32 : (tensor<?x64xi8>, tensor<?xf32>, tensor<32x64xi4>, tensor<32xf32>, tensor<32x2xi8>) -> tensor<?x32xf16>
  %z = odyssey.add %y, %r : tensor<?x32xf16>
  return %z : tensor<?x32xf16>
}

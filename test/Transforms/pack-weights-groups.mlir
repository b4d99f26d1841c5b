// RUN: odyssey-opt %s --odyssey-pack-weights --split-input-file | FileCheck %s

// Multipliers follow the panels of their weights, whose nibbles are unsigned.

// CHECK-LABEL: func.func @product
// CHECK: odyssey.weight "w" : tensor<192x172xi4, #fastgemm.packed<channels = 64, offset = 8>>
// CHECK: odyssey.weight "m" : tensor<192x6xi8, #fastgemm.multipliers<channels = 64, group = 32>>
func.func @product(%x: tensor<?x172xf16>) -> tensor<?x192xf16> {
  %w = odyssey.weight "w" : tensor<192x172xi4>
  %ws = odyssey.weight "s" : tensor<192xf32>
  %m = odyssey.weight "m" : tensor<192x6xi8>
  %q, %s = odyssey.quantize %x : tensor<?x172xf16> -> tensor<?x172xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws groups %m of 32
      : (tensor<?x172xi8>, tensor<?xf32>, tensor<192x172xi4>, tensor<192xf32>, tensor<192x6xi8>) -> tensor<?x192xf16>
  return %y : tensor<?x192xf16>
}

// -----

// Weights that are packed already say which panels.

// CHECK-LABEL: func.func @packed_by_hand
// CHECK: odyssey.weight "m" : tensor<192x6xi8, #fastgemm.multipliers<channels = 32, group = 32>>
func.func @packed_by_hand(%x: tensor<?x172xf16>) -> tensor<?x192xf16> {
  %w = odyssey.weight "w" : tensor<192x172xi4, #fastgemm.packed<channels = 32, offset = 8>>
  %ws = odyssey.weight "s" : tensor<192xf32>
  %m = odyssey.weight "m" : tensor<192x6xi8>
  %q, %s = odyssey.quantize %x : tensor<?x172xf16> -> tensor<?x172xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws groups %m of 32
      : (tensor<?x172xi8>, tensor<?xf32>, tensor<192x172xi4, #fastgemm.packed<channels = 32, offset = 8>>, tensor<192xf32>, tensor<192x6xi8>) -> tensor<?x192xf16>
  return %y : tensor<?x192xf16>
}

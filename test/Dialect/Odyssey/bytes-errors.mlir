// RUN: odyssey-opt %s --split-input-file --verify-diagnostics

// C12
func.func @groups(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi8>, %ws: tensor<64xf32>, %m: tensor<64x2xi8>) {
  // expected-error@+1 {{'odyssey.matmul' op expects no groups with weights of 8 bits}}
  %y = odyssey.matmul %x scale %s, %w scale %ws groups %m of 32
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi8>, tensor<64xf32>, tensor<64x2xi8>) -> tensor<?x64xf16>
  return
}

// -----

// The largest K whose sums of products of 127 * 127 fit 32 bits is accepted.
func.func @largest_k(%x: tensor<?x133144xi8>, %s: tensor<?xf32>, %w: tensor<32x133144xi8>, %ws: tensor<32xf32>) {
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x133144xi8>, tensor<?xf32>, tensor<32x133144xi8>, tensor<32xf32>) -> tensor<?x32xf16>
  return
}

// -----

// C4
func.func @k_too_large(%x: tensor<?x133145xi8>, %s: tensor<?xf32>, %w: tensor<32x133145xi8>, %ws: tensor<32xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects K of at most 133144, so that no 32-bit sum overflows, got 133145}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x133145xi8>, tensor<?xf32>, tensor<32x133145xi8>, tensor<32xf32>) -> tensor<?x32xf16>
  return
}

// -----

// C5
func.func @encoding(%x: tensor<?x64xi8>, %s: tensor<?xf32>, %w: tensor<64x64xi8, #fastgemm.rows<stride = 64>>, %ws: tensor<64xf32>) {
  // expected-error@+1 {{'odyssey.matmul' op expects weights without encoding or with #fastgemm.packed, got #fastgemm.rows<stride = 64>}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi8, #fastgemm.rows<stride = 64>>, tensor<64xf32>) -> tensor<?x64xf16>
  return
}

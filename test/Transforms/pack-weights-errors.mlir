// RUN: odyssey-opt %s --odyssey-pack-weights --split-input-file --verify-diagnostics

func.func @other_user() -> tensor<64x64xi4> {
  // expected-error@+1 {{'odyssey.weight' op of 4 bits is used by something else than a product}}
  %w = odyssey.weight "w" : tensor<64x64xi4>
  return %w : tensor<64x64xi4>
}

// -----

func.func @other_user_of_bytes(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> (tensor<?x64xf16>, tensor<64x64xi8>) {
  // expected-error@+1 {{'odyssey.weight' op of 8 bits is used by something else than a product}}
  %w = odyssey.weight "w" : tensor<64x64xi8>
  %ws = odyssey.weight "s" : tensor<64xf32>
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi8>, tensor<64xf32>) -> tensor<?x64xf16>
  return %y, %w : tensor<?x64xf16>, tensor<64x64xi8>
}

// -----

// Rows that come from outside have no padding, and copies take 16 bytes.
func.func @unpadded_argument(%x: tensor<?x72xi8>, %s: tensor<?xf32>) -> tensor<?x64xf16> {
  %w = odyssey.weight "w" : tensor<64x72xi4>
  %ws = odyssey.weight "s" : tensor<64xf32>
  // expected-error@+1 {{'odyssey.matmul' op expects activations that are a function's argument to have K divisible by 64, got 72}}
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x72xi8>, tensor<?xf32>, tensor<64x72xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// -----

func.func @returned(%x: tensor<?x72xf16>) -> (tensor<?x72xi8>, tensor<?xf32>) {
  // expected-error@+1 {{'odyssey.quantize' op expects 8-bit activations that a function returns to have columns divisible by 64, got 72}}
  %q, %s = odyssey.quantize %x : tensor<?x72xf16> -> tensor<?x72xi8>, tensor<?xf32>
  return %q, %s : tensor<?x72xi8>, tensor<?xf32>
}

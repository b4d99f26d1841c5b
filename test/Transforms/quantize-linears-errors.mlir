// RUN: odyssey-opt %s --odyssey-quantize-linears --verify-diagnostics

func.func @k_too_large(%x: tensor<?x132112xf16>) -> tensor<?x32xf16> {
  %w = odyssey.weight "w" : tensor<32x132112xf16>
  // expected-error@+1 {{'odyssey.matmul' op expects K of at most 132104, so that no 32-bit sum overflows, got 132112}}
  %y = odyssey.linear %x, %w : (tensor<?x132112xf16>, tensor<32x132112xf16>) -> tensor<?x32xf16>
  return %y : tensor<?x32xf16>
}

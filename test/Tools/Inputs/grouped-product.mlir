func.func @main(%x: tensor<?x72xf16>) -> tensor<?x70xf16> {
  %w = odyssey.weight "w" : tensor<70x72xi4>
  %ws = odyssey.weight "w_scale" : tensor<70xf32>
  %wm = odyssey.weight "w_groups" : tensor<70x3xi8>
  %q, %s = odyssey.quantize %x : tensor<?x72xf16> -> tensor<?x72xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws groups %wm of 32
      : (tensor<?x72xi8>, tensor<?xf32>, tensor<70x72xi4>, tensor<70xf32>, tensor<70x3xi8>) -> tensor<?x70xf16>
  return %y : tensor<?x70xf16>
}

func.func @main(%x: tensor<?x100xf16> {odyssey.name = "x"}) -> (tensor<?x172xf16> {odyssey.name = "y"}) {
  %w = odyssey.weight "w" : tensor<172x100xi4>
  %ws = odyssey.weight "w_scale" : tensor<172xf32>
  %q, %s = odyssey.quantize %x : tensor<?x100xf16> -> tensor<?x100xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      : (tensor<?x100xi8>, tensor<?xf32>, tensor<172x100xi4>, tensor<172xf32>) -> tensor<?x172xf16>
  return %y : tensor<?x172xf16>
}

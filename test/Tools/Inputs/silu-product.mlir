func.func @main(%x: tensor<?x72xf16>) -> tensor<?x72xf16> {
  %wg = odyssey.weight "gate" : tensor<72x72xi4>
  %sg = odyssey.weight "gate_scale" : tensor<72xf32>
  %wu = odyssey.weight "up" : tensor<72x72xi4>
  %su = odyssey.weight "up_scale" : tensor<72xf32>
  %q, %s = odyssey.quantize %x : tensor<?x72xf16> -> tensor<?x72xi8>, tensor<?xf32>
  %g = odyssey.matmul %q scale %s, %wg scale %sg
      : (tensor<?x72xi8>, tensor<?xf32>, tensor<72x72xi4>, tensor<72xf32>) -> tensor<?x72xf16>
  %u = odyssey.matmul %q scale %s, %wu scale %su
      : (tensor<?x72xi8>, tensor<?xf32>, tensor<72x72xi4>, tensor<72xf32>) -> tensor<?x72xf16>
  %y = odyssey.silu_mul %g, %u : (tensor<?x72xf16>, tensor<?x72xf16>) -> tensor<?x72xf16>
  return %y : tensor<?x72xf16>
}

// One W4A8 product: activations of any number of tokens are quantized per token,
// multiplied by 4-bit weights [N, K] = [4096, 4096], and scaled back to fp16.
//
//   odyssey-opt examples/matmul.mlir --odyssey-to-kernels
//   odyssey-compile examples/matmul.mlir --target=sm_80 --emit=ptx -o -

func.func @main(%x: tensor<?x4096xf16> {odyssey.name = "x"})
    -> (tensor<?x4096xf16> {odyssey.name = "y"}) {
  %w = odyssey.weight "w" : tensor<4096x4096xi4>
  %ws = odyssey.weight "w_scale" : tensor<4096xf32>
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<4096x4096xi4>, tensor<4096xf32>)
      -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

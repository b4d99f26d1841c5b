func.func @main(%q: tensor<?x512xf16>, %p: tensor<?xi32>, %s: tensor<?xi32>, %pages: tensor<1x2xi32>,
                %kv: memref<1x2x2x1x64x258xf16>) -> tensor<?x512xf16> {
  %layer = arith.constant 0 : i32
  %o = odyssey.attention %q at %p, %s, %pages cache %kv layer %layer heads 2 scale = 0.0625
      : tensor<?x512xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<1x2x2x1x64x258xf16>
      -> tensor<?x512xf16>
  return %o : tensor<?x512xf16>
}

func.func @main(%x: tensor<?x64xf16>) -> tensor<?x64xf16> {
  %a = odyssey.add %x, %x : tensor<?x64xf16>
  %b = arith.addf %a, %a : tensor<?x64xf16>
  %c = odyssey.add %b, %x : tensor<?x64xf16>
  return %c : tensor<?x64xf16>
}

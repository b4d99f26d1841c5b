func.func @main(%x: tensor<?x64xf16>) -> (tensor<?x64xf16>, tensor<?x64xf16>) {
  %a = odyssey.add %x, %x : tensor<?x64xf16>
  return %a, %x : tensor<?x64xf16>, tensor<?x64xf16>
}

// RUN: odyssey-opt %s --odyssey-outline-kernels --verify-diagnostics

// expected-error@+1 {{'gpu.module' op has the name 'kernels', which outlining gives to the module of kernels}}
gpu.module @kernels {}

func.func @add(%x: tensor<?x64xf16>) -> tensor<?x64xf16> {
  %y = odyssey.add %x, %x : tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

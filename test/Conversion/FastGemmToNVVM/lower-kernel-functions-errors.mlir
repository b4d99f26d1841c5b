// RUN: odyssey-opt %s --verify-diagnostics --pass-pipeline='builtin.module(gpu.module(fastgemm-lower-kernel-functions))'

gpu.module @kernels {
  // expected-error@+1 {{'gpu.func' op expects the attribute fastgemm.launch}}
  gpu.func @no_launch(%p: !llvm.ptr<1>) kernel {
    gpu.return
  }
}

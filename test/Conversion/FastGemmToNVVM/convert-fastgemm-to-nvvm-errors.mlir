// RUN: odyssey-opt %s --verify-diagnostics --pass-pipeline='builtin.module(gpu.module(convert-fastgemm-to-nvvm))'

// fastgemm-lower-dequant comes first.
gpu.module @kernels {
  gpu.func @dequant(%w: vector<4xi32>, %out: !llvm.ptr<1>) {
    // expected-error@+1 {{failed to legalize operation 'fastgemm.dequant' that was explicitly marked illegal}}
    %a0, %a1 = fastgemm.dequant %w : vector<4xi32> -> vector<4xi32>, vector<4xi32>
    llvm.store %a0, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }
}

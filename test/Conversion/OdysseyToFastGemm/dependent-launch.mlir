// RUN: odyssey-opt %s --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s
// RUN: odyssey-opt %s --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse,convert-fastgemm-to-nvvm,convert-scf-to-cf,fastgemm-lower-kernel-functions))' | FileCheck %s --check-prefix=NVVM

// The next kernel may come at once; everything else waits for the one before. The
// attribute stays for the launch plan.

// CHECK-LABEL: gpu.func @dependent
// CHECK-SAME: fastgemm.dependent_launch
// CHECK-NOT: llvm.load
// CHECK: llvm.inline_asm has_side_effects "griddepcontrol.launch_dependents;", "~{memory}"
// CHECK-NOT: llvm.load
// CHECK: llvm.inline_asm has_side_effects "griddepcontrol.wait;", "~{memory}"
// CHECK-NOT: griddepcontrol
// CHECK: llvm.load
// CHECK-NOT: griddepcontrol
// CHECK-LABEL: gpu.func @independent
// CHECK-NOT: griddepcontrol
// CHECK: gpu.return

// NVVM: llvm.func @dependent({{.*}}) attributes {{.*}}fastgemm.dependent_launch
gpu.module @kernels {
  odyssey.kernel @dependent(%a: tensor<?x64xf16>, %b: tensor<?x64xf16>) -> tensor<?x64xf16>
      attributes {fastgemm.dependent_launch, kind = "add"} {
    %0 = odyssey.add %a, %b : tensor<?x64xf16>
    odyssey.return %0 : tensor<?x64xf16>
  }
  odyssey.kernel @independent(%a: tensor<?x64xf16>, %b: tensor<?x64xf16>) -> tensor<?x64xf16> attributes {kind = "add"} {
    %0 = odyssey.add %a, %b : tensor<?x64xf16>
    odyssey.return %0 : tensor<?x64xf16>
  }
}

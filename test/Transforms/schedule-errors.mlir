// RUN: not odyssey-opt %s --odyssey-schedule="target=sm_75" 2>&1 | FileCheck %s --check-prefix=TARGET
// RUN: not odyssey-opt %s --odyssey-schedule="buckets=64,8" 2>&1 | FileCheck %s --check-prefix=ORDER
// RUN: not odyssey-opt %s --odyssey-schedule="buckets=8,8" 2>&1 | FileCheck %s --check-prefix=ORDER
// RUN: not odyssey-opt %s --odyssey-schedule="buckets=0,8" 2>&1 | FileCheck %s --check-prefix=ORDER
// RUN: not odyssey-opt %s --odyssey-schedule="target=sm_86" 2>&1 | FileCheck %s --check-prefix=SHARED
// RUN: not odyssey-opt %s --odyssey-schedule="gpu=h100" 2>&1 | FileCheck %s --check-prefix=GPU
// RUN: not odyssey-opt %s --odyssey-schedule="tuning=%t.absent" 2>&1 | FileCheck %s --check-prefix=ABSENT
// RUN: odyssey-opt %s --odyssey-schedule="target=sm_80" -o /dev/null
// RUN: not odyssey-opt %S/Inputs/wgmma.mlir --odyssey-schedule="target=sm_80" 2>&1 | FileCheck %s --check-prefix=WGMMA
// RUN: not odyssey-opt %S/Inputs/wgmma.mlir --odyssey-schedule="target=sm_89" 2>&1 | FileCheck %s --check-prefix=WGMMA
// RUN: odyssey-opt %S/Inputs/wgmma.mlir --odyssey-schedule="target=sm_90a" -o /dev/null

// TARGET: error: expects a target of sm_80, sm_86, sm_89, sm_90a, got 'sm_75'
// GPU: error: expects a GPU of a100, got 'h100'
// ABSENT: error: cannot read '{{.*}}absent': No such file or directory
// ORDER: error: expects buckets to be positive and ascending

// Only sm_90a has the path wgmma.
// WGMMA: error: 'odyssey.matmul' op expects a schedule of path mma_sync on sm_8{{[09]}}, got path wgmma

// What one GPU can do is too much for another.
// SHARED: error: 'odyssey.matmul' op expects a schedule that needs at most 101376 bytes of shared memory on sm_86, got 131072
func.func @product(%x: tensor<?x1024xi8>, %xs: tensor<?xf32>) -> tensor<?x128xf16> {
  %w = odyssey.weight "w" : tensor<128x1024xi4>
  %ws = odyssey.weight "s" : tensor<128xf32>
  %y = odyssey.matmul %x scale %xs, %w scale %ws
      schedule <path = mma_sync, channels = 128, tokens = 64, k = 128, channel_warps = 4, token_warps = 1, stages = 8>
      : (tensor<?x1024xi8>, tensor<?xf32>, tensor<128x1024xi4>, tensor<128xf32>) -> tensor<?x128xf16>
  return %y : tensor<?x128xf16>
}

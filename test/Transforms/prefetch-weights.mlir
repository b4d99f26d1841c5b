// RUN: odyssey-opt %s --odyssey-prefetch-weights=gpu=h200 | FileCheck %s
// RUN: odyssey-opt %s --odyssey-prefetch-weights="gpu=h200 percent-of-l2=1" | FileCheck %s --check-prefix=LITTLE
// RUN: odyssey-opt %s --odyssey-prefetch-weights="gpu=h200 percent-of-l2=0" | FileCheck %s --check-prefix=NONE
// RUN: not odyssey-opt %s --odyssey-prefetch-weights=percent-of-l2=101 2>&1 | FileCheck %s --check-prefix=PERCENT
// RUN: not odyssey-opt %s --odyssey-prefetch-weights=gpu=a100 2>&1 | FileCheck %s --check-prefix=GPU

// NONE-NOT: odyssey.prefetch = {{[^3]}}
// PERCENT: expects percent-of-l2 of 0 to 100, got 101
// GPU: expects a target with that GPU, got target 'sm_90a' and gpu 'a100'

!weights = tensor<4096x4096xi4, #fastgemm.packed<channels = 128>>
#few = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 6, split_k = 2>
#enough = #fastgemm.schedule<path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 8, split_k = 4>
#many = #fastgemm.schedule<path = wgmma, channels = 256, tokens = 64, k = 128, channel_warps = 8, token_warps = 1, stages = 4, ctas = 132>
#sync = #fastgemm.schedule<path = mma_sync, channels = 64, tokens = 8, k = 128, channel_warps = 2, token_warps = 1, stages = 4>

// 64 CTAs have 16 of the 32 stages each, and six of them in shared memory. With
// 1 % of the cache, half a megabyte, each asks for one stage of 8 KB.

// CHECK-LABEL: func.func @step(
// CHECK: schedule <{{.*}}stages = 6, split_k = 2> {odyssey.prefetch = 10 : i64}
// LITTLE-LABEL: func.func @step(
// LITTLE: schedule <{{.*}}stages = 6, split_k = 2> {odyssey.prefetch = 1 : i64}
func.func @step(%x: tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>,
                %w: !weights, %s: tensor<4096xf32>) -> tensor<?x4096xf16>
    attributes {odyssey.bucket = 8 : i64, odyssey.function = "step"} {
  %y = odyssey.matmul %x scale %xs, %w scale %s schedule #few
      : (tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, !weights, tensor<4096xf32>)
      -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// What is there already stays.

// CHECK-LABEL: func.func @by_hand(
// CHECK: {odyssey.prefetch = 3 : i64}
func.func @by_hand(%x: tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>,
                   %w: !weights, %s: tensor<4096xf32>) -> tensor<?x4096xf16>
    attributes {odyssey.bucket = 8 : i64, odyssey.function = "by_hand"} {
  %y = odyssey.matmul %x scale %xs, %w scale %s schedule #few {odyssey.prefetch = 3 : i64}
      : (tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, !weights, tensor<4096xf32>)
      -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// All stages in shared memory, persistent CTAs, the other path, many tokens, no
// bucket: nothing to ask for.

// CHECK-NOT: odyssey.prefetch
func.func @others(%x: tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>,
                  %z: tensor<?x4096xi8, #fastgemm.swizzled<tokens = 64>>, %v: tensor<?x4096xi8>,
                  %w: !weights, %s: tensor<4096xf32>)
    -> (tensor<?x4096xf16>, tensor<?x4096xf16>, tensor<?x4096xf16>)
    attributes {odyssey.bucket = 8 : i64, odyssey.function = "others"} {
  %a = odyssey.matmul %x scale %xs, %w scale %s schedule #enough
      : (tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, !weights, tensor<4096xf32>)
      -> tensor<?x4096xf16>
  %b = odyssey.matmul %z scale %xs, %w scale %s schedule #many
      : (tensor<?x4096xi8, #fastgemm.swizzled<tokens = 64>>, tensor<?xf32>, !weights, tensor<4096xf32>)
      -> tensor<?x4096xf16>
  %c = odyssey.matmul %v scale %xs, %w scale %s schedule #sync
      : (tensor<?x4096xi8>, tensor<?xf32>, !weights, tensor<4096xf32>) -> tensor<?x4096xf16>
  return %a, %b, %c : tensor<?x4096xf16>, tensor<?x4096xf16>, tensor<?x4096xf16>
}
func.func @prefill(%x: tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>,
                   %w: !weights, %s: tensor<4096xf32>) -> tensor<?x4096xf16>
    attributes {odyssey.bucket = 128 : i64, odyssey.function = "prefill"} {
  %y = odyssey.matmul %x scale %xs, %w scale %s schedule #few
      : (tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, !weights, tensor<4096xf32>)
      -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}
func.func @no_bucket(%x: tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>,
                     %w: !weights, %s: tensor<4096xf32>) -> tensor<?x4096xf16> {
  %y = odyssey.matmul %x scale %xs, %w scale %s schedule #few
      : (tensor<?x4096xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, !weights, tensor<4096xf32>)
      -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// RUN: odyssey-opt %s --odyssey-schedule="target=sm_80 buckets=1,16,256" --split-input-file | FileCheck %s
// RUN: odyssey-opt %s --odyssey-schedule="target=sm_80 buckets=1,16,256 tuning=%S/Inputs/tuning.json" --split-input-file | FileCheck %s --check-prefix=TUNED
// RUN: odyssey-opt %s --odyssey-schedule="target=sm_90a buckets=1,512" --split-input-file | FileCheck %s --check-prefix=SM90
// RUN: odyssey-opt %s --odyssey-schedule --split-input-file | FileCheck %s --check-prefix=DEFAULT
// RUN: odyssey-opt %s --odyssey-schedule="target=sm_86 buckets=512" --split-input-file | FileCheck %s --check-prefix=SM86

// One clone per bucket, with a schedule for so many tokens; the original is gone.
// Which one it is, the cost model says (lib/Schedule); tiles are no wider than the
// bucket.

// CHECK-LABEL: func.func @product_t1(
// CHECK-SAME: attributes {odyssey.bucket = 1 : i64, odyssey.function = "product"}
// CHECK: odyssey.matmul {{.*}} schedule <path = mma_sync, channels = {{[0-9]+}}, tokens = 8, {{.*}}> :
// CHECK-LABEL: func.func @product_t16(
// CHECK-SAME: attributes {odyssey.bucket = 16 : i64, odyssey.function = "product"}
// CHECK: odyssey.matmul {{.*}} schedule <path = mma_sync, channels = {{[0-9]+}}, tokens = {{8|16}}, {{.*}}> :
// CHECK-LABEL: func.func @product_t256(
// CHECK: odyssey.matmul {{.*}} schedule <path = mma_sync, channels = {{[0-9]+}}, tokens = {{64|96|128}}, {{.*}}> :
// CHECK-NOT: @product(

// The buckets where none are given.

// DEFAULT-LABEL: func.func @product_t1(
// DEFAULT-LABEL: func.func @product_t8(
// DEFAULT-LABEL: func.func @product_t16(
// DEFAULT-LABEL: func.func @product_t32(
// DEFAULT-LABEL: func.func @product_t64(
// DEFAULT-LABEL: func.func @product_t128(

// What was measured to be fast is taken, for the tokens that it was measured for and
// on that GPU: times of another one do not count, however good.

// TUNED-LABEL: func.func @product_t1(
// TUNED: odyssey.matmul {{.*}} schedule <path = mma_sync, channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 3>
// TUNED-LABEL: func.func @product_t16(
// TUNED-NOT: channels = 64, tokens = 8, k = 64, channel_warps = 2, token_warps = 1, stages = 3>
// TUNED-LABEL: func.func @product_t256(

// Another GPU gets other schedules; activations that come from outside are rows, which
// only mma_sync reads.

// SM86-LABEL: func.func @product_t512(
// SM86: odyssey.matmul {{.*}} schedule <path = mma_sync, channels = {{.*}}, tokens = {{.*}}>
// SM90-LABEL: func.func @product_t512(
// SM90: odyssey.matmul {{.*}} schedule <path = mma_sync,
func.func @product(%x: tensor<?x4096xi8>, %xs: tensor<?xf32>) -> tensor<?x4096xf16> {
  %w = odyssey.weight "w" : tensor<4096x4096xi4>
  %ws = odyssey.weight "s" : tensor<4096xf32>
  %y = odyssey.matmul %x scale %xs, %w scale %ws
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<4096x4096xi4>, tensor<4096xf32>) -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// -----

// Three steps of 64 k: a stage must divide them, so it is 64 deep.

// CHECK-LABEL: func.func @odd_steps_t1(
// CHECK: schedule <path = mma_sync, channels = {{32|64}}, tokens = 8, k = 64,
func.func @odd_steps(%x: tensor<?x172xi8>, %xs: tensor<?xf32>) -> tensor<?x64xf16> {
  %w = odyssey.weight "w" : tensor<64x172xi4>
  %ws = odyssey.weight "s" : tensor<64xf32>
  %y = odyssey.matmul %x scale %xs, %w scale %ws
      : (tensor<?x172xi8>, tensor<?xf32>, tensor<64x172xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// -----

// A schedule written by hand is kept in every bucket.

// CHECK-LABEL: func.func @by_hand_t1(
// CHECK: schedule <path = mma_sync, channels = 32, tokens = 24, k = 64, channel_warps = 1, token_warps = 3, stages = 5>
// CHECK-LABEL: func.func @by_hand_t256(
// CHECK: schedule <path = mma_sync, channels = 32, tokens = 24, k = 64, channel_warps = 1, token_warps = 3, stages = 5>
func.func @by_hand(%x: tensor<?x64xi8>, %xs: tensor<?xf32>) -> tensor<?x64xf16> {
  %w = odyssey.weight "w" : tensor<64x64xi4>
  %ws = odyssey.weight "s" : tensor<64xf32>
  %y = odyssey.matmul %x scale %xs, %w scale %ws
      schedule <path = mma_sync, channels = 32, tokens = 24, k = 64, channel_warps = 1, token_warps = 3, stages = 5>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// -----

// Products with 16-bit weights have stages of 64 k.

// CHECK-LABEL: func.func @head_t1(
// CHECK: odyssey.linear {{.*}} keep schedule <path = mma_sync, channels = 128, tokens = 8, k = 64, channel_warps = 4, token_warps = 1, stages = 4>
// CHECK-LABEL: func.func @head_t256(
// CHECK: odyssey.linear {{.*}} keep schedule <path = mma_sync, channels = 128, tokens = 64, k = 64, channel_warps = 4, token_warps = 1, stages = 3>
func.func @head(%x: tensor<?x64xf16>) -> tensor<?x512xf32> {
  %w = odyssey.weight "w" : tensor<512x64xf16>
  %y = odyssey.linear %x, %w keep : (tensor<?x64xf16>, tensor<512x64xf16>) -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// -----

// Attention takes one token a CTA in decode, and 64 rows of a KV head in prefill:
// with two heads a KV head, 32 tokens.

// CHECK-LABEL: func.func @attention_t16(
// CHECK: odyssey.attention {{.*}} {tile_tokens = 1 : i32}
// CHECK-LABEL: func.func @attention_t256(
// CHECK: odyssey.attention {{.*}} {tile_tokens = 32 : i32}
func.func @attention(%q: tensor<?x64xf16>, %p: tensor<?xi32>, %pages: tensor<1x2xi32>,
                     %kv: memref<5x2x2x4x64x10xf16>, %layer: i32) -> tensor<?x64xf16> {
  %o = odyssey.attention %q at %p, %p, %pages cache %kv layer %layer heads 8 scale = 0.35
      : tensor<?x64xf16>, tensor<?xi32>, tensor<?xi32>, tensor<1x2xi32>, memref<5x2x2x4x64x10xf16> -> tensor<?x64xf16>
  return %o : tensor<?x64xf16>
}

// -----

// Without dynamic size there is one bucket, 0, and the function keeps its name.

// CHECK-LABEL: func.func @static(
// CHECK-SAME: attributes {odyssey.bucket = 0 : i64, odyssey.function = "static"}
// CHECK: odyssey.matmul {{.*}} schedule <path = mma_sync, channels = {{32|64}}, tokens = {{8|16|24}}, k = 64
func.func @static(%x: tensor<20x64xi8>, %xs: tensor<20xf32>) -> tensor<20x64xf16> {
  %w = odyssey.weight "w" : tensor<64x64xi4>
  %ws = odyssey.weight "s" : tensor<64xf32>
  %y = odyssey.matmul %x scale %xs, %w scale %ws
      : (tensor<20x64xi8>, tensor<20xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<20x64xf16>
  return %y : tensor<20x64xf16>
}

// -----

// What has a bucket has been scheduled: the pass may run again.

// CHECK-LABEL: func.func @again_t8(
// CHECK-NOT: again_t8_t
func.func @again_t8(%x: tensor<?x64xf16>) -> tensor<?x64xf16>
    attributes {odyssey.bucket = 8 : i64, odyssey.function = "again"} {
  %y = odyssey.add %x, %x : tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// -----

// CHECK: func.func private @declaration(tensor<?x64xf16>)
func.func private @declaration(tensor<?x64xf16>)

// -----

// K of 11008 is long enough to be divided where few tokens leave multiprocessors
// without a tile; many tokens have tiles for all of them.

// CHECK-LABEL: func.func @divided_t1(
// CHECK: schedule <path = mma_sync, {{.*}}, {{split_k|stream_k}} = {{[0-9]+}}>
// CHECK-LABEL: func.func @divided_t16(
// CHECK: schedule <path = mma_sync, {{.*}}, {{split_k|stream_k}} = {{[0-9]+}}>
// CHECK-LABEL: func.func @divided_t256(
// CHECK-NOT: {{split_k|stream_k}}
// CHECK: return
func.func @divided(%x: tensor<?x11008xi8>, %xs: tensor<?xf32>) -> tensor<?x4096xf16> {
  %w = odyssey.weight "w" : tensor<4096x11008xi4>
  %ws = odyssey.weight "s" : tensor<4096xf32>
  %y = odyssey.matmul %x scale %xs, %w scale %ws
      : (tensor<?x11008xi8>, tensor<?xf32>, tensor<4096x11008xi4>, tensor<4096xf32>) -> tensor<?x4096xf16>
  return %y : tensor<?x4096xf16>
}

// -----

// Products that read the same activations agree on their layout: with many tokens the
// wide one wants wgmma, so the narrow one takes it with the same tile.

// SM90-LABEL: func.func @shared_t512(
// SM90: odyssey.matmul {{.*}} schedule <path = wgmma, channels = {{.*}}, tokens = [[TILE:[0-9]+]],
// SM90: odyssey.matmul {{.*}} schedule <path = wgmma, channels = {{.*}}, tokens = [[TILE]],
func.func @shared(%x: tensor<?x4096xf16>) -> (tensor<?x8192xf16>, tensor<?x128xf16>) {
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %w = odyssey.weight "w" : tensor<8192x4096xi4>
  %ws = odyssey.weight "ws" : tensor<8192xf32>
  %v = odyssey.weight "v" : tensor<128x4096xi4>
  %vs = odyssey.weight "vs" : tensor<128xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<8192x4096xi4>, tensor<8192xf32>) -> tensor<?x8192xf16>
  %z = odyssey.matmul %q scale %s, %v scale %vs
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<128x4096xi4>, tensor<128xf32>) -> tensor<?x128xf16>
  return %y, %z : tensor<?x8192xf16>, tensor<?x128xf16>
}

// -----

// A schedule by hand for one of them decides for the others.

// SM90-LABEL: func.func @follows_t512(
// SM90: odyssey.matmul {{.*}} schedule <path = mma_sync,
// SM90: odyssey.matmul {{.*}} schedule <path = mma_sync, channels = 128, tokens = 64, k = 64,
func.func @follows(%x: tensor<?x4096xf16>) -> (tensor<?x8192xf16>, tensor<?x128xf16>) {
  %q, %s = odyssey.quantize %x : tensor<?x4096xf16> -> tensor<?x4096xi8>, tensor<?xf32>
  %w = odyssey.weight "w" : tensor<8192x4096xi4>
  %ws = odyssey.weight "ws" : tensor<8192xf32>
  %v = odyssey.weight "v" : tensor<128x4096xi4>
  %vs = odyssey.weight "vs" : tensor<128xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<8192x4096xi4>, tensor<8192xf32>) -> tensor<?x8192xf16>
  %z = odyssey.matmul %q scale %s, %v scale %vs
      schedule <path = mma_sync, channels = 128, tokens = 64, k = 64, channel_warps = 4, token_warps = 1, stages = 4>
      : (tensor<?x4096xi8>, tensor<?xf32>, tensor<128x4096xi4>, tensor<128xf32>) -> tensor<?x128xf16>
  return %y, %z : tensor<?x8192xf16>, tensor<?x128xf16>
}

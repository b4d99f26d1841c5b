// RUN: odyssey-opt %s --odyssey-pack-weights --split-input-file | FileCheck %s

// N divisible by 128: panels of 128 channels. K of 172 is padded to 192.

// CHECK-LABEL: func.func @product
// CHECK: %[[W:.*]] = odyssey.weight "w" : tensor<256x172xi4, #fastgemm.packed<channels = 128>>
// CHECK: %[[Q:.*]], %{{.*}} = odyssey.quantize %{{.*}} : tensor<?x172xf16> -> tensor<?x172xi8, #fastgemm.rows<stride = 192>>, tensor<?xf32>
// CHECK: odyssey.matmul %[[Q]] scale %{{.*}}, %[[W]]
func.func @product(%x: tensor<?x172xf16>) -> tensor<?x256xf16> {
  %w = odyssey.weight "w" : tensor<256x172xi4>
  %ws = odyssey.weight "s" : tensor<256xf32>
  %q, %s = odyssey.quantize %x : tensor<?x172xf16> -> tensor<?x172xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      : (tensor<?x172xi8>, tensor<?xf32>, tensor<256x172xi4>, tensor<256xf32>) -> tensor<?x256xf16>
  return %y : tensor<?x256xf16>
}

// -----

// N = 192 is whole panels of 64, and would waste a quarter in panels of 128.

// CHECK-LABEL: func.func @narrow_panels
// CHECK: odyssey.weight "w" : tensor<192x64xi4, #fastgemm.packed<channels = 64>>
func.func @narrow_panels(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> tensor<?x192xf16> {
  %w = odyssey.weight "w" : tensor<192x64xi4>
  %ws = odyssey.weight "s" : tensor<192xf32>
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<192x64xi4>, tensor<192xf32>) -> tensor<?x192xf16>
  return %y : tensor<?x192xf16>
}

// -----

// A schedule written by hand may ask for wider tiles than the default panel.

// CHECK-LABEL: func.func @wide_schedule
// CHECK: odyssey.weight "w" : tensor<64x64xi4, #fastgemm.packed<channels = 256>>
func.func @wide_schedule(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> tensor<?x64xf16> {
  %w = odyssey.weight "w" : tensor<64x64xi4>
  %ws = odyssey.weight "s" : tensor<64xf32>
  %y = odyssey.matmul %x scale %s, %w scale %ws
      schedule <path = mma_sync, channels = 256, tokens = 8, k = 64, channel_warps = 8, token_warps = 1, stages = 2>
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<64x64xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  return %y : tensor<?x64xf16>
}

// -----

// What has an encoding keeps it.

// CHECK-LABEL: func.func @packed_by_hand
// CHECK: odyssey.weight "w" : tensor<256x64xi4, #fastgemm.packed<channels = 32>>
func.func @packed_by_hand(%x: tensor<?x64xi8>, %s: tensor<?xf32>) -> tensor<?x256xf16> {
  %w = odyssey.weight "w" : tensor<256x64xi4, #fastgemm.packed<channels = 32>>
  %ws = odyssey.weight "s" : tensor<256xf32>
  %y = odyssey.matmul %x scale %s, %w scale %ws
      : (tensor<?x64xi8>, tensor<?xf32>, tensor<256x64xi4, #fastgemm.packed<channels = 32>>, tensor<256xf32>) -> tensor<?x256xf16>
  return %y : tensor<?x256xf16>
}

// -----

// All that makes 8-bit activations pads its rows.

// CHECK-LABEL: func.func @fused_producers
// CHECK: odyssey.rms_norm_quantize {{.*}} -> tensor<?x72xi8, #fastgemm.rows<stride = 128>>, tensor<?xf32>
// CHECK: odyssey.silu_mul_quantize {{.*}} -> (tensor<?x36xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>)
func.func @fused_producers(%x: tensor<?x72xf16>, %norm: tensor<72xf16>) {
  %q, %s = odyssey.rms_norm_quantize %x, %norm epsilon = 1.0e-5 : tensor<?x72xf16>, tensor<72xf16> -> tensor<?x72xi8>, tensor<?xf32>
  %q2, %s2 = odyssey.silu_mul_quantize %x : (tensor<?x72xf16>) -> (tensor<?x36xi8>, tensor<?xf32>)
  return
}

// -----

// Weights of 16 bits are read as the checkpoint has them.

// CHECK-LABEL: func.func @half_weights
// CHECK: odyssey.weight "w" : tensor<512x64xf16>
func.func @half_weights(%x: tensor<?x64xf16>) -> tensor<?x512xf32> {
  %w = odyssey.weight "w" : tensor<512x64xf16>
  %y = odyssey.linear %x, %w keep : (tensor<?x64xf16>, tensor<512x64xf16>) -> tensor<?x512xf32>
  return %y : tensor<?x512xf32>
}

// -----

// What a function returns is in plain layout.

// CHECK-LABEL: func.func @returned
// CHECK: odyssey.quantize %{{.*}} : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
func.func @returned(%x: tensor<?x64xf16>) -> (tensor<?x64xi8>, tensor<?xf32>) {
  %q, %s = odyssey.quantize %x : tensor<?x64xf16> -> tensor<?x64xi8>, tensor<?xf32>
  return %q, %s : tensor<?x64xi8>, tensor<?xf32>
}

// -----

// A warpgroup reads a panel of 128 channels, and activations in tiles of its
// schedule's tokens, whoever makes them.

// CHECK-LABEL: func.func @wgmma
// CHECK: odyssey.weight "w" : tensor<64x72xi4, #fastgemm.packed<channels = 128>>
// CHECK: %[[Q:.*]], %{{.*}} = odyssey.quantize %{{.*}} -> tensor<?x72xi8, #fastgemm.swizzled<tokens = 24>>, tensor<?xf32>
// CHECK: odyssey.matmul %[[Q]] scale
// CHECK: odyssey.rms_norm_quantize {{.*}} -> tensor<?x72xi8, #fastgemm.swizzled<tokens = 24>>, tensor<?xf32>
func.func @wgmma(%x: tensor<?x72xf16>, %norm: tensor<72xf16>) -> (tensor<?x64xf16>, tensor<?x64xf16>) {
  %w = odyssey.weight "w" : tensor<64x72xi4>
  %ws = odyssey.weight "s" : tensor<64xf32>
  %q, %s = odyssey.quantize %x : tensor<?x72xf16> -> tensor<?x72xi8>, tensor<?xf32>
  %y = odyssey.matmul %q scale %s, %w scale %ws
      schedule <path = wgmma, channels = 128, tokens = 24, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x72xi8>, tensor<?xf32>, tensor<64x72xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  %n, %ns = odyssey.rms_norm_quantize %x, %norm epsilon = 1.0e-5 : tensor<?x72xf16>, tensor<72xf16> -> tensor<?x72xi8>, tensor<?xf32>
  %z = odyssey.matmul %n scale %ns, %w scale %ws
      schedule <path = wgmma, channels = 128, tokens = 24, k = 128, channel_warps = 4, token_warps = 1, stages = 2>
      : (tensor<?x72xi8>, tensor<?xf32>, tensor<64x72xi4>, tensor<64xf32>) -> tensor<?x64xf16>
  return %y, %z : tensor<?x64xf16>, tensor<?x64xf16>
}

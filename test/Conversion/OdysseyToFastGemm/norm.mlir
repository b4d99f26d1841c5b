// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// 64 columns: pieces of 8 elements, one warp. A segment of 32 elements is added as
// a tree, in a thread and over four lanes; of what segments give, every lane adds
// its own, and a butterfly over the warp the rest.

// CHECK-LABEL: gpu.func @rms_norm
// CHECK-SAME: grid = [1, 1, 1], per_tokens = [1, 0, 0], block = 32, shared_bytes = 16
// CHECK-SAME: kind = "norm"
// CHECK-DAG: %[[COLUMNS:.*]] = arith.constant 6.400000e+01 : f32
// CHECK-DAG: %[[EPSILON:.*]] = arith.constant 9.99999974E-6 : f32
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1.000000e+00 : f32
// Behind the row's end a thread holds zeros.
// CHECK: scf.if
// CHECK: arith.extf %{{.*}} : vector<8xf16> to vector<8xf32>
// CHECK: } else {
// CHECK: }
// CHECK: %[[X0:.*]] = vector.extract %{{.*}}[0]
// CHECK: %[[S0:.*]] = arith.mulf %[[X0]], %[[X0]] : f32
// CHECK: %[[X1:.*]] = vector.extract %{{.*}}[1]
// CHECK: %[[S1:.*]] = arith.mulf %[[X1]], %[[X1]] : f32
// CHECK: %[[X7:.*]] = vector.extract %{{.*}}[7]
// CHECK: %[[S01:.*]] = arith.addf %[[S0]], %[[S1]] : f32
// CHECK: %[[S23:.*]] = arith.addf
// CHECK: arith.addf
// CHECK: arith.addf
// CHECK: arith.addf %[[S01]], %[[S23]] : f32
// CHECK-COUNT-4: nvvm.shfl.sync bfly
// CHECK: scf.if
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<3>
// CHECK: gpu.barrier
// CHECK: llvm.load %{{.*}} {alignment = 8 : i64} : !llvm.ptr<3> -> vector<2xf32>
// CHECK-COUNT-10: nvvm.shfl.sync bfly
// CHECK: %[[SUM:.*]] = arith.addf
// CHECK: %[[MEAN:.*]] = arith.divf %[[SUM]], %[[COLUMNS]] : f32
// CHECK: %[[BIASED:.*]] = arith.addf %[[MEAN]], %[[EPSILON]] : f32
// CHECK: %[[ROOT:.*]] = llvm.intr.sqrt(%[[BIASED]])
// CHECK: %[[R:.*]] = arith.divf %[[ONE]], %[[ROOT]] : f32
// CHECK: %[[RS:.*]] = vector.broadcast %[[R]] : f32 to vector<8xf32>
// CHECK: %[[SCALED:.*]] = arith.mulf %{{.*}}, %[[RS]] : vector<8xf32>
// CHECK: arith.mulf %[[SCALED]], %{{.*}} : vector<8xf32>
// CHECK: arith.truncf %{{.*}} : vector<8xf32> to vector<8xf16>
// CHECK-NOT: llvm.intr.fma
gpu.module @kernels {
  odyssey.kernel @rms_norm(%x: tensor<?x64xf16>, %w: tensor<64xf16>) -> tensor<?x64xf16> attributes {kind = "norm"} {
    %y = odyssey.rms_norm %x, %w epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16>
    odyssey.return %y : tensor<?x64xf16>
  }
}

// -----

// 4096 columns: 256 threads hold two pieces each; 128 segments meet in shared
// memory, and every lane adds four.

// CHECK-LABEL: gpu.func @long_row
// CHECK-SAME: block = 256, shared_bytes = 1024
// CHECK: scf.if
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<3>
// CHECK: scf.if
// CHECK: llvm.store %{{.*}}, %{{.*}} {alignment = 8 : i64} : vector<2xf32>, !llvm.ptr<3>
// CHECK: gpu.barrier
// CHECK-COUNT-4: llvm.load %{{.*}} {alignment = 8 : i64} : !llvm.ptr<3> -> vector<2xf32>
// CHECK-NOT: gpu.barrier
// CHECK: llvm.intr.sqrt
gpu.module @kernels {
  odyssey.kernel @long_row(%x: tensor<?x4096xf16>, %w: tensor<4096xf16>) -> tensor<?x4096xf16> attributes {kind = "norm"} {
    %y = odyssey.rms_norm %x, %w epsilon = 1.0e-5 : tensor<?x4096xf16>, tensor<4096xf16>
    odyssey.return %y : tensor<?x4096xf16>
  }
}

// -----

// a = max|x|, r = 127 / a, q = clamp(rne(x * r)), scale = a / 127; a row of zeros
// gets factor 0.

// CHECK-LABEL: gpu.func @quantize
// CHECK-SAME: kind = "quantize"
// CHECK-DAG: %[[LIMIT:.*]] = arith.constant 1.270000e+02 : f32
// CHECK-DAG: %[[LOWEST:.*]] = arith.constant -1.270000e+02 : f32
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0.000000e+00 : f32
// CHECK: llvm.intr.fabs
// CHECK: arith.maxnumf
// CHECK-COUNT-5: nvvm.shfl.sync bfly
// CHECK: %[[LARGEST:.*]] = arith.maxnumf
// CHECK: %[[EMPTY:.*]] = arith.cmpf oeq, %[[LARGEST]], %[[ZERO]] : f32
// CHECK: %[[RECIPROCAL:.*]] = arith.divf %[[LIMIT]], %[[LARGEST]] : f32
// CHECK: %[[FACTOR:.*]] = arith.select %[[EMPTY]], %[[ZERO]], %[[RECIPROCAL]] : f32
// CHECK: %[[SCALED:.*]] = arith.mulf %{{.*}}, %[[FACTOR]] : f32
// CHECK: %[[ROUNDED:.*]] = llvm.intr.roundeven(%[[SCALED]])
// CHECK: %[[FROM_BELOW:.*]] = arith.maxnumf %[[ROUNDED]], %[[LOWEST]] : f32
// CHECK: %[[CLAMPED:.*]] = arith.minnumf %[[FROM_BELOW]], %[[LIMIT]] : f32
// CHECK: arith.fptosi %[[CLAMPED]] : f32 to i32
// CHECK: llvm.store %{{.*}} {alignment = 8 : i64} : vector<2xi32>, !llvm.ptr<1>
// CHECK: %[[SCALE:.*]] = arith.divf %[[LARGEST]], %[[LIMIT]] : f32
// CHECK: llvm.store %[[SCALE]]
gpu.module @kernels {
  odyssey.kernel @quantize(%x: tensor<?x64xf16>) -> (tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>) attributes {kind = "quantize"} {
    %q, %s = odyssey.quantize %x : tensor<?x64xf16> -> tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>
    odyssey.return %q, %s : tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>
  }
}

// -----

// Rows of 172 are padded with zeros to 192 bytes.

// CHECK-LABEL: gpu.func @padding
// CHECK-DAG: %[[PADDING:.*]] = arith.constant 20 : i32
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0 : i8
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[PADDING]] step
// CHECK: llvm.store %[[ZERO]], %{{.*}} {alignment = 1 : i64} : i8, !llvm.ptr<1>
gpu.module @kernels {
  odyssey.kernel @padding(%x: tensor<?x172xf16>) -> (tensor<?x172xi8, #fastgemm.rows<stride = 192>>, tensor<?xf32>) attributes {kind = "quantize"} {
    %q, %s = odyssey.quantize %x : tensor<?x172xf16> -> tensor<?x172xi8, #fastgemm.rows<stride = 192>>, tensor<?xf32>
    odyssey.return %q, %s : tensor<?x172xi8, #fastgemm.rows<stride = 192>>, tensor<?xf32>
  }
}

// -----

// The products with the weights are quantized as they are; the norm's factor goes
// into the scale.

// CHECK-LABEL: gpu.func @rms_norm_quantize
// CHECK-DAG: %[[LIMIT:.*]] = arith.constant 1.270000e+02 : f32
// CHECK: %[[PRODUCTS:.*]] = arith.mulf %{{.*}}, %{{.*}} : vector<8xf32>
// CHECK: vector.extract %[[PRODUCTS]][0]
// CHECK: gpu.barrier
// CHECK: %[[ROOT:.*]] = llvm.intr.sqrt
// CHECK: %[[R:.*]] = arith.divf %{{.*}}, %[[ROOT]] : f32
// CHECK: %[[RECIPROCAL:.*]] = arith.divf %[[LIMIT]], %[[LARGEST:.*]] : f32
// CHECK-NOT: arith.truncf
// CHECK: %[[SCALE:.*]] = arith.divf %[[LARGEST]], %[[LIMIT]] : f32
// CHECK: %[[WITH_R:.*]] = arith.mulf %[[SCALE]], %[[R]] : f32
// CHECK: llvm.store %[[WITH_R]]
gpu.module @kernels {
  odyssey.kernel @rms_norm_quantize(%x: tensor<?x64xf16>, %w: tensor<64xf16>) -> (tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>) attributes {kind = "norm"} {
    %q, %s = odyssey.rms_norm_quantize %x, %w epsilon = 1.0e-5 : tensor<?x64xf16>, tensor<64xf16> -> tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>
    odyssey.return %q, %s : tensor<?x64xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>
  }
}

// -----

// (gate / (1 + exp(-gate))) * up; the exponential is a polynomial of fused
// multiply-adds, so that it has the same bits everywhere.

// CHECK-LABEL: gpu.func @silu_mul
// CHECK-SAME: (%[[GATE:.*]]: !llvm.ptr<1>, %[[UP:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %{{.*}}: i32) kernel
// CHECK-SAME: kind = "activation"
// CHECK: llvm.getelementptr %[[GATE]]
// CHECK: llvm.getelementptr %[[UP]]
// CHECK: %[[G:.*]] = vector.extract %{{.*}}[0]
// CHECK: %[[MINUS:.*]] = arith.subf %{{.*}}, %[[G]] : f32
// CHECK: llvm.intr.roundeven
// CHECK-COUNT-8: llvm.intr.fma
// CHECK: %[[EXP:.*]] = arith.select
// CHECK: %[[DENOMINATOR:.*]] = arith.addf %[[EXP]], %{{.*}} : f32
// CHECK: %[[SILU:.*]] = arith.divf %[[G]], %[[DENOMINATOR]] : f32
// CHECK: arith.mulf %[[SILU]], %{{.*}} : f32
gpu.module @kernels {
  odyssey.kernel @silu_mul(%gate: tensor<?x32xf16>, %up: tensor<?x32xf16>) -> tensor<?x32xf16> attributes {kind = "activation"} {
    %y = odyssey.silu_mul %gate, %up : (tensor<?x32xf16>, tensor<?x32xf16>) -> tensor<?x32xf16>
    odyssey.return %y : tensor<?x32xf16>
  }
}

// -----

// One operand: up lies behind the gate in the same row, 64 bytes on.

// CHECK-LABEL: gpu.func @silu_mul_quantize
// CHECK-SAME: (%[[GATE_UP:.*]]: !llvm.ptr<1>, %{{.*}}: !llvm.ptr<1>, %{{.*}}: !llvm.ptr<1>, %{{.*}}: i32) kernel
// CHECK: %[[ROW:.*]] = llvm.getelementptr %[[GATE_UP]]
// CHECK: llvm.getelementptr %[[ROW]][64]
// CHECK: arith.truncf
// CHECK: arith.extf
// CHECK: llvm.intr.fabs
gpu.module @kernels {
  odyssey.kernel @silu_mul_quantize(%gate_up: tensor<?x64xf16>) -> (tensor<?x32xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>) attributes {kind = "activation"} {
    %q, %s = odyssey.silu_mul_quantize %gate_up : (tensor<?x64xf16>) -> (tensor<?x32xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>)
    odyssey.return %q, %s : tensor<?x32xi8, #fastgemm.rows<stride = 64>>, tensor<?xf32>
  }
}

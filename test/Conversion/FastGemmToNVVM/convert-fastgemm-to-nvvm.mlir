// RUN: odyssey-opt %s --pass-pipeline='builtin.module(gpu.module(convert-fastgemm-to-nvvm))' | FileCheck %s

gpu.module @kernels {
  // Past L1 (cg) exists for 16 bytes only.
  // CHECK-LABEL: gpu.func @copies
  // CHECK-SAME: %[[S:.*]]: !llvm.ptr<3>, %[[G:.*]]: !llvm.ptr<1>, %[[N:.*]]: i32
  // CHECK-NEXT: nvvm.cp.async.shared.global %[[S]], %[[G]], 16, cache = cg :
  // CHECK-NEXT: nvvm.cp.async.shared.global %[[S]], %[[G]], 16, cache = cg, %[[N]] :
  // CHECK-NEXT: nvvm.cp.async.shared.global %[[S]], %[[G]], 8, cache = ca :
  // CHECK-NEXT: nvvm.cp.async.shared.global %[[S]], %[[G]], 4, cache = ca, %[[N]] :
  // CHECK-NEXT: nvvm.cp.async.commit.group
  // CHECK-NEXT: nvvm.cp.async.wait.group 2
  gpu.func @copies(%s: !llvm.ptr<3>, %g: !llvm.ptr<1>, %n: i32) {
    fastgemm.async_copy %s, %g, 16 : !llvm.ptr<3>, !llvm.ptr<1>
    fastgemm.async_copy %s, %g, 16 valid %n : !llvm.ptr<3>, !llvm.ptr<1>
    fastgemm.async_copy %s, %g, 8 : !llvm.ptr<3>, !llvm.ptr<1>
    fastgemm.async_copy %s, %g, 4 valid %n : !llvm.ptr<3>, !llvm.ptr<1>
    fastgemm.async_commit
    fastgemm.async_wait 2
    gpu.return
  }

  // CHECK-LABEL: gpu.func @load_four
  // CHECK: %[[L:.*]] = nvvm.ldmatrix %{{.*}} {eltType = #nvvm.ld_st_matrix_elt_type<b16>, layout = #nvvm.mma_layout<row>, num = 4 : i32, shape = #nvvm.ld_st_matrix_shape<m = 8, n = 8>}
  // CHECK: %[[R0:.*]] = llvm.extractvalue %[[L]][0]
  // CHECK: %[[R1:.*]] = llvm.extractvalue %[[L]][1]
  // CHECK: %[[R2:.*]] = llvm.extractvalue %[[L]][2]
  // CHECK: %[[R3:.*]] = llvm.extractvalue %[[L]][3]
  // CHECK: vector.from_elements %[[R0]], %[[R1]], %[[R2]], %[[R3]] : vector<4xi32>
  gpu.func @load_four(%s: !llvm.ptr<3>, %out: !llvm.ptr<1>) {
    %m = fastgemm.load_matrix %s : !llvm.ptr<3> -> vector<4xi32>
    llvm.store %m, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }

  // CHECK-LABEL: gpu.func @load_transposed
  // CHECK: nvvm.ldmatrix %{{.*}} {eltType = #nvvm.ld_st_matrix_elt_type<b16>, layout = #nvvm.mma_layout<col>, num = 2 : i32,
  gpu.func @load_transposed(%s: !llvm.ptr<3>, %out: !llvm.ptr<1>) {
    %m = fastgemm.load_matrix %s transpose : !llvm.ptr<3> -> vector<2xi32>
    llvm.store %m, %out : vector<2xi32>, !llvm.ptr<1>
    gpu.return
  }

  // One matrix comes as a register, not as a struct.
  // CHECK-LABEL: gpu.func @load_one
  // CHECK: %[[R:.*]] = nvvm.ldmatrix {{.*}} : (!llvm.ptr<3>) -> i32
  // CHECK: vector.from_elements %[[R]] : vector<1xi32>
  gpu.func @load_one(%s: !llvm.ptr<3>, %out: !llvm.ptr<1>) {
    %m = fastgemm.load_matrix %s : !llvm.ptr<3> -> vector<1xi32>
    llvm.store %m, %out : vector<1xi32>, !llvm.ptr<1>
    gpu.return
  }

  // CHECK-LABEL: gpu.func @mma_s8
  // CHECK-SAME: %[[A:.*]]: vector<4xi32>, %[[B:.*]]: vector<2xi32>, %[[C:.*]]: vector<4xi32>
  // CHECK: %[[A0:.*]] = vector.extract %[[A]][0]
  // CHECK: %[[A1:.*]] = vector.extract %[[A]][1]
  // CHECK: %[[A2:.*]] = vector.extract %[[A]][2]
  // CHECK: %[[A3:.*]] = vector.extract %[[A]][3]
  // CHECK: %[[B0:.*]] = vector.extract %[[B]][0]
  // CHECK: %[[B1:.*]] = vector.extract %[[B]][1]
  // CHECK: %[[C0:.*]] = vector.extract %[[C]][0]
  // CHECK: nvvm.mma.sync A[%[[A0]], %[[A1]], %[[A2]], %[[A3]]] B[%[[B0]], %[[B1]]] C[%[[C0]], %{{.*}}, %{{.*}}, %{{.*}}]
  // CHECK-SAME: intOverflowBehavior = #nvvm.mma_int_overflow<wrapped>
  // CHECK-SAME: layoutA = #nvvm.mma_layout<row>, layoutB = #nvvm.mma_layout<col>
  // CHECK-SAME: multiplicandAPtxType = #nvvm.mma_type<s8>, multiplicandBPtxType = #nvvm.mma_type<s8>
  // CHECK-SAME: shape = #nvvm.shape<m = 16, n = 8, k = 32>
  gpu.func @mma_s8(%a: vector<4xi32>, %b: vector<2xi32>, %c: vector<4xi32>, %out: !llvm.ptr<1>) {
    %d = fastgemm.mma_s8 %a, %b, %c : vector<4xi32>, vector<2xi32> -> vector<4xi32>
    llvm.store %d, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }

  // Registers of a and b are pairs of fp16.
  // CHECK-LABEL: gpu.func @mma_f16
  // CHECK-COUNT-6: llvm.bitcast %{{.*}} : i32 to vector<2xf16>
  // CHECK: nvvm.mma.sync
  // CHECK-SAME: shape = #nvvm.shape<m = 16, n = 8, k = 16>} : (vector<2xf16>, vector<2xf16>, f32) -> !llvm.struct<(f32, f32, f32, f32)>
  gpu.func @mma_f16(%a: vector<4xi32>, %b: vector<2xi32>, %c: vector<4xf32>, %out: !llvm.ptr<1>) {
    %d = fastgemm.mma_f16 %a, %b, %c : vector<4xi32>, vector<2xi32> -> vector<4xf32>
    llvm.store %d, %out : vector<4xf32>, !llvm.ptr<1>
    gpu.return
  }
}

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

  // Without side effects, so that one of several is kept.
  // CHECK-LABEL: gpu.func @policy
  // CHECK: %[[P:.*]] = llvm.inline_asm asm_dialect = att "createpolicy.fractional.L2::evict_first.b64 $0, 1.0;", "=l" : () -> i64
  // CHECK: llvm.store %[[P]]
  gpu.func @policy(%out: !llvm.ptr<1>) {
    %p = fastgemm.evict_first_policy : i64
    llvm.store %p, %out : i64, !llvm.ptr<1>
    gpu.return
  }

  // No read of what was waited for may pass the loop: it clobbers memory.
  // CHECK-LABEL: gpu.func @barrier_wait
  // CHECK-SAME: %[[B:.*]]: !llvm.ptr<3>, %[[PARITY:.*]]: i32
  // CHECK-NEXT: llvm.inline_asm has_side_effects {{.*}}"{\0A.reg .pred ended;\0AWAIT:\0Ambarrier.try_wait.parity.shared::cta.b64 ended, [$0], $1;\0A@ended bra DONE;\0Abra WAIT;\0ADONE:\0A}", "r,r,~{memory}" %[[B]], %[[PARITY]] :
  // CHECK-NEXT: llvm.inline_asm has_side_effects {{.*}}mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 ended, [$0], $1;{{.*}}, "r,r,~{memory}" %[[B]], %[[PARITY]] :
  gpu.func @barrier_wait(%b: !llvm.ptr<3>, %parity: i32) {
    fastgemm.barrier_wait %b, %parity : !llvm.ptr<3>
    fastgemm.barrier_wait %b, %parity cluster : !llvm.ptr<3>
    gpu.return
  }

  // A in registers, N of 8: four accumulators, tied to the results.
  // CHECK-LABEL: gpu.func @wgmma
  // CHECK-SAME: %[[A:.*]]: vector<4xi32>, %[[D:.*]]: i64, %[[C:.*]]: vector<4xi32>
  // CHECK: %[[C0:.*]] = vector.extract %[[C]][0]
  // CHECK: %[[C1:.*]] = vector.extract %[[C]][1]
  // CHECK: %[[C2:.*]] = vector.extract %[[C]][2]
  // CHECK: %[[C3:.*]] = vector.extract %[[C]][3]
  // CHECK: %[[A0:.*]] = vector.extract %[[A]][0]
  // CHECK: %[[A1:.*]] = vector.extract %[[A]][1]
  // CHECK: %[[A2:.*]] = vector.extract %[[A]][2]
  // CHECK: %[[A3:.*]] = vector.extract %[[A]][3]
  // CHECK: %[[R:.*]] = llvm.inline_asm has_side_effects
  // CHECK-SAME: wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8\0A\09{$0, $1, $2, $3},\0A\09{$8, $9, $10, $11}, $12, add;\0A}"
  // CHECK-SAME: "=r,=r,=r,=r,0,1,2,3,r,r,r,r,l,~{memory}" %[[C0]], %[[C1]], %[[C2]], %[[C3]], %[[A0]], %[[A1]], %[[A2]], %[[A3]], %[[D]] :
  // CHECK: %[[R0:.*]] = llvm.extractvalue %[[R]][0]
  // CHECK: %[[R3:.*]] = llvm.extractvalue %[[R]][3]
  // CHECK: vector.from_elements %[[R0]], %{{.*}}, %{{.*}}, %[[R3]] : vector<4xi32>
  gpu.func @wgmma(%a: vector<4xi32>, %descriptor: i64, %c: vector<4xi32>, %out: !llvm.ptr<1>) {
    %d = fastgemm.wgmma %a, %descriptor(%c) : vector<4xi32>, i64 -> vector<4xi32>
    llvm.store %d, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }

  // Three accumulators make N 24.
  // CHECK-LABEL: gpu.func @wgmma_three
  // CHECK: m64n24k32.s32.s8.s8\0A\09{$0, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11},\0A\09{$24, $25, $26, $27}, $28, add;
  gpu.func @wgmma_three(%a: vector<4xi32>, %descriptor: i64, %c: vector<4xi32>, %out: !llvm.ptr<1>) {
    %d:3 = fastgemm.wgmma %a, %descriptor(%c, %c, %c) : vector<4xi32>, i64 -> vector<4xi32>, vector<4xi32>, vector<4xi32>
    llvm.store %d#2, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }

  // All registers pass through, so that nothing that makes or uses them crosses.
  // CHECK-LABEL: gpu.func @wgmma_order
  // CHECK: llvm.inline_asm has_side_effects {{.*}}"wgmma.fence.sync.aligned;", "=r,=r,=r,=r,=r,=r,=r,=r,0,1,2,3,4,5,6,7,~{memory}"
  // CHECK: llvm.inline_asm has_side_effects {{.*}}"wgmma.wait_group.sync.aligned 1;", "=r,=r,=r,=r,0,1,2,3,~{memory}"
  gpu.func @wgmma_order(%a: vector<4xi32>, %c: vector<4xi32>, %out: !llvm.ptr<1>) {
    %f:2 = fastgemm.wgmma_fence(%a, %c) : vector<4xi32>, vector<4xi32>
    %d = fastgemm.wgmma_wait 1(%f#1) : vector<4xi32>
    llvm.store %d, %out : vector<4xi32>, !llvm.ptr<1>
    llvm.store %f#0, %out : vector<4xi32>, !llvm.ptr<1>
    gpu.return
  }
}

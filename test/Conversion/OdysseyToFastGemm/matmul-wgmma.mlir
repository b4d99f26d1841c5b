// RUN: odyssey-opt %s --split-input-file --pass-pipeline='builtin.module(gpu.module(convert-odyssey-to-fastgemm,canonicalize,cse))' | FileCheck %s

// A tile of 128 channels x 8 tokens, K = 192 split between the two CTAs of a
// cluster. A stage is 8 * 128 + 128 * 128 / 2 = 9216 bytes, two of them 18432; the
// exchange behind them is 2 x 1 group x 128 threads x 16 = 4096; then two barriers of
// 8 bytes per stage, from 22528. Four consumer warps and one that copies.

// CHECK-LABEL: gpu.func @split
// CHECK-SAME: (%[[X:.*]]: !llvm.ptr<1>, %[[XS:.*]]: !llvm.ptr<1>, %[[W:.*]]: !llvm.ptr<1>, %[[WS:.*]]: !llvm.ptr<1>, %[[Y:.*]]: !llvm.ptr<1>, %[[M:.*]]: i32) kernel
// CHECK-SAME: fastgemm.launch = #fastgemm.launch<grid = [2, 1, 1], per_tokens = [0, 8, 0], block = 160, shared_bytes = 22560, cluster = 2>
// CHECK-SAME: known_block_size = array<i32: 160, 1, 1>
// CHECK-DAG: %[[ZERO:.*]] = arith.constant 0 : i32
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : i32
// CHECK-DAG: %[[FOUR:.*]] = arith.constant 4 : i32
// CHECK: llvm.inline_asm has_side_effects "griddepcontrol.launch_dependents;"
// CHECK: %[[RANK:.*]] = nvvm.read.ptx.sreg.cluster.ctarank : i32
// One thread makes the barriers: the producer arrives at those of full stages, four
// warps at those of empty ones.
// CHECK: scf.if
// CHECK: nvvm.mbarrier.init %{{.*}}, %[[ONE]] :
// CHECK: nvvm.mbarrier.init %{{.*}}, %[[FOUR]] :
// CHECK: nvvm.mbarrier.init %{{.*}}, %[[ONE]] :
// CHECK: nvvm.mbarrier.init %{{.*}}, %[[FOUR]] :
// CHECK-NOT: nvvm.mbarrier.init
// CHECK: nvvm.fence.mbarrier.init
// CHECK: gpu.barrier
// CHECK-NEXT: nvvm.cluster.arrive {aligned}
// No registers move: the producer is no warpgroup.
// CHECK-NOT: nvvm.setmaxregister
// CHECK: %[[CONSUMER:.*]] = arith.cmpi ult, %{{.*}}, %[[FOUR]] : i32
// CHECK: scf.if %[[CONSUMER]] {
// The first half of the first stage, unpacked before the loop.
// CHECK: fastgemm.barrier_wait
// CHECK-COUNT-2: fastgemm.dequant
// CHECK: scf.for
// Products of a half, 2 steps of 32 k x 2 tiles of 64 channels; while they run the
// next half is unpacked.
// CHECK: %[[F:.*]]:6 = fastgemm.wgmma_fence(
// CHECK: %[[D0:.*]] = fastgemm.wgmma %[[F]]#0, %[[B:.*]](%[[F]]#4)
// CHECK: %[[D1:.*]] = fastgemm.wgmma %[[F]]#1, %[[B]](%[[F]]#5)
// CHECK: %[[B1:.*]] = arith.addi %[[B]], %{{.*}} : i64
// CHECK: %[[E0:.*]] = fastgemm.wgmma %[[F]]#2, %[[B1]](%[[D0]])
// CHECK: %[[E1:.*]] = fastgemm.wgmma %[[F]]#3, %[[B1]](%[[D1]])
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK-COUNT-2: fastgemm.dequant
// CHECK: %[[S:.*]]:2 = fastgemm.wgmma_wait 0(%[[E0]], %[[E1]])
// CHECK: fastgemm.wgmma_fence({{.*}}, %[[S]]#0, %[[S]]#1)
// CHECK-COUNT-4: fastgemm.wgmma
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: fastgemm.barrier_wait
// CHECK-COUNT-2: fastgemm.dequant
// CHECK: fastgemm.wgmma_wait 0(
// The stage is free when its products have ended, not when they are issued.
// CHECK: scf.if
// CHECK: nvvm.mbarrier.arrive
// CHECK: scf.yield
// Scales of tokens come from the kernel in front.
// CHECK: llvm.inline_asm has_side_effects "griddepcontrol.wait;"
// The other CTA has started; every thread sends it one of its two groups of four
// sums, and keeps one.
// CHECK: nvvm.cluster.wait {aligned}
// CHECK: nvvm.mapa %{{.*}}, %[[ZERO]] : !llvm.ptr<3> -> !llvm.ptr<7>
// CHECK: llvm.store %{{.*}} : vector<4xi32>, !llvm.ptr<7>
// CHECK: nvvm.mapa %{{.*}}, %[[ONE]] : !llvm.ptr<3> -> !llvm.ptr<7>
// CHECK: llvm.store %{{.*}} : vector<4xi32>, !llvm.ptr<7>
// CHECK-NEXT: nvvm.cluster.arrive {aligned}
// CHECK-NEXT: nvvm.cluster.wait {aligned}
// CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> vector<4xi32>
// CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> vector<4xi32>
// CHECK: arith.addi %{{.*}} : vector<4xi32>
// CHECK-COUNT-1: llvm.store %{{.*}} : vector<4xf16>, !llvm.ptr<1>
// CHECK-NOT: llvm.store
// The producer: weights of the first round before it waits for the kernel in front.
// CHECK: } else {
// CHECK: %[[POLICY:.*]] = fastgemm.evict_first_policy : i64
// CHECK: scf.for
// CHECK: nvvm.mbarrier.arrive.expect_tx %{{.*}}, %{{.*}}
// Packed weights end in the middle of the last stage (K = 192): the half that is
// there comes twice, for activations of zero.
// CHECK: %[[LAST:.*]] = arith.cmpi eq, %{{.*}}, %[[ONE]] : i32
// CHECK: scf.if %[[LAST]] {
// CHECK-NEXT: nvvm.cp.async.bulk.shared.cluster.global %[[TO:.*]], %[[FROM:.*]], %[[BAR:.*]], %[[HALF:.*]] l2_cache_hint = %[[POLICY]]
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %{{.*}}, %[[FROM]], %[[BAR]], %[[HALF]] l2_cache_hint = %[[POLICY]]
// CHECK: } else {
// CHECK-NEXT: nvvm.cp.async.bulk.shared.cluster.global %[[TO]], %[[FROM]], %[[BAR]], %{{.*}} l2_cache_hint = %[[POLICY]]
// CHECK: llvm.inline_asm has_side_effects "griddepcontrol.wait;"
// CHECK: scf.for
// Activations are read again, by other channels: no hint.
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %{{.*}}, %{{.*}}, %{{.*}}, %{{[^ ]*}} :
// The rounds behind wait until a stage is empty.
// CHECK: scf.for
// CHECK: fastgemm.barrier_wait
// CHECK: nvvm.mbarrier.arrive.expect_tx
// CHECK: gpu.return
gpu.module @kernels {
  odyssey.kernel @split(%x: tensor<?x192xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>, %w: tensor<128x192xi4, #fastgemm.packed<channels = 128>>, %ws: tensor<128xf32>) -> tensor<?x128xf16> attributes {fastgemm.dependent_launch, kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2, split_k = 2>
        : (tensor<?x192xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, tensor<128x192xi4, #fastgemm.packed<channels = 128>>, tensor<128xf32>) -> tensor<?x128xf16>
    odyssey.return %y : tensor<?x128xf16>
  }
}

// -----

// Persistent CTAs of two consumer warpgroups, 256 channels, which take registers from
// the producer's warpgroup; N = 384 is three panels, and the fourth is the third one
// again. A stage is 16 * 128 + 256 * 128 / 2 = 18432 bytes.

// CHECK-LABEL: gpu.func @persistent
// CHECK-SAME: fastgemm.launch = #fastgemm.launch<grid = [132, 1, 1], per_tokens = [0, 0, 0], block = 384, shared_bytes = 55344>
// CHECK-NOT: cluster
// CHECK-DAG: %[[TWO:.*]] = arith.constant 2 : i32
// CHECK-DAG: %[[BYTES:.*]] = arith.constant 18432 : i32
// CHECK-DAG: %[[WEIGHTS:.*]] = arith.constant 8192 : i32
// CHECK-DAG: %[[ACTIVATIONS:.*]] = arith.constant 2048 : i32
// CHECK: nvvm.fence.mbarrier.init
// CHECK: gpu.barrier
// CHECK: scf.if
// CHECK-NEXT: nvvm.setmaxregister increase 232
// Tile after tile; the ring's position is carried on.
// CHECK: %[[TILES:.*]] = nvvm.read.ptx.sreg.nctaid.x : i32
// CHECK: %[[FIRST:.*]] = nvvm.read.ptx.sreg.ctaid.x : i32
// CHECK: scf.for %{{.*}} = %[[FIRST]] to %{{.*}} step %[[TILES]] iter_args(
// CHECK: fastgemm.barrier_wait
// CHECK: %[[SUMS:.*]]:10 = scf.for
// CHECK: fastgemm.wgmma_fence(
// CHECK-COUNT-4: fastgemm.wgmma %{{.*}} -> vector<4xi32>, vector<4xi32>
// CHECK: fastgemm.wgmma_wait 0(
// CHECK: nvvm.mbarrier.arrive
// CHECK: scf.yield
// CHECK-COUNT-4: llvm.store %{{.*}} : vector<4xf16>, !llvm.ptr<1>
// CHECK: scf.yield %[[SUMS]]#0, %[[SUMS]]#1 : i32, i32
// CHECK: } else {
// CHECK: nvvm.setmaxregister decrease 40
// CHECK: scf.for
// CHECK: scf.for
// CHECK: fastgemm.barrier_wait
// CHECK: nvvm.mbarrier.arrive.expect_tx %[[FULL:.*]], %[[BYTES]] :
// Weights stay in the cache for the next tokens: no hint.
// CHECK: arith.minui %{{.*}}, %[[TWO]] : i32
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %{{.*}}, %{{.*}}, %[[FULL]], %[[WEIGHTS]] :
// CHECK: arith.minui %{{.*}}, %[[TWO]] : i32
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %{{.*}}, %{{.*}}, %[[FULL]], %[[WEIGHTS]] :
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %{{.*}}, %{{.*}}, %[[FULL]], %[[ACTIVATIONS]] :
// CHECK-NOT: nvvm.cp.async.bulk
// CHECK: gpu.return
gpu.module @kernels {
  odyssey.kernel @persistent(%x: tensor<?x256xi8, #fastgemm.swizzled<tokens = 16>>, %xs: tensor<?xf32>, %w: tensor<384x256xi4, #fastgemm.packed<channels = 128>>, %ws: tensor<384xf32>) -> tensor<?x384xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = wgmma, channels = 256, tokens = 16, k = 128, channel_warps = 8, token_warps = 1, stages = 3, ctas = 132>
        : (tensor<?x256xi8, #fastgemm.swizzled<tokens = 16>>, tensor<?xf32>, tensor<384x256xi4, #fastgemm.packed<channels = 128>>, tensor<384xf32>) -> tensor<?x384xf16>
    odyssey.return %y : tensor<?x384xf16>
  }
}

// -----

// Stream-K: three CTAs for the stages of all tiles. A CTA may leave the sums of two
// tiles: twice 128 x 8 of 4 bytes. The mailbox of 16 bytes stands behind the ring's
// barriers. Consumers meet without the producer, at a barrier of their own.

// CHECK-LABEL: gpu.func @stream_k
// CHECK-SAME: %[[M:[a-z0-9]*]]: i32, %[[SCRATCH:[a-z0-9]*]]: !llvm.ptr<1>, %[[COUNTERS:[a-z0-9]*]]: !llvm.ptr<1>) kernel
// CHECK-SAME: #fastgemm.launch<grid = [3, 1, 1], per_tokens = [0, 0, 0], block = 160, shared_bytes = 18480, scratch_bytes = 8192, counters = true>
// CHECK-DAG: %[[ONE:.*]] = arith.constant 1 : i32
// CHECK-DAG: %[[THREE:.*]] = arith.constant 3 : i32
// CHECK-DAG: %[[CONSUMERS:.*]] = arith.constant 128 : i32
// CHECK-DAG: %[[TRUE:.*]] = arith.constant true
// Consumers leave nothing before the kernel in front has ended. The ring's position is
// carried from tile to tile.
// CHECK-NOT: llvm.store
// CHECK: griddepcontrol.wait
// CHECK: %{{.*}}:2 = scf.for
// CHECK: %[[SUMS:.*]]:8 = scf.for
// CHECK: scf.yield %{{.*}} : i32, i32, vector<4xi32>
// CHECK: arith.muli %{{.*}}, %[[THREE]] : i32
// CHECK: arith.muli %{{.*}}, %[[THREE]] : i32
// CHECK: arith.divui
// CHECK-NEXT: arith.subi
// CHECK-NEXT: %[[COUNT:.*]] = arith.addi %{{.*}}, %[[ONE]] : i32
// CHECK-NEXT: arith.subi
// CHECK-NEXT: %[[ALONE:.*]] = arith.cmpi eq, %[[COUNT]], %[[ONE]] : i32
// CHECK: %[[LAST:.*]] = scf.if %[[ALONE]] -> (i1) {
// CHECK-NEXT: scf.yield %[[TRUE]] : i1
// CHECK: llvm.store %[[SUMS]]#2, %{{.*}} : vector<4xi32>, !llvm.ptr<1>
// CHECK: llvm.store %[[SUMS]]#3, %{{.*}} : vector<4xi32>, !llvm.ptr<1>
// CHECK: nvvm.barrier id = %[[ONE]] number_of_threads = %[[CONSUMERS]]
// CHECK: llvm.fence syncscope("device") acq_rel
// CHECK: llvm.atomicrmw uinc_wrap %{{.*}} syncscope("device") monotonic : !llvm.ptr<1>, i32
// CHECK-NEXT: llvm.fence syncscope("device") acq_rel
// CHECK: llvm.store %{{.*}} : i32, !llvm.ptr<3>
// CHECK: nvvm.barrier id = %[[ONE]] number_of_threads = %[[CONSUMERS]]
// CHECK: llvm.load %{{.*}} : !llvm.ptr<3> -> i32
// CHECK: scf.if %[[LAST]] {
// CHECK: scf.for %{{.*}} = %[[ONE]] to %[[COUNT]] step %[[ONE]] iter_args(%{{.*}} = %[[SUMS]]#2, %{{.*}} = %[[SUMS]]#3)
// CHECK-COUNT-2: llvm.load %{{.*}} {alignment = 16 : i64} : !llvm.ptr<1> -> vector<4xi32>
// CHECK-COUNT-2: llvm.store %{{.*}} : vector<4xf16>, !llvm.ptr<1>
// CHECK: scf.yield %[[SUMS]]#0, %[[SUMS]]#1 : i32, i32
// The first round, weights and then activations, and the stages behind it.
// CHECK: } else {
// CHECK-NOT: fastgemm.barrier_wait
// CHECK: nvvm.mbarrier.arrive.expect_tx
// CHECK: nvvm.cp.async.bulk.shared.cluster.global
// CHECK: griddepcontrol.wait
// CHECK-NOT: nvvm.mbarrier.arrive.expect_tx
// CHECK: nvvm.cp.async.bulk.shared.cluster.global
// CHECK: fastgemm.barrier_wait
// CHECK: nvvm.mbarrier.arrive.expect_tx
// CHECK-COUNT-2: nvvm.cp.async.bulk.shared.cluster.global
gpu.module @kernels {
  odyssey.kernel @stream_k(%x: tensor<?x256xi8, #fastgemm.swizzled<tokens = 8>>, %xs: tensor<?xf32>, %w: tensor<256x256xi4, #fastgemm.packed<channels = 128>>, %ws: tensor<256xf32>) -> tensor<?x256xf16> attributes {fastgemm.dependent_launch, kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = wgmma, channels = 128, tokens = 8, k = 128, channel_warps = 4, token_warps = 1, stages = 2, stream_k = 3>
        : (tensor<?x256xi8, #fastgemm.swizzled<tokens = 8>>, tensor<?xf32>, tensor<256x256xi4, #fastgemm.packed<channels = 128>>, tensor<256xf32>) -> tensor<?x256xf16>
    odyssey.return %y : tensor<?x256xf16>
  }
}

// -----

// Two CTAs of neighbouring channels bring each other activations: N = 384 is two
// clusters, the second one with a CTA of no channels. A stage is 64 * 128 + 128 * 128
// / 2 = 16384 bytes; of the activations each CTA brings 4096 to both.

// CHECK-LABEL: gpu.func @multicast
// CHECK-SAME: fastgemm.launch = #fastgemm.launch<grid = [4, 1, 1], per_tokens = [0, 64, 0], block = 160, shared_bytes = 32800, cluster = 2>
// CHECK-DAG: %[[FOUR:.*]] = arith.constant 4 : i32
// CHECK-DAG: %[[TWO:.*]] = arith.constant 2 : i32
// CHECK-DAG: %[[EIGHT:.*]] = arith.constant 8 : i32
// CHECK-DAG: %[[BYTES:.*]] = arith.constant 16384 : i32
// CHECK-DAG: %[[PART:.*]] = arith.constant 4096 : i32
// CHECK-DAG: %[[BOTH:.*]] = arith.constant 3 : i16
// CHECK: %[[RANK:.*]] = nvvm.read.ptx.sreg.cluster.ctarank : i32
// Consumers of both CTAs leave a stage.
// CHECK: nvvm.mbarrier.init %{{.*}}, %[[EIGHT]] :
// CHECK: nvvm.fence.mbarrier.init
// CHECK: nvvm.cluster.arrive {aligned}
// CHECK-NEXT: nvvm.cluster.wait {aligned}
// CHECK: %[[CONSUMER:.*]] = arith.cmpi ult, %{{.*}}, %[[FOUR]] : i32
// CHECK: scf.if %[[CONSUMER]] {
// CHECK: scf.for
// CHECK: %[[LEAVES:.*]] = arith.cmpi ult, %[[LANE:.*]], %[[TWO]] : i32
// CHECK-NEXT: scf.if %[[LEAVES]] {
// CHECK-NEXT: %[[REMOTE:.*]] = nvvm.mapa %{{.*}}, %[[LANE]] : !llvm.ptr<3> -> !llvm.ptr<7>
// CHECK-NEXT: nvvm.mbarrier.arrive %[[REMOTE]] {scope = #nvvm.mem_scope<cluster>} : !llvm.ptr<7>
// CHECK: } else {
// CHECK: nvvm.mbarrier.arrive.expect_tx %{{.*}}, %[[BYTES]]
// CHECK: %[[OFFSET:.*]] = arith.muli %[[RANK]], %[[PART]] : i32
// CHECK: %[[TO:.*]] = llvm.addrspacecast %{{.*}} : !llvm.ptr<3> to !llvm.ptr<7>
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %[[TO]], %{{.*}}, %{{.*}}, %[[PART]] multicast_mask = %[[BOTH]] :
// CHECK: fastgemm.barrier_wait %{{.*}}, %{{.*}} cluster
// CHECK: nvvm.cp.async.bulk.shared.cluster.global %{{.*}}, %{{.*}}, %{{.*}}, %[[PART]] multicast_mask = %[[BOTH]] :
// Nobody ends before all have.
// CHECK: nvvm.bar.warp.sync
// CHECK: nvvm.cluster.arrive {aligned}
// CHECK-NEXT: nvvm.cluster.wait {aligned}
// CHECK-NEXT: gpu.return
gpu.module @kernels {
  odyssey.kernel @multicast(%x: tensor<?x512xi8, #fastgemm.swizzled<tokens = 64>>, %xs: tensor<?xf32>, %w: tensor<384x512xi4, #fastgemm.packed<channels = 128>>, %ws: tensor<384xf32>) -> tensor<?x384xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = wgmma, channels = 128, tokens = 64, k = 128, channel_warps = 4, token_warps = 1, stages = 2, multicast = 2>
        : (tensor<?x512xi8, #fastgemm.swizzled<tokens = 64>>, tensor<?xf32>, tensor<384x512xi4, #fastgemm.packed<channels = 128>>, tensor<384xf32>) -> tensor<?x384xf16>
    odyssey.return %y : tensor<?x384xf16>
  }
}

// -----

// Three consumer warpgroups: registers are taken from a producer of 128 threads.

// CHECK-LABEL: gpu.func @three_warpgroups
// CHECK-SAME: fastgemm.launch = #fastgemm.launch<grid = [1, 1, 1], per_tokens = [0, 64, 0], block = 512,
// CHECK: nvvm.setmaxregister increase 152
// CHECK: nvvm.setmaxregister decrease 40
gpu.module @kernels {
  odyssey.kernel @three_warpgroups(%x: tensor<?x512xi8, #fastgemm.swizzled<tokens = 64>>, %xs: tensor<?xf32>, %w: tensor<384x512xi4, #fastgemm.packed<channels = 128>>, %ws: tensor<384xf32>) -> tensor<?x384xf16> attributes {kind = "matmul"} {
    %y = odyssey.matmul %x scale %xs, %w scale %ws
        schedule <path = wgmma, channels = 384, tokens = 64, k = 128, channel_warps = 12, token_warps = 1, stages = 2>
        : (tensor<?x512xi8, #fastgemm.swizzled<tokens = 64>>, tensor<?xf32>, tensor<384x512xi4, #fastgemm.packed<channels = 128>>, tensor<384xf32>) -> tensor<?x384xf16>
    odyssey.return %y : tensor<?x384xf16>
  }
}

//===- WarpTest.cpp - Warp-wide operations, barriers, atomics -------------===//

#include "PtxTest.h"

#include <map>

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

/// The addresses of this thread's word in buffer 0 (%rd11) and 1 (%rd12).
const char *kAddresses = R"(
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd0, %rd10;
    add.s64 %rd12, %rd1, %rd10;
)";

/// shfl as the PTX ISA's pseudo code has it.
uint32_t shuffle(const std::string &mode, const std::vector<uint32_t> &a,
                 int lane, int b, int c, bool &inRange) {
  int bval = b & 31, cval = c & 31, mask = c >> 8 & 31;
  int maxLane = (lane & mask) | (cval & ~mask), minLane = lane & mask;
  int j = 0;
  if (mode == "up") {
    j = lane - bval;
    inRange = j >= maxLane;
  } else if (mode == "down") {
    j = lane + bval;
    inRange = j <= maxLane;
  } else if (mode == "bfly") {
    j = lane ^ bval;
    inRange = j <= maxLane;
  } else {
    j = minLane | (bval & ~mask & 31);
    inRange = j <= maxLane;
  }
  return a[inRange ? j : lane];
}

TEST(Warp, ShufflesMatchThePseudoCode) {
  std::vector<uint32_t> in(32);
  for (unsigned i = 0; i < 32; ++i)
    in[i] = 1000 + i * i;
  for (std::string mode : {"up", "down", "bfly", "idx"})
    for (int b : {0, 1, 3, 16, 31, 33})
      for (int c : {0, 31, 0x1F1F, 0x181F, 0x1C03, 0x1800}) {
        Machine machine;
        DeviceAddress out = machine.buffer(std::vector<uint32_t>(32));
        runWarp(machine,
                kernel(kAddresses + std::string(R"(
          ld.global.b32 %r20, [%rd12];
          shfl.sync.)") + mode +
                           ".b32 %r21|%p1, %r20, " + std::to_string(b) + ", " +
                           std::to_string(c) + R"(, -1;
          @%p1 add.s32 %r21, %r21, 100000;
          st.global.b32 [%rd11], %r21;
        )",
                       2),
                {out, machine.buffer(in)});
        auto result = machine.read<uint32_t>(out, 32);
        for (int lane = 0; lane < 32; ++lane) {
          bool inRange = false;
          uint32_t expected = shuffle(mode, in, lane, b, c, inRange);
          ASSERT_EQ(result[lane], expected + (inRange ? 100000 : 0))
              << mode << " " << b << " " << c << " " << lane;
        }
      }
}

TEST(Warp, VotesAndReductions) {
  std::vector<uint32_t> in(32);
  std::mt19937 random(6);
  for (uint32_t &value : in)
    value = random();
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32 * 16));
  runWarp(machine,
          kernel(R"(
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd12, %rd1, %rd10;
    mul.wide.u32 %rd10, %r0, 64;
    add.s64 %rd11, %rd0, %rd10;
    ld.global.b32 %r20, [%rd12];
    setp.lt.s32 %p1, %r20, 0;
    vote.sync.ballot.b32 %r30, %p1, -1;
    vote.sync.ballot.b32 %r31, !%p1, -1;
    vote.sync.any.pred %p2, %p1, -1;
    vote.sync.all.pred %p3, %p1, -1;
    vote.sync.uni.pred %p4, %p1, -1;
    selp.b32 %r32, 1, 0, %p2;
    selp.b32 %r33, 1, 0, %p3;
    selp.b32 %r34, 1, 0, %p4;
    redux.sync.add.s32 %r35, %r20, -1;
    redux.sync.min.s32 %r36, %r20, -1;
    redux.sync.max.u32 %r37, %r20, -1;
    redux.sync.and.b32 %r38, %r20, -1;
    redux.sync.xor.b32 %r39, %r20, -1;
    and.b32 %r21, %r20, 3;
    match.any.sync.b32 %r40, %r21, -1;
    match.all.sync.b32 %r41|%p5, %r21, -1;
    selp.b32 %r42, 1, 0, %p5;
    st.global.v4.b32 [%rd11], {%r30, %r31, %r32, %r33};
    st.global.v4.b32 [%rd11+16], {%r34, %r35, %r36, %r37};
    st.global.v4.b32 [%rd11+32], {%r38, %r39, %r40, %r41};
    st.global.b32 [%rd11+48], %r42;
  )",
                 2),
          {out, machine.buffer(in)});
  auto result = machine.read<uint32_t>(out, 32 * 16);
  uint32_t negative = 0, sum = 0, all = ~0u, parity = 0, greatest = 0;
  int32_t least = INT32_MAX;
  std::map<uint32_t, uint32_t> same;
  for (unsigned i = 0; i < 32; ++i) {
    negative |= in[i] >> 31 << i;
    sum += in[i];
    all &= in[i];
    parity ^= in[i];
    greatest = std::max(greatest, in[i]);
    least = std::min(least, int32_t(in[i]));
    same[in[i] & 3] |= 1u << i;
  }
  for (unsigned i = 0; i < 32; ++i) {
    const uint32_t *r = &result[i * 16];
    EXPECT_EQ(r[0], negative);
    EXPECT_EQ(r[1], ~negative);
    EXPECT_EQ(r[2], 1u);
    EXPECT_EQ(r[3], 0u);
    EXPECT_EQ(r[4], 0u);
    EXPECT_EQ(r[5], sum);
    EXPECT_EQ(int32_t(r[6]), least);
    EXPECT_EQ(r[7], greatest);
    EXPECT_EQ(r[8], all);
    EXPECT_EQ(r[9], parity);
    EXPECT_EQ(r[10], same[in[i] & 3]);
    EXPECT_EQ(r[11], 0u);
    EXPECT_EQ(r[12], 0u);
  }
}

/// The two halves of a warp reach the same shuffle on different paths; it has
/// to wait for both.
TEST(Warp, ShuffleWaitsForLanesOnAnotherPath) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32));
  runWarp(machine,
          kernel(R"(
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd0, %rd10;
    mov.b32 %r10, 0;
    setp.lt.u32 %p1, %r0, 16;
    @%p1 bra L_shuffle;
    bra.uni L_far;
  L_shuffle:
    add.s32 %r11, %r0, 500;
    add.s32 %r11, %r11, %r10;
    shfl.sync.bfly.b32 %r12, %r11, 16, 31, -1;
    bra.uni L_end;
  L_far:
    mov.b32 %r10, 7000;
    bra.uni L_shuffle;
  L_end:
    st.global.b32 [%rd11], %r12;
  )",
                 1),
          {out});
  auto result = machine.read<uint32_t>(out, 32);
  for (unsigned i = 0; i < 32; ++i)
    EXPECT_EQ(result[i], (i ^ 16) + 500 + ((i ^ 16) >= 16 ? 7000 : 0));
}

TEST(Warp, MissingMembersAreADeadlock) {
  Machine machine;
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    setp.lt.u32 %p1, %r0, 16;
    @%p1 bra L_one;
    shfl.sync.bfly.b32 %r12, %r0, 16, 31, -1;
    bra.uni L_end;
  L_one:
    shfl.sync.bfly.b32 %r12, %r0, 1, 31, -1;
  L_end:
  )",
                               0))
                  .ok());
  Status status = machine.launch({}, {1, 1, 1}, {32, 1, 1});
  EXPECT_EQ(status.code(), StatusCode::DeviceFault);
  EXPECT_THAT(status.message(), testing::HasSubstr("deadlock"));
  EXPECT_THAT(status.message(), testing::HasSubstr("lanes ffff0000"));
}

TEST(Barrier, OrdersSharedMemory) {
  for (uint64_t seed : {0, 1, 2, 3}) {
    EmulatorOptions options;
    options.seed = seed;
    Machine machine(options);
    DeviceAddress out = machine.buffer(std::vector<uint32_t>(256));
    Status loaded = machine.load(kernel(R"(
      .shared .align 4 .b8 data[1024];
      mov.b64 %rd20, data;
      mul.wide.u32 %rd10, %r0, 4;
      add.s64 %rd11, %rd0, %rd10;
      add.s64 %rd21, %rd20, %rd10;
      mul.lo.s32 %r10, %r0, 3;
      st.shared.b32 [%rd21], %r10;
      bar.sync 0;
      xor.b32 %r11, %r0, 255;
      mul.wide.u32 %rd12, %r11, 4;
      add.s64 %rd22, %rd20, %rd12;
      ld.shared.b32 %r12, [%rd22];
      barrier.sync.aligned 1, 256;
      st.shared.b32 [%rd21], %r12;
      barrier.sync 2;
      ld.shared.b32 %r13, [%rd22];
      add.s32 %r14, %r13, %r12;
      st.global.b32 [%rd11], %r14;
    )",
                                        1));
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    Status status = machine.launch({out}, {1, 1, 1}, {256, 1, 1});
    ASSERT_TRUE(status.ok()) << status.message();
    auto result = machine.read<uint32_t>(out, 256);
    for (unsigned i = 0; i < 256; ++i)
      ASSERT_EQ(result[i], 3 * (255 - i) + 3 * i);
  }
}

TEST(Barrier, ReductionCombinesAllThreads) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(96));
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd0, %rd10;
    setp.lt.u32 %p1, %r0, 70;
    bar.red.popc.u32 %r10, 0, %p1;
    bar.red.and.pred %p2, 0, %p1;
    barrier.red.or.pred %p3, 1, 96, %p1;
    bar.red.popc.u32 %r11, 0, !%p1;
    selp.b32 %r12, 1000, 0, %p2;
    selp.b32 %r13, 10000, 0, %p3;
    mad.lo.s32 %r10, %r11, 100000, %r10;
    add.s32 %r12, %r12, %r13;
    add.s32 %r10, %r10, %r12;
    st.global.b32 [%rd11], %r10;
  )",
                               1))
                  .ok());
  Status status = machine.launch({out}, {1, 1, 1}, {96, 1, 1});
  ASSERT_TRUE(status.ok()) << status.message();
  for (uint32_t value : machine.read<uint32_t>(out, 96))
    EXPECT_EQ(value, 70u + 10000u + 26u * 100000u);
}

/// Warp 0 waits for what warps 1 and 2 announce with bar.arrive.
TEST(Barrier, ProducersArriveWithoutWaiting) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32));
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    .shared .align 4 .b8 data[512];
    mov.b64 %rd20, data;
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd21, %rd20, %rd10;
    add.s64 %rd11, %rd0, %rd10;
    setp.lt.u32 %p1, %r0, 32;
    @%p1 bra L_consumer;
    st.shared.b32 [%rd21], %r0;
    bar.arrive 3, 96;
    bra.uni L_end;
  L_consumer:
    bar.sync 3, 96;
    ld.shared.b32 %r10, [%rd21+128];
    ld.shared.b32 %r11, [%rd21+256];
    add.s32 %r10, %r10, %r11;
    st.global.b32 [%rd11], %r10;
  L_end:
  )",
                               1))
                  .ok());
  Status status = machine.launch({out}, {1, 1, 1}, {96, 1, 1});
  ASSERT_TRUE(status.ok()) << status.message();
  auto result = machine.read<uint32_t>(out, 32);
  for (unsigned i = 0; i < 32; ++i)
    EXPECT_EQ(result[i], 32 + i + 64 + i);
}

TEST(Barrier, DivergentAlignedBarrierIsAFault) {
  Machine machine;
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    setp.lt.u32 %p1, %r0, 5;
    @%p1 bra L_end;
    bar.sync 0;
  L_end:
    add.s32 %r1, %r0, 1;
  )",
                               0))
                  .ok());
  Status status = machine.launch({}, {1, 1, 1}, {64, 1, 1});
  EXPECT_EQ(status.code(), StatusCode::DeviceFault);
  EXPECT_THAT(status.message(),
              testing::HasSubstr("all threads of its warp must"));
}

TEST(Barrier, MissingWarpIsADeadlock) {
  Machine machine;
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    setp.lt.u32 %p1, %r0, 32;
    @%p1 bra L_two;
    bar.sync 1;
    bra.uni L_end;
  L_two:
    bar.sync 2;
  L_end:
  )",
                               0))
                  .ok());
  Status status = machine.launch({}, {1, 1, 1}, {64, 1, 1});
  EXPECT_EQ(status.code(), StatusCode::DeviceFault);
  EXPECT_THAT(status.message(),
              testing::AllOf(testing::HasSubstr("deadlock"),
                             testing::HasSubstr("'bar.sync 1'"),
                             testing::HasSubstr("'bar.sync 2'")));
}

/// Threads that have ended do not keep the others waiting.
TEST(Barrier, ExitedWarpsDoNotCount) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(1));
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    setp.ge.u32 %p1, %r0, 40;
    @%p1 exit;
    barrier.sync 0;
    setp.eq.u32 %p2, %r0, 0;
    @%p2 st.global.b32 [%rd0], 99;
  )",
                               1))
                  .ok());
  Status status = machine.launch({out}, {1, 1, 1}, {96, 1, 1});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(machine.read<uint32_t>(out, 1)[0], 99u);
}

TEST(Atomic, EveryOperation) {
  // Each thread of 4 CTAs acts on all words; the results do not depend on the
  // order.
  Machine machine;
  std::vector<uint32_t> start = {5, 1000, 0, ~0u, 0, 0, 3, 0, 0, 0, 0, 0};
  DeviceAddress words = machine.buffer(start);
  DeviceAddress olds = machine.buffer(std::vector<uint32_t>(256));
  Status loaded = machine.load(kernel(R"(
    .shared .align 4 .b8 counter[8];
    mov.u32 %r10, %ctaid.x;
    mad.lo.s32 %r11, %r10, 64, %r0;
    add.s32 %r12, %r11, 1;
    atom.global.add.u32 %r20, [%rd0], 1;
    red.global.min.s32 [%rd0+4], %r12;
    red.relaxed.gpu.global.max.u32 [%rd0+8], %r12;
    and.b32 %r13, %r11, 31;
    shl.b32 %r14, 1, %r13;
    not.b32 %r15, %r14;
    red.global.and.b32 [%rd0+12], %r15;
    red.global.or.b32 [%rd0+16], %r14;
    red.global.xor.b32 [%rd0+20], %r14;
    atom.global.inc.u32 %r21, [%rd0+24], 9;
    atom.global.dec.u32 %r21, [%rd0+28], 9;
    red.global.add.f32 [%rd0+32], 0f3F000000;
    red.global.add.noftz.f16x2 [%rd0+36], 0x3C003800;
    atom.acq_rel.gpu.global.add.u64 %rd21, [%rd0+40], 0x100000001;
    mul.wide.u32 %rd10, %r20, 4;
    add.s64 %rd11, %rd1, %rd10;
    add.s64 %rd11, %rd11, -20;
    st.global.b32 [%rd11], 1;
  )",
                                      2));
  ASSERT_TRUE(loaded.ok()) << loaded.message();
  Status status = machine.launch({words, olds}, {4, 1, 1}, {64, 1, 1});
  ASSERT_TRUE(status.ok()) << status.message();
  auto result = machine.read<uint32_t>(words, 12);
  EXPECT_EQ(result[0], 261u);
  EXPECT_EQ(result[1], 1u);
  EXPECT_EQ(result[2], 256u);
  EXPECT_EQ(result[3], 0u);
  EXPECT_EQ(result[4], ~0u);
  EXPECT_EQ(result[5], 0u); // each bit 8 times
  EXPECT_EQ(result[6], (3u + 256) % 10);
  EXPECT_EQ(result[7], (10 - 256 % 10) % 10); // 0 wraps to 9
  EXPECT_EQ(bitCast<float>(result[8]), 128.0f);
  EXPECT_EQ(result[9], 0x5C005800u); // 256 and 128
  EXPECT_EQ(result[10], 256u);
  EXPECT_EQ(result[11], 256u);
  // Every thread saw another old value.
  for (uint32_t seen : machine.read<uint32_t>(olds, 256))
    EXPECT_EQ(seen, 1u);
}

/// A lock by compare and swap, taken by one lane after another.
TEST(Atomic, CompareAndSwapLock) {
  Machine machine;
  DeviceAddress lock = machine.buffer(std::vector<uint32_t>(2));
  ASSERT_TRUE(machine
                  .load(kernel(R"(
  L_try:
    atom.global.cas.b32 %r10, [%rd0], 0, 1;
    setp.ne.b32 %p1, %r10, 0;
    @%p1 bra L_try;
    ld.volatile.global.b32 %r11, [%rd0+4];
    add.s32 %r11, %r11, 1;
    st.volatile.global.b32 [%rd0+4], %r11;
    fence.acq_rel.gpu;
    atom.global.exch.b32 %r12, [%rd0], 0;
  )",
                               1))
                  .ok());
  Status status = machine.launch({lock}, {8, 1, 1}, {64, 1, 1});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(machine.read<uint32_t>(lock, 2)[1], 512u);
}

/// CTA 0 waits for a flag that the last CTA sets: the grid must not be run one
/// CTA at a time.
TEST(Atomic, CtasMayWaitForLaterOnes) {
  EmulatorOptions options;
  options.threads = 1;
  Machine machine(options);
  DeviceAddress flag = machine.buffer(std::vector<uint32_t>(2));
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    mov.u32 %r10, %ctaid.x;
    setp.eq.s32 %p1, %r10, 3;
    @%p1 st.global.b32 [%rd0+4], 42;
    @%p1 st.release.gpu.global.b32 [%rd0], 1;
    setp.ne.s32 %p2, %r10, 0;
    @%p2 exit;
  L_wait:
    ld.acquire.gpu.global.b32 %r11, [%rd0];
    setp.eq.s32 %p3, %r11, 0;
    @%p3 bra L_wait;
  )",
                               1))
                  .ok());
  Status status = machine.launch({flag}, {4, 1, 1}, {1, 1, 1});
  ASSERT_TRUE(status.ok()) << status.message();
}

} // namespace

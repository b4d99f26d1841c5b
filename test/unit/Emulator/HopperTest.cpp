//===- HopperTest.cpp - mbarrier, bulk copies, wgmma ----------------------===//

#include "PtxTest.h"

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

TEST(Mbarrier, PhasesAndStates) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(8));
  runWarp(machine,
          kernel(R"(
    .shared .align 8 .b8 bar[16];
    mov.b64 %rd20, bar;
    setp.ne.u32 %p1, %r0, 0;
    @%p1 exit;
    mbarrier.init.shared.b64 [%rd20], 2;
    mbarrier.test_wait.parity.shared.b64 %p2, [%rd20], 0;
    mbarrier.test_wait.parity.shared.b64 %p3, [%rd20], 1;
    mbarrier.arrive.shared.b64 %rd21, [%rd20];
    mbarrier.test_wait.shared.b64 %p4, [%rd20], %rd21;
    mbarrier.arrive.release.cta.shared::cta.b64 %rd22, [%rd20];
    mbarrier.test_wait.shared.b64 %p5, [%rd20], %rd21;
    mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %p6, [%rd20], 0;
    mbarrier.arrive.expect_tx.shared.b64 _, [%rd20], 0;
    mbarrier.arrive.shared.b64 _, [%rd20], 1;
    mbarrier.test_wait.parity.shared.b64 %p7, [%rd20], 1;
    mbarrier.inval.shared.b64 [%rd20];
    selp.b32 %r10, 1, 0, %p2;
    selp.b32 %r11, 1, 0, %p3;
    selp.b32 %r12, 1, 0, %p4;
    selp.b32 %r13, 1, 0, %p5;
    selp.b32 %r14, 1, 0, %p6;
    selp.b32 %r15, 1, 0, %p7;
    st.global.v4.b32 [%rd0], {%r10, %r11, %r12, %r13};
    st.global.v2.b32 [%rd0+16], {%r14, %r15};
  )",
                 1, 90),
          {out});
  auto r = machine.read<uint32_t>(out, 6);
  EXPECT_EQ(r, (std::vector<uint32_t>{0, 1, 0, 1, 1, 1}));
}

std::string faultOf(const std::string &body, unsigned threads = 32) {
  Machine machine;
  Status loaded = machine.load(
      kernel(".shared .align 16 .b8 tile[256];\nmov.b64 %rd20, tile;\n" + body,
             1, 90));
  EXPECT_TRUE(loaded.ok()) << loaded.message();
  DeviceAddress buffer = machine.buffer(std::vector<uint32_t>(64));
  Status status = machine.launch({buffer}, {1, 1, 1}, {threads, 1, 1});
  EXPECT_EQ(status.code(), StatusCode::DeviceFault);
  return status.message();
}

TEST(Mbarrier, Misuse) {
  EXPECT_THAT(faultOf("mbarrier.arrive.shared.b64 _, [%rd20];", 1),
              testing::HasSubstr("is not initialised"));
  EXPECT_THAT(faultOf("mbarrier.init.shared.b64 [%rd20], 1;\n"
                      "mbarrier.arrive.shared.b64 _, [%rd20], 2;",
                      1),
              testing::HasSubstr("whose phase waits for 1"));
  EXPECT_THAT(faultOf("mbarrier.init.shared.b64 [%rd20+4], 1;", 1),
              testing::HasSubstr("not aligned to 8"));
  // Nobody arrives.
  EXPECT_THAT(faultOf("mbarrier.init.shared.b64 [%rd20], 1;\n"
                      "cvt.u32.u64 %r20, %rd20;\n" +
                          waitFor("%r20", 0, 0),
                      1),
              testing::AllOf(testing::HasSubstr("deadlock"),
                             testing::HasSubstr("mbarrier.try_wait")));
  // The copy brings fewer bytes than were announced.
  EXPECT_THAT(
      faultOf("mbarrier.init.shared.b64 [%rd20], 1;\n"
              "cvt.u32.u64 %r20, %rd20;\n"
              "mbarrier.arrive.expect_tx.shared.b64 _, [%rd20], 64;\n"
              "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::"
              "bytes [%rd20+64], [%rd0], 32, [%rd20];\n" +
                  waitFor("%r20", 0, 0),
              1),
      testing::HasSubstr("deadlock"));
}

TEST(BulkCopy, ThereAndBack) {
  for (auto when :
       {AsyncCopies::Eager, AsyncCopies::Late, AsyncCopies::Random}) {
    EmulatorOptions options;
    options.asyncCopies = when;
    options.seed = 5;
    options.checkHazards = true;
    Machine machine(options);
    std::vector<uint32_t> in(64);
    for (unsigned i = 0; i < 64; ++i)
      in[i] = 3 * i + 1;
    DeviceAddress out = machine.buffer(std::vector<uint32_t>(64));
    Status loaded = machine.load(kernel(R"(
      .shared .align 16 .b8 tile[272];
      mov.b64 %rd20, tile;
      cvt.u32.u64 %r20, %rd20;
      setp.eq.u32 %p1, %r0, 0;
      @%p1 mbarrier.init.shared.b64 [%r20+256], 1;
      @%p1 fence.mbarrier_init.release.cluster;
      bar.sync 0;
      @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r20+256], 256;
      @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r20], [%rd1], 128, [%r20+256];
      @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%r20+128], [%rd1+128], 128, [%r20+256];
)" + waitFor("%r20", 256, 0) + R"(
      mul.lo.s32 %r21, %r0, 4;
      add.s32 %r21, %r21, %r20;
      ld.shared.b32 %r22, [%r21];
      add.s32 %r22, %r22, 1000;
      bar.sync 0;
      st.shared.b32 [%r21], %r22;
      fence.proxy.async.shared::cta;
      bar.sync 0;
      @%p1 cp.async.bulk.global.shared::cta.bulk_group [%rd0], [%r20], 256;
      @%p1 cp.async.bulk.commit_group;
      @%p1 cp.async.bulk.wait_group 0;
    )",
                                        2, 90));
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    Status status =
        machine.launch({out, machine.buffer(in)}, {1, 1, 1}, {64, 1, 1});
    ASSERT_TRUE(status.ok()) << status.message();
    auto result = machine.read<uint32_t>(out, 64);
    for (unsigned i = 0; i < 64; ++i)
      EXPECT_EQ(result[i], in[i] + 1000);
  }
}

/// A prefetch changes nothing, and obeys the rules of a copy's source, here of
/// a buffer of 256 bytes.
TEST(BulkCopy, Prefetch) {
  for (auto [operands, report] :
       {std::pair("[%rd0+128], 144;", "illegal bulk copy of 144"),
        std::pair("[%rd0+8], 16;", "misaligned bulk copy"),
        std::pair("[%rd0], 24;", "no multiple of 16")})
    EXPECT_THAT(
        faultOf(std::string("cp.async.bulk.prefetch.L2.global ") + operands, 1),
        testing::HasSubstr(report));
  Machine machine;
  ASSERT_TRUE(machine
                  .load(kernel(R"(
      createpolicy.fractional.L2::evict_last.b64 %rd30, 1.0;
      mov.u32 %r20, 256;
      cp.async.bulk.prefetch.L2.global [%rd0], %r20;
      cp.async.bulk.prefetch.L2.global.L2::cache_hint [%rd0+128], 128, %rd30;)",
                               1, 90))
                  .ok());
  DeviceAddress buffer = machine.buffer(std::vector<uint32_t>(64, 7));
  EXPECT_TRUE(machine.launch({buffer}, {1, 1, 1}, {1, 1, 1}).ok());
  EXPECT_THAT(machine.read<uint32_t>(buffer, 64), testing::Each(7));
}

/// A policy moves no byte elsewhere; a copy takes it in a 64-bit register.
TEST(BulkCopy, CacheHint) {
  const std::string before = R"(
      .shared .align 16 .b8 tile[136];
      mov.b64 %rd20, tile;
      cvt.u32.u64 %r20, %rd20;
      setp.eq.u32 %p1, %r0, 0;
      @%p1 mbarrier.init.shared.b64 [%r20+128], 1;
      @%p1 fence.mbarrier_init.release.cluster;
      bar.sync 0;
      @%p1 mbarrier.arrive.expect_tx.shared.b64 _, [%r20+128], 128;
)";
  const std::string copy =
      "@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes"
      ".L2::cache_hint [%r20], [%rd1], 128, [%r20+128], ";
  const std::string after = waitFor("%r20", 128, 0) + R"(
      mul.wide.u32 %rd10, %r0, 4;
      add.s64 %rd11, %rd20, %rd10;
      ld.shared.b32 %r22, [%rd11];
      add.s64 %rd12, %rd0, %rd10;
      st.global.b32 [%rd12], %r22;
    )";
  std::vector<uint32_t> in(32);
  for (unsigned i = 0; i < 32; ++i)
    in[i] = 7 * i + 1;
  for (const char *policy :
       {"createpolicy.fractional.L2::evict_first.b64 %rd30, 1.0;",
        "createpolicy.fractional.L2::evict_first.b64 %rd30, 0.5;",
        "createpolicy.fractional.L2::evict_last.b64 %rd30, 1.0;"}) {
    SCOPED_TRACE(policy);
    Machine machine;
    DeviceAddress out = machine.buffer(std::vector<uint32_t>(32));
    runWarp(
        machine,
        kernel(std::string(policy) + before + copy + "%rd30;\n" + after, 2, 90),
        {out, machine.buffer(in)});
    EXPECT_EQ(machine.read<uint32_t>(out, 32), in);
  }
  // The hint is an operand: without it the text is refused, and so are policies
  // that do not exist.
  std::string bare = copy.substr(0, copy.size() - 2) + ";\n";
  for (const std::string &wrong :
       {before + bare + after,
        "createpolicy.fractional.L2::evict_soon.b64 %rd30, 1.0;" + before +
            copy + "%rd30;\n" + after,
        "createpolicy.fractional.L2::evict_first.b32 %r30, 1.0;" + before +
            copy + "%rd30;\n" + after}) {
    Machine machine;
    EXPECT_FALSE(machine.load(kernel(wrong, 2, 90)).ok()) << wrong;
  }
}

TEST(BulkCopy, CpAsyncArrivesAtAnMbarrier) {
  for (auto when :
       {AsyncCopies::Eager, AsyncCopies::Late, AsyncCopies::Random}) {
    EmulatorOptions options;
    options.asyncCopies = when;
    options.seed = 5;
    Machine machine(options);
    std::vector<uint32_t> in(32);
    for (unsigned i = 0; i < 32; ++i)
      in[i] = i * i;
    DeviceAddress out = machine.buffer(std::vector<uint32_t>(32));
    runWarp(machine,
            kernel(R"(
      .shared .align 16 .b8 tile[136];
      mov.b64 %rd20, tile;
      cvt.u32.u64 %r20, %rd20;
      mul.wide.u32 %rd10, %r0, 4;
      add.s64 %rd11, %rd1, %rd10;
      add.s64 %rd12, %rd20, %rd10;
      setp.eq.u32 %p1, %r0, 0;
      @%p1 mbarrier.init.shared.b64 [%r20+128], 32;
      bar.warp.sync -1;
      cp.async.ca.shared.global [%rd12], [%rd11], 4;
      cp.async.mbarrier.arrive.noinc.shared.b64 [%r20+128];
)" + waitFor("%r20", 128, 0) +
                       R"(
      xor.b32 %r21, %r0, 1;
      mul.wide.u32 %rd13, %r21, 4;
      add.s64 %rd14, %rd20, %rd13;
      ld.shared.b32 %r22, [%rd14];
      add.s64 %rd15, %rd0, %rd10;
      st.global.b32 [%rd15], %r22;
    )",
                   2, 90),
            {out, machine.buffer(in)});
    auto result = machine.read<uint32_t>(out, 32);
    for (unsigned i = 0; i < 32; ++i)
      EXPECT_EQ(result[i], in[i ^ 1]);
  }
}

TEST(Elect, OneLeader) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(1));
  runWarp(machine,
          kernel(R"(
    elect.sync %r10|%p1, -1;
    @%p1 red.global.add.u32 [%rd0], 1;
    setmaxnreg.dec.sync.aligned.u32 24;
    griddepcontrol.wait;
    griddepcontrol.launch_dependents;
  )",
                 1, 90),
          {out});
  EXPECT_EQ(machine.read<uint32_t>(out, 1)[0], 1u);
}

// A warp-specialised product: warp 4 brings tiles of B with bulk copies, a
// warpgroup multiplies them by A in registers.

constexpr unsigned kM = 64, kN = 32, kK = 512, kTileK = 128, kStages = 2;
constexpr unsigned kTileBytes = kN * kTileK, kSteps = kK / kTileK;

/// A[row][k] and B[column][k].
struct Operands {
  std::vector<int8_t> a, b;
};

Operands drawOperands() {
  Operands result{std::vector<int8_t>(kM * kK), std::vector<int8_t>(kN * kK)};
  std::mt19937 random(77);
  for (auto *list : {&result.a, &result.b})
    for (int8_t &value : *list)
      value = static_cast<int8_t>(random());
  return result;
}

/// B in tiles of 128 k, rows of 128 bytes, with the 16-byte pieces of row n
/// exchanged by n % 8: the 128-byte swizzle on a tile aligned to 1024 bytes.
std::vector<int8_t> tilesOfB(const std::vector<int8_t> &b) {
  std::vector<int8_t> tiles(b.size());
  for (unsigned n = 0; n < kN; ++n)
    for (unsigned k = 0; k < kK; ++k) {
      unsigned piece = k % kTileK / 16, byte = k % 16;
      tiles[k / kTileK * kTileBytes + n * kTileK + (piece ^ n % 8) * 16 +
            byte] = b[n * kK + k];
    }
  return tiles;
}

/// For each thread of the warpgroup and k32 step its four registers of A: rows
/// 16 warp + lane / 4 (+ 8), k 4 (lane % 4) (+ 16).
std::vector<int8_t> fragmentsOfA(const std::vector<int8_t> &a) {
  std::vector<int8_t> result;
  for (unsigned step = 0; step < kK / 32; ++step)
    for (unsigned thread = 0; thread < 128; ++thread)
      for (unsigned reg = 0; reg < 4; ++reg)
        for (unsigned byte = 0; byte < 4; ++byte) {
          unsigned row = thread / 32 * 16 + thread % 32 / 4 + reg % 2 * 8;
          unsigned k = step * 32 + reg / 2 * 16 + thread % 4 * 4 + byte;
          result.push_back(a[row * kK + k]);
        }
  return result;
}

/// The lines of the kernel. Those that order something begin with "!", and
/// those that may be left out in this emulator, because it runs no cluster,
/// with "?".
std::vector<std::string> warpgroupLines() {
  std::vector<std::string> lines;
  auto add = [&](const std::string &text) {
    size_t begin = 0;
    while (begin < text.size()) {
      size_t end = text.find('\n', begin);
      end = end == std::string::npos ? text.size() : end;
      lines.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  };
  auto wait = [&](unsigned offset, unsigned parity) {
    lines.push_back("!" + waitFor("%r20", offset, parity));
  };
  unsigned bars = kStages * kTileBytes;
  auto full = [&](unsigned stage) { return bars + 8 * stage; };
  auto empty = [&](unsigned stage) { return bars + 16 + 8 * stage; };
  add(".shared .align 1024 .b8 ring[" + number(bars + 32) + "];");
  add(R"(mov.b64 %rd20, ring;
cvt.u32.u64 %r20, %rd20;
shr.u32 %r1, %r0, 5;
and.b32 %r2, %r0, 31;
setp.eq.u32 %p1, %r0, 0;
setp.eq.u32 %p2, %r2, 0;
setp.eq.u32 %p8, %r0, %r0;)");
  for (unsigned stage = 0; stage < kStages; ++stage) {
    add("@%p1 mbarrier.init.shared.b64 [%r20+" + number(full(stage)) + "], 1;");
    add("@%p1 mbarrier.init.shared.b64 [%r20+" + number(empty(stage)) +
        "], 4;");
  }
  add("?fence.mbarrier_init.release.cluster;");
  add("!bar.sync 0;");
  add("setp.eq.u32 %p3, %r1, 4;\n@!%p3 bra L_consumer;\n@!%p2 bra L_end;");
  for (unsigned step = 0; step < kSteps; ++step) {
    unsigned stage = step % kStages;
    if (step >= kStages)
      wait(empty(stage), (step / kStages - 1) % 2);
    add("!mbarrier.arrive.expect_tx.shared.b64 _, [%r20+" +
        number(full(stage)) + "], " + number(kTileBytes) + ";");
    add("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes "
        "[%r20+" +
        number(stage * kTileBytes) + "], [%rd2+" + number(step * kTileBytes) +
        "], " + number(kTileBytes) + ", [%r20+" + number(full(stage)) + "];");
  }
  add("bra.uni L_end;\nL_consumer:");
  add("mul.wide.u32 %rd10, %r0, 16;\nadd.s64 %rd11, %rd1, %rd10;");
  for (unsigned i = 0; i < 16; ++i)
    add("mov.b32 %r" + number(60 + i) + ", 0;");
  std::string accumulators = "{";
  for (unsigned i = 0; i < 16; ++i)
    accumulators += (i ? ", %r" : "%r") + number(60 + i);
  accumulators += "}";
  for (unsigned step = 0; step < kSteps; ++step) {
    unsigned stage = step % kStages;
    wait(full(stage), step / kStages % 2);
    for (unsigned k = 0; k < 4; ++k)
      add("ld.global.v4.b32 {%r" + number(30 + 4 * k) + ", %r" +
          number(31 + 4 * k) + ", %r" + number(32 + 4 * k) + ", %r" +
          number(33 + 4 * k) + "}, [%rd11+" + number((step * 4 + k) * 2048) +
          "];");
    // Start address, stride 1024 between groups of 8 rows, 128-byte swizzle.
    add("add.s32 %r21, %r20, " + number(stage * kTileBytes) + R"(;
shr.u32 %r21, %r21, 4;
and.b32 %r21, %r21, 16383;
cvt.u64.u32 %rd21, %r21;
or.b64 %rd21, %rd21, 4611686293305294848;
!wgmma.fence.sync.aligned;)");
    for (unsigned k = 0; k < 4; ++k)
      add("add.s64 %rd22, %rd21, " + number(2 * k) +
          ";\nwgmma.mma_async.sync.aligned.m64n32k32.s32.s8.s8 " +
          accumulators + ", {%r" + number(30 + 4 * k) + ", %r" +
          number(31 + 4 * k) + ", %r" + number(32 + 4 * k) + ", %r" +
          number(33 + 4 * k) + "}, %rd22, %p8;");
    add("!wgmma.commit_group.sync.aligned;\n!wgmma.wait_group.sync.aligned 0;");
    if (step + kStages < kSteps)
      add("!@%p2 mbarrier.arrive.shared.b64 _, [%r20+" + number(empty(stage)) +
          "];");
  }
  add(R"(shl.b32 %r22, %r1, 4;
shr.u32 %r23, %r2, 2;
add.s32 %r22, %r22, %r23;
and.b32 %r24, %r2, 3;
mul.lo.s32 %r22, %r22, 128;
mad.lo.s32 %r22, %r24, 8, %r22;
cvt.u64.u32 %rd12, %r22;
add.s64 %rd13, %rd0, %rd12;)");
  for (unsigned i = 0; i < 4; ++i) {
    add("st.global.v2.b32 [%rd13+" + number(32 * i) + "], {%r" +
        number(60 + 4 * i) + ", %r" + number(61 + 4 * i) + "};");
    add("st.global.v2.b32 [%rd13+" + number(32 * i + 1024) + "], {%r" +
        number(62 + 4 * i) + ", %r" + number(63 + 4 * i) + "};");
  }
  add("L_end:");
  return lines;
}

Status runWarpgroup(const EmulatorOptions &options, size_t without,
                    bool &right) {
  std::string body;
  std::vector<std::string> lines = warpgroupLines();
  for (size_t i = 0; i < lines.size(); ++i)
    if (i != without)
      body += lines[i].substr(lines[i][0] == '!' || lines[i][0] == '?') + "\n";
  Machine machine(options);
  Status loaded = machine.load(kernel(body, 3, 90));
  EXPECT_TRUE(loaded.ok()) << loaded.message();
  Operands operands = drawOperands();
  DeviceAddress out = machine.buffer(std::vector<int32_t>(kM * kN, -1));
  Status status = machine.launch({out, machine.buffer(fragmentsOfA(operands.a)),
                                  machine.buffer(tilesOfB(operands.b))},
                                 {1, 1, 1}, {160, 1, 1});
  if (!status.ok())
    return status;
  auto result = machine.read<int32_t>(out, kM * kN);
  right = true;
  for (unsigned row = 0; row < kM; ++row)
    for (unsigned column = 0; column < kN; ++column) {
      int32_t sum = 0;
      for (unsigned k = 0; k < kK; ++k)
        sum += operands.a[row * kK + k] * operands.b[column * kK + k];
      right &= result[row * kN + column] == sum;
    }
  return status;
}

TEST(Warpgroup, PipelineIsRightInEveryOrderAndTiming) {
  for (auto when : {AsyncCopies::Eager, AsyncCopies::Late, AsyncCopies::Random})
    for (uint64_t seed : {0, 1, 2})
      for (bool hazards : {false, true}) {
        EmulatorOptions options;
        options.asyncCopies = when;
        options.seed = seed;
        options.checkHazards = hazards;
        bool right = false;
        Status status = runWarpgroup(options, ~size_t(0), right);
        ASSERT_TRUE(status.ok()) << status.message();
        EXPECT_TRUE(right);
      }
}

TEST(Warpgroup, EveryMissingSynchronizationIsReported) {
  std::vector<std::string> lines = warpgroupLines();
  unsigned tried = 0;
  EmulatorOptions options;
  options.checkHazards = true;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i][0] != '!')
      continue;
    ++tried;
    bool right = false;
    Status status = runWarpgroup(options, i, right);
    EXPECT_EQ(status.code(), StatusCode::DeviceFault)
        << "line " << i << " '" << lines[i] << "' can be left out";
  }
  // A barrier, 6 waits, 4 announcements, 4 x (fence, commit, wait), 2 arrivals.
  EXPECT_EQ(tried, 1u + 6 + 4 + 12 + 2);
}

/// Both operands from shared memory, every swizzle, zeroed and kept D.
TEST(Warpgroup, DescriptorsAndSwizzles) {
  for (unsigned mode : {0u, 1u, 2u, 3u}) {
    constexpr unsigned kWidth = 32; // k of one multiplication
    unsigned rowBytes = mode == 0 ? 16 : 256u >> mode;
    unsigned groupBytes = mode == 0 ? 256 : 8 * rowBytes;
    unsigned leading = 128;
    std::mt19937 random(mode + 1);
    std::vector<int8_t> a(64 * kWidth), b(16 * kWidth);
    for (auto *list : {&a, &b})
      for (int8_t &value : *list)
        value = static_cast<int8_t>(random());
    // The second 32 bytes of a row where it has more, so that a start inside
    // the swizzled row is tried.
    unsigned startPiece = mode == 1 ? 2 : 0;
    auto place = [&](unsigned row, unsigned k) {
      unsigned piece = k / 16;
      if (mode == 0)
        return row / 8 * groupBytes + piece * leading + row % 8 * 16 + k % 16;
      unsigned line = row / 8 * groupBytes + row % 8 * rowBytes;
      // Which 128-byte line of a 1024-byte pattern the row is in.
      unsigned swizzle = line / 128 % (rowBytes / 16);
      return line + ((piece + startPiece) ^ swizzle) * 16 + k % 16;
    };
    std::vector<int8_t> memory(16384);
    for (unsigned row = 0; row < 64; ++row)
      for (unsigned k = 0; k < kWidth; ++k)
        memory[place(row, k)] = a[row * kWidth + k];
    for (unsigned row = 0; row < 16; ++row)
      for (unsigned k = 0; k < kWidth; ++k)
        memory[8192 + place(row, k)] = b[row * kWidth + k];
    uint64_t descriptor = uint64_t(mode) << 62 |
                          uint64_t(groupBytes / 16) << 32 |
                          uint64_t(leading / 16) << 16;
    EmulatorOptions options;
    options.checkHazards = true;
    Machine machine(options);
    DeviceAddress out = machine.buffer(std::vector<int32_t>(64 * 16));
    Status loaded = machine.load(kernel(R"(
      .shared .align 1024 .b8 tile[16384];
      mov.b64 %rd20, tile;
      cvt.u32.u64 %r20, %rd20;
      mul.wide.u32 %rd10, %r0, 128;
      add.s64 %rd11, %rd1, %rd10;
      mul.lo.s32 %r21, %r0, 128;
      add.s32 %r21, %r21, %r20;
      mov.b32 %r22, 0;
    L_copy:
      ld.global.b32 %r23, [%rd11];
      st.shared.b32 [%r21], %r23;
      add.s64 %rd11, %rd11, 4;
      add.s32 %r21, %r21, 4;
      add.s32 %r22, %r22, 1;
      setp.lt.u32 %p1, %r22, 32;
      @%p1 bra L_copy;
      fence.proxy.async;
      bar.sync 0;
      add.s32 %r24, %r20, )" + number(startPiece * 16) +
                                            R"(;
      shr.u32 %r24, %r24, 4;
      cvt.u64.u32 %rd12, %r24;
      or.b64 %rd13, %rd12, )" + std::to_string(descriptor) +
                                            R"(;
      add.s64 %rd14, %rd13, 512;
      setp.eq.u32 %p2, %r0, 1000;
      setp.ne.u32 %p3, %r0, 1000;
      mov.b32 %r30, 7; mov.b32 %r31, 7; mov.b32 %r32, 7; mov.b32 %r33, 7;
      mov.b32 %r34, 7; mov.b32 %r35, 7; mov.b32 %r36, 7; mov.b32 %r37, 7;
      wgmma.fence.sync.aligned;
      wgmma.mma_async.sync.aligned.m64n16k32.s32.s8.s8
        {%r30, %r31, %r32, %r33, %r34, %r35, %r36, %r37}, %rd13, %rd14, %p2;
      wgmma.mma_async.sync.aligned.m64n16k32.s32.s8.s8
        {%r30, %r31, %r32, %r33, %r34, %r35, %r36, %r37}, %rd13, %rd14, %p3;
      wgmma.commit_group.sync.aligned;
      wgmma.wait_group.sync.aligned 0;
      mul.wide.u32 %rd15, %r0, 32;
      add.s64 %rd16, %rd0, %rd15;
      st.global.v4.b32 [%rd16], {%r30, %r31, %r32, %r33};
      st.global.v4.b32 [%rd16+16], {%r34, %r35, %r36, %r37};
    )",
                                        2, 90));
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    Status status =
        machine.launch({out, machine.buffer(memory)}, {1, 1, 1}, {128, 1, 1});
    ASSERT_TRUE(status.ok()) << status.message();
    auto result = machine.read<int32_t>(out, 128 * 8);
    for (unsigned thread = 0; thread < 128; ++thread)
      for (unsigned i = 0; i < 8; ++i) {
        unsigned row = thread / 32 * 16 + thread % 32 / 4 + i % 4 / 2 * 8;
        unsigned column = i / 4 * 8 + thread % 4 * 2 + i % 2;
        int32_t sum = 0;
        for (unsigned k = 0; k < kWidth; ++k)
          sum += a[row * kWidth + k] * b[column * kWidth + k];
        ASSERT_EQ(result[thread * 8 + i], 2 * sum)
            << mode << " " << row << " " << column;
      }
  }
}

/// What ordinary stores wrote is not seen by wgmma without a proxy fence.
TEST(Warpgroup, MissingProxyFence) {
  EmulatorOptions options;
  options.checkHazards = true;
  for (bool fence : {false, true}) {
    Machine machine(options);
    Status loaded = machine.load(kernel(std::string(R"(
      .shared .align 1024 .b8 tile[1024];
      mov.b64 %rd20, tile;
      mul.wide.u32 %rd10, %r0, 8;
      add.s64 %rd21, %rd20, %rd10;
      st.shared.b64 [%rd21], %rd10;
    )") + (fence ? "fence.proxy.async.shared::cta;" : "") +
                                            R"(
      bar.sync 0;
      shr.u64 %rd22, %rd20, 4;
      or.b64 %rd23, %rd22, 4611686293305294848;
      setp.ne.u32 %p2, %r0, %r0;
      wgmma.fence.sync.aligned;
      wgmma.mma_async.sync.aligned.m64n8k32.s32.s8.s8
        {%r30, %r31, %r32, %r33}, {%r34, %r35, %r36, %r37}, %rd23, %p2;
      wgmma.commit_group.sync.aligned;
      wgmma.wait_group.sync.aligned 0;
    )",
                                        0, 90));
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    Status status = machine.launch({}, {1, 1, 1}, {128, 1, 1});
    EXPECT_EQ(status.ok(), fence) << status.message();
    if (!fence) {
      EXPECT_THAT(status.message(), testing::HasSubstr("fence.proxy.async"));
    }
  }
}

} // namespace

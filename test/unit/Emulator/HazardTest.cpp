//===- HazardTest.cpp - The checker of hazards ----------------------------===//

#include "PtxTest.h"

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

EmulatorOptions checking() {
  EmulatorOptions options;
  options.checkHazards = true;
  return options;
}

/// Runs a kernel under the checker and returns its error message, empty if
/// there is none.
std::string check(const std::string &body, unsigned threads,
                  const std::string &expected = "") {
  Machine machine(checking());
  Status loaded = machine.load(kernel(R"(
    .shared .align 16 .b8 tile[1024];
    mov.b64 %rd20, tile;
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd0, %rd10;
    add.s64 %rd21, %rd20, %rd10;
    xor.b32 %r50, %r0, 1;
    mul.wide.u32 %rd12, %r50, 4;
    add.s64 %rd22, %rd20, %rd12;
    xor.b32 %r51, %r0, 32;
    mul.wide.u32 %rd13, %r51, 4;
    add.s64 %rd23, %rd20, %rd13;
  )" + body,
                                      1));
  EXPECT_TRUE(loaded.ok()) << loaded.message();
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(256));
  Status status = machine.launch({out}, {1, 1, 1}, {threads, 1, 1});
  if (!expected.empty()) {
    EXPECT_EQ(status.code(), StatusCode::DeviceFault);
    EXPECT_THAT(status.message(), testing::HasSubstr(expected));
  } else {
    EXPECT_TRUE(status.ok()) << status.message();
  }
  return status.message();
}

TEST(Hazard, UninitialisedShared) {
  check("ld.shared.b32 %r10, [%rd21];", 32, "which nobody has written");
  check("st.shared.b8 [%rd21], %r0;\nld.shared.b16 %rs10, [%rd21];", 32,
        "which nobody has written");
  check("st.shared.b32 [%rd21], %r0;\nld.shared.b16 %rs10, [%rd21+2];", 32);
}

/// A compiler may read more than it needs; only what is used counts.
TEST(Hazard, ElementsThatNobodyUsesAreNotRead) {
  std::string load = R"(
    setp.ge.u32 %p1, %r0, 3;
    @!%p1 st.shared.b32 [%rd21], %r0;
    bar.sync 0;
    ld.shared.v4.b32 {%r10, %r11, %r12, %r13}, [%rd20];
    add.s32 %r14, %r10, %r11;
    add.s32 %r14, %r14, %r12;
  )";
  check(load, 32);
  check(load + "add.s32 %r14, %r14, %r13;", 32, "which nobody has written");
}

TEST(Hazard, UninitialisedGlobal) {
  Machine machine(checking());
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    st.global.b32 [%rd0], %r0;
    ld.global.b32 %r10, [%rd0];
    ld.global.b32 %r11, [%rd0+4];
  )",
                               1))
                  .ok());
  auto buffer = machine.device->allocate(64, "scratch");
  Status status = machine.launch({*buffer}, {1, 1, 1}, {1, 1, 1});
  EXPECT_EQ(status.code(), StatusCode::DeviceFault);
  EXPECT_THAT(status.message(),
              testing::HasSubstr("read of byte 4 of 'scratch'"));
}

TEST(Hazard, RaceBetweenWarps) {
  std::string write = "st.shared.b32 [%rd21], %r0;\n";
  std::string readOther = "ld.shared.b32 %r10, [%rd23];\n";
  // The message names both sides.
  std::string message =
      check(write + readOther, 64, "which nobody has written");
  message = check(write + "bar.sync 0;\n" + readOther + write, 64,
                  "shared memory race");
  EXPECT_THAT(message, testing::AllOf(
                           testing::HasSubstr("'ld.shared.b32 %r10, [%rd23]'"),
                           testing::HasSubstr("'st.shared.b32 [%rd21], %r0'")));
  check(write + "bar.sync 0;\n" + readOther + "bar.sync 0;\n" + write, 64);
  // A barrier that the other warp only arrives at orders one direction.
  check(write + R"(
    setp.lt.u32 %p1, %r0, 32;
    @%p1 bra L_wait;
    bar.arrive 1, 64;
    bra.uni L_end;
  L_wait:
    bar.sync 1, 64;
    ld.shared.b32 %r10, [%rd23];
  L_end:
  )",
        64);
  check(write + R"(
    setp.lt.u32 %p1, %r0, 32;
    @%p1 bra L_wait;
    bar.arrive 1, 64;
    ld.shared.b32 %r10, [%rd23];
    bra.uni L_end;
  L_wait:
    bar.sync 1, 64;
  L_end:
  )",
        64, "shared memory race: read");
}

TEST(Hazard, RaceInsideAWarp) {
  std::string write = "st.shared.b32 [%rd21], %r0;\n";
  std::string readOther = "ld.shared.b32 %r10, [%rd22];\n";
  check(write + readOther, 32, "shared memory race: read");
  check(write + "bar.warp.sync -1;\n" + readOther, 32);
  check(write + "bar.warp.sync -1;\n" + readOther + write, 32,
        "shared memory race: write");
  check(write + "bar.warp.sync -1;\n" + readOther + "bar.warp.sync -1;\n" +
            write,
        32);
}

TEST(Hazard, SeveralReadersAreAllKept) {
  // Both warps read byte 0; the one that writes has heard only of itself.
  check(R"(
    st.shared.b32 [%rd21], %r0;
    bar.sync 0;
    ld.shared.b32 %r10, [%rd20];
    setp.eq.u32 %p1, %r0, 0;
    bar.warp.sync -1;
    @%p1 st.shared.b32 [%rd20], 9;
  )",
        64, "shared memory race: write");
}

TEST(Hazard, AtomicsDoNotRaceWithEachOther) {
  std::string zero = R"(
    setp.eq.u32 %p1, %r0, 0;
    @%p1 st.shared.b32 [%rd20], 0;
    bar.sync 0;
    atom.shared.add.u32 %r10, [%rd20], 1;
  )";
  check(zero, 64);
  check(zero + "ld.shared.b32 %r11, [%rd20];\n", 64, "shared memory race");
}

TEST(Hazard, AsynchronousCopies) {
  std::string copy = R"(
    cp.async.ca.shared.global [%rd21], [%rd11], 4;
    cp.async.commit_group;
  )";
  check(copy + "ld.shared.b32 %r10, [%rd21];", 32, "not waited for");
  check(copy + "st.shared.b32 [%rd21], %r0;", 32, "not waited for");
  check(copy + "cp.async.wait_group 0;\nld.shared.b32 %r10, [%rd21];", 32);
  // After the wait only the issuer may read.
  check(copy + "cp.async.wait_group 0;\nld.shared.b32 %r10, [%rd22];", 32,
        "shared memory race");
  check(copy + "cp.async.wait_group 0;\nbar.warp.sync -1;\n"
               "ld.shared.b32 %r10, [%rd22];",
        32);
  check(copy + "cp.async.wait_group 1;\nld.shared.b32 %r10, [%rd21];", 32,
        "not waited for");
  // A copy over something that others still read.
  check("st.shared.b32 [%rd21], %r0;\nbar.sync 0;\n"
        "ld.shared.b32 %r10, [%rd23];\n" +
            copy,
        64, "issued in line");
}

// A matrix product of s8 in the shape of the project's kernels: a ring of
// stages in shared memory, filled by cp.async, read by ldmatrix, multiplied by
// mma.sync, and the result turned round through the same shared memory.

constexpr unsigned kRows = 64, kColumns = 32, kDepth = 256, kStep = 64;
constexpr unsigned kStages = 3, kStageBytes = (kRows + kColumns) * kStep;

std::vector<std::string> pipelineLines() {
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
  auto number = [](unsigned value) { return std::to_string(value); };
  add(".shared .align 16 .b8 ring[" + number(kStages * kStageBytes) + "];");
  // %rd20 ring, %r1 warp, %r2 lane. Each thread copies 16-byte piece
  // tid % 4 of rows tid / 4 + 32 i.
  add(R"(mov.b64 %rd20, ring;
cvt.u32.u64 %r3, %rd20;
shr.u32 %r1, %r0, 5;
and.b32 %r2, %r0, 31;
shr.u32 %r4, %r0, 2;
and.b32 %r5, %r0, 3;
shl.b32 %r6, %r5, 4;
mad.lo.s32 %r7, %r4, 64, %r6;
mad.lo.s32 %r8, %r4, )" +
      number(kDepth) + R"(, %r6;
cvt.u64.u32 %rd10, %r8;
add.s64 %rd11, %rd1, %rd10;
add.s64 %rd12, %rd2, %rd10;
add.s32 %r9, %r3, %r7;)");
  // Fills stage `stage` (a register) with step %rd13 / 64.
  auto fill = [&](const std::string &stage) {
    add("mad.lo.s32 %r20, " + stage + ", " + number(kStageBytes) +
        ", %r9;\nadd.s64 %rd14, %rd11, %rd13;\nadd.s64 %rd15, %rd12, %rd13;");
    for (unsigned i = 0; i < kRows / 32; ++i)
      add("cp.async.cg.shared.global [%r20+" + number(i * 32 * kStep) +
          "], [%rd14+" + number(i * 32 * kDepth) + "], 16;");
    add("cp.async.cg.shared.global [%r20+" + number(kRows * kStep) +
        "], [%rd15], 16;");
  };
  add("mov.b64 %rd13, 0;\nmov.b32 %r21, 0;");
  fill("%r21");
  add("cp.async.commit_group;\nmov.b64 %rd13, 64;\nmov.b32 %r21, 1;");
  fill("%r21");
  add("cp.async.commit_group;");
  for (unsigned i = 0; i < 16; ++i)
    add("mov.b32 %r" + number(60 + i) + ", 0;");
  // ldmatrix addresses. A: rows 16 warp + lane % 16, k half lane / 16. B:
  // column (lane % 8) + 8 (lane / 16), k half (lane / 8) % 2.
  add(R"(shl.b32 %r22, %r1, 4;
and.b32 %r23, %r2, 15;
add.s32 %r22, %r22, %r23;
shl.b32 %r22, %r22, 6;
shr.u32 %r23, %r2, 4;
mad.lo.s32 %r22, %r23, 16, %r22;
and.b32 %r24, %r2, 7;
mad.lo.s32 %r24, %r23, 8, %r24;
shl.b32 %r24, %r24, 6;
shr.u32 %r25, %r2, 3;
and.b32 %r25, %r25, 1;
mad.lo.s32 %r24, %r25, 16, %r24;
add.s32 %r24, %r24, )" +
      number(kRows * kStep) + R"(;
mov.b32 %r26, 0;
mov.b32 %r27, 0;
mov.b32 %r28, 2;
mov.b64 %rd13, 128;
L_loop:
cp.async.wait_group 1;
bar.sync 0;
mad.lo.s32 %r30, %r27, )" +
      number(kStageBytes) + R"(, %r3;
add.s32 %r31, %r30, %r22;
add.s32 %r32, %r30, %r24;)");
  for (unsigned k = 0; k < kStep / 32; ++k) {
    std::string at = number(k * 32);
    add("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r40, %r41, %r42, %r43}, "
        "[%r31+" +
        at + "];");
    for (unsigned n = 0; n < 2; ++n)
      add("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r" + number(44 + 4 * n) +
          ", %r" + number(45 + 4 * n) + ", %r" + number(46 + 4 * n) + ", %r" +
          number(47 + 4 * n) + "}, [%r32+" + number(k * 32 + n * 16 * kStep) +
          "];");
    for (unsigned n = 0; n < 4; ++n) {
      std::string c;
      for (unsigned i = 0; i < 4; ++i)
        c += (i ? ", %r" : "%r") + number(60 + 4 * n + i);
      add("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {" + c +
          "}, {%r40, %r41, %r42, %r43}, {%r" + number(44 + 2 * n) + ", %r" +
          number(45 + 2 * n) + "}, {" + c + "};");
    }
  }
  add("setp.ge.u32 %p1, %r26, " + number(kDepth / kStep - 2) +
      ";\n@%p1 bra L_filled;");
  fill("%r28");
  add(R"(L_filled:
cp.async.commit_group;
add.s64 %rd13, %rd13, 64;
add.s32 %r26, %r26, 1;
add.s32 %r27, %r27, 1;
setp.eq.u32 %p2, %r27, 3;
selp.b32 %r27, 0, %r27, %p2;
add.s32 %r28, %r28, 1;
setp.eq.u32 %p2, %r28, 3;
selp.b32 %r28, 0, %r28, %p2;
setp.lt.u32 %p2, %r26, )" +
      number(kDepth / kStep) + R"(;
@%p2 bra L_loop;
bar.sync 0;
shr.u32 %r50, %r2, 2;
and.b32 %r51, %r2, 3;
mad.lo.s32 %r50, %r1, 16, %r50;
mul.lo.s32 %r50, %r50, 128;
mad.lo.s32 %r50, %r51, 8, %r50;
add.s32 %r50, %r50, %r3;)");
  for (unsigned n = 0; n < 4; ++n) {
    add("st.shared.v2.b32 [%r50+" + number(32 * n) + "], {%r" +
        number(60 + 4 * n) + ", %r" + number(61 + 4 * n) + "};");
    add("st.shared.v2.b32 [%r50+" + number(32 * n + 1024) + "], {%r" +
        number(62 + 4 * n) + ", %r" + number(63 + 4 * n) + "};");
  }
  add(R"(bar.sync 0;
shl.b32 %r52, %r0, 4;
add.s32 %r53, %r52, %r3;
cvt.u64.u32 %rd16, %r52;
add.s64 %rd17, %rd0, %rd16;)");
  for (unsigned i = 0; i < kRows * kColumns / 512; ++i) {
    add("ld.shared.v4.b32 {%r54, %r55, %r56, %r57}, [%r53+" + number(i * 2048) +
        "];");
    add("st.global.v4.b32 [%rd17+" + number(i * 2048) +
        "], {%r54, %r55, %r56, %r57};");
  }
  return lines;
}

bool isSynchronization(const std::string &line) {
  for (const char *name : {"bar.sync", "cp.async.wait", "cp.async.commit"})
    if (line.rfind(name, 0) == 0)
      return true;
  return false;
}

/// Runs the pipeline without line `without`; compares the product if nothing is
/// left out.
Status runPipeline(const EmulatorOptions &options, size_t without,
                   bool &rightResult) {
  std::vector<std::string> lines = pipelineLines();
  std::string body;
  for (size_t i = 0; i < lines.size(); ++i)
    if (i != without)
      body += lines[i] + "\n";
  Machine machine(options);
  Status loaded = machine.load(kernel(body, 3));
  EXPECT_TRUE(loaded.ok()) << loaded.message();
  std::vector<int8_t> a(kRows * kDepth), b(kColumns * kDepth);
  std::mt19937 random(31);
  for (int8_t &value : a)
    value = static_cast<int8_t>(random());
  for (int8_t &value : b)
    value = static_cast<int8_t>(random());
  DeviceAddress out =
      machine.buffer(std::vector<int32_t>(kRows * kColumns, -1));
  Status status = machine.launch({out, machine.buffer(a), machine.buffer(b)},
                                 {1, 1, 1}, {kRows * 2, 1, 1});
  if (!status.ok())
    return status;
  auto result = machine.read<int32_t>(out, kRows * kColumns);
  rightResult = true;
  for (unsigned row = 0; row < kRows; ++row)
    for (unsigned column = 0; column < kColumns; ++column) {
      int32_t sum = 0;
      for (unsigned k = 0; k < kDepth; ++k)
        sum += a[row * kDepth + k] * b[column * kDepth + k];
      rightResult &= result[row * kColumns + column] == sum;
    }
  return status;
}

TEST(Pipeline, IsRightInEveryOrderAndTiming) {
  for (auto when : {AsyncCopies::Eager, AsyncCopies::Late, AsyncCopies::Random})
    for (uint64_t seed : {0, 1, 2})
      for (bool hazards : {false, true}) {
        EmulatorOptions options;
        options.asyncCopies = when;
        options.seed = seed;
        options.checkHazards = hazards;
        bool right = false;
        Status status = runPipeline(options, ~size_t(0), right);
        ASSERT_TRUE(status.ok()) << status.message();
        EXPECT_TRUE(right);
      }
}

/// Without any one barrier, wait or commit the checker reports the kernel,
/// even where the result happens to be right.
TEST(Pipeline, EveryMissingSynchronizationIsReported) {
  std::vector<std::string> lines = pipelineLines();
  unsigned tried = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (!isSynchronization(lines[i]))
      continue;
    ++tried;
    bool right = false;
    Status status = runPipeline(checking(), i, right);
    EXPECT_EQ(status.code(), StatusCode::DeviceFault)
        << "line " << i << " '" << lines[i] << "' can be left out";
  }
  EXPECT_EQ(tried, 7u);
}

} // namespace

//===- MemoryTest.cpp - Loads, stores, state spaces, faults ---------------===//

#include "PtxTest.h"

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

TEST(Memory, WidthsAndExtension) {
  Machine machine;
  std::vector<uint8_t> in(32 * 16);
  for (size_t i = 0; i < in.size(); ++i)
    in[i] = static_cast<uint8_t>(i * 37 + 129);
  DeviceAddress out = machine.buffer(std::vector<uint64_t>(32 * 8));
  runWarp(machine,
          kernel(R"(
    mul.wide.u32 %rd10, %r0, 16;
    add.s64 %rd11, %rd1, %rd10;
    mul.wide.u32 %rd10, %r0, 64;
    add.s64 %rd12, %rd0, %rd10;
    ld.global.u8 %rd20, [%rd11+1];
    ld.global.s8 %r21, [%rd11+2];
    cvt.s64.s32 %rd21, %r21;
    ld.global.s16 %rd22, [%rd11+4];
    ld.global.nc.b16 %rs20, [%rd11+6];
    cvt.u64.u16 %rd23, %rs20;
    ld.global.L1::no_allocate.v2.b32 {%r24, %r25}, [%rd11+8];
    mov.b64 %rd24, {%r25, %r24};
    ld.global.v2.b64 {%rd25, %rd26}, [%rd11];
    ld.s32 %rd27, [%rd11+12];
    st.global.v2.b64 [%rd12], {%rd20, %rd21};
    st.global.v2.b64 [%rd12+16], {%rd22, %rd23};
    st.global.v2.b64 [%rd12+32], {%rd24, %rd26};
    st.global.b64 [%rd12+48], %rd27;
    st.global.b8 [%rd12+56], %rd25;
    st.global.b16 [%rd12+58], %rs20;
    st.global.v4.b8 [%rd12+60], {%r24, %r25, %r24, %r25};
  )",
                 2),
          {out, machine.buffer(in)});
  auto result = machine.read<uint64_t>(out, 32 * 8);
  for (unsigned lane = 0; lane < 32; ++lane) {
    const uint8_t *p = &in[lane * 16];
    const uint64_t *r = &result[lane * 8];
    auto load = [&](size_t offset, size_t bytes) {
      uint64_t value = 0;
      std::memcpy(&value, p + offset, bytes);
      return value;
    };
    EXPECT_EQ(r[0], p[1]);
    EXPECT_EQ(int64_t(r[1]), int8_t(p[2]));
    EXPECT_EQ(int64_t(r[2]), int16_t(load(4, 2)));
    EXPECT_EQ(r[3], load(6, 2));
    EXPECT_EQ(r[4], load(12, 4) | load(8, 4) << 32);
    EXPECT_EQ(r[5], load(8, 8));
    EXPECT_EQ(int64_t(r[6]), int32_t(load(12, 4)));
    EXPECT_EQ(r[7], load(0, 1) | load(6, 2) << 16 | load(8, 1) << 32 |
                        load(12, 1) << 40 | load(8, 1) << 48 |
                        load(12, 1) << 56);
  }
}

/// The shapes of access that the emulator treats apart: side by side, all the
/// same, permuted, partly masked.
TEST(Memory, AccessShapes) {
  std::vector<uint32_t> in(128);
  for (unsigned i = 0; i < 128; ++i)
    in[i] = 7 * i + 1;
  for (const char *index :
       {"mov.b32 %r10, %r0;", "mov.b32 %r10, 9;", "xor.b32 %r10, %r0, 21;",
        "sub.s32 %r10, 31, %r0;", "and.b32 %r10, %r0, 3;"})
    for (const char *guard : {"", "@%p1 ", "@!%p1 "})
      for (unsigned vector : {1u, 2u, 4u}) {
        Machine machine;
        DeviceAddress out = machine.buffer(std::vector<uint32_t>(128, 5));
        std::string v = vector == 1 ? "" : vector == 2 ? ".v2" : ".v4";
        std::string list = vector == 1   ? "%r20"
                           : vector == 2 ? "{%r20, %r21}"
                                         : "{%r20, %r21, %r22, %r23}";
        std::string size = std::to_string(vector * 4);
        runWarp(machine,
                kernel(std::string(index) + R"(
          setp.lt.u32 %p1, %r0, 11;
          mov.b32 %r20, 1; mov.b32 %r21, 2; mov.b32 %r22, 3; mov.b32 %r23, 4;
          mul.wide.u32 %rd10, %r10, )" +
                           size + R"(;
          add.s64 %rd11, %rd1, %rd10;
          mul.wide.u32 %rd10, %r0, )" +
                           size + R"(;
          add.s64 %rd12, %rd0, %rd10;
          )" + guard + "ld.global" +
                           v + ".b32 " + list + R"(, [%rd11];
          st.global)" + v + ".b32 [%rd12], " +
                           list + ";",
                       2),
                {out, machine.buffer(in)});
        auto result = machine.read<uint32_t>(out, 32 * vector);
        std::string how = index;
        for (unsigned lane = 0; lane < 32; ++lane) {
          unsigned from = how.find("xor") == 0                   ? lane ^ 21
                          : how.find("sub") == 0                 ? 31 - lane
                          : how.find("and") == 0                 ? lane & 3
                          : how.find(", 9") != std::string::npos ? 9
                                                                 : lane;
          bool on = !*guard || (guard[1] == '!') == (lane >= 11);
          for (unsigned i = 0; i < vector; ++i)
            ASSERT_EQ(result[lane * vector + i],
                      on ? in[from * vector + i] : i + 1)
                << index << guard << v << lane;
        }
      }
}

/// The same with the addresses of the stores.
TEST(Memory, ScatteredStores) {
  for (const char *space : {"global", "shared"}) {
    Machine machine;
    DeviceAddress out = machine.buffer(std::vector<uint32_t>(128));
    bool shared = std::string(space) == "shared";
    runWarp(machine,
            kernel(std::string(R"(
      .shared .align 16 .b8 tile[512];
      mov.b64 %rd20, )") +
                       (shared ? "tile" : "%rd0") + R"(;
      xor.b32 %r10, %r0, 13;
      mul.wide.u32 %rd10, %r10, 16;
      add.s64 %rd11, %rd20, %rd10;
      mul.lo.s32 %r11, %r0, 3;
      add.s32 %r12, %r11, 1;
      st.)" + space + R"(.v4.b32 [%rd11], {%r11, %r12, %r10, %r0};
      bar.sync 0;
      mul.wide.u32 %rd12, %r0, 16;
      add.s64 %rd13, %rd20, %rd12;
      ld.)" + space + R"(.v4.b32 {%r20, %r21, %r22, %r23}, [%rd13];
      add.s64 %rd14, %rd0, %rd12;
      st.global.v4.b32 [%rd14], {%r20, %r21, %r22, %r23};
    )",
                   1),
            {out});
    auto result = machine.read<uint32_t>(out, 128);
    for (unsigned i = 0; i < 32; ++i) {
      unsigned writer = i ^ 13;
      EXPECT_EQ(result[4 * i], 3 * writer);
      EXPECT_EQ(result[4 * i + 1], 3 * writer + 1);
      EXPECT_EQ(result[4 * i + 2], i);
      EXPECT_EQ(result[4 * i + 3], writer);
    }
  }
}

TEST(Memory, SpacesAndGenericAddresses) {
  Machine machine;
  std::string before = R"(
.const .align 4 .b8 table[16] = {10, 0, 0, 0, 20, 0, 0, 0, 30, 0, 0, 0, 40};
.global .align 8 .u64 pointer = generic(words)+4;
.global .align 4 .b32 words[3] = {111, 222, 333};
.global .align 4 .f32 pi = 0f40490FDB;
.extern .shared .align 16 .b8 dynamic[];
)";
  // `pointer` names `words`, so it has to come after it.
  size_t at = before.find(".global .align 8");
  std::string line = before.substr(at, before.find('\n', at) - at + 1);
  before.erase(at, line.size());
  before += line;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32 * 8));
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    .local .align 8 .b8 depot[16];
    .shared .align 4 .b8 tile[128];
    mov.b64 %rd30, depot;
    cvta.local.u64 %rd31, %rd30;
    st.local.b32 [%rd30+4], %r0;
    ld.b32 %r20, [%rd31+4];
    mov.b64 %rd32, tile;
    cvta.shared.u64 %rd33, %rd32;
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd34, %rd33, %rd10;
    add.s32 %r10, %r0, 64;
    st.b32 [%rd34], %r10;
    cvta.to.shared.u64 %rd35, %rd34;
    ld.shared.b32 %r21, [%rd35];
    cvt.u32.u64 %r11, %rd35;
    ld.shared.b32 %r22, [%r11];
    and.b32 %r12, %r0, 3;
    mul.wide.u32 %rd11, %r12, 4;
    mov.b64 %rd36, table;
    add.s64 %rd37, %rd36, %rd11;
    ld.const.b32 %r23, [%rd37];
    ld.global.b64 %rd38, [pointer];
    ld.global.b32 %r24, [%rd38];
    ld.global.b32 %r25, [pi];
    mov.b64 %rd39, dynamic;
    add.s64 %rd40, %rd39, %rd10;
    st.shared.b32 [%rd40+128], %r23;
    ld.shared.b32 %r26, [%rd40+128];
    isspacep.shared %p1, %rd34;
    isspacep.global %p2, %rd34;
    isspacep.local %p3, %rd31;
    selp.b32 %r27, 1, 0, %p1;
    selp.b32 %r28, 2, 0, %p2;
    selp.b32 %r29, 4, 0, %p3;
    add.s32 %r27, %r27, %r28;
    add.s32 %r27, %r27, %r29;
    mul.wide.u32 %rd12, %r0, 32;
    add.s64 %rd13, %rd0, %rd12;
    st.global.v4.b32 [%rd13], {%r20, %r21, %r22, %r23};
    st.global.v4.b32 [%rd13+16], {%r24, %r25, %r26, %r27};
  )",
                               1, 80, before))
                  .ok());
  Status status = machine.launch({out}, {1, 1, 1}, {32, 1, 1}, 256);
  ASSERT_TRUE(status.ok()) << status.message();
  auto result = machine.read<uint32_t>(out, 32 * 8);
  for (unsigned lane = 0; lane < 32; ++lane) {
    const uint32_t *r = &result[lane * 8];
    EXPECT_EQ(r[0], lane);
    EXPECT_EQ(r[1], lane + 64);
    EXPECT_EQ(r[2], lane + 64);
    EXPECT_EQ(r[3], 10 * (lane % 4 + 1));
    EXPECT_EQ(r[4], 222u);
    EXPECT_EQ(bitCast<float>(r[5]), 3.14159274f);
    EXPECT_EQ(r[6], 10 * (lane % 4 + 1));
    EXPECT_EQ(r[7], 5u);
  }
}

/// Runs a kernel that must fault, and returns the message.
std::string faultOf(const std::string &body, unsigned threads = 32,
                    size_t bytes = 64) {
  Machine machine;
  Status loaded = machine.load(kernel(body, 1));
  EXPECT_TRUE(loaded.ok()) << loaded.message();
  auto buffer = machine.device->allocate(bytes, "weights");
  Status status = machine.launch({*buffer}, {1, 1, 1}, {threads, 1, 1}, 256);
  EXPECT_EQ(status.code(), StatusCode::DeviceFault) << status.message();
  // The device stops there.
  EXPECT_EQ(machine.launch({*buffer}, {1, 1, 1}, {threads, 1, 1}).code(),
            StatusCode::FailedPrecondition);
  return status.message();
}

TEST(Fault, OutOfBounds) {
  std::string message = faultOf(R"(
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd0, %rd10;
    ld.global.b32 %r10, [%rd11];
  )");
  // 64 bytes are enough for 16 threads.
  for (const char *part :
       {"kernel 'k'", "illegal global read of 4 bytes", "thread (16,0,0)",
        "CTA (0,0,0)", "0 bytes after the end of 'weights' (64 bytes",
        "'ld.global.b32 %r10, [%rd11]'", "line "})
    EXPECT_THAT(message, testing::HasSubstr(part));
}

TEST(Fault, BeforeTheBeginningAndNull) {
  EXPECT_THAT(faultOf("st.global.b32 [%rd0+-4], %r0;"),
              testing::HasSubstr("4 bytes before 'weights'"));
  EXPECT_THAT(faultOf("mov.b64 %rd10, 0;\nld.b32 %r10, [%rd10];"),
              testing::HasSubstr("illegal global read"));
}

TEST(Fault, Misaligned) {
  EXPECT_THAT(faultOf("ld.global.b32 %r10, [%rd0+2];"),
              testing::HasSubstr("misaligned global read of 4 bytes"));
  EXPECT_THAT(faultOf("ld.global.v4.b32 {%r10, %r11, %r12, %r13}, [%rd0+8];"),
              testing::HasSubstr("misaligned global read of 16 bytes"));
}

TEST(Fault, SharedMemoryEnds) {
  EXPECT_THAT(faultOf(".shared .align 4 .b8 tile[16];\nmov.b64 %rd10, tile;\n"
                      "st.shared.b32 [%rd10+272], %r0;"),
              testing::HasSubstr("has 272 bytes of shared memory"));
  EXPECT_THAT(faultOf("mov.b64 %rd10, 0;\nst.shared.b32 [%rd10], %r0;"),
              testing::HasSubstr("illegal shared write"));
}

TEST(Fault, Trap) {
  EXPECT_THAT(faultOf("setp.eq.u32 %p1, %r0, 7;\n@%p1 trap;"),
              testing::HasSubstr("trap; line"));
}

TEST(Fault, UseAfterFree) {
  Machine machine;
  ASSERT_TRUE(machine.load(kernel("ld.global.b32 %r10, [%rd0];", 1)).ok());
  auto first = machine.device->allocate(256, "old cache");
  ASSERT_TRUE(machine.launch({*first}, {1, 1, 1}, {1, 1, 1}).ok());
  ASSERT_TRUE(machine.device->free(*first).ok());
  auto second = machine.device->allocate(256, "new cache");
  EXPECT_NE(*first, *second);
  Status status = machine.launch({*first}, {1, 1, 1}, {1, 1, 1});
  EXPECT_EQ(status.code(), StatusCode::DeviceFault);
  EXPECT_THAT(status.message(),
              testing::AllOf(testing::HasSubstr("'old cache'"),
                             testing::HasSubstr("freed")));
}

TEST(Fault, ImportedMemoryIsReadOnly) {
  Machine machine;
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    ld.global.b32 %r10, [%rd0];
    st.global.b32 [%rd1], %r10;
    st.global.b32 [%rd0+4], %r10;
  )",
                               2))
                  .ok());
  std::vector<uint32_t> host = {77, 88};
  auto address = machine.device->importReadOnly(host.data(), 8, "shard 1");
  ASSERT_TRUE(address.ok());
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(1));
  Status status = machine.launch({*address, out}, {1, 1, 1}, {1, 1, 1});
  EXPECT_EQ(status.code(), StatusCode::DeviceFault);
  EXPECT_THAT(status.message(), testing::HasSubstr("'shard 1' can only be "
                                                   "read"));
  EXPECT_EQ(host[1], 88u);
}

TEST(Module, UnknownInstructionsAndModifiersAreRefused) {
  struct Case {
    const char *instruction, *part;
  };
  for (const Case &c : {
           Case{"frobnicate.b32 %r1, %r0;", "unknown instruction"},
           Case{"add.fast.s32 %r1, %r0, %r0;", "modifier '.fast'"},
           Case{"ld.global.L2::cache_hint.b32 %r1, [%rd0], %rd0;",
                "modifier '.L2::cache_hint'"},
           Case{"add.f32 %r1, %r0, %r0;", "write '.rn'"},
           Case{"mul.s32 %r1, %r0, %r0;", "modifier '.s32'"},
           Case{"mma.sync.aligned.m16n8k64.row.col.s32.s4.s4.s32 %r1, %r2, "
                "%r3, %r4;",
                "modifier '.m16n8k64'"},
           Case{"add.s32 %r1, %r0;", "expected 3 operands, got 2"},
           Case{"add.s32 %rd1, %r0, %r0;", "64 bits where 32 are expected"},
           Case{"mov.u32 %r1, %nonsense;", "'%nonsense'"},
           Case{"cvt.rn.s32.f32 %r1, %r0;", "'.r?i'"},
           Case{"bar.sync.relaxed 0;", "modifier '.relaxed'"},
       }) {
    Machine machine;
    Status status = machine.load(kernel(c.instruction, 1));
    EXPECT_EQ(status.code(), StatusCode::Unsupported) << c.instruction;
    EXPECT_THAT(status.message(), testing::AllOf(testing::HasSubstr(c.part),
                                                 testing::HasSubstr("line 12 "),
                                                 testing::HasSubstr("'test'")))
        << c.instruction;
  }
}

TEST(Module, SyntaxErrorsNameTheLine) {
  Machine machine;
  Status status = machine.load(header() + ".visible .entry k()\n{\nret\n}\n");
  EXPECT_EQ(status.code(), StatusCode::InvalidArgument);
  EXPECT_THAT(status.message(), testing::HasSubstr("line 7"));
}

/// What compilers put around instructions: scopes with registers of the same
/// name, debug directives, pragmas, comments, labels inside a scope.
TEST(Module, ScopesAndDirectives) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32));
  runWarp(machine, header() + R"(
.file 1 "kernel.cu"
// a comment
.visible .entry k(.param .u64 .ptr .global .align 4 out)
.maxntid 128, 1, 1
.minnctapersm 2
{
  .reg .b32 %r<4>; /* more
  than a line */
  .reg .b64 %rd<4>;
  .pragma "nounroll";
  .loc 1 10 5
  ld.param.u64 %rd1, [out];
  mov.u32 %r1, %tid.x;
  mov.b32 %r2, 0;
  { .reg .b32 %r<4>; .reg .pred p;
    mov.b32 %r2, 5;
    setp.eq.u32 p, %r2, 5;
    @p bra inside;
    mov.b32 %r2, 6;
  inside:
    add.s32 %r1, %r2, 1;
  }
  { .reg .pred p;
    setp.eq.u32 p, %r2, 0;
    @!p bra inside;
    add.s32 %r2, %r2, 300;
  inside:
  }
  mad.lo.s32 %r2, %r1, 2, %r2;
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd3, %rd1, %rd2;
  st.global.b32 [%rd3], %r2;
  ret;
}
.section .debug_abbrev { .b8 1, 2 }
)",
          {out});
  auto result = machine.read<uint32_t>(out, 32);
  for (unsigned i = 0; i < 32; ++i)
    EXPECT_EQ(result[i], 300 + 2 * i);
}

TEST(Launch, SpecialRegistersOfAGrid) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(12 * 24 * 4));
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    mov.u32 %r10, %tid.y; mov.u32 %r11, %tid.z;
    mov.u32 %r12, %ntid.x; mov.u32 %r13, %ntid.y; mov.u32 %r14, %ntid.z;
    mov.u32 %r15, %ctaid.x; mov.u32 %r16, %ctaid.y; mov.u32 %r17, %ctaid.z;
    mov.u32 %r18, %nctaid.x; mov.u32 %r19, %nctaid.y;
    mad.lo.s32 %r20, %r11, %r13, %r10;
    mad.lo.s32 %r20, %r20, %r12, %r0;
    mad.lo.s32 %r21, %r17, %r19, %r16;
    mad.lo.s32 %r21, %r21, %r18, %r15;
    mul.lo.s32 %r22, %r12, %r13;
    mul.lo.s32 %r22, %r22, %r14;
    mad.lo.s32 %r23, %r21, %r22, %r20;
    mul.wide.u32 %rd10, %r23, 16;
    add.s64 %rd11, %rd0, %rd10;
    mov.u32 %r30, %laneid; mov.u32 %r31, %warpid;
    mov.u32 %r32, %lanemask_lt; mov.u32 %r33, %dynamic_smem_size;
    st.global.v4.b32 [%rd11], {%r30, %r31, %r32, %r33};
  )",
                               1))
                  .ok());
  Status status = machine.launch({out}, {3, 2, 2}, {4, 3, 2}, 48);
  ASSERT_TRUE(status.ok()) << status.message();
  auto result = machine.read<uint32_t>(out, 12 * 24 * 4);
  for (unsigned i = 0; i < 12 * 24; ++i) {
    unsigned lane = i % 24;
    EXPECT_EQ(result[4 * i], lane);
    EXPECT_EQ(result[4 * i + 1], 0u);
    EXPECT_EQ(result[4 * i + 2], (1u << lane) - 1);
    EXPECT_EQ(result[4 * i + 3], 48u);
  }
}

} // namespace

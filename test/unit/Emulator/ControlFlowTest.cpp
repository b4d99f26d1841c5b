//===- ControlFlowTest.cpp - Branches, calls, barriers --------------------===//

#include "PtxTest.h"

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

/// A loop whose trip count is the lane number: lanes leave it one by one and
/// have to meet again behind it, where a warp-wide operation needs them all.
TEST(ControlFlow, LanesMeetBehindADivergentLoop) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32, 0));
  runWarp(machine,
          kernel(R"(
    mov.b32 %r10, 0;
    mov.b32 %r11, 0;
  L_loop:
    setp.ge.u32 %p1, %r10, %r0;
    @%p1 bra L_end;
    add.s32 %r11, %r11, %r10;
    add.s32 %r10, %r10, 1;
    bra.uni L_loop;
  L_end:
    activemask.b32 %r12;
    redux.sync.add.u32 %r13, %r11, -1;
    add.s32 %r14, %r13, %r11;
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd0, %rd10;
    st.global.b32 [%rd11], %r14;
  )",
                 1),
          {out});
  uint32_t total = 0;
  for (uint32_t i = 0; i < 32; ++i)
    total += i * (i - 1) / 2;
  std::vector<uint32_t> result = machine.read<uint32_t>(out, 32);
  for (uint32_t i = 0; i < 32; ++i)
    EXPECT_EQ(result[i], total + i * (i - 1) / 2) << i;
}

TEST(ControlFlow, IfElseKeepsTheOtherLanes) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32, 0));
  runWarp(machine,
          kernel(R"(
    and.b32 %r10, %r0, 3;
    setp.eq.s32 %p1, %r10, 0;
    mov.b32 %r11, 7;
    @!%p1 bra L_else;
    add.s32 %r11, %r11, 100;
    bra.uni L_join;
  L_else:
    setp.eq.s32 %p2, %r10, 3;
    @%p2 add.s32 %r11, %r11, 200;
    @!%p2 sub.s32 %r11, %r11, %r0;
  L_join:
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd0, %rd10;
    st.global.b32 [%rd11], %r11;
  )",
                 1),
          {out});
  std::vector<uint32_t> result = machine.read<uint32_t>(out, 32);
  for (uint32_t i = 0; i < 32; ++i)
    EXPECT_EQ(result[i], i % 4 == 0 ? 107u : i % 4 == 3 ? 207u : 7 - i) << i;
}

TEST(ControlFlow, IndexedBranchSplitsByTarget) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32, 0));
  runWarp(machine,
          kernel(R"(
    and.b32 %r10, %r0, 3;
    mov.b32 %r11, 1000;
    setp.gt.u32 %p1, %r10, 2;
    @%p1 bra L_join;
  L_table: .branchtargets L_a, L_b, L_c;
    brx.idx %r10, L_table;
  L_a:
    mov.b32 %r11, 10;
    bra.uni L_join;
  L_c:
    mov.b32 %r11, 30;
    bra.uni L_join;
  L_b:
    mov.b32 %r11, 20;
  L_join:
    add.s32 %r11, %r11, %r0;
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd0, %rd10;
    st.global.b32 [%rd11], %r11;
  )",
                 1),
          {out});
  const uint32_t expected[] = {10, 20, 30, 1000};
  std::vector<uint32_t> result = machine.read<uint32_t>(out, 32);
  for (uint32_t i = 0; i < 32; ++i)
    EXPECT_EQ(result[i], expected[i % 4] + i) << i;
}

TEST(ControlFlow, CallsPassAndReturnValues) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32, 0));
  std::string functions = R"(
.func (.param .b32 result) twice(.param .b32 x)
{
  .reg .b32 %r<3>;
  .reg .pred %p<2>;
  ld.param.b32 %r1, [x];
  setp.lt.s32 %p1, %r1, 8;
  @%p1 bra L_small;
  add.s32 %r2, %r1, %r1;
  st.param.b32 [result], %r2;
  ret;
L_small:
  st.param.b32 [result], 5;
  ret;
}
)";
  runWarp(machine,
          kernel(R"(
    setp.eq.s32 %p1, %r0, 31;
    mov.b32 %r12, 77;
    @%p1 bra L_join;
    { .param .b32 a; .param .b32 r;
    st.param.b32 [a], %r0;
    call.uni (r), twice, (a);
    ld.param.b32 %r12, [r];
    }
    { .param .b32 a; .param .b32 r;
    st.param.b32 [a], %r12;
    call.uni (r), twice, (a);
    ld.param.b32 %r12, [r];
    }
  L_join:
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd0, %rd10;
    st.global.b32 [%rd11], %r12;
  )",
                 1, 80, functions),
          {out});
  auto twice = [](uint32_t x) { return x < 8 ? 5 : 2 * x; };
  std::vector<uint32_t> result = machine.read<uint32_t>(out, 32);
  for (uint32_t i = 0; i < 32; ++i)
    EXPECT_EQ(result[i], i == 31 ? 77 : twice(twice(i))) << i;
}

TEST(ControlFlow, RecursionIsRefused) {
  Machine machine;
  std::string functions = ".func f()\n{\ncall.uni f, ();\nret;\n}\n";
  Status status = machine.load(kernel("call.uni f, ();", 0, 80, functions));
  EXPECT_EQ(status.code(), StatusCode::Unsupported);
  EXPECT_THAT(status.message(), testing::HasSubstr("recursive"));
}

} // namespace

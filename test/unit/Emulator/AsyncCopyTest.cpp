//===- AsyncCopyTest.cpp - cp.async ---------------------------------------===//

#include "PtxTest.h"

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

using Copies = EmulatorOptions::AsyncCopies;

class AsyncCopyTest : public testing::TestWithParam<Copies> {
protected:
  EmulatorOptions options() const {
    EmulatorOptions result;
    result.asyncCopies = GetParam();
    result.seed = 3;
    return result;
  }
};

/// Three groups, waited for one after another, with 16, 8 and 4 bytes.
TEST_P(AsyncCopyTest, GroupsCompleteInOrder) {
  Machine machine(options());
  std::vector<uint32_t> in(32 * 8);
  for (unsigned i = 0; i < in.size(); ++i)
    in[i] = i * 11 + 5;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32 * 8));
  runWarp(machine,
          kernel(R"(
    .shared .align 16 .b8 tile[1024];
    mov.b64 %rd20, tile;
    mul.wide.u32 %rd10, %r0, 32;
    add.s64 %rd11, %rd1, %rd10;
    add.s64 %rd12, %rd20, %rd10;
    add.s64 %rd13, %rd0, %rd10;
    cp.async.cg.shared.global [%rd12], [%rd11], 16;
    cp.async.commit_group;
    cp.async.ca.shared.global.L2::128B [%rd12+16], [%rd11+16], 8;
    cp.async.commit_group;
    cp.async.ca.shared.global [%rd12+24], [%rd11+24], 4;
    cp.async.ca.shared.global [%rd12+28], [%rd11+28], 4;
    cp.async.commit_group;
    cp.async.wait_group 2;
    ld.shared.v4.b32 {%r10, %r11, %r12, %r13}, [%rd12];
    cp.async.wait_group 1;
    ld.shared.v2.b32 {%r14, %r15}, [%rd12+16];
    cp.async.wait_group 0;
    ld.shared.v2.b32 {%r16, %r17}, [%rd12+24];
    st.global.v4.b32 [%rd13], {%r10, %r11, %r12, %r13};
    st.global.v4.b32 [%rd13+16], {%r14, %r15, %r16, %r17};
  )",
                 2),
          {out, machine.buffer(in)});
  EXPECT_EQ(machine.read<uint32_t>(out, 32 * 8), in);
}

/// Source sizes below the copy's size fill up with zeros, and nothing behind
/// the source is touched: the buffer ends there.
TEST_P(AsyncCopyTest, ShortSourcesAreFilledWithZeros) {
  Machine machine(options());
  std::vector<uint8_t> in(16 * 16 + 5);
  for (size_t i = 0; i < in.size(); ++i)
    in[i] = static_cast<uint8_t>(i + 1);
  DeviceAddress out = machine.buffer(std::vector<uint8_t>(32 * 16, 9));
  runWarp(machine,
          kernel(R"(
    .shared .align 16 .b8 tile[512];
    mov.b64 %rd20, tile;
    mul.wide.u32 %rd10, %r0, 16;
    add.s64 %rd11, %rd1, %rd10;
    add.s64 %rd12, %rd20, %rd10;
    add.s64 %rd13, %rd0, %rd10;
    mul.lo.s32 %r10, %r0, 16;
    sub.s32 %r11, 261, %r10;
    max.s32 %r11, %r11, 0;
    min.s32 %r11, %r11, 16;
    st.shared.v4.b32 [%rd12], {%r0, %r0, %r0, %r0};
    cp.async.cg.shared.global [%rd12], [%rd11], 16, %r11;
    cp.async.wait_all;
    ld.shared.v4.b32 {%r20, %r21, %r22, %r23}, [%rd12];
    st.global.v4.b32 [%rd13], {%r20, %r21, %r22, %r23};
  )",
                 2),
          {out, machine.buffer(in)});
  auto result = machine.read<uint8_t>(out, 32 * 16);
  for (size_t i = 0; i < result.size(); ++i)
    EXPECT_EQ(result[i], i < in.size() ? in[i] : 0) << i;
}

INSTANTIATE_TEST_SUITE_P(When, AsyncCopyTest,
                         testing::Values(Copies::Eager, Copies::Late,
                                         Copies::Random));

/// Groups belong to threads: lanes that commit more often have more groups.
TEST(AsyncCopy, GroupsAreCountedPerThread) {
  Machine machine;
  std::vector<uint32_t> in(64);
  for (unsigned i = 0; i < 64; ++i)
    in[i] = 100 + i;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32));
  // Even lanes commit an empty group behind the copy, so `wait_group 1` covers
  // their copy, and only theirs.
  runWarp(machine,
          kernel(R"(
    .shared .align 4 .b8 tile[128];
    mov.b64 %rd20, tile;
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd1, %rd10;
    add.s64 %rd12, %rd20, %rd10;
    add.s64 %rd13, %rd0, %rd10;
    st.shared.b32 [%rd12], 7;
    cp.async.ca.shared.global [%rd12], [%rd11], 4;
    cp.async.commit_group;
    and.b32 %r10, %r0, 1;
    setp.eq.s32 %p1, %r10, 0;
    @%p1 cp.async.commit_group;
    cp.async.wait_group 1;
    ld.shared.b32 %r11, [%rd12];
    st.global.b32 [%rd13], %r11;
  )",
                 2),
          {out, machine.buffer(in)});
  auto result = machine.read<uint32_t>(out, 32);
  for (unsigned i = 0; i < 32; ++i)
    EXPECT_EQ(result[i], i % 2 ? 7 : in[i]) << i;
}

/// A missing wait shows: the data comes late.
TEST(AsyncCopy, WithoutAWaitTheOldDataIsThere) {
  Machine machine;
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(32));
  runWarp(machine,
          kernel(R"(
    .shared .align 16 .b8 tile[128];
    mov.b64 %rd20, tile;
    mul.wide.u32 %rd10, %r0, 4;
    add.s64 %rd11, %rd1, %rd10;
    add.s64 %rd12, %rd20, %rd10;
    add.s64 %rd13, %rd0, %rd10;
    st.shared.b32 [%rd12], 7;
    cp.async.ca.shared.global [%rd12], [%rd11], 4;
    cp.async.commit_group;
    ld.shared.b32 %r11, [%rd12];
    st.global.b32 [%rd13], %r11;
  )",
                 2),
          {out, machine.buffer(std::vector<uint32_t>(32, 1))});
  for (uint32_t value : machine.read<uint32_t>(out, 32))
    EXPECT_EQ(value, 7u);
}

TEST(AsyncCopy, SourcesAreChecked) {
  Machine machine;
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    .shared .align 16 .b8 tile[512];
    mov.b64 %rd20, tile;
    mul.wide.u32 %rd10, %r0, 16;
    add.s64 %rd11, %rd0, %rd10;
    add.s64 %rd12, %rd20, %rd10;
    cp.async.cg.shared.global [%rd12], [%rd11], 16;
  )",
                               1))
                  .ok());
  DeviceAddress small = machine.buffer(std::vector<uint32_t>(32));
  Status status = machine.launch({small}, {1, 1, 1}, {32, 1, 1});
  EXPECT_EQ(status.code(), StatusCode::DeviceFault);
  EXPECT_THAT(status.message(), testing::HasSubstr("thread (8,0,0)"));
}

} // namespace

//===- TestKernels.cpp - Small kernels as PTX text ------------------------===//

#include "TestKernels.h"

const char odyssey::runtime::testing::kTestKernels[] = R"(
.version 7.8
.target sm_80
.address_size 64

.visible .entry vector_add(
  .param .u64 a, .param .u64 b, .param .u64 c, .param .u32 n)
{
  .reg .pred %p<2>;
  .reg .b32 %r<8>;
  .reg .f32 %f<4>;
  .reg .b64 %rd<12>;

  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  ld.param.u32 %r5, [n];
  setp.ge.s32 %p1, %r4, %r5;
  @%p1 bra done;
  ld.param.u64 %rd1, [a];
  ld.param.u64 %rd2, [b];
  ld.param.u64 %rd3, [c];
  cvta.to.global.u64 %rd4, %rd1;
  cvta.to.global.u64 %rd5, %rd2;
  cvta.to.global.u64 %rd6, %rd3;
  mul.wide.s32 %rd7, %r4, 4;
  add.s64 %rd8, %rd4, %rd7;
  add.s64 %rd9, %rd5, %rd7;
  add.s64 %rd10, %rd6, %rd7;
  ld.global.f32 %f1, [%rd8];
  ld.global.f32 %f2, [%rd9];
  add.rn.f32 %f3, %f1, %f2;
  st.global.f32 [%rd10], %f3;
done:
  ret;
}

.visible .entry block_sum(.param .u64 in, .param .u64 out)
{
  .reg .pred %p<4>;
  .reg .b32 %r<20>;
  .reg .b64 %rd<10>;
  .shared .align 4 .b8 partial[1024];

  mov.u32 %r1, %tid.x;
  mov.u32 %r2, %ctaid.x;
  mad.lo.s32 %r3, %r2, 256, %r1;
  ld.param.u64 %rd1, [in];
  ld.param.u64 %rd2, [out];
  mul.wide.s32 %rd3, %r3, 4;
  add.s64 %rd4, %rd1, %rd3;
  ld.global.u32 %r4, [%rd4];
  mov.u32 %r5, partial;
  shl.b32 %r6, %r1, 2;
  add.s32 %r7, %r5, %r6;
  st.shared.u32 [%r7], %r4;
  mov.u32 %r8, 128;
loop:
  bar.sync 0;
  setp.ge.u32 %p1, %r1, %r8;
  @%p1 bra skip;
  shl.b32 %r9, %r8, 2;
  add.s32 %r10, %r7, %r9;
  ld.shared.u32 %r11, [%r10];
  ld.shared.u32 %r12, [%r7];
  add.s32 %r13, %r12, %r11;
  st.shared.u32 [%r7], %r13;
skip:
  shr.u32 %r8, %r8, 1;
  setp.ne.u32 %p2, %r8, 0;
  @%p2 bra loop;
  setp.ne.u32 %p3, %r1, 0;
  @%p3 bra done;
  ld.shared.u32 %r14, [partial];
  mul.wide.u32 %rd5, %r2, 4;
  add.s64 %rd6, %rd2, %rd5;
  st.global.u32 [%rd6], %r14;
done:
  ret;
}

.visible .entry count(.param .u64 counter)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<2>;

  ld.param.u64 %rd1, [counter];
  atom.global.add.u32 %r1, [%rd1], 1;
  ret;
}

.extern .shared .align 16 .b8 dynamic[];

.visible .entry reverse(.param .u64 out)
{
  .reg .b32 %r<10>;
  .reg .b64 %rd<4>;

  mov.u32 %r1, %tid.x;
  mov.u32 %r2, dynamic;
  mad.lo.s32 %r3, %r1, 256, %r2;
  st.shared.u32 [%r3], %r1;
  bar.sync 0;
  sub.s32 %r4, 255, %r1;
  mad.lo.s32 %r5, %r4, 256, %r2;
  ld.shared.u32 %r6, [%r5];
  ld.param.u64 %rd1, [out];
  mul.wide.u32 %rd2, %r1, 4;
  add.s64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3], %r6;
  ret;
}

.visible .entry indices(.param .u64 out)
{
  .reg .b32 %r<32>;
  .reg .b64 %rd<4>;

  mov.u32 %r1, %tid.x;
  mov.u32 %r2, %tid.y;
  mov.u32 %r3, %tid.z;
  mov.u32 %r4, %ntid.x;
  mov.u32 %r5, %ntid.y;
  mov.u32 %r6, %ntid.z;
  mov.u32 %r7, %ctaid.x;
  mov.u32 %r8, %ctaid.y;
  mov.u32 %r9, %ctaid.z;
  mov.u32 %r10, %nctaid.x;
  mov.u32 %r11, %nctaid.y;
  mad.lo.s32 %r12, %r9, %r11, %r8;
  mad.lo.s32 %r13, %r12, %r10, %r7;
  mad.lo.s32 %r14, %r13, %r6, %r3;
  mad.lo.s32 %r15, %r14, %r5, %r2;
  mad.lo.s32 %r16, %r15, %r4, %r1;
  shl.b32 %r17, %r2, 4;
  or.b32 %r18, %r1, %r17;
  shl.b32 %r19, %r3, 8;
  or.b32 %r20, %r18, %r19;
  shl.b32 %r21, %r7, 12;
  or.b32 %r22, %r20, %r21;
  shl.b32 %r23, %r8, 16;
  or.b32 %r24, %r22, %r23;
  shl.b32 %r25, %r9, 20;
  or.b32 %r26, %r24, %r25;
  ld.param.u64 %rd1, [out];
  mul.wide.u32 %rd2, %r16, 4;
  add.s64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3], %r26;
  ret;
}

.visible .entry increment(.param .u64 p, .param .u32 n, .param .u32 by)
{
  .reg .pred %p<2>;
  .reg .b32 %r<10>;
  .reg .b64 %rd<4>;

  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  ld.param.u32 %r5, [n];
  setp.ge.s32 %p1, %r4, %r5;
  @%p1 bra done;
  ld.param.u64 %rd1, [p];
  ld.param.u32 %r6, [by];
  mul.wide.s32 %rd2, %r4, 4;
  add.s64 %rd3, %rd1, %rd2;
  ld.global.u32 %r7, [%rd3];
  add.s32 %r8, %r7, %r6;
  st.global.u32 [%rd3], %r8;
done:
  ret;
}

.visible .entry arguments(
  .param .u64 out, .param .u64 a, .param .u32 b, .param .u64 c)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<6>;

  ld.param.u64 %rd1, [out];
  ld.param.u64 %rd2, [a];
  ld.param.s32 %r1, [b];
  cvt.s64.s32 %rd3, %r1;
  ld.param.u64 %rd4, [c];
  st.global.u64 [%rd1], %rd2;
  st.global.u64 [%rd1+8], %rd3;
  st.global.u64 [%rd1+16], %rd4;
  ret;
}

.visible .entry store(.param .u64 p)
{
  .reg .b32 %r<2>;
  .reg .b64 %rd<2>;

  ld.param.u64 %rd1, [p];
  mov.u32 %r1, 1;
  st.global.u32 [%rd1], %r1;
  ret;
}
)";

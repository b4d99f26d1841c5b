//===- TestKernels.h - Small kernels as PTX text ----------------*- C++ -*-===//

#ifndef ODYSSEY_TEST_UNIT_DEVICE_TESTKERNELS_H
#define ODYSSEY_TEST_UNIT_DEVICE_TESTKERNELS_H

namespace odyssey::runtime::testing {

/// PTX for sm_80 with these entry points:
///
///   vector_add(f32 *a, f32 *b, f32 *c, i32 n)    c[i] = a[i] + b[i]
///   block_sum(i32 *in, i32 *out)                 out[block] = sum of 256 words
///   count(i32 *counter)                          ++*counter, by every thread
///   reverse(i32 *out)                            out[t] = 255 - t, through 64
///                                                KB of dynamic shared memory
///   indices(i32 *out)                            out[i] = where thread i is
///   increment(i32 *p, i32 n, i32 by)             p[i] += by
///   arguments(i64 *out, i64 a, i32 b, i64 c)     out = {a, b, c}
///   store(i32 *p)                                *p = 1
///
/// One thread for each element, except where a block's size is given.
extern const char kTestKernels[];

} // namespace odyssey::runtime::testing

#endif // ODYSSEY_TEST_UNIT_DEVICE_TESTKERNELS_H

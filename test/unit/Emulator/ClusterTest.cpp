//===- ClusterTest.cpp - Clusters and what their CTAs share ---------------===//

#include "PtxTest.h"

#include <sstream>

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

/// Each CTA of a cluster writes its rank into the next one's shared memory, and
/// arrives at the next one's mbarrier.
TEST(Cluster, DistributedSharedMemory) {
  for (uint64_t seed : {0, 4}) {
    EmulatorOptions options;
    options.seed = seed;
    Machine machine(options);
    DeviceAddress out = machine.buffer(std::vector<uint32_t>(8));
    Status loaded = machine.load(kernel(R"(
      .shared .align 8 .b8 box[16];
      mov.b64 %rd20, box;
      cvt.u32.u64 %r20, %rd20;
      mov.u32 %r10, %cluster_ctarank;
      mov.u32 %r11, %cluster_nctarank;
      mov.u32 %r12, %ctaid.x;
      mov.u32 %r17, %clusterid.x;
      setp.eq.u32 %p1, %r0, 0;
      @%p1 mbarrier.init.shared.b64 [%r20+8], 1;
      fence.mbarrier_init.release.cluster;
      barrier.cluster.arrive.release.aligned;
      barrier.cluster.wait.acquire.aligned;
      add.s32 %r13, %r10, 1;
      rem.u32 %r13, %r13, %r11;
      mapa.shared::cluster.u32 %r14, %r20, %r13;
      mad.lo.s32 %r15, %r17, 100, %r10;
      @%p1 st.shared::cluster.b32 [%r14], %r15;
      @%p1 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r14+8];
)" + waitFor("%r20", 8, 0) + R"(
      ld.shared.b32 %r16, [%r20];
      mul.wide.u32 %rd10, %r12, 4;
      add.s64 %rd11, %rd0, %rd10;
      @%p1 st.global.b32 [%rd11], %r16;
      barrier.cluster.arrive.aligned;
      barrier.cluster.wait.aligned;
    )",
                                        1, 90));
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    Status status = machine.launch({out}, {8, 1, 1}, {64, 1, 1}, 0, {4, 1, 1});
    ASSERT_TRUE(status.ok()) << status.message();
    auto result = machine.read<uint32_t>(out, 8);
    for (unsigned i = 0; i < 8; ++i)
      EXPECT_EQ(result[i], i / 4 * 100 + (i + 3) % 4) << i;
  }
}

TEST(Cluster, MulticastReachesTheMembers) {
  Machine machine;
  std::vector<uint32_t> in = {11, 22, 33, 44};
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(4));
  ASSERT_TRUE(machine
                  .load(kernel(R"(
    .shared .align 16 .b8 box[32];
    mov.b64 %rd20, box;
    cvt.u32.u64 %r20, %rd20;
    mov.u32 %r10, %cluster_ctarank;
    mov.b16 %rs10, 3;
    mbarrier.init.shared.b64 [%r20+16], 1;
    mbarrier.arrive.expect_tx.shared.b64 _, [%r20+16], 16;
    barrier.cluster.arrive;
    barrier.cluster.wait;
    setp.eq.u32 %p1, %r10, 1;
    @%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%r20], [%rd1], 16, [%r20+16], %rs10;
)" + waitFor("%r20", 16, 0) + R"(
    ld.shared.b32 %r11, [%r20+8];
    mul.wide.u32 %rd10, %r10, 4;
    add.s64 %rd11, %rd0, %rd10;
    st.global.b32 [%rd11], %r11;
  )",
                               2, 90))
                  .ok());
  Status status = machine.launch({out, machine.buffer(in)}, {2, 1, 1},
                                 {1, 1, 1}, 0, {2, 1, 1});
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(machine.read<uint32_t>(out, 2), (std::vector<uint32_t>{33, 33}));
}

//===----------------------------------------------------------------------===//
// Hazards between CTAs
//===----------------------------------------------------------------------===//

/// Lines of a kernel with two parameters for clusters of two CTAs of two warps:
/// %r10 is the CTA's rank, %r20 its box of shared memory, %r21 the other CTA's,
/// %p1 marks its first thread, %p2 its second warp and %p3 the first thread of
/// that. The box has 16 bytes, then two mbarriers, full and empty. Lines that
/// begin with "!" order something.
std::vector<std::string> clusterLines(unsigned emptyCount,
                                      const std::string &body) {
  std::istringstream text(R"(
.shared .align 16 .b8 box[32];
mov.b64 %rd20, box;
cvt.u32.u64 %r20, %rd20;
mov.u32 %r10, %cluster_ctarank;
xor.b32 %r11, %r10, 1;
mapa.shared::cluster.u32 %r21, %r20, %r11;
shr.u32 %r12, %r0, 5;
setp.eq.u32 %p1, %r0, 0;
setp.eq.u32 %p2, %r12, 1;
setp.eq.u32 %p3, %r0, 32;
@%p1 mbarrier.init.shared.b64 [%r20+16], 1;
@%p1 mbarrier.init.shared.b64 [%r20+24], )" +
                          number(emptyCount) +
                          R"(;
fence.mbarrier_init.release.cluster;
!barrier.cluster.arrive.aligned;
!barrier.cluster.wait.aligned;
)" + body + R"(L_end:
!barrier.cluster.arrive;
!barrier.cluster.wait;
)");
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);)
    if (!line.empty())
      lines.push_back(line);
  return lines;
}

/// Each CTA sends the other one two values through the same place, and writes
/// down the two that it gets.
std::vector<std::string> exchangeLines() {
  const std::string acquire = ".acquire.cluster";
  return clusterLines(1, R"(
@%p2 bra L_reader;
@!%p1 bra L_end;
st.shared::cluster.b32 [%r21], %r10;
!mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r21+16];
!)" + waitFor("%r20", 24, 0, acquire) +
                             R"(add.s32 %r13, %r10, 10;
st.shared::cluster.b32 [%r21], %r13;
!mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r21+16];
bra L_end;
L_reader:
!)" + waitFor("%r20", 16, 0, acquire) +
                             R"(ld.shared.b32 %r14, [%r20];
bar.warp.sync -1;
!@%p3 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r21+24];
!)" + waitFor("%r20", 16, 1, acquire) +
                             R"(ld.shared.b32 %r15, [%r20];
bar.warp.sync -1;
@%p3 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r21+24];
mul.wide.u32 %rd10, %r10, 8;
add.s64 %rd11, %rd0, %rd10;
@%p3 st.global.v2.b32 [%rd11], {%r14, %r15};
)");
}

/// The first CTA copies two pieces of memory to the same place of both, which
/// write down what they get.
std::vector<std::string> multicastLines() {
  const std::string acquire = ".acquire.cluster";
  const std::string copy =
      "@%p4 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes."
      "multicast::cluster [%r20], [";
  const std::string leave = R"(bar.warp.sync -1;
@%p3 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r21+24];
@%p3 mbarrier.arrive.shared.b64 _, [%r20+24];
)";
  return clusterLines(
      2, R"(
@%p2 bra L_reader;
@!%p1 bra L_end;
mov.b16 %rs10, 3;
setp.eq.u32 %p4, %r10, 0;
!mbarrier.arrive.expect_tx.shared.b64 _, [%r20+16], 16;
)" + copy + R"(%rd1], 16, [%r20+16], %rs10;
!)" + waitFor("%r20", 24, 0, acquire) +
             R"(!mbarrier.arrive.expect_tx.shared.b64 _, [%r20+16], 16;
)" + copy + R"(%rd1+16], 16, [%r20+16], %rs10;
bra L_end;
L_reader:
!)" + waitFor("%r20", 16, 0) +
             R"(ld.shared.b32 %r14, [%r20];
)" + leave + "!" +
             waitFor("%r20", 16, 1) +
             R"(ld.shared.b32 %r15, [%r20];
)" + leave + R"(mul.wide.u32 %rd10, %r10, 8;
add.s64 %rd11, %rd0, %rd10;
@%p3 st.global.v2.b32 [%rd11], {%r14, %r15};
)");
}

/// Runs the lines but for one; `values` is what both CTAs have written down.
Status runCluster(const EmulatorOptions &options,
                  const std::vector<std::string> &lines, size_t without,
                  std::vector<uint32_t> &values) {
  std::string body;
  for (size_t i = 0; i < lines.size(); ++i)
    if (i != without)
      body += lines[i].substr(lines[i][0] == '!') + "\n";
  Machine machine(options);
  Status loaded = machine.load(kernel(body, 2, 90));
  EXPECT_TRUE(loaded.ok()) << loaded.message();
  DeviceAddress out = machine.buffer(std::vector<uint32_t>(4));
  std::vector<uint32_t> in = {100, 1, 2, 3, 200, 5, 6, 7};
  Status status = machine.launch({out, machine.buffer(in)}, {2, 1, 1},
                                 {64, 1, 1}, 0, {2, 1, 1});
  if (status.ok())
    values = machine.read<uint32_t>(out, 4);
  return status;
}

struct ClusterKernel {
  const char *name;
  std::vector<std::string> lines;
  std::vector<uint32_t> values;
};

class ClusterHazards : public ::testing::TestWithParam<ClusterKernel> {};

TEST_P(ClusterHazards, RightKernelsRunInEveryOrderAndTiming) {
  for (auto when : {AsyncCopies::Eager, AsyncCopies::Late, AsyncCopies::Random})
    for (uint64_t seed : {0, 1, 2, 3}) {
      EmulatorOptions options;
      options.asyncCopies = when;
      options.seed = seed;
      options.checkHazards = true;
      std::vector<uint32_t> values;
      Status status = runCluster(options, GetParam().lines, ~size_t(0), values);
      ASSERT_TRUE(status.ok()) << status.message();
      EXPECT_EQ(values, GetParam().values);
    }
}

TEST_P(ClusterHazards, EveryMissingSynchronizationIsReported) {
  const std::vector<std::string> &lines = GetParam().lines;
  unsigned tried = 0;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i][0] != '!')
      continue;
    ++tried;
    for (uint64_t seed : {0, 1}) {
      SCOPED_TRACE(lines[i]);
      EmulatorOptions options;
      options.checkHazards = true;
      options.seed = seed;
      std::vector<uint32_t> values;
      Status status = runCluster(options, lines, i, values);
      EXPECT_EQ(status.code(), StatusCode::DeviceFault);
      EXPECT_THAT(status.message(), testing::HasSubstr("kernel 'k'"));
    }
  }
  EXPECT_GE(tried, 9u);
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, ClusterHazards,
    ::testing::Values(
        ClusterKernel{"Exchange", exchangeLines(), {1, 11, 0, 10}},
        ClusterKernel{"Multicast", multicastLines(), {100, 200, 100, 200}}),
    [](const auto &info) { return std::string(info.param.name); });

/// What is wrong is said, and of whom. What comes first depends on who runs
/// first: these are all reports of some orders.
TEST(ClusterHazard, Reports) {
  auto reportsWithout = [](const std::vector<std::string> &lines,
                           const std::string &line, unsigned skip = 0) {
    size_t without = 0;
    while (lines[without].find(line) == std::string::npos || skip-- > 0)
      ++without;
    std::string reports;
    for (uint64_t seed = 0; seed < 24; ++seed) {
      EmulatorOptions options;
      options.checkHazards = true;
      options.seed = seed;
      std::vector<uint32_t> values;
      reports += runCluster(options, lines, without, values).message();
    }
    return reports;
  };
  std::vector<std::string> exchange = exchangeLines();
  EXPECT_THAT(reportsWithout(exchange, "barrier.cluster.wait"),
              testing::HasSubstr("shared memory of CTA 1 of the cluster, which "
                                 "need not have started"));
  EXPECT_THAT(reportsWithout(exchange, "barrier.cluster.wait", 1),
              testing::HasSubstr("of the cluster, which has ended"));
  // Only one of them goes on to reach for the other.
  std::vector<std::string> oneSided = exchange;
  for (std::string &line : oneSided)
    if (line.rfind("@%p3 mbarrier.arrive", 0) == 0)
      line = "setp.eq.and.u32 %p4, %r10, 1, %p3;\n@%p4" + line.substr(4);
  EXPECT_THAT(reportsWithout(oneSided, "barrier.cluster.wait", 1),
              testing::HasSubstr("the CTA ends without order to the access to "
                                 "its shared memory by warp 1 of CTA 1"));
  // The sender does not wait for the reader of its first value.
  EXPECT_THAT(reportsWithout(exchange, "%r20+24], 0"),
              testing::HasSubstr("shared memory race: write"));
  EXPECT_THAT(reportsWithout(multicastLines(), "%r20+24], 0"),
              testing::HasSubstr("arrivals at mbarrier"));
}

} // namespace

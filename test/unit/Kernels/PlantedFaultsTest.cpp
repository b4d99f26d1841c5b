//===- PlantedFaultsTest.cpp - Faults in right kernels are reported -------===//
//
// Takes the PTX of products as they are compiled, and for each of its waits,
// barriers, fences, arrivals and addresses makes a kernel in which this one is
// left out, or points out of bounds. The emulator has to report every one of
// them: what is wrong, the kernel, the line and the thread or warp. What may be
// left out is counted, with the reason. One kind does nothing that an emulator
// could report, and has to show in the outputs.
//
// Three kinds of instructions are not tried. The emulator gives two of them
// nothing to do (docs/emulator.md): fence.mbarrier_init, since the CTAs of a
// cluster share a host thread, and griddepcontrol, since launches run one after
// another. And bar.warp.sync stands in front of barriers only, for whole warps
// to come there.
//
//===----------------------------------------------------------------------===//

#include "PatchingDevice.h"
#include "Product.h"

#include "gtest/gtest.h"

#include <map>
#include <regex>

using namespace odyssey;
using namespace odyssey::testing;
using runtime::ElementType;
using runtime::HostTensor;
using runtime::StatusCode;

namespace {

/// What is left out, or for Address: what points elsewhere.
enum class Fault {
  CopyCommit,
  CopyWait,
  MbarrierWait,
  Barrier,
  ClusterArrive,
  ClusterWait,
  WgmmaFence,
  WgmmaCommit,
  WgmmaWait,
  Arrive,
  Initialisation,
  Fence,
  Counter,
  Address
};

/// The instructions that a fault leaves out, and what reports of it speak of.
struct FaultClass {
  Fault fault;
  const char *instruction;
  /// Null where the outputs have to differ.
  const char *reports;
};

const FaultClass kClasses[] = {
    {Fault::CopyCommit, "cp.async.commit_group", "asynchronous copy still"},
    {Fault::CopyWait, "cp.async.wait_group", "asynchronous copy still"},
    {Fault::MbarrierWait, "mbarrier.try_wait",
     "asynchronous copy still|asynchronous (read|write|operation)|race|"
     "nobody has written|arrivals at mbarrier"},
    {Fault::Barrier, "bar.sync",
     "race|not initialised|nobody has written|initialisation|mbarrier|"
     "asynchronous copy still"},
    {Fault::ClusterArrive, "barrier.cluster.arrive",
     "deadlock|cluster|nobody has written"},
    {Fault::ClusterWait, "barrier.cluster.wait",
     "cluster|nobody has written|race|initialisation"},
    {Fault::WgmmaFence, "wgmma.fence", "wgmma.fence"},
    {Fault::WgmmaCommit, "wgmma.commit_group", "wgmma"},
    {Fault::WgmmaWait, "wgmma.wait_group", "wgmma"},
    {Fault::Arrive, "mbarrier.arrive", "deadlock|byte count|asynchronous"},
    {Fault::Initialisation, "mbarrier.init", "not an mbarrier|initialised"},
    {Fault::Fence, "fence.acq_rel", "race"},
    // No CTA is the last one then, and nothing is stored.
    {Fault::Counter, "atom.", nullptr},
};

const char *kAddressReports = "illegal|out of|no mbarrier|not an mbarrier|"
                              "leaves|bounds|mbarrier";

struct Mutant {
  /// Line in the module, from 1, and its text.
  size_t line;
  std::string text;
  std::string ptx;
  /// As in FaultClass.
  const char *reports;
};

struct Kernel {
  std::string name;
  std::vector<std::string> lines;
  /// The kernel's first and last line.
  size_t begin, end;
};

std::vector<std::string> splitLines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string join(const std::vector<std::string> &lines) {
  std::string text;
  for (const std::string &line : lines)
    text += line + "\n";
  return text;
}

/// The mnemonic of a line, behind its guard; empty where it has none.
std::string mnemonic(const std::string &line) {
  static const std::regex pattern(R"(^\s*(?:@!?\S+\s+)?([a-z][\w.:]*)[\s;])");
  std::string text = line + " ";
  std::smatch match;
  return std::regex_search(text, match, pattern) ? match[1].str() : "";
}

bool startsWith(const std::string &text, const std::string &prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

/// The kernel without the instruction in `line`. A wait of an mbarrier is a
/// loop of three lines.
std::string without(const Kernel &kernel, size_t line) {
  std::vector<std::string> lines = kernel.lines;
  size_t count = startsWith(mnemonic(lines[line]), "mbarrier.try_wait") ? 3 : 1;
  for (size_t i = 0; i < count; ++i)
    lines[line + i] = "";
  return join(lines);
}

/// Bytes by which an address is moved. In global memory to the front of its
/// buffer, where 64 KB hold nothing: every instruction has an address among the
/// first 40 KB of its buffer. In shared memory past all that a CTA can have.
constexpr int64_t kGlobalShift = -(60 << 10), kSharedShift = 256 << 10;

/// Where the addresses of a memory instruction point to, in order.
std::vector<int64_t> shiftsOf(const std::string &name) {
  if (startsWith(name, "cp.async.bulk.prefetch"))
    return {kGlobalShift};
  if (startsWith(name, "cp.async.bulk"))
    return {kSharedShift, kGlobalShift, kSharedShift};
  if (startsWith(name, "cp.async.ca.") || startsWith(name, "cp.async.cg."))
    return {kSharedShift, kGlobalShift};
  if (startsWith(name, "ld.global") || startsWith(name, "st.global") ||
      startsWith(name, "atom.global"))
    return {kGlobalShift};
  if (startsWith(name, "ld.shared") || startsWith(name, "st.shared") ||
      startsWith(name, "ldmatrix") || startsWith(name, "mbarrier."))
    return {kSharedShift};
  return {};
}

/// The line with its `index`-th address moved by `shift`.
std::string shifted(const std::string &line, size_t index, int64_t shift) {
  size_t open = std::string::npos;
  for (size_t i = 0; i <= index; ++i)
    open = line.find('[', open + 1);
  size_t close = line.find(']', open);
  std::string address = line.substr(open + 1, close - open - 1);
  size_t plus = address.find('+');
  if (plus != std::string::npos) {
    shift += std::stoll(address.substr(plus + 1));
    address.resize(plus);
  }
  return line.substr(0, open + 1) + address + "+" + std::to_string(shift) +
         line.substr(close);
}

std::vector<Mutant> mutantsOf(const Kernel &kernel) {
  std::vector<Mutant> mutants;
  for (size_t i = kernel.begin; i < kernel.end; ++i) {
    const std::string &line = kernel.lines[i];
    std::string name = mnemonic(line);
    for (const FaultClass &c : kClasses)
      if (startsWith(name, c.instruction))
        mutants.push_back({i + 1, line, without(kernel, i), c.reports});
    std::vector<int64_t> shifts = shiftsOf(name);
    for (size_t index = 0; index < shifts.size(); ++index) {
      std::vector<std::string> lines = kernel.lines;
      lines[i] = shifted(line, index, shifts[index]);
      mutants.push_back({i + 1, lines[i], join(lines), kAddressReports});
    }
  }
  return mutants;
}

/// Whether `message` names the kernel, a line of it, and a thread or a warp.
bool isComplete(const std::string &message, const Kernel &kernel) {
  static const std::regex line(R"(line (\d+) ')");
  static const std::regex who(R"(thread \(\d+,\d+,\d+\)|warp \d+)");
  std::smatch match;
  if (message.find("kernel '" + kernel.name + "'") == std::string::npos ||
      !std::regex_search(message, match, line) ||
      !std::regex_search(message, who))
    return false;
  size_t number = std::stoul(match[1]);
  return number > kernel.begin && number <= kernel.end;
}

/// Instructions whose faults are not seen.
struct Unseen {
  int count;
  const char *why;
};

const char kWeightCopy[] = "cp.async.bulk.shared::cta.global.mbarrier::"
                           "complete_tx::bytes.L2::cache_hint",
           kActivationCopy[] =
               "cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes";

const char kOtherRegisters[] =
    "the wait between the halves of a stage: in PTX the two halves have "
    "registers of their own, and the next wait covers both. ptxas, which gives "
    "them the same ones, needs it",
           kNextCommit[] =
               "the commit between the halves of a stage: the next one commits "
               "both, and the wait behind it covers both, as above",
           kEarlyCount[] =
               "the barrier between leaving sums and counting them: CTAs run "
               "one after another, so that nobody comes too early for the sums",
           kHostOrder[] =
               "global memory has the order of the host, which is stronger",
           kLastStageFirst[] =
               "the last stage is not in the first round (WgmmaOneRound)",
           kOneStage[] = "there is one stage for each CTA (WgmmaSplit)";

struct Product {
  const char *name;
  int64_t n, k, m;
  const char *target, *schedule;
  /// By mnemonic.
  std::map<std::string, Unseen> unseen = {};
};

class PlantedFaults : public ::testing::TestWithParam<Product> {
protected:
  void SetUp() override {
    const Product &p = GetParam();
    std::mt19937 random(3);
    module = std::make_unique<CompiledModule>(
        matmulIr(p.n, p.k,
                 {.schedule = std::string("schedule <") + p.schedule + ">"}),
        std::vector<WeightTensor>{
            {"w", tensor(ElementType::I8, {p.n, p.k},
                         randomWeights(random, p.n * p.k))},
            {"ws", tensor(ElementType::F32, {p.n}, randomScales(random, p.n))}},
        p.target);
    ASSERT_TRUE(module->bundle());
    input =
        tensor(ElementType::F16, {p.m, p.k}, randomHalves(random, p.m * p.k));
    // Buckets may have kernels of their own: that of the one that will run.
    const runtime::Plan &plan = module->bundle()->plan();
    const runtime::FunctionPlan &function = plan.functions.at(0);
    const runtime::BucketPlan *bucket =
        &function.buckets.at(function.bucketFor(p.m).value());
    for (const runtime::StepPlan &step : bucket->steps)
      if (const runtime::KernelPlan &planned = plan.kernels[step.kernel];
          planned.product) {
        kernel.name = planned.name;
        kernel.lines =
            splitLines(module->bundle()->moduleImage(planned.module).ptx);
      }
    std::string entry = ".entry " + kernel.name + "(";
    auto first = std::find_if(
        kernel.lines.begin(), kernel.lines.end(),
        [&](const auto &line) { return line.find(entry) != line.npos; });
    kernel.begin = first - kernel.lines.begin();
    // Inline assembly has such lines too; each kernel is a module of its own.
    kernel.end = kernel.lines.size() - 1 -
                 (std::find(kernel.lines.rbegin(), kernel.lines.rend(), "}") -
                  kernel.lines.rbegin());
    ASSERT_LT(kernel.begin, kernel.lines.size());
  }

  /// Runs with the kernel's text replaced.
  runtime::Result<std::vector<HostTensor>> run(const std::string &ptx) {
    runtime::EmulatorOptions options;
    options.checkHazards = true;
    options.threads = 1;
    auto device = runtime::createEmulator(options);
    module->restart(
        std::make_shared<PatchingDevice>(std::move(*device), kernel.name, ptx));
    return module->executor().run("main", std::vector<HostTensor>{input});
  }

  std::unique_ptr<CompiledModule> module;
  HostTensor input;
  Kernel kernel;
};

TEST_P(PlantedFaults, AreReported) {
  auto right = run(join(kernel.lines));
  ASSERT_TRUE(right.ok());
  std::map<std::string, int> unseen;
  std::vector<Mutant> mutants = mutantsOf(kernel);
  for (const Mutant &mutant : mutants) {
    SCOPED_TRACE("line " + std::to_string(mutant.line) + ": " + mutant.text);
    auto outputs = run(mutant.ptx);
    if (!mutant.reports) {
      ASSERT_TRUE(outputs.ok());
      EXPECT_NE((*outputs)[0].data, (*right)[0].data);
      continue;
    }
    if (outputs.ok()) {
      ++unseen[mnemonic(mutant.text)];
      if (!GetParam().unseen.count(mnemonic(mutant.text)))
        ADD_FAILURE() << "is not reported";
      continue;
    }
    runtime::Status status = outputs.status();
    EXPECT_EQ(status.code(), StatusCode::DeviceFault);
    EXPECT_TRUE(isComplete(status.message(), kernel)) << status.message();
    EXPECT_TRUE(std::regex_search(status.message(), std::regex(mutant.reports)))
        << status.message();
  }
  for (const auto &[instruction, expected] : GetParam().unseen)
    EXPECT_EQ(unseen[instruction], expected.count)
        << instruction << ": " << expected.why;
  // A kernel whose instructions are not recognized has none.
  EXPECT_GE(mutants.size(), 40u);
}

INSTANTIATE_TEST_SUITE_P(
    Products, PlantedFaults,
    ::testing::Values(
        // Two tiles of channels and of tokens, four stages in a ring of three.
        Product{"MmaSync", 100, 256, 20, "sm_80",
                "path = mma_sync, channels = 64, tokens = 16, k = 64, "
                "channel_warps = 2, token_warps = 1, stages = 3"},
        // Three stages for each CTA of a cluster, in a ring of two; the last
        // one ends in its middle.
        Product{"WgmmaSplit",
                130,
                704,
                10,
                "sm_90a",
                "path = wgmma, channels = 128, tokens = 8, k = 128, "
                "channel_warps = 4, token_warps = 1, stages = 2, split_k = 2",
                {{"wgmma.wait_group.sync.aligned", {1, kOtherRegisters}},
                 {"wgmma.commit_group.sync.aligned", {1, kNextCommit}},
                 {kWeightCopy, {6, kLastStageFirst}}}},
        // One stage for each CTA: the last one, half of it, comes first.
        Product{"WgmmaOneRound",
                130,
                192,
                10,
                "sm_90a",
                "path = wgmma, channels = 128, tokens = 8, k = 128, "
                "channel_warps = 4, token_warps = 1, stages = 2, split_k = 2",
                {{"wgmma.wait_group.sync.aligned", {1, kOtherRegisters}},
                 {"wgmma.commit_group.sync.aligned", {1, kNextCommit}},
                 {kWeightCopy, {9, kOneStage}},
                 {kActivationCopy, {3, kOneStage}},
                 {"mbarrier.init.shared.b64", {2, kOneStage}},
                 {"mbarrier.try_wait.parity.shared::cta.b64", {3, kOneStage}},
                 {"mbarrier.arrive.shared.b64", {1, kOneStage}},
                 {"mbarrier.arrive.expect_tx.shared.b64", {2, kOneStage}}}},
        Product{"WgmmaPersistent",
                300,
                384,
                40,
                "sm_90a",
                "path = wgmma, channels = 256, tokens = 16, k = 128, "
                "channel_warps = 8, token_warps = 1, stages = 2, ctas = 2",
                {{"wgmma.wait_group.sync.aligned", {1, kOtherRegisters}},
                 {"wgmma.commit_group.sync.aligned", {1, kNextCommit}}}},
        // Two CTAs that bring each other activations, over two tiles of
        // tokens.
        Product{"WgmmaMulticast",
                256,
                704,
                20,
                "sm_90a",
                "path = wgmma, channels = 128, tokens = 16, k = 128, "
                "channel_warps = 4, token_warps = 1, stages = 2, ctas = 2, "
                "multicast = 2",
                {{"wgmma.wait_group.sync.aligned", {1, kOtherRegisters}},
                 {"wgmma.commit_group.sync.aligned", {1, kNextCommit}}}},
        // Four tiles of four stages for three CTAs, two of which leave sums of
        // two tiles.
        Product{"MmaSyncStreamK",
                100,
                256,
                20,
                "sm_80",
                "path = mma_sync, channels = 64, tokens = 16, k = 64, "
                "channel_warps = 2, token_warps = 1, stages = 3, stream_k = 3",
                {{"fence.acq_rel.gpu", {2, kHostOrder}},
                 {"bar.sync", {1, kEarlyCount}}}},
        // Four tiles of six stages for five CTAs.
        Product{"WgmmaStreamK",
                130,
                704,
                10,
                "sm_90a",
                "path = wgmma, channels = 128, tokens = 8, k = 128, "
                "channel_warps = 4, token_warps = 1, stages = 2, stream_k = 5",
                {{"wgmma.wait_group.sync.aligned", {1, kOtherRegisters}},
                 {"fence.acq_rel.gpu", {2, kHostOrder}},
                 {"wgmma.commit_group.sync.aligned", {1, kNextCommit}}}}),
    [](const auto &info) { return std::string(info.param.name); });

} // namespace

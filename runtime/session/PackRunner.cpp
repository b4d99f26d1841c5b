//===- PackRunner.cpp - Measures candidate kernels ------------------------===//

#include "odyssey/runtime/PackRunner.h"

#include "DeviceBuffer.h"
#include "Product.h"
#include "Stopwatch.h"

#include <algorithm>
#include <cstring>

namespace odyssey::runtime {

namespace {

/// Outputs that are compared with the reference.
constexpr size_t kSamples = 96;
/// What one sample of the time lasts at least, so that the gap before the first
/// launch (some 10 microseconds) does not count.
constexpr double kSampleSeconds = 2e-3;
constexpr size_t kMinSamples = 5, kMaxSamples = 200;
constexpr size_t kMinGraphLaunches = 8;
/// Small weights are in L2 in real life, too.
constexpr uint64_t kMaxCopies = 256;
constexpr uint8_t kUnwritten = 0xff;

/// Numbers that look random and are the same on every machine.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  /// splitmix64 (Steele et al., "Fast splittable pseudorandom number
  /// generators", 2014).
  uint64_t next() {
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  void fill(std::vector<uint8_t> &bytes) {
    for (size_t i = 0; i < bytes.size(); i += sizeof(uint64_t)) {
      uint64_t value = next();
      memcpy(bytes.data() + i, &value,
             std::min(sizeof(value), bytes.size() - i));
    }
  }
  /// From 0.002 to 0.02.
  std::vector<float> scales(size_t count) {
    std::vector<float> result(count);
    for (float &scale : result)
      scale = 0.002f + 0.018f * static_cast<float>(next() >> 40) / (1 << 24);
    return result;
  }

private:
  uint64_t state;
};

} // namespace

struct PackRunner::Content {
  std::shared_ptr<const Pack> pack;
  // Everything below lives on the device, so that this stands before it.
  std::shared_ptr<Device> device;
  MeasureOptions options;

  /// What all candidates of a product share.
  std::optional<uint32_t> product;
  std::vector<uint8_t> hostWeights;
  std::vector<float> hostScales;
  std::vector<DeviceBuffer> weights;
  DeviceBuffer scales;

  /// What belongs to one candidate.
  struct Loaded {
    std::vector<uint8_t> hostActivations;
    std::vector<float> hostTokenScales;
    DeviceBuffer activations, tokenScales, output, workspace, counters;
    std::vector<std::pair<uint32_t, ModuleHandle>> modules;
    std::vector<KernelHandle> kernels;
  };

  const Plan &plan() const { return pack->bundle().plan(); }
  Status loadProduct(uint32_t index);
  Status loadModules(const BucketPlan &bucket, Loaded &loaded);
  Status loadCandidate(const PackCandidate &candidate, Loaded &loaded);
  void unload(Loaded &loaded);
  Status launch(const PackCandidate &candidate, const Loaded &loaded,
                size_t copy);
  Status check(const PackCandidate &candidate, const Loaded &loaded);
  Result<Measurement> time(const PackCandidate &candidate,
                           const Loaded &loaded);
  Result<Measurement> measure(const PackCandidate &candidate, Loaded &loaded);
};

namespace {

Result<DeviceBuffer> upload(Device &device, const void *data, size_t bytes,
                            const char *label) {
  ODYSSEY_ASSIGN_OR_RETURN(DeviceBuffer buffer,
                           DeviceBuffer::allocate(device, bytes, label));
  ODYSSEY_RETURN_IF_ERROR(device.copyToDevice(buffer.address(), data, bytes));
  return buffer;
}

} // namespace

/// Any bytes are packed weights; as many copies of them as rotate.
Status PackRunner::Content::loadProduct(uint32_t index) {
  if (product == index)
    return Status::success();
  product.reset();
  weights.clear();
  const PackProduct &shape = pack->products()[index];
  Random random(index + 1);
  hostWeights.resize(plan().weights[shape.weights].bytes(0));
  random.fill(hostWeights);
  hostScales = random.scales(static_cast<size_t>(shape.n));
  ODYSSEY_ASSIGN_OR_RETURN(scales, upload(*device, hostScales.data(),
                                          hostScales.size() * sizeof(float),
                                          "weight scales"));
  // The emulator has no cache to be fooled by.
  bool rotates = device->properties().kind != "emulator";
  uint64_t copies = rotates ? (options.rotateBytes + hostWeights.size() - 1) /
                                  hostWeights.size()
                            : 1;
  for (uint64_t i = 0; i < std::clamp<uint64_t>(copies, 1, kMaxCopies); ++i) {
    ODYSSEY_ASSIGN_OR_RETURN(DeviceBuffer buffer,
                             upload(*device, hostWeights.data(),
                                    hostWeights.size(), "packed weights"));
    weights.push_back(std::move(buffer));
  }
  product = index;
  return Status::success();
}

/// Loads the modules of one bucket's kernels, and no others: a pack may have
/// thousands.
Status PackRunner::Content::loadModules(const BucketPlan &bucket,
                                        Loaded &loaded) {
  for (const StepPlan &step : bucket.steps) {
    const KernelPlan &kernel = plan().kernels[step.kernel];
    auto found = std::find_if(
        loaded.modules.begin(), loaded.modules.end(),
        [&](const auto &module) { return module.first == kernel.module; });
    if (found == loaded.modules.end()) {
      ODYSSEY_ASSIGN_OR_RETURN(
          ModuleHandle module,
          device->loadModule(pack->bundle().moduleImage(kernel.module)));
      loaded.modules.push_back({kernel.module, module});
      found = std::prev(loaded.modules.end());
    }
    ODYSSEY_ASSIGN_OR_RETURN(KernelHandle handle,
                             device->getKernel(found->second, kernel.name));
    loaded.kernels.push_back(handle);
  }
  return Status::success();
}

Status PackRunner::Content::loadCandidate(const PackCandidate &candidate,
                                          Loaded &loaded) {
  const FunctionPlan &function = plan().functions[candidate.function];
  const BucketPlan &bucket = function.buckets.back();
  const PackProduct &shape = pack->products()[candidate.product];
  int64_t tokens = candidate.tokens;
  Random random(1000 + candidate.product);
  // Values first, layout second: candidates of other layouts get the same.
  std::vector<uint8_t> rows(static_cast<size_t>(tokens * shape.k));
  random.fill(rows);
  loaded.hostTokenScales = random.scales(static_cast<size_t>(tokens));
  loaded.hostActivations.assign(
      static_cast<size_t>(activationBytes(candidate, shape, tokens)), 0);
  for (int64_t m = 0; m < tokens; ++m)
    for (int64_t k = 0; k < shape.k; ++k)
      loaded.hostActivations[static_cast<size_t>(
          activationOffset(candidate, shape, m, k))] =
          rows[static_cast<size_t>(m * shape.k + k)];
  ODYSSEY_ASSIGN_OR_RETURN(
      loaded.activations, upload(*device, loaded.hostActivations.data(),
                                 loaded.hostActivations.size(), "activations"));
  ODYSSEY_ASSIGN_OR_RETURN(loaded.tokenScales,
                           upload(*device, loaded.hostTokenScales.data(),
                                  loaded.hostTokenScales.size() * sizeof(float),
                                  "token scales"));
  size_t outputBytes = function.outputs[0].bytes(tokens);
  ODYSSEY_ASSIGN_OR_RETURN(
      loaded.output, DeviceBuffer::allocate(*device, outputBytes, "outputs"));
  ODYSSEY_RETURN_IF_ERROR(
      device->fill(loaded.output.address(), kUnwritten, outputBytes));
  if (bucket.workspaceBytes > 0) {
    ODYSSEY_ASSIGN_OR_RETURN(
        loaded.workspace,
        DeviceBuffer::allocate(*device, bucket.workspaceBytes, "workspace"));
    ODYSSEY_RETURN_IF_ERROR(
        device->fill(loaded.workspace.address(), 0, bucket.workspaceBytes));
  }
  if (bucket.counterBytes > 0) {
    ODYSSEY_ASSIGN_OR_RETURN(
        loaded.counters,
        DeviceBuffer::allocate(*device, bucket.counterBytes, "counters"));
    ODYSSEY_RETURN_IF_ERROR(
        device->fill(loaded.counters.address(), 0, bucket.counterBytes));
  }
  return loadModules(bucket, loaded);
}

void PackRunner::Content::unload(Loaded &loaded) {
  // A device that cannot even do this has reported why before.
  for (auto &[index, module] : loaded.modules)
    (void)device->unloadModule(module);
}

Status PackRunner::Content::launch(const PackCandidate &candidate,
                                   const Loaded &loaded, size_t copy) {
  const BucketPlan &bucket =
      plan().functions[candidate.function].buckets.back();
  const PackProduct &shape = pack->products()[candidate.product];
  for (size_t i = 0; i < bucket.steps.size(); ++i) {
    const StepPlan &step = bucket.steps[i];
    std::vector<KernelArgument> arguments;
    for (const ArgumentPlan &argument : step.arguments) {
      auto index = static_cast<uint32_t>(argument.value);
      switch (argument.kind) {
      case ArgumentPlan::Kind::Workspace:
        arguments.push_back(
            KernelArgument::address(loaded.workspace.address() + index));
        break;
      case ArgumentPlan::Kind::Counters:
        arguments.push_back(
            KernelArgument::address(loaded.counters.address() + index));
        break;
      case ArgumentPlan::Kind::Weight:
        arguments.push_back(KernelArgument::address(
            index == shape.weights ? weights[copy].address()
                                   : scales.address()));
        break;
      case ArgumentPlan::Kind::Input:
        arguments.push_back(
            KernelArgument::address(index == 0 ? loaded.activations.address()
                                               : loaded.tokenScales.address()));
        break;
      case ArgumentPlan::Kind::Output:
        arguments.push_back(KernelArgument::address(loaded.output.address()));
        break;
      case ArgumentPlan::Kind::Tokens:
        arguments.push_back(
            KernelArgument::i32(static_cast<int32_t>(candidate.tokens)));
        break;
      case ArgumentPlan::Kind::I32:
        arguments.push_back(
            KernelArgument::i32(static_cast<int32_t>(argument.value)));
        break;
      case ArgumentPlan::Kind::State:
        return dataLoss("a candidate of a pack has a state");
      }
    }
    LaunchRequest request =
        launchRequest(plan().kernels[step.kernel], step, candidate.tokens);
    request.kernel = loaded.kernels[i];
    request.arguments = arguments;
    ODYSSEY_RETURN_IF_ERROR(device->launch(request));
  }
  return Status::success();
}

/// Compares outputs at the edges and at random places with the reference.
Status PackRunner::Content::check(const PackCandidate &candidate,
                                  const Loaded &loaded) {
  const PackProduct &shape = pack->products()[candidate.product];
  std::vector<uint16_t> outputs(
      static_cast<size_t>(candidate.tokens * shape.n));
  ODYSSEY_RETURN_IF_ERROR(device->copyToHost(
      outputs.data(), loaded.output.address(), outputs.size() * 2));
  Random random(7);
  for (size_t i = 0; i < kSamples; ++i) {
    auto pick = [&](int64_t size, bool last) -> int64_t {
      if (i < 4)
        return last ? size - 1 : 0;
      return static_cast<int64_t>(random.next() % static_cast<uint64_t>(size));
    };
    int64_t token = pick(candidate.tokens, i & 1);
    int64_t channel = pick(shape.n, i & 2);
    int32_t sum = 0;
    for (int64_t k = 0; k < shape.k; ++k)
      sum += static_cast<int8_t>(loaded.hostActivations[static_cast<size_t>(
                 activationOffset(candidate, shape, token, k))]) *
             packedWeight(shape, hostWeights.data(), channel, k);
    uint16_t expected =
        scaledOutput(sum, hostScales[static_cast<size_t>(channel)],
                     loaded.hostTokenScales[static_cast<size_t>(token)]);
    uint16_t actual = outputs[static_cast<size_t>(token * shape.n + channel)];
    if (actual != expected)
      return dataLoss("output (" + std::to_string(token) + ", " +
                      std::to_string(channel) + ") has the bits " +
                      std::to_string(actual) + ", expected " +
                      std::to_string(expected));
  }
  return Status::success();
}

/// Replays a graph of launches, as often as the time allows.
Result<Measurement> PackRunner::Content::time(const PackCandidate &candidate,
                                              const Loaded &loaded) {
  ODYSSEY_ASSIGN_OR_RETURN(double begin, device->timestamp());
  ODYSSEY_RETURN_IF_ERROR(launch(candidate, loaded, 0));
  ODYSSEY_ASSIGN_OR_RETURN(double end, device->timestamp());
  double once = end - begin;
  if (once > options.seconds / kMinSamples)
    return Measurement{once, once, 0, 1};

  size_t perGraph = (kMinGraphLaunches + weights.size() - 1) / weights.size() *
                    weights.size();
  ODYSSEY_RETURN_IF_ERROR(device->beginRecording());
  Status recorded;
  for (size_t i = 0; i < perGraph && recorded.ok(); ++i)
    recorded = launch(candidate, loaded, i % weights.size());
  Result<GraphHandle> graph = device->endRecording();
  ODYSSEY_RETURN_IF_ERROR(recorded);
  ODYSSEY_RETURN_IF_ERROR(graph.status());
  auto replay = [&](size_t times) -> Result<double> {
    ODYSSEY_ASSIGN_OR_RETURN(double begin, device->timestamp());
    for (size_t i = 0; i < times; ++i)
      ODYSSEY_RETURN_IF_ERROR(device->replay(*graph));
    ODYSSEY_ASSIGN_OR_RETURN(double end, device->timestamp());
    return end - begin;
  };
  auto run = [&]() -> Result<Measurement> {
    ODYSSEY_ASSIGN_OR_RETURN(double warm, replay(1));
    size_t times = static_cast<size_t>(
        std::clamp(kSampleSeconds / std::max(warm, 1e-9), 1.0, 1e4));
    std::vector<double> samples;
    Stopwatch watch;
    while (
        samples.size() < kMinSamples ||
        (samples.size() < kMaxSamples && watch.seconds() < options.seconds)) {
      ODYSSEY_ASSIGN_OR_RETURN(double taken, replay(times));
      samples.push_back(taken / static_cast<double>(times * perGraph));
    }
    std::sort(samples.begin(), samples.end());
    auto quantile = [&](double part) {
      return samples[static_cast<size_t>(
          part * static_cast<double>(samples.size() - 1))];
    };
    return Measurement{quantile(0.5), samples.front(),
                       quantile(0.75) - quantile(0.25),
                       samples.size() * times * perGraph};
  };
  Result<Measurement> result = run();
  (void)device->destroyGraph(*graph);
  return result;
}

Result<Measurement> PackRunner::Content::measure(const PackCandidate &candidate,
                                                 Loaded &loaded) {
  ODYSSEY_RETURN_IF_ERROR(loadProduct(candidate.product));
  ODYSSEY_RETURN_IF_ERROR(loadCandidate(candidate, loaded));
  ODYSSEY_RETURN_IF_ERROR(launch(candidate, loaded, 0));
  ODYSSEY_RETURN_IF_ERROR(check(candidate, loaded));
  return time(candidate, loaded);
}

PackRunner::PackRunner(std::unique_ptr<Content> c) : content(std::move(c)) {}
PackRunner::~PackRunner() = default;

Result<std::unique_ptr<PackRunner>>
PackRunner::create(std::shared_ptr<const Pack> pack,
                   std::shared_ptr<Device> device,
                   const MeasureOptions &options) {
  ODYSSEY_RETURN_IF_ERROR(pack->bundle().checkRunsOn(device->properties()));
  auto content = std::make_unique<Content>();
  content->pack = std::move(pack);
  content->device = std::move(device);
  content->options = options;
  return std::unique_ptr<PackRunner>(new PackRunner(std::move(content)));
}

Result<Measurement> PackRunner::measure(size_t index) {
  if (index >= content->pack->candidates().size())
    return invalidArgument("there is no candidate " + std::to_string(index));
  const PackCandidate &candidate = content->pack->candidates()[index];
  Content::Loaded loaded;
  Result<Measurement> result = content->measure(candidate, loaded);
  content->unload(loaded);
  if (!result.ok())
    return result.status().withContext(
        content->pack->products()[candidate.product].name + ", " +
        std::to_string(candidate.tokens) + " tokens, <" + candidate.schedule +
        ">");
  return result;
}

} // namespace odyssey::runtime

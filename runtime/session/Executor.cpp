//===- Executor.cpp - Runs the functions of a bundle ----------------------===//

#include "odyssey/runtime/Executor.h"

#include "DeviceBuffer.h"
#include "Product.h"
#include "Stopwatch.h"
#include "SyntheticWeights.h"

#include <algorithm>

namespace odyssey::runtime {

namespace {

/// What makes calls launch the same kernels with the same arguments.
using GraphKey = std::vector<uint64_t>;

GraphKey keyOf(std::span<const Executor::Call> calls) {
  GraphKey key;
  for (const Executor::Call &call : calls) {
    // The function fixes how many addresses follow.
    key.push_back(call.function);
    key.push_back(static_cast<uint64_t>(call.tokens));
    key.insert(key.end(), call.inputs.begin(), call.inputs.end());
    key.insert(key.end(), call.outputs.begin(), call.outputs.end());
  }
  return key;
}

} // namespace

struct Executor::Content {
  std::shared_ptr<const Bundle> bundle;
  // Everything below lives on the device, so that this stands before it.
  std::shared_ptr<Device> device;
  LoadTimes loadTimes;

  std::vector<ModuleHandle> modules;
  std::vector<KernelHandle> kernels;
  std::vector<DeviceBuffer> weights;
  std::vector<DeviceBuffer> states;
  DeviceBuffer workspace;
  DeviceBuffer counters;
  uint64_t counterBytes = 0;
  std::map<GraphKey, GraphHandle> graphs;
  /// Becomes false when the device says so.
  bool canRecord = true;
  /// Reused by every launch.
  std::vector<KernelArgument> arguments;

  ~Content();

  const Plan &plan() const { return bundle->plan(); }

  Status loadModules();
  Status importWeights(WeightSource source);
  Status allocateStates();
  Status allocateWorkspace();
  Status clearCounters();

  Result<const BucketPlan *> bucketOf(const Call &call) const;
  Status launch(const StepPlan &step, const Call &call);
  Status run(std::span<const Call> calls);
  Result<GraphHandle> record(std::span<const Call> calls);
  KernelArgument argument(const ArgumentPlan &plan, const Call &call) const;
};

Executor::Content::~Content() {
  // Failures are of no interest here: the device is going away as well, or has
  // reported its fault before.
  for (auto &[key, graph] : graphs)
    (void)device->destroyGraph(graph);
  for (ModuleHandle module : modules)
    (void)device->unloadModule(module);
}

Status Executor::Content::loadModules() {
  Stopwatch stopwatch;
  for (size_t i = 0; i < plan().modules.size(); ++i) {
    ODYSSEY_ASSIGN_OR_RETURN(ModuleHandle module,
                             device->loadModule(bundle->moduleImage(i)));
    modules.push_back(module);
  }
  for (const KernelPlan &kernel : plan().kernels) {
    ODYSSEY_ASSIGN_OR_RETURN(
        KernelHandle handle,
        device->getKernel(modules[kernel.module], kernel.name));
    kernels.push_back(handle);
  }
  loadTimes.modules = stopwatch.seconds();
  return Status::success();
}

Status Executor::Content::importWeights(WeightSource source) {
  Stopwatch stopwatch;
  if (source == WeightSource::Synthetic) {
    ODYSSEY_ASSIGN_OR_RETURN(
        weights,
        makeSyntheticWeights(*device, plan().weights, plan().weightBits()));
    ODYSSEY_RETURN_IF_ERROR(device->synchronize());
    loadTimes.weights = stopwatch.seconds();
    return Status::success();
  }
  if (!bundle->hasWeights())
    return failedPrecondition("'" + bundle->path() +
                              "' has no weights (compiled with "
                              "--weights=none), so that it cannot run");
  // One buffer for each tensor, not one for all: then a device that checks
  // bounds finds a kernel that reads past the end of its weights.
  for (size_t i = 0; i < plan().weights.size(); ++i) {
    ODYSSEY_ASSIGN_OR_RETURN(
        DeviceBuffer buffer,
        DeviceBuffer::import(*device, bundle->weight(i),
                             "weight " + plan().weights[i].name));
    weights.push_back(std::move(buffer));
  }
  ODYSSEY_RETURN_IF_ERROR(device->synchronize());
  loadTimes.weights = stopwatch.seconds();
  return Status::success();
}

Status Executor::Content::allocateStates() {
  for (const TensorType &state : plan().states) {
    ODYSSEY_ASSIGN_OR_RETURN(
        DeviceBuffer buffer,
        DeviceBuffer::allocate(*device, state.bytes(0), "state " + state.name));
    ODYSSEY_RETURN_IF_ERROR(device->fill(buffer.address(), 0, state.bytes(0)));
    states.push_back(std::move(buffer));
  }
  return Status::success();
}

Status Executor::Content::allocateWorkspace() {
  uint64_t bytes = 0;
  for (const FunctionPlan &function : plan().functions)
    for (const BucketPlan &bucket : function.buckets) {
      bytes = std::max(bytes, bucket.workspaceBytes);
      counterBytes = std::max(counterBytes, bucket.counterBytes);
    }
  if (bytes > 0) {
    ODYSSEY_ASSIGN_OR_RETURN(
        workspace, DeviceBuffer::allocate(*device, bytes, "workspace"));
  }
  if (counterBytes > 0) {
    ODYSSEY_ASSIGN_OR_RETURN(
        counters, DeviceBuffer::allocate(*device, counterBytes, "counters"));
  }
  return clearCounters();
}

/// Kernels leave their counters as they find them, zero, unless they fail.
Status Executor::Content::clearCounters() {
  if (counterBytes == 0)
    return Status::success();
  return device->fill(counters.address(), 0, counterBytes);
}

/// Checks a call and finds the bucket that serves it.
Result<const BucketPlan *> Executor::Content::bucketOf(const Call &call) const {
  if (call.function >= plan().functions.size())
    return invalidArgument("there is no function " +
                           std::to_string(call.function));
  const FunctionPlan &function = plan().functions[call.function];
  std::string quoted = "function '" + function.name + "'";
  if (call.inputs.size() != function.inputs.size() ||
      call.outputs.size() != function.outputs.size())
    return invalidArgument(
        quoted + " takes " + std::to_string(function.inputs.size()) +
        " inputs and " + std::to_string(function.outputs.size()) +
        " outputs, got " + std::to_string(call.inputs.size()) + " and " +
        std::to_string(call.outputs.size()));
  if (function.hasTokens() && call.tokens < 1)
    return invalidArgument(quoted + " needs at least one token, got " +
                           std::to_string(call.tokens));
  auto bucket = function.bucketFor(call.tokens);
  if (!bucket)
    return invalidArgument(
        quoted + " takes at most " + std::to_string(function.maxTokens()) +
        " tokens in one call, got " + std::to_string(call.tokens));
  return &function.buckets[*bucket];
}

KernelArgument Executor::Content::argument(const ArgumentPlan &plan,
                                           const Call &call) const {
  size_t index = static_cast<size_t>(plan.value);
  switch (plan.kind) {
  case ArgumentPlan::Kind::Workspace:
    return KernelArgument::address(workspace.address() + index);
  case ArgumentPlan::Kind::Counters:
    return KernelArgument::address(counters.address() + index);
  case ArgumentPlan::Kind::Weight:
    return KernelArgument::address(weights[index].address());
  case ArgumentPlan::Kind::Input:
    return KernelArgument::address(call.inputs[index]);
  case ArgumentPlan::Kind::Output:
    return KernelArgument::address(call.outputs[index]);
  case ArgumentPlan::Kind::State:
    return KernelArgument::address(states[index].address());
  case ArgumentPlan::Kind::Tokens:
    return KernelArgument::i32(static_cast<int32_t>(call.tokens));
  case ArgumentPlan::Kind::I32:
    return KernelArgument::i32(static_cast<int32_t>(plan.value));
  }
  return {};
}

Status Executor::Content::launch(const StepPlan &step, const Call &call) {
  const KernelPlan &kernel = plan().kernels[step.kernel];
  arguments.clear();
  for (const ArgumentPlan &entry : step.arguments)
    arguments.push_back(argument(entry, call));

  LaunchRequest request = launchRequest(kernel, step, call.tokens);
  request.kernel = kernels[step.kernel];
  request.arguments = arguments;
  return device->launch(request).withContext(
      "function '" + plan().functions[call.function].name + "', kernel '" +
      kernel.name + "'");
}

Executor::Executor(std::unique_ptr<Content> c) : content(std::move(c)) {}
Executor::~Executor() = default;

Result<std::unique_ptr<Executor>>
Executor::create(std::shared_ptr<const Bundle> bundle,
                 std::shared_ptr<Device> device, WeightSource weights) {
  ODYSSEY_RETURN_IF_ERROR(bundle->checkRunsOn(device->properties()));
  auto content = std::make_unique<Content>();
  content->bundle = std::move(bundle);
  content->device = std::move(device);
  ODYSSEY_RETURN_IF_ERROR(content->loadModules());
  ODYSSEY_RETURN_IF_ERROR(content->importWeights(weights));
  ODYSSEY_RETURN_IF_ERROR(content->allocateStates());
  ODYSSEY_RETURN_IF_ERROR(content->allocateWorkspace());
  return std::unique_ptr<Executor>(new Executor(std::move(content)));
}

const Bundle &Executor::bundle() const { return *content->bundle; }
Device &Executor::device() const { return *content->device; }
const Executor::LoadTimes &Executor::loadTimes() const {
  return content->loadTimes;
}
DeviceAddress Executor::state(uint32_t index) const {
  return content->states[index].address();
}

Status Executor::Content::run(std::span<const Call> calls) {
  for (const Call &call : calls) {
    ODYSSEY_ASSIGN_OR_RETURN(const BucketPlan *bucket, bucketOf(call));
    for (const StepPlan &step : bucket->steps)
      ODYSSEY_RETURN_IF_ERROR(launch(step, call));
  }
  return Status::success();
}

Result<GraphHandle> Executor::Content::record(std::span<const Call> calls) {
  ODYSSEY_RETURN_IF_ERROR(device->beginRecording());
  Status launched = run(calls);
  // Recording ends in any case, so that the device can be used further.
  Result<GraphHandle> graph = device->endRecording();
  if (graph.ok() && !launched.ok())
    (void)device->destroyGraph(*graph);
  if (!launched.ok())
    return launched;
  return graph;
}

Status Executor::run(const Call &call) { return content->run({&call, 1}); }

Status Executor::runRecorded(std::span<const Call> calls) {
  if (!content->canRecord)
    return content->run(calls);
  // Wrong calls are refused before the device is asked for anything.
  for (const Call &call : calls)
    ODYSSEY_RETURN_IF_ERROR(content->bucketOf(call).status());
  GraphKey key = keyOf(calls);
  auto found = content->graphs.find(key);
  if (found == content->graphs.end()) {
    Result<GraphHandle> graph = content->record(calls);
    if (graph.status().code() == StatusCode::Unsupported) {
      content->canRecord = false;
      return content->run(calls);
    }
    ODYSSEY_RETURN_IF_ERROR(graph.status());
    found = content->graphs.emplace(std::move(key), *graph).first;
  }
  return content->device->replay(found->second);
}

size_t Executor::recordedGraphs() const { return content->graphs.size(); }

Status Executor::runTimed(const Call &call, KernelTimes &times) {
  Device &device = *content->device;
  ODYSSEY_ASSIGN_OR_RETURN(const BucketPlan *bucket, content->bucketOf(call));
  for (const StepPlan &step : bucket->steps) {
    ODYSSEY_ASSIGN_OR_RETURN(double begin, device.timestamp());
    ODYSSEY_RETURN_IF_ERROR(content->launch(step, call));
    ODYSSEY_ASSIGN_OR_RETURN(double end, device.timestamp());
    KernelTime &time = times[content->plan().kernels[step.kernel].kind];
    ++time.launches;
    time.seconds += end - begin;
  }
  return Status::success();
}

Status Executor::clearStates() {
  for (size_t i = 0; i < content->states.size(); ++i)
    ODYSSEY_RETURN_IF_ERROR(content->device->fill(
        content->states[i].address(), 0, content->plan().states[i].bytes(0)));
  return content->clearCounters();
}

Result<int64_t> checkInputs(const FunctionPlan &function,
                            std::span<const HostTensor> inputs) {
  if (inputs.size() != function.inputs.size())
    return invalidArgument("function '" + function.name + "' takes " +
                           std::to_string(function.inputs.size()) +
                           " inputs, got " + std::to_string(inputs.size()));
  std::optional<int64_t> tokens;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const TensorType &expected = function.inputs[i];
    const HostTensor &input = inputs[i];
    auto mismatch = [&](const std::string &why) {
      return invalidArgument("input '" + expected.name + "' of function '" +
                             function.name + "' is " + describe(expected) +
                             ", got " + describe(input.type, input.shape) +
                             why);
    };
    if (input.type != expected.type ||
        input.shape.size() != expected.shape.size())
      return mismatch("");
    if (expected.hasTokens()) {
      if (tokens && *tokens != input.shape[0])
        return mismatch(", but another input has " + std::to_string(*tokens) +
                        " tokens");
      tokens = input.shape[0];
      if (*tokens < 1)
        return mismatch("");
    }
    if (input.shape != expected.shapeFor(tokens.value_or(0)))
      return mismatch("");
    auto count = elementCount(input.shape);
    if (!count || input.data.size() != *count * elementBytes(input.type))
      return invalidArgument("input '" + expected.name +
                             "' does not have the data of its shape");
  }
  if (function.hasTokens() && !tokens)
    return invalidArgument("no input of function '" + function.name +
                           "' says how many tokens the call has");
  return tokens.value_or(0);
}

Result<std::vector<HostTensor>>
Executor::run(std::string_view name, std::span<const HostTensor> inputs) {
  auto index = content->plan().findFunction(name);
  if (!index)
    return notFound("'" + content->bundle->path() + "' has no function '" +
                    std::string(name) + "'");
  const FunctionPlan &function = content->plan().functions[*index];
  ODYSSEY_ASSIGN_OR_RETURN(int64_t tokens, checkInputs(function, inputs));

  Device &device = *content->device;
  std::vector<DeviceBuffer> buffers;
  std::vector<DeviceAddress> inputAddresses, outputAddresses;
  // Before anything is allocated for it, the call as such has to be possible.
  std::vector<DeviceAddress> noInputs(inputs.size()),
      noOutputs(function.outputs.size());
  ODYSSEY_RETURN_IF_ERROR(
      content->bucketOf({*index, noInputs, noOutputs, tokens}).status());

  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::vector<std::byte> &data = inputs[i].data;
    ODYSSEY_ASSIGN_OR_RETURN(
        DeviceBuffer buffer,
        DeviceBuffer::allocate(device, data.size(),
                               "input " + function.inputs[i].name));
    ODYSSEY_RETURN_IF_ERROR(
        device.copyToDevice(buffer.address(), data.data(), data.size()));
    inputAddresses.push_back(buffer.address());
    buffers.push_back(std::move(buffer));
  }
  for (const TensorType &output : function.outputs) {
    ODYSSEY_ASSIGN_OR_RETURN(DeviceBuffer buffer,
                             DeviceBuffer::allocate(device,
                                                    output.bytes(tokens),
                                                    "output " + output.name));
    outputAddresses.push_back(buffer.address());
    buffers.push_back(std::move(buffer));
  }
  ODYSSEY_RETURN_IF_ERROR(
      run(Call{*index, inputAddresses, outputAddresses, tokens}));

  std::vector<HostTensor> outputs;
  for (size_t i = 0; i < function.outputs.size(); ++i) {
    const TensorType &type = function.outputs[i];
    HostTensor output{type.type, type.shapeFor(tokens), {}};
    output.data.resize(type.bytes(tokens));
    ODYSSEY_RETURN_IF_ERROR(device.copyToHost(
        output.data.data(), outputAddresses[i], output.data.size()));
    outputs.push_back(std::move(output));
  }
  return outputs;
}

} // namespace odyssey::runtime

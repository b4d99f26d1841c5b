//===- EmulatorDevice.cpp - The emulator as a Device ----------------------===//

#include "Decoder.h"
#include "Machine.h"
#include "Parser.h"
#include "Targets.h"
#include "odyssey/runtime/Emulator.h"

#include <chrono>
#include <cstring>
#include <map>
#include <thread>

namespace odyssey::runtime {

using namespace emulator;

namespace {

constexpr uint32_t kMaxThreadsPerBlock = 1024;
/// What a CTA of an H100 can have, static and dynamic together.
constexpr size_t kMaxSharedBytes = 227 * 1024;
constexpr uint64_t kMaxGridYZ = 65535;
constexpr uint32_t kMaxClusterSize = 16;

struct LoadedModule {
  std::map<std::string, KernelHandle> kernels;
  std::vector<DeviceAddress> variables;
};

struct LoadedKernel {
  std::shared_ptr<const Program> program;
  ModuleHandle module = ModuleHandle(0);
};

/// A launch with its arguments packed.
struct PreparedLaunch {
  std::shared_ptr<const Program> program;
  Dim3 grid, block, cluster;
  uint32_t sharedBytes = 0;
  std::vector<uint8_t> parameters;
};

uint64_t count(const Dim3 &d) { return uint64_t(d.x) * d.y * d.z; }

std::string text(const Dim3 &d) {
  return "(" + std::to_string(d.x) + "," + std::to_string(d.y) + "," +
         std::to_string(d.z) + ")";
}

class EmulatorDevice : public Device {
public:
  explicit EmulatorDevice(const EmulatorOptions &options)
      : options(options), memory(options.checkHazards),
        threads(options.threads
                    ? options.threads
                    : std::max(1u, std::thread::hardware_concurrency())) {
    deviceProperties.kind = "emulator";
    deviceProperties.name = hasAvx512() ? "PTX emulator (AVX-512 VNNI)"
                            : hasAvx2() ? "PTX emulator (AVX2)"
                                        : "PTX emulator (portable)";
    deviceProperties.multiprocessors = static_cast<int>(threads);
    deviceProperties.totalMemoryBytes = size_t(1) << 40;
    deviceProperties.maxSharedBytesPerBlock = kMaxSharedBytes;
  }

  const DeviceProperties &properties() const override {
    return deviceProperties;
  }

  Result<DeviceAddress> allocate(size_t bytes,
                                 std::string_view label) override {
    return memory.allocate(bytes, label);
  }

  Result<DeviceAddress> importReadOnly(const void *host, size_t bytes,
                                       std::string_view label) override {
    return memory.importReadOnly(host, bytes, label);
  }

  Status free(DeviceAddress address) override { return memory.free(address); }

  Status copyToDevice(DeviceAddress destination, const void *source,
                      size_t bytes) override {
    ODYSSEY_RETURN_IF_ERROR(checkNotRecording("copy"));
    if (bytes == 0)
      return Status::success();
    ODYSSEY_ASSIGN_OR_RETURN(uint8_t *to,
                             memory.range(destination, bytes, true));
    std::memcpy(to, source, bytes);
    memory.markWritten(destination, bytes);
    return Status::success();
  }

  Status copyToHost(void *destination, DeviceAddress source,
                    size_t bytes) override {
    ODYSSEY_RETURN_IF_ERROR(checkNotRecording("copy"));
    ODYSSEY_RETURN_IF_ERROR(fault);
    if (bytes == 0)
      return Status::success();
    ODYSSEY_ASSIGN_OR_RETURN(uint8_t *from, memory.range(source, bytes, false));
    std::memcpy(destination, from, bytes);
    return Status::success();
  }

  Status fill(DeviceAddress destination, uint8_t value, size_t bytes) override {
    ODYSSEY_RETURN_IF_ERROR(checkNotRecording("fill"));
    if (bytes == 0)
      return Status::success();
    ODYSSEY_ASSIGN_OR_RETURN(uint8_t *to,
                             memory.range(destination, bytes, true));
    std::memset(to, value, bytes);
    memory.markWritten(destination, bytes);
    return Status::success();
  }

  Result<ModuleHandle> loadModule(const ModuleImage &image) override;
  Status unloadModule(ModuleHandle module) override;
  Result<KernelHandle> getKernel(ModuleHandle module,
                                 const std::string &name) override;
  Status launch(const LaunchRequest &request) override;

  Status synchronize() override { return fault; }

  Status beginRecording() override {
    if (recording)
      return failedPrecondition("a recording is open already");
    recording = true;
    recorded.clear();
    return Status::success();
  }

  Result<GraphHandle> endRecording() override {
    if (!recording)
      return failedPrecondition("there is no recording to end");
    recording = false;
    auto handle = GraphHandle(++lastHandle);
    graphs[handle] = std::move(recorded);
    recorded.clear();
    return handle;
  }

  Status replay(GraphHandle graph) override {
    ODYSSEY_RETURN_IF_ERROR(checkNotRecording("replay"));
    auto found = graphs.find(graph);
    if (found == graphs.end())
      return notFound("there is no such graph");
    for (const PreparedLaunch &prepared : found->second)
      ODYSSEY_RETURN_IF_ERROR(run(prepared));
    return Status::success();
  }

  Status destroyGraph(GraphHandle graph) override {
    if (!graphs.erase(graph))
      return notFound("there is no such graph");
    return Status::success();
  }

  Result<double> timestamp() override {
    ODYSSEY_RETURN_IF_ERROR(fault);
    return std::chrono::duration<double>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

private:
  Status checkNotRecording(const char *what) const {
    return recording ? failedPrecondition(std::string(what) +
                                          " while launches are recorded")
                     : Status::success();
  }

  Status allocateVariables(PtxModule &module, LoadedModule &loaded,
                           VariableAddresses &addresses);
  Status decodeKernels(const PtxModule &module, ModuleHandle handle,
                       LoadedModule &loaded,
                       const VariableAddresses &addresses);
  Result<PreparedLaunch> prepare(const LaunchRequest &request) const;
  Status run(const PreparedLaunch &prepared);

  EmulatorOptions options;
  AddressSpace memory;
  unsigned threads;
  DeviceProperties deviceProperties;
  uint64_t lastHandle = 0;
  uint64_t launches = 0;
  std::map<ModuleHandle, LoadedModule> modules;
  std::map<KernelHandle, LoadedKernel> kernels;
  std::map<GraphHandle, std::vector<PreparedLaunch>> graphs;
  bool recording = false;
  std::vector<PreparedLaunch> recorded;
  /// The first fault; nothing is launched after it.
  Status fault;
};

/// Gives global and constant variables memory and their initial values.
Status EmulatorDevice::allocateVariables(PtxModule &module,
                                         LoadedModule &loaded,
                                         VariableAddresses &addresses) {
  for (const Variable &variable : module.variables) {
    if (variable.space != Space::Global && variable.space != Space::Const)
      continue;
    if (variable.isExtern)
      return unsupported("extern variable '" + variable.name + "'");
    if (variable.size == 0)
      continue;
    ODYSSEY_ASSIGN_OR_RETURN(DeviceAddress address,
                             memory.allocate(variable.size, variable.name));
    loaded.variables.push_back(address);
    addresses[&variable] = address;
    // What an initialiser leaves out is zero.
    std::vector<uint8_t> bytes = variable.initializer;
    bytes.resize(variable.size);
    ODYSSEY_RETURN_IF_ERROR(copyToDevice(address, bytes.data(), bytes.size()));
  }
  for (const auto &[variable, address] : addresses)
    for (const Relocation &relocation : variable->relocations) {
      auto named = module.moduleVariables.find(relocation.symbol);
      if (named == module.moduleVariables.end() ||
          !addresses.count(named->second))
        return unsupported("initialiser of '" + variable->name + "' names '" +
                           relocation.symbol + "'");
      uint64_t value = addresses[named->second] + relocation.addend;
      ODYSSEY_RETURN_IF_ERROR(
          copyToDevice(address + relocation.offset, &value, relocation.bytes));
    }
  return Status::success();
}

Status EmulatorDevice::decodeKernels(const PtxModule &module,
                                     ModuleHandle handle, LoadedModule &loaded,
                                     const VariableAddresses &addresses) {
  for (const Function &function : module.functions) {
    if (!function.hasBody)
      continue;
    // Functions are decoded with each kernel that calls them; those that no
    // kernel calls are decoded here for their errors.
    ODYSSEY_ASSIGN_OR_RETURN(
        std::shared_ptr<const Program> program,
        decodeKernel(module, function, addresses, options));
    if (!function.isEntry)
      continue;
    auto kernel = KernelHandle(++lastHandle);
    kernels[kernel] = {std::move(program), handle};
    loaded.kernels[function.name] = kernel;
  }
  return Status::success();
}

Result<ModuleHandle> EmulatorDevice::loadModule(const ModuleImage &image) {
  ODYSSEY_RETURN_IF_ERROR(checkNotRecording("loading a module"));
  if (image.ptx.empty())
    return unsupported("module '" + image.name + "' has no PTX");
  std::string context = "module '" + image.name + "'";
  Result<std::unique_ptr<PtxModule>> module = parsePtx(image.ptx);
  if (!module.ok())
    return module.status().withContext(context);
  auto handle = ModuleHandle(++lastHandle);
  LoadedModule &loaded = modules[handle];
  VariableAddresses addresses;
  Status status = allocateVariables(**module, loaded, addresses);
  if (status.ok())
    status = decodeKernels(**module, handle, loaded, addresses);
  if (!status.ok()) {
    ODYSSEY_RETURN_IF_ERROR(unloadModule(handle));
    return status.withContext(context);
  }
  return handle;
}

Status EmulatorDevice::unloadModule(ModuleHandle module) {
  auto found = modules.find(module);
  if (found == modules.end())
    return notFound("there is no such module");
  for (auto &[name, kernel] : found->second.kernels)
    kernels.erase(kernel);
  Status status;
  for (DeviceAddress address : found->second.variables)
    if (Status freed = memory.free(address); !freed.ok())
      status = freed;
  modules.erase(found);
  return status;
}

Result<KernelHandle> EmulatorDevice::getKernel(ModuleHandle module,
                                               const std::string &name) {
  auto found = modules.find(module);
  if (found == modules.end())
    return notFound("there is no such module");
  auto kernel = found->second.kernels.find(name);
  if (kernel == found->second.kernels.end())
    return notFound("the module has no kernel '" + name + "'");
  return kernel->second;
}

Result<PreparedLaunch>
EmulatorDevice::prepare(const LaunchRequest &request) const {
  auto found = kernels.find(request.kernel);
  if (found == kernels.end())
    return invalidArgument("launch of no kernel");
  const Program &program = *found->second.program;
  std::string context = "launch of '" + program.name + "': ";
  auto refuse = [&](const std::string &why) {
    return invalidArgument(context + why);
  };

  if (count(request.grid) == 0 || count(request.block) == 0 ||
      count(request.cluster) == 0)
    return refuse("grid " + text(request.grid) + ", block " +
                  text(request.block) + " and cluster " +
                  text(request.cluster) + " must not be empty");
  if (request.grid.x > 0x7FFFFFFFu || request.grid.y > kMaxGridYZ ||
      request.grid.z > kMaxGridYZ)
    return refuse("grid " + text(request.grid) + " is too large");
  if (count(request.block) > kMaxThreadsPerBlock || request.block.z > 64)
    return refuse("block " + text(request.block) + " has more than " +
                  std::to_string(kMaxThreadsPerBlock) + " threads");
  if (count(request.cluster) > kMaxClusterSize ||
      request.grid.x % request.cluster.x ||
      request.grid.y % request.cluster.y || request.grid.z % request.cluster.z)
    return refuse("cluster " + text(request.cluster) +
                  " does not divide the grid, or is too large");
  Dim3 required{program.requiredThreads[0], program.requiredThreads[1],
                program.requiredThreads[2]};
  if (required.x &&
      (required.x != request.block.x || required.y != request.block.y ||
       required.z != request.block.z))
    return refuse("block " + text(request.block) + " is not " + text(required) +
                  " as .reqntid demands");
  Dim3 most{program.maxThreads[0], program.maxThreads[1],
            program.maxThreads[2]};
  if (most.x && count(request.block) > count(most))
    return refuse("block " + text(request.block) + " exceeds .maxntid " +
                  text(most));
  Dim3 cluster{program.requiredCluster[0], program.requiredCluster[1],
               program.requiredCluster[2]};
  if (cluster.x &&
      (cluster.x != request.cluster.x || cluster.y != request.cluster.y ||
       cluster.z != request.cluster.z))
    return refuse("cluster " + text(request.cluster) + " is not " +
                  text(cluster) + " as .reqnctapercluster demands");
  uint64_t shared = uint64_t(program.staticSharedBytes) + request.sharedBytes;
  if (shared > kMaxSharedBytes)
    return refuse(std::to_string(shared) +
                  " bytes of shared memory are more "
                  "than " +
                  std::to_string(kMaxSharedBytes));
  if (request.arguments.size() != program.parameters.size())
    return refuse("got " + std::to_string(request.arguments.size()) +
                  " arguments for " +
                  std::to_string(program.parameters.size()) + " parameters");

  PreparedLaunch prepared;
  prepared.program = found->second.program;
  prepared.grid = request.grid;
  prepared.block = request.block;
  prepared.cluster = request.cluster;
  prepared.sharedBytes = request.sharedBytes;
  prepared.parameters.assign(program.parameterBytes, 0);
  for (size_t i = 0; i < request.arguments.size(); ++i) {
    const KernelParameter &parameter = program.parameters[i];
    const KernelArgument &argument = request.arguments[i];
    if (argument.size != parameter.size)
      return refuse("argument " + std::to_string(i) + " has " +
                    std::to_string(argument.size) + " bytes, parameter '" +
                    parameter.name + "' has " + std::to_string(parameter.size));
    std::memcpy(prepared.parameters.data() + parameter.offset, &argument.bits,
                std::min<size_t>(argument.size, sizeof(argument.bits)));
  }
  return prepared;
}

Status EmulatorDevice::launch(const LaunchRequest &request) {
  ODYSSEY_ASSIGN_OR_RETURN(PreparedLaunch prepared, prepare(request));
  if (recording) {
    recorded.push_back(std::move(prepared));
    return Status::success();
  }
  return run(prepared);
}

Status EmulatorDevice::run(const PreparedLaunch &prepared) {
  if (!fault.ok())
    return failedPrecondition("the device stopped at a fault: " +
                              fault.message());
  Launch launch;
  launch.program = prepared.program.get();
  launch.grid = prepared.grid;
  launch.block = prepared.block;
  launch.cluster = prepared.cluster;
  launch.parameters = prepared.parameters;
  launch.dynamicSharedBytes = prepared.sharedBytes;
  launch.sharedBytes =
      prepared.program->staticSharedBytes + prepared.sharedBytes;
  launch.memory = &memory;
  launch.options = &options;
  launch.gridId = ++launches;
  fault = runGrid(launch, threads);
  return fault;
}

} // namespace

Result<std::unique_ptr<Device>> createEmulator(const EmulatorOptions &options) {
  return std::unique_ptr<Device>(std::make_unique<EmulatorDevice>(options));
}

} // namespace odyssey::runtime

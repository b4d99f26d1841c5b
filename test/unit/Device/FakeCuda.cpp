//===- FakeCuda.cpp - A CUDA driver that only takes notes -----------------===//

#include "FakeCuda.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

// Declared here once more, on purpose: an error in the runtime's own
// declarations must not be repeated by its test.
using Result = int;
using Handle = struct FakeHandle *;
using Address = unsigned long long;

struct FakeLaunchAttribute {
  int id;
  int padding;
  unsigned value[16];
};

struct FakeLaunchConfig {
  unsigned grid[3], block[3], sharedBytes;
  Handle stream;
  FakeLaunchAttribute *attributes;
  unsigned attributeCount;
};

namespace {

FakeCuda state;
/// Handles are small numbers; those of functions index `functionNames`.
uintptr_t nextHandle = 1;
std::vector<std::string> functionNames;

std::string join(const unsigned *values) {
  return std::to_string(values[0]) + "," + std::to_string(values[1]) + "," +
         std::to_string(values[2]);
}

/// The result that the test wants from a function; notes the call.
Result enter(const char *function, bool note = true) {
  if (note)
    state.calls.push_back(function);
  auto failure = state.failures.find(function);
  return failure == state.failures.end() ? 0 : failure->second;
}

Result create(const char *function, Handle *handle) {
  if (Result failure = enter(function))
    return failure;
  *handle = reinterpret_cast<Handle>(nextHandle++);
  ++state.liveObjects;
  return 0;
}

Result destroy(const char *function) {
  if (Result failure = enter(function))
    return failure;
  --state.liveObjects;
  return 0;
}

constexpr Result kInvalidValue = 1, kOutOfMemory = 2, kNotFound = 500;
constexpr int kMaxThreadsPerBlock = 0;

} // namespace

extern "C" {

FakeCuda *odysseyFakeCuda() { return &state; }

Result cuInit(unsigned) { return enter("cuInit"); }
Result cuGetErrorName(Result error, const char **name) {
  static std::string text;
  text = "CUDA_ERROR_" + std::to_string(error);
  *name = text.c_str();
  return 0;
}
Result cuGetErrorString(Result, const char **text) {
  *text = "as the test wants it";
  return 0;
}
Result cuDriverGetVersion(int *version) {
  *version = 12040;
  return 0;
}
Result cuDeviceGetCount(int *count) {
  *count = state.deviceCount;
  return enter("cuDeviceGetCount");
}
Result cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return enter("cuDeviceGet");
}
Result cuDeviceGetName(char *name, int length, int device) {
  strncpy(name, device == 0 ? "Fake GPU" : "Other GPU",
          static_cast<size_t>(length));
  return enter("cuDeviceGetName");
}
Result cuDeviceGetAttribute(int *value, int attribute, int) {
  const std::map<int, int> values = {
      {13, 1980000},  {16, 132},         {36, 2619000},     {37, 5120},
      {38, 50 << 20}, {75, state.major}, {76, state.minor}, {97, 232448}};
  auto found = values.find(attribute);
  if (found == values.end())
    return kInvalidValue;
  *value = found->second;
  return 0;
}
Result cuDeviceTotalMem_v2(size_t *bytes, int) {
  *bytes = size_t(1) << 37;
  return 0;
}
Result cuDevicePrimaryCtxRetain(Handle *context, int) {
  return create("cuDevicePrimaryCtxRetain", context);
}
Result cuDevicePrimaryCtxRelease_v2(int) {
  return destroy("cuDevicePrimaryCtxRelease_v2");
}
Result cuCtxSetCurrent(Handle) { return enter("cuCtxSetCurrent", false); }
Result cuStreamCreate(Handle *stream, unsigned flags) {
  return flags == 1 ? create("cuStreamCreate", stream) : kInvalidValue;
}
Result cuStreamDestroy_v2(Handle) { return destroy("cuStreamDestroy_v2"); }
Result cuStreamSynchronize(Handle) { return enter("cuStreamSynchronize"); }
Result cuStreamBeginCapture_v2(Handle, int mode) {
  return mode == 1 ? enter("cuStreamBeginCapture_v2") : kInvalidValue;
}
Result cuStreamEndCapture(Handle, Handle *graph) {
  return create("cuStreamEndCapture", graph);
}
Result cuMemAlloc_v2(Address *address, size_t bytes) {
  if (Result failure = enter("cuMemAlloc_v2"))
    return failure;
  void *memory = bytes < (size_t(1) << 32)
                     ? aligned_alloc(512, (bytes + 511) & ~511ull)
                     : nullptr;
  if (!memory)
    return kOutOfMemory;
  *address = reinterpret_cast<Address>(memory);
  ++state.liveObjects;
  return 0;
}
Result cuMemFree_v2(Address address) {
  if (Result failure = destroy("cuMemFree_v2"))
    return failure;
  free(reinterpret_cast<void *>(address));
  return 0;
}
Result cuMemHostAlloc(void **memory, size_t bytes, unsigned) {
  if (Result failure = enter("cuMemHostAlloc"))
    return failure;
  *memory = malloc(bytes);
  ++state.liveObjects;
  return 0;
}
Result cuMemFreeHost(void *memory) {
  free(memory);
  return destroy("cuMemFreeHost");
}
Result cuMemcpyHtoDAsync_v2(Address destination, const void *source,
                            size_t bytes, Handle) {
  if (Result failure = enter("cuMemcpyHtoDAsync_v2"))
    return failure;
  memcpy(reinterpret_cast<void *>(destination), source, bytes);
  return 0;
}
Result cuMemcpyDtoHAsync_v2(void *destination, Address source, size_t bytes,
                            Handle) {
  if (Result failure = enter("cuMemcpyDtoHAsync_v2"))
    return failure;
  memcpy(destination, reinterpret_cast<void *>(source), bytes);
  return 0;
}
Result cuMemsetD8Async(Address destination, unsigned char value, size_t bytes,
                       Handle) {
  if (Result failure = enter("cuMemsetD8Async"))
    return failure;
  memset(reinterpret_cast<void *>(destination), value, bytes);
  return 0;
}
Result cuModuleLoadDataEx(Handle *module, const void *image, unsigned count,
                          int *options, void **values) {
  state.lastImage = static_cast<const char *>(image);
  // CU_JIT_ERROR_LOG_BUFFER and its size.
  if (count == 2 && options[0] == 5 && options[1] == 6 &&
      state.compilerLog.size() < reinterpret_cast<size_t>(values[1]))
    memcpy(values[0], state.compilerLog.c_str(), state.compilerLog.size() + 1);
  return create("cuModuleLoadDataEx", module);
}
Result cuModuleUnload(Handle) { return destroy("cuModuleUnload"); }
Result cuModuleGetFunction(Handle *function, Handle, const char *name) {
  if (Result failure = enter("cuModuleGetFunction"))
    return failure;
  if (strcmp(name, "missing") == 0)
    return kNotFound;
  functionNames.push_back(name);
  *function = reinterpret_cast<Handle>(functionNames.size());
  return 0;
}
Result cuFuncGetAttribute(int *value, int attribute, Handle) {
  *value = attribute == kMaxThreadsPerBlock ? 512 : 1024;
  return enter("cuFuncGetAttribute", false);
}
Result cuFuncSetAttribute(Handle, int attribute, int value) {
  state.calls.push_back("set attribute " + std::to_string(attribute) + " " +
                        std::to_string(value));
  return enter("cuFuncSetAttribute", false);
}
Result cuFuncGetParamInfo(Handle, size_t index, size_t *offset, size_t *bytes) {
  if (index >= state.parameterBytes.size())
    return kInvalidValue;
  *offset = index * 8;
  *bytes = state.parameterBytes[index];
  return 0;
}
Result cuLaunchKernelEx(const FakeLaunchConfig *config, Handle function,
                        void **parameters, void **) {
  std::string note =
      "launch " + functionNames[reinterpret_cast<size_t>(function) - 1] +
      " grid " + join(config->grid) + " block " + join(config->block) +
      " shared " + std::to_string(config->sharedBytes);
  for (unsigned i = 0; i < config->attributeCount; ++i) {
    const FakeLaunchAttribute &attribute = config->attributes[i];
    if (attribute.id == 4)
      note += " cluster " + join(attribute.value);
    else if (attribute.id == 6 && attribute.value[0] == 1)
      note += " programmatic";
    else
      return kInvalidValue;
  }
  state.calls.push_back(note);
  state.lastArguments.clear();
  for (size_t i = 0; i < state.parameterBytes.size(); ++i) {
    unsigned long long bits = 0;
    memcpy(&bits, parameters[i], state.parameterBytes[i]);
    state.lastArguments.push_back(bits);
  }
  return enter("cuLaunchKernelEx", false);
}
Result cuEventCreate(Handle *event, unsigned) {
  return create("cuEventCreate", event);
}
Result cuEventDestroy_v2(Handle) { return destroy("cuEventDestroy_v2"); }
Result cuEventRecord(Handle, Handle) { return enter("cuEventRecord"); }
Result cuEventSynchronize(Handle) { return enter("cuEventSynchronize"); }
Result cuEventElapsedTime(float *milliseconds, Handle, Handle) {
  *milliseconds = 250;
  return enter("cuEventElapsedTime");
}
Result cuGraphInstantiateWithFlags(Handle *executable, Handle,
                                   unsigned long long) {
  return create("cuGraphInstantiateWithFlags", executable);
}
Result cuGraphDestroy(Handle) { return destroy("cuGraphDestroy"); }
Result cuGraphLaunch(Handle, Handle) { return enter("cuGraphLaunch"); }
Result cuGraphExecDestroy(Handle) { return destroy("cuGraphExecDestroy"); }

} // extern "C"

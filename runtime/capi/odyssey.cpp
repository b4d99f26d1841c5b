//===- odyssey.cpp - The C API --------------------------------------------===//
//
// Every function is the call of the C++ API with the same name, between a check
// of its pointers and a translation of its Status.
//
//===----------------------------------------------------------------------===//

#include "odyssey/runtime/odyssey.h"

#include "odyssey/runtime/DeviceRegistry.h"
#include "odyssey/runtime/Generator.h"

#include <cstring>
#include <exception>
#include <new>

using namespace odyssey::runtime;

struct odyssey_bundle {
  std::shared_ptr<const Bundle> bundle;
};
struct odyssey_device {
  std::shared_ptr<Device> device;
};
struct odyssey_generator {
  std::unique_ptr<Generator> generator;
};
struct odyssey_executor {
  std::unique_ptr<Executor> executor;
};
struct odyssey_outputs {
  std::vector<HostTensor> tensors;
};

namespace {

// Enumerations of both APIs are converted by their values.
static_assert(int(StatusCode::Ok) == ODYSSEY_OK);
static_assert(int(StatusCode::InvalidArgument) == ODYSSEY_INVALID_ARGUMENT);
static_assert(int(StatusCode::NotFound) == ODYSSEY_NOT_FOUND);
static_assert(int(StatusCode::DataLoss) == ODYSSEY_DATA_LOSS);
static_assert(int(StatusCode::Unsupported) == ODYSSEY_UNSUPPORTED);
static_assert(int(StatusCode::ResourceExhausted) == ODYSSEY_RESOURCE_EXHAUSTED);
static_assert(int(StatusCode::FailedPrecondition) ==
              ODYSSEY_FAILED_PRECONDITION);
static_assert(int(StatusCode::DeviceFault) == ODYSSEY_DEVICE_FAULT);
static_assert(int(StatusCode::IoError) == ODYSSEY_IO_ERROR);
static_assert(int(StatusCode::Internal) == ODYSSEY_INTERNAL);
static_assert(int(StopReason::EndOfText) == ODYSSEY_STOP_END_OF_TEXT);
static_assert(int(StopReason::MaxTokens) == ODYSSEY_STOP_MAX_TOKENS);
static_assert(int(StopReason::ContextFull) == ODYSSEY_STOP_CONTEXT_FULL);
static_assert(int(StopReason::Cancelled) == ODYSSEY_STOP_CANCELLED);
static_assert(int(ElementType::I8) == ODYSSEY_I8);
static_assert(int(ElementType::U8) == ODYSSEY_U8);
static_assert(int(ElementType::I32) == ODYSSEY_I32);
static_assert(int(ElementType::F16) == ODYSSEY_F16);
static_assert(int(ElementType::BF16) == ODYSSEY_BF16);
static_assert(int(ElementType::F32) == ODYSSEY_F32);

thread_local std::string lastError;

odyssey_status report(const Status &status) {
  if (!status.ok())
    lastError = status.message();
  return static_cast<odyssey_status>(status.code());
}

/// Runs the body of an API function. The runtime does not throw, but the C++
/// library may when memory is short, and C cannot take that.
template <typename Body> odyssey_status guarded(Body body) {
  try {
    return report(body());
  } catch (const std::bad_alloc &) {
    return report(resourceExhausted("out of memory"));
  } catch (const std::exception &error) {
    return report(internalError(error.what()));
  }
}

/// Names the first pointer that is null.
Status requireNonNull(
    std::initializer_list<std::pair<const void *, const char *>> pointers) {
  for (auto &[pointer, name] : pointers)
    if (!pointer)
      return invalidArgument(std::string(name) + " is NULL");
  return Status::success();
}

/// Copies a struct of the caller, who may know fewer members than this library
/// does; those keep the values that they have.
template <typename T> Status readStruct(const T *from, T &to) {
  if (from->struct_size < sizeof(size_t) || from->struct_size > sizeof(T))
    return invalidArgument("a struct_size of " +
                           std::to_string(from->struct_size) +
                           " is not one of this library; was the struct "
                           "initialized?");
  memcpy(&to, from, from->struct_size);
  return Status::success();
}

Result<GenerateOptions> convert(const odyssey_generate_options *from) {
  odyssey_generate_options options;
  odyssey_generate_options_init(&options);
  if (from)
    ODYSSEY_RETURN_IF_ERROR(readStruct(from, options));
  GenerateOptions result;
  if (options.max_tokens != 0)
    result.maxTokens = options.max_tokens;
  result.sampling.temperature = options.temperature;
  result.sampling.topK = options.top_k;
  result.sampling.topP = options.top_p;
  result.sampling.seed = options.seed;
  return result;
}

Result<HostTensor> convert(const odyssey_tensor &from) {
  if (from.type < ODYSSEY_I8 || from.type > ODYSSEY_F32)
    return invalidArgument("there is no element type " +
                           std::to_string(static_cast<int>(from.type)));
  if ((from.rank != 0 && !from.shape) || (from.bytes != 0 && !from.data))
    return invalidArgument("a tensor has no shape or no data");
  HostTensor tensor{static_cast<ElementType>(from.type), {}, {}};
  tensor.shape.assign(from.shape, from.shape + from.rank);
  auto *data = static_cast<const std::byte *>(from.data);
  tensor.data.assign(data, data + from.bytes);
  return tensor;
}

} // namespace

uint32_t odyssey_abi_version(void) { return ODYSSEY_ABI_VERSION; }

const char *odyssey_status_name(odyssey_status status) {
  return statusCodeName(static_cast<StatusCode>(status));
}

const char *odyssey_last_error(void) { return lastError.c_str(); }

odyssey_status odyssey_bundle_open(const char *path,
                                   odyssey_bundle **out_bundle) {
  return guarded([&]() -> Status {
    ODYSSEY_RETURN_IF_ERROR(
        requireNonNull({{path, "path"}, {out_bundle, "out_bundle"}}));
    ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<const Bundle> bundle,
                             Bundle::open(path));
    *out_bundle = new odyssey_bundle{std::move(bundle)};
    return Status::success();
  });
}

void odyssey_bundle_release(odyssey_bundle *bundle) { delete bundle; }

odyssey_status odyssey_device_open(const char *name,
                                   odyssey_device **out_device) {
  return guarded([&]() -> Status {
    ODYSSEY_RETURN_IF_ERROR(
        requireNonNull({{name, "name"}, {out_device, "out_device"}}));
    ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<Device> device, openDevice(name));
    *out_device = new odyssey_device{std::move(device)};
    return Status::success();
  });
}

void odyssey_device_release(odyssey_device *device) { delete device; }

const char *odyssey_device_name(const odyssey_device *device) {
  return device ? device->device->properties().name.c_str() : "";
}

odyssey_status odyssey_generator_create(odyssey_bundle *bundle,
                                        odyssey_device *device,
                                        odyssey_generator **out_generator) {
  return guarded([&]() -> Status {
    ODYSSEY_RETURN_IF_ERROR(requireNonNull({{bundle, "bundle"},
                                            {device, "device"},
                                            {out_generator, "out_generator"}}));
    ODYSSEY_ASSIGN_OR_RETURN(std::unique_ptr<Generator> generator,
                             Generator::create(bundle->bundle, device->device));
    *out_generator = new odyssey_generator{std::move(generator)};
    return Status::success();
  });
}

void odyssey_generator_release(odyssey_generator *generator) {
  delete generator;
}

odyssey_status odyssey_generator_reset(odyssey_generator *generator) {
  return guarded([&]() -> Status {
    ODYSSEY_RETURN_IF_ERROR(requireNonNull({{generator, "generator"}}));
    return generator->generator->reset();
  });
}

void odyssey_generate_options_init(odyssey_generate_options *options) {
  const SamplerOptions sampling;
  *options = {};
  options->struct_size = sizeof(*options);
  options->temperature = sampling.temperature;
  options->top_k = sampling.topK;
  options->top_p = sampling.topP;
  options->seed = sampling.seed;
}

void odyssey_generate_result_init(odyssey_generate_result *result) {
  *result = {};
  result->struct_size = sizeof(*result);
}

odyssey_status odyssey_generate(odyssey_generator *generator,
                                const char *prompt, size_t prompt_bytes,
                                const odyssey_generate_options *options,
                                odyssey_text_callback callback, void *user_data,
                                odyssey_generate_result *out_result) {
  return guarded([&]() -> Status {
    ODYSSEY_RETURN_IF_ERROR(requireNonNull({{generator, "generator"}}));
    if (!prompt && prompt_bytes != 0)
      return invalidArgument("prompt is NULL");
    ODYSSEY_ASSIGN_OR_RETURN(GenerateOptions converted, convert(options));
    odyssey_generate_result result;
    odyssey_generate_result_init(&result);
    if (out_result)
      ODYSSEY_RETURN_IF_ERROR(readStruct(out_result, result));

    TextCallback onText;
    if (callback)
      onText = [&](std::string_view text) {
        return callback(text.data(), text.size(), user_data) != 0;
      };
    ODYSSEY_ASSIGN_OR_RETURN(
        GenerateResult generated,
        generator->generator->generate(std::string_view(prompt, prompt_bytes),
                                       converted, onText));
    result.stop_reason = static_cast<odyssey_stop_reason>(generated.reason);
    result.prompt_tokens = generated.promptTokens;
    result.new_tokens = static_cast<int64_t>(generated.tokens.size());
    result.prefill_seconds = generated.prefillSeconds;
    result.decode_seconds = generated.decodeSeconds;
    if (out_result)
      memcpy(out_result, &result, result.struct_size);
    return Status::success();
  });
}

odyssey_status odyssey_executor_create(odyssey_bundle *bundle,
                                       odyssey_device *device,
                                       odyssey_executor **out_executor) {
  return guarded([&]() -> Status {
    ODYSSEY_RETURN_IF_ERROR(requireNonNull({{bundle, "bundle"},
                                            {device, "device"},
                                            {out_executor, "out_executor"}}));
    ODYSSEY_ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                             Executor::create(bundle->bundle, device->device));
    *out_executor = new odyssey_executor{std::move(executor)};
    return Status::success();
  });
}

void odyssey_executor_release(odyssey_executor *executor) { delete executor; }

odyssey_status odyssey_executor_run(odyssey_executor *executor,
                                    const char *function,
                                    const odyssey_tensor *inputs,
                                    size_t input_count,
                                    odyssey_outputs **out_outputs) {
  return guarded([&]() -> Status {
    ODYSSEY_RETURN_IF_ERROR(requireNonNull({{executor, "executor"},
                                            {function, "function"},
                                            {out_outputs, "out_outputs"}}));
    if (!inputs && input_count != 0)
      return invalidArgument("inputs is NULL");
    std::vector<HostTensor> tensors;
    for (size_t i = 0; i < input_count; ++i) {
      ODYSSEY_ASSIGN_OR_RETURN(HostTensor tensor, convert(inputs[i]));
      tensors.push_back(std::move(tensor));
    }
    ODYSSEY_ASSIGN_OR_RETURN(std::vector<HostTensor> outputs,
                             executor->executor->run(function, tensors));
    *out_outputs = new odyssey_outputs{std::move(outputs)};
    return Status::success();
  });
}

size_t odyssey_outputs_count(const odyssey_outputs *outputs) {
  return outputs ? outputs->tensors.size() : 0;
}

odyssey_status odyssey_outputs_get(const odyssey_outputs *outputs, size_t index,
                                   odyssey_tensor *out_tensor) {
  return guarded([&]() -> Status {
    ODYSSEY_RETURN_IF_ERROR(
        requireNonNull({{outputs, "outputs"}, {out_tensor, "out_tensor"}}));
    if (index >= outputs->tensors.size())
      return invalidArgument("there is no output " + std::to_string(index));
    const HostTensor &tensor = outputs->tensors[index];
    *out_tensor = {static_cast<odyssey_type>(tensor.type), tensor.shape.size(),
                   tensor.shape.data(), tensor.data.data(), tensor.data.size()};
    return Status::success();
  });
}

void odyssey_outputs_release(odyssey_outputs *outputs) { delete outputs; }

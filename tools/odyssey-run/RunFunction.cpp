//===- RunFunction.cpp - odyssey-run --function ---------------------------===//

#include "Commands.h"

#include "odyssey/runtime/Npy.h"
#include "odyssey/runtime/OutputFiles.h"

#include <algorithm>
#include <cstdio>

namespace odyssey::run {

using namespace odyssey::runtime;

namespace {

std::string joinNames(const std::vector<TensorType> &tensors) {
  std::string text;
  for (const TensorType &tensor : tensors)
    text += (text.empty() ? "'" : ", '") + tensor.name + "'";
  return text.empty() ? "none" : text;
}

/// The position of a name among a function's tensors.
Result<size_t> findTensor(const std::vector<TensorType> &tensors,
                          const std::string &name, const std::string &what) {
  auto found = std::find_if(
      tensors.begin(), tensors.end(),
      [&](const TensorType &tensor) { return tensor.name == name; });
  if (found == tensors.end())
    return invalidArgument("the function has no " + what + " '" + name +
                           "', only " + joinNames(tensors));
  return static_cast<size_t>(found - tensors.begin());
}

Result<std::vector<HostTensor>>
readInputs(const FunctionPlan &function, const std::vector<TensorFile> &files) {
  std::vector<std::optional<HostTensor>> slots(function.inputs.size());
  for (const TensorFile &file : files) {
    ODYSSEY_ASSIGN_OR_RETURN(size_t index,
                             findTensor(function.inputs, file.name, "input"));
    if (slots[index])
      return invalidArgument("input '" + file.name + "' is given twice");
    ODYSSEY_ASSIGN_OR_RETURN(slots[index], readNpyFile(file.path));
  }
  std::vector<HostTensor> inputs;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (!slots[i])
      return invalidArgument("input '" + function.inputs[i].name + "' (" +
                             describe(function.inputs[i]) +
                             ") is missing; give it with --input");
    inputs.push_back(std::move(*slots[i]));
  }
  return inputs;
}

} // namespace

Status runFunction(const Options &options) {
  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<const Bundle> bundle,
                           Bundle::open(options.bundle));
  auto index = bundle->plan().findFunction(options.function);
  if (!index) {
    std::string names;
    for (const FunctionPlan &function : bundle->plan().functions)
      names += (names.empty() ? "'" : ", '") + function.name + "'";
    return notFound("'" + options.bundle + "' has no function '" +
                    options.function + "', only " +
                    (names.empty() ? "none" : names));
  }

  // Everything that can be wrong with the files is found before the device is
  // opened.
  const FunctionPlan &function = bundle->plan().functions[*index];
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<HostTensor> inputs,
                           readInputs(function, options.inputs));
  ODYSSEY_RETURN_IF_ERROR(checkInputs(function, inputs).status());
  std::vector<size_t> kept;
  for (const TensorFile &file : options.outputs) {
    ODYSSEY_ASSIGN_OR_RETURN(size_t output,
                             findTensor(function.outputs, file.name, "output"));
    kept.push_back(output);
  }

  ODYSSEY_ASSIGN_OR_RETURN(std::shared_ptr<Device> device,
                           openDevice(options.device, options.deviceOptions));
  ODYSSEY_ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                           Executor::create(bundle, device));
  ODYSSEY_ASSIGN_OR_RETURN(std::vector<HostTensor> outputs,
                           executor->run(options.function, inputs));

  OutputFiles files;
  for (size_t i = 0; i < kept.size(); ++i)
    ODYSSEY_RETURN_IF_ERROR(
        files.write(options.outputs[i].path, formatNpy(outputs[kept[i]])));
  ODYSSEY_RETURN_IF_ERROR(files.commit());
  if (!options.quiet)
    for (size_t i = 0; i < outputs.size(); ++i)
      printf("%s: %s\n", function.outputs[i].name.c_str(),
             describe(outputs[i].type, outputs[i].shape).c_str());
  return Status::success();
}

} // namespace odyssey::run

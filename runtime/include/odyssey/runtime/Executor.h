//===- Executor.h - Runs the functions of a bundle --------------*- C++ -*-===//
//
// Binds a bundle to a device: its code and weights are loaded, its states and
// its workspace allocated. A call then picks the bucket for its number of
// tokens and launches that bucket's steps, nothing else.
//
// An Executor is used by one thread at a time. Calls only enqueue work; the
// results are there after the next copy to the host or `synchronize`.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_EXECUTOR_H
#define ODYSSEY_RUNTIME_EXECUTOR_H

#include "odyssey/runtime/Bundle.h"
#include "odyssey/runtime/Device.h"
#include "odyssey/runtime/Status.h"
#include "odyssey/runtime/Tensor.h"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace odyssey::runtime {

/// Time spent in kernels of one kind.
struct KernelTime {
  uint64_t launches = 0;
  double seconds = 0;
};
/// By KernelPlan::kind.
using KernelTimes = std::map<std::string, KernelTime>;

/// Where the weights of an Executor come from.
enum class WeightSource {
  /// The bundle; one without weights cannot run.
  Bundle,
  /// Made up on the device, for measurements: any bundle runs, and what it
  /// computes has no meaning.
  Synthetic,
};

class Executor {
public:
  /// How long the parts of `create` took, in seconds.
  struct LoadTimes {
    double modules = 0;
    double weights = 0;
  };

  /// One call of a function with buffers in device memory, in the order in
  /// which the plan lists them. `tokens` is ignored by a function without
  /// dynamic size.
  struct Call {
    uint32_t function = 0;
    std::span<const DeviceAddress> inputs, outputs;
    int64_t tokens = 0;
  };

  /// FailedPrecondition when the bundle is for another target than the device
  /// or has no weights; otherwise what the device reports.
  static Result<std::unique_ptr<Executor>>
  create(std::shared_ptr<const Bundle> bundle, std::shared_ptr<Device> device,
         WeightSource weights = WeightSource::Bundle);
  ~Executor();

  const Bundle &bundle() const;
  Device &device() const;
  const LoadTimes &loadTimes() const;

  /// Launches the steps of a call. InvalidArgument when the number of tokens or
  /// of buffers does not fit the function.
  Status run(const Call &call);

  /// Like `run` for each of `calls` in turn, but records them as one graph the
  /// first time and replays that whenever the same calls come again (same
  /// functions, tokens and addresses). Graphs are kept, so this is for the few
  /// calls that come again and again. On a device that cannot record, it is
  /// `run`.
  Status runRecorded(std::span<const Call> calls);

  /// How many graphs `runRecorded` has recorded.
  size_t recordedGraphs() const;

  /// Like `run`, but waits after each kernel and adds its time to `times`.
  Status runTimed(const Call &call, KernelTimes &times);

  /// Runs a function on tensors in host memory and returns its outputs. The
  /// number of tokens is the leading size of the inputs with dynamic size.
  /// InvalidArgument when inputs are not of the function's types and shapes.
  Result<std::vector<HostTensor>> run(std::string_view function,
                                      std::span<const HostTensor> inputs);

  /// The buffer of Plan::states[index].
  DeviceAddress state(uint32_t index) const;
  /// Sets all states to zeros, as they were in the beginning.
  Status clearStates();

private:
  struct Content;
  explicit Executor(std::unique_ptr<Content> content);

  std::unique_ptr<Content> content;
};

/// The number of tokens that `inputs` give to a call of `function`, 0 without
/// dynamic size. InvalidArgument, naming the input, when one does not fit the
/// function or another one.
Result<int64_t> checkInputs(const FunctionPlan &function,
                            std::span<const HostTensor> inputs);

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_EXECUTOR_H

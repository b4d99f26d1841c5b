//===- PackRunner.h - Measures candidate kernels ----------------*- C++ -*-===//
//
// Runs the candidates of a pack on a device: first sampled outputs are compared
// with a reference on the host, bit for bit, then the launches are timed, with
// weights that rotate through more memory than the L2 cache holds.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_RUNTIME_PACKRUNNER_H
#define ODYSSEY_RUNTIME_PACKRUNNER_H

#include "odyssey/runtime/Device.h"
#include "odyssey/runtime/Pack.h"

#include <memory>

namespace odyssey::runtime {

struct MeasureOptions {
  /// Time to spend on one candidate once it runs, in seconds.
  double seconds = 0.05;
  /// Memory that the weights of successive launches rotate through.
  uint64_t rotateBytes = uint64_t(256) << 20;
};

/// Times of one launch, in seconds.
struct Measurement {
  double median = 0, fastest = 0;
  /// Between the first and the third quartile.
  double spread = 0;
  /// Launches that were timed.
  uint64_t launches = 0;
};

class PackRunner {
public:
  /// FailedPrecondition when the pack is for another target than the device.
  static Result<std::unique_ptr<PackRunner>>
  create(std::shared_ptr<const Pack> pack, std::shared_ptr<Device> device,
         const MeasureOptions &options = {});
  ~PackRunner();

  /// Measures Pack::candidates[index]. Buffers are kept for the next candidate
  /// of the same product. DataLoss when an output is wrong (the message says
  /// which); what the device reports otherwise: after a DeviceFault nothing can
  /// be measured any more, after ResourceExhausted other products may fit.
  Result<Measurement> measure(size_t index);

private:
  struct Content;
  explicit PackRunner(std::unique_ptr<Content> content);

  std::unique_ptr<Content> content;
};

} // namespace odyssey::runtime

#endif // ODYSSEY_RUNTIME_PACKRUNNER_H

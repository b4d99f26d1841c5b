//===- BenchDevice.cpp - The facts of a device ----------------------------===//

#include "Bench.h"
#include "GemmReport.h"
#include "Output.h"

#include "odyssey/runtime/DeviceRegistry.h"

#include <nlohmann/json.hpp>

using namespace odyssey;
using namespace odyssey::runtime;

Status bench::describeDevice(const std::string &name,
                             const std::string &output) {
  ODYSSEY_ASSIGN_OR_RETURN(auto device, openDevice(name));
  const DeviceProperties &facts = device->properties();
  return writeJson(toJson(facts, peaksOf(facts)), /*print=*/output.empty(),
                   output);
}

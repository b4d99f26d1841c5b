//===- ListDevices.cpp - odyssey-run --list-devices -----------------------===//

#include "Commands.h"

#include <cstdio>

namespace odyssey::run {

void listDevices(const Options &options) {
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  for (const runtime::DeviceListing &device :
       runtime::listDevices(options.deviceOptions)) {
    if (!device.status.ok()) {
      printf("%-9s (%s)\n", device.name.c_str(),
             device.status.message().c_str());
      continue;
    }
    const runtime::DeviceProperties &facts = device.properties;
    printf("%-9s %s, ", device.name.c_str(), facts.name.c_str());
    if (facts.computeCapability == 0)
      printf("any target");
    else
      printf("sm_%d, %d SMs", facts.computeCapability, facts.multiprocessors);
    printf(", %.0f GiB\n", static_cast<double>(facts.totalMemoryBytes) / kGiB);
  }
}

} // namespace odyssey::run

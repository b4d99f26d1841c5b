//===- FakeCuda.h - A CUDA driver that only takes notes ---------*- C++ -*-===//
//
// A shared library with the functions of libcuda.so.1 that the runtime uses.
// Memory is host memory; kernels do nothing. A test opens the library under its
// file name, asks for `odysseyFakeCuda` and finds the notes there.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_DEVICE_FAKECUDA_H
#define ODYSSEY_TEST_UNIT_DEVICE_FAKECUDA_H

#include <map>
#include <string>
#include <vector>

struct FakeCuda {
  /// One line for each call that changes something, for example
  /// "cuMemFree_v2" or "launch add grid 1,2,3 block 4,1,1 shared 0".
  std::vector<std::string> calls;
  /// The CUresult that a function returns instead of doing anything.
  std::map<std::string, int> failures;

  int deviceCount = 1;
  int major = 9, minor = 0;
  /// Sizes of the parameters of every kernel.
  std::vector<size_t> parameterBytes = {8, 8, 4};
  /// What the compiler of PTX says when cuModuleLoadDataEx fails.
  std::string compilerLog;
  /// The last image, up to its first zero byte.
  std::string lastImage;
  /// The bits of the arguments of the last launch, as the driver reads them.
  std::vector<unsigned long long> lastArguments;
  /// Buffers, modules, streams, events, graphs and contexts that are alive.
  int liveObjects = 0;
};

#endif // ODYSSEY_TEST_UNIT_DEVICE_FAKECUDA_H

//===- FakeCublasLt.h - A cuBLASLt that computes on the host ----*- C++ -*-===//
//
// A shared library with the functions of libcublasLt that odyssey-bench uses.
// It computes column-major products as the real one defines them, on host
// memory, which is what the fake driver calls device memory. A test opens the
// library under its file name, asks for `odysseyFakeCublasLt` and finds the
// notes there.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TEST_UNIT_BENCH_FAKECUBLASLT_H
#define ODYSSEY_TEST_UNIT_BENCH_FAKECUBLASLT_H

#include <cstdint>
#include <string>
#include <vector>

struct FakeCublasLt {
  /// Products are refused unless the number of tokens divides by this.
  uint64_t tokenMultiple = 1;
  /// What cublasLtMatmul returns.
  int matmulStatus = 0;
  /// One line for each product, for example "f16 m 8 n 16 k 32 algorithm 1".
  std::vector<std::string> products;
  /// The stream and the workspace of the last product.
  void *stream = nullptr, *workspace = nullptr;
  /// Handles, descriptions, layouts and preferences that are alive.
  int liveObjects = 0;
};

#endif // ODYSSEY_TEST_UNIT_BENCH_FAKECUBLASLT_H

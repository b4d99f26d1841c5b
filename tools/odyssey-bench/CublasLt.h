//===- CublasLt.h - The vendor's products as baselines ----------*- C++ -*-===//
//
// cuBLASLt, loaded at run time, so that odyssey-bench needs no CUDA toolkit and
// runs without the library. Its functions, types and constants are written
// down from its documentation (https://docs.nvidia.com/cuda/cublas);
// test/unit/Bench/CublasLtAbiTest.cpp compares them with cublasLt.h where that
// exists.
//
//===----------------------------------------------------------------------===//

#ifndef ODYSSEY_TOOLS_ODYSSEYBENCH_CUBLASLT_H
#define ODYSSEY_TOOLS_ODYSSEYBENCH_CUBLASLT_H

#include "odyssey/runtime/Device.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace odyssey::bench {

namespace cublaslt {

using Handle = struct HandleTag *;
using MatmulDesc = struct MatmulDescTag *;
using MatrixLayout = struct MatrixLayoutTag *;
using Preference = struct PreferenceTag *;
using Stream = struct CudaStreamTag *;

/// cublasStatus_t.
inline constexpr int kSuccess = 0;
/// cudaDataType_t.
inline constexpr int kFloat32 = 0, kFloat16 = 2, kInt8 = 3, kInt32 = 10;
/// cublasComputeType_t.
inline constexpr int kCompute32F = 68, kCompute32I = 72;
/// cublasLtMatmulDescAttributes_t and cublasOperation_t.
inline constexpr int kDescTransA = 3, kTranspose = 1;
/// cublasLtMatmulPreferenceAttributes_t.
inline constexpr int kPreferenceMaxWorkspaceBytes = 1;

/// cublasLtMatmulAlgo_t and cublasLtMatmulHeuristicResult_t.
struct Algorithm {
  uint64_t data[8];
};
struct Heuristic {
  Algorithm algorithm;
  size_t workspaceBytes;
  int state;
  float waves;
  int reserved[4];
};

// X(member, exported symbol, result, parameters)
#define ODYSSEY_CUBLASLT_SYMBOLS(X)                                            \
  X(getVersion, "cublasLtGetVersion", size_t, ())                              \
  X(create, "cublasLtCreate", int, (Handle *))                                 \
  X(destroy, "cublasLtDestroy", int, (Handle))                                 \
  X(descCreate, "cublasLtMatmulDescCreate", int,                               \
    (MatmulDesc *, int computeType, int scaleType))                            \
  X(descDestroy, "cublasLtMatmulDescDestroy", int, (MatmulDesc))               \
  X(descSetAttribute, "cublasLtMatmulDescSetAttribute", int,                   \
    (MatmulDesc, int attribute, const void *, size_t bytes))                   \
  X(layoutCreate, "cublasLtMatrixLayoutCreate", int,                           \
    (MatrixLayout *, int type, uint64_t rows, uint64_t columns,                \
     int64_t leadingDimension))                                                \
  X(layoutDestroy, "cublasLtMatrixLayoutDestroy", int, (MatrixLayout))         \
  X(preferenceCreate, "cublasLtMatmulPreferenceCreate", int, (Preference *))   \
  X(preferenceDestroy, "cublasLtMatmulPreferenceDestroy", int, (Preference))   \
  X(preferenceSetAttribute, "cublasLtMatmulPreferenceSetAttribute", int,       \
    (Preference, int attribute, const void *, size_t bytes))                   \
  X(getHeuristic, "cublasLtMatmulAlgoGetHeuristic", int,                       \
    (Handle, MatmulDesc, MatrixLayout a, MatrixLayout b, MatrixLayout c,       \
     MatrixLayout d, Preference, int requested, Heuristic *, int *returned))   \
  X(matmul, "cublasLtMatmul", int,                                             \
    (Handle, MatmulDesc, const void *alpha, const void *a, MatrixLayout,       \
     const void *b, MatrixLayout, const void *beta, const void *c,             \
     MatrixLayout, void *d, MatrixLayout, const Algorithm *, void *workspace,  \
     size_t workspaceBytes, Stream))

struct Functions {
#define ODYSSEY_CUBLASLT_MEMBER(member, symbol, result, parameters)            \
  result(*member) parameters = nullptr;
  ODYSSEY_CUBLASLT_SYMBOLS(ODYSSEY_CUBLASLT_MEMBER)
#undef ODYSSEY_CUBLASLT_MEMBER
};

} // namespace cublaslt

/// What the products are computed in.
enum class BaselineKind {
  /// fp16 x fp16, sums in fp32, result fp16.
  Half,
  /// int8 x int8, sums and result int32.
  Int8,
};

/// One product y[m, n] = sum_k x[m, k] w[n, k], all row-major and dense, and
/// the algorithms that the library proposes for it, the best guess first.
class CublasLtProduct {
public:
  ~CublasLtProduct();

  int64_t m() const { return tokens; }
  size_t algorithms() const { return heuristics.size(); }

  /// Enqueues the product with one of the algorithms.
  runtime::Status launch(size_t algorithm, runtime::DeviceAddress x,
                         runtime::DeviceAddress weights,
                         runtime::DeviceAddress y) const;

private:
  friend class CublasLt;
  CublasLtProduct() = default;

  const class CublasLt *library = nullptr;
  BaselineKind kind = BaselineKind::Half;
  int64_t tokens = 0;
  cublaslt::MatmulDesc description = nullptr;
  cublaslt::MatrixLayout weightsLayout = nullptr, xLayout = nullptr,
                         yLayout = nullptr;
  std::vector<cublaslt::Heuristic> heuristics;
};

class CublasLt {
public:
  /// Opens `path` (a library or a folder with one), or, where it is empty, the
  /// first that is found: by the loader (LD_LIBRARY_PATH), in /usr/local/cuda,
  /// and in the Python packages of NVIDIA. NotFound without one,
  /// FailedPrecondition for one that lacks a function, or when `device` is no
  /// GPU. Uses the device's stream, and must not outlive the device.
  static runtime::Result<std::unique_ptr<CublasLt>>
  load(const std::string &path, runtime::Device &device);
  ~CublasLt();

  /// For people, for example "cuBLASLt 13.0.2 (libcublasLt.so.13)".
  std::string name() const;

  /// Unsupported when the library has no algorithm for the product.
  runtime::Result<std::unique_ptr<CublasLtProduct>>
  prepare(BaselineKind kind, int64_t m, int64_t n, int64_t k) const;

private:
  friend class CublasLtProduct;
  explicit CublasLt(runtime::Device &device) : device(device) {}

  runtime::Device &device;
  std::string file;
  cublaslt::Functions functions;
  cublaslt::Handle handle = nullptr;
  runtime::DeviceAddress workspace = 0;
};

} // namespace odyssey::bench

#endif // ODYSSEY_TOOLS_ODYSSEYBENCH_CUBLASLT_H

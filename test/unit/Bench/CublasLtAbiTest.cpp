//===- CublasLtAbiTest.cpp - CublasLt.h against cublasLt.h ----------------===//
//
// Built where a CUDA toolkit with cuBLAS is installed.
//
//===----------------------------------------------------------------------===//

#include "CublasLt.h"

#include <cublasLt.h>

#include <gtest/gtest.h>

#include <cstddef>
#include <type_traits>

using namespace odyssey::bench::cublaslt;

namespace {

static_assert(kSuccess == CUBLAS_STATUS_SUCCESS);
static_assert(kFloat32 == CUDA_R_32F && kFloat16 == CUDA_R_16F &&
              kInt8 == CUDA_R_8I && kInt32 == CUDA_R_32I);
static_assert(kCompute32F == CUBLAS_COMPUTE_32F &&
              kCompute32I == CUBLAS_COMPUTE_32I);
static_assert(kDescTransA == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(kTranspose == CUBLAS_OP_T);
static_assert(kPreferenceMaxWorkspaceBytes ==
              CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);

static_assert(sizeof(Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(Heuristic, workspaceBytes) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(Heuristic, state) ==
              offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(offsetof(Heuristic, waves) ==
              offsetof(cublasLtMatmulHeuristicResult_t, wavesCount));

/// What matters of a parameter at the level of the ABI: its size, and whether
/// it is a pointer.
template <typename T>
constexpr int abiOf = static_cast<int>(sizeof(T)) * 2 + std::is_pointer_v<T>;

template <typename Ours, typename Theirs> struct SameAbi : std::false_type {};
template <typename R1, typename... A1, typename R2, typename... A2>
struct SameAbi<R1 (*)(A1...), R2 (*)(A2...)> {
  static constexpr bool value = [] {
    if constexpr (sizeof...(A1) != sizeof...(A2))
      return false;
    else
      return sizeof(R1) == sizeof(R2) && ((abiOf<A1> == abiOf<A2>) && ...);
  }();
};

#define EXPECT_SAME_FUNCTION(member, function)                                 \
  static_assert(                                                               \
      SameAbi<decltype(Functions::member), decltype(&function)>::value)

EXPECT_SAME_FUNCTION(getVersion, cublasLtGetVersion);
EXPECT_SAME_FUNCTION(create, cublasLtCreate);
EXPECT_SAME_FUNCTION(destroy, cublasLtDestroy);
EXPECT_SAME_FUNCTION(descCreate, cublasLtMatmulDescCreate);
EXPECT_SAME_FUNCTION(descDestroy, cublasLtMatmulDescDestroy);
EXPECT_SAME_FUNCTION(descSetAttribute, cublasLtMatmulDescSetAttribute);
EXPECT_SAME_FUNCTION(layoutCreate, cublasLtMatrixLayoutCreate);
EXPECT_SAME_FUNCTION(layoutDestroy, cublasLtMatrixLayoutDestroy);
EXPECT_SAME_FUNCTION(preferenceCreate, cublasLtMatmulPreferenceCreate);
EXPECT_SAME_FUNCTION(preferenceDestroy, cublasLtMatmulPreferenceDestroy);
EXPECT_SAME_FUNCTION(preferenceSetAttribute,
                     cublasLtMatmulPreferenceSetAttribute);
EXPECT_SAME_FUNCTION(getHeuristic, cublasLtMatmulAlgoGetHeuristic);
EXPECT_SAME_FUNCTION(matmul, cublasLtMatmul);

TEST(CublasLtAbiTest, AgreesWithTheToolkitsHeader) {
  // The order of the parameters of one type is left to the fake library's
  // computations; the rest was checked by the compiler.
  SUCCEED();
}

} // namespace

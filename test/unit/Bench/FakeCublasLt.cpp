//===- FakeCublasLt.cpp - A cuBLASLt that computes on the host ------------===//

#include "FakeCublasLt.h"

#include "odyssey/Frontend/Checkpoint/Half.h"

#include <cstddef>
#include <cstring>

// Declared here once more, on purpose: an error in the benchmark's own
// declarations must not be repeated by its test.
struct FakeDescription {
  int computeType, scaleType;
  int32_t transA = 0;
};
struct FakeLayout {
  int type;
  uint64_t rows, columns;
  int64_t leadingDimension;
};
struct FakePreference {
  size_t workspaceBytes = 0;
};
struct FakeHeuristic {
  uint64_t algorithm[8];
  size_t workspaceBytes;
  int state;
  float waves;
  int reserved[4];
};

namespace {

FakeCublasLt state;

constexpr int kInvalidValue = 7, kNotSupported = 15;
constexpr int kCompute32F = 68, kCompute32I = 72;
constexpr int kFloat32 = 0, kFloat16 = 2, kInt8 = 3, kInt32 = 10;

template <typename T> int create(T **out, T value) {
  *out = new T(value);
  ++state.liveObjects;
  return 0;
}
template <typename T> int destroy(T *object) {
  delete object;
  --state.liveObjects;
  return 0;
}

/// The column-major matrix element (row, column).
template <typename T>
T element(const void *matrix, const FakeLayout &layout, uint64_t row,
          uint64_t column) {
  T value;
  uint64_t index =
      column * static_cast<uint64_t>(layout.leadingDimension) + row;
  memcpy(&value, static_cast<const char *>(matrix) + index * sizeof(T),
         sizeof(T));
  return value;
}

bool typesAgree(const FakeDescription &description, const FakeLayout &a,
                const FakeLayout &b, const FakeLayout &d) {
  if (description.computeType == kCompute32F)
    return description.scaleType == kFloat32 && a.type == kFloat16 &&
           b.type == kFloat16 && d.type == kFloat16;
  return description.computeType == kCompute32I &&
         description.scaleType == kInt32 && a.type == kInt8 &&
         b.type == kInt8 && d.type == kInt32;
}

} // namespace

extern "C" {

FakeCublasLt *odysseyFakeCublasLt() { return &state; }

size_t cublasLtGetVersion() { return 130102; }
int cublasLtCreate(int **handle) { return create(handle, 0); }
int cublasLtDestroy(int *handle) { return destroy(handle); }
int cublasLtMatmulDescCreate(FakeDescription **description, int computeType,
                             int scaleType) {
  return create(description, FakeDescription{computeType, scaleType});
}
int cublasLtMatmulDescDestroy(FakeDescription *description) {
  return destroy(description);
}
int cublasLtMatmulDescSetAttribute(FakeDescription *description, int attribute,
                                   const void *value, size_t bytes) {
  // CUBLASLT_MATMUL_DESC_TRANSA.
  if (attribute != 3 || bytes != sizeof(int32_t))
    return kInvalidValue;
  memcpy(&description->transA, value, bytes);
  return 0;
}
int cublasLtMatrixLayoutCreate(FakeLayout **layout, int type, uint64_t rows,
                               uint64_t columns, int64_t leadingDimension) {
  return create(layout, FakeLayout{type, rows, columns, leadingDimension});
}
int cublasLtMatrixLayoutDestroy(FakeLayout *layout) { return destroy(layout); }
int cublasLtMatmulPreferenceCreate(FakePreference **preference) {
  return create(preference, FakePreference{});
}
int cublasLtMatmulPreferenceDestroy(FakePreference *preference) {
  return destroy(preference);
}
int cublasLtMatmulPreferenceSetAttribute(FakePreference *preference,
                                         int attribute, const void *value,
                                         size_t bytes) {
  // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES.
  if (attribute != 1 || bytes != sizeof(size_t))
    return kInvalidValue;
  memcpy(&preference->workspaceBytes, value, bytes);
  return 0;
}

/// Two algorithms that can be used, and between them two that cannot.
int cublasLtMatmulAlgoGetHeuristic(int *, FakeDescription *description,
                                   FakeLayout *a, FakeLayout *b, FakeLayout *,
                                   FakeLayout *d, FakePreference *preference,
                                   int requested, FakeHeuristic *results,
                                   int *returned) {
  *returned = 0;
  if (!typesAgree(*description, *a, *b, *d) ||
      b->columns % state.tokenMultiple != 0)
    return kNotSupported;
  auto add = [&](uint64_t id, size_t workspaceBytes, int status) {
    if (*returned == requested)
      return;
    FakeHeuristic &result = results[(*returned)++];
    result = {};
    result.algorithm[0] = id;
    result.workspaceBytes = workspaceBytes;
    result.state = status;
  };
  add(1, 0, 0);
  add(2, 0, kNotSupported);
  add(3, preference->workspaceBytes + 1, 0);
  add(4, preference->workspaceBytes, 0);
  return 0;
}

int cublasLtMatmul(int *, FakeDescription *description, const void *alpha,
                   const void *a, FakeLayout *aLayout, const void *b,
                   FakeLayout *bLayout, const void *beta, const void *,
                   FakeLayout *, void *d, FakeLayout *dLayout,
                   const uint64_t *algorithm, void *workspace, size_t,
                   void *stream) {
  bool half = description->computeType == kCompute32F;
  uint64_t n = dLayout->rows, m = dLayout->columns, k = aLayout->rows;
  if (description->transA != 1 || aLayout->columns != n || bLayout->rows != k ||
      bLayout->columns != m)
    return kInvalidValue;
  // alpha and beta are of the scale type: 1 and 0.
  float one = 1;
  int32_t integerOne = 1, zero = 0;
  if (memcmp(alpha, half ? static_cast<void *>(&one) : &integerOne, 4) != 0 ||
      memcmp(beta, &zero, 4) != 0)
    return kInvalidValue;
  state.stream = stream;
  state.workspace = workspace;
  state.products.push_back(std::string(half ? "f16" : "int8") + " m " +
                           std::to_string(m) + " n " + std::to_string(n) +
                           " k " + std::to_string(k) + " algorithm " +
                           std::to_string(algorithm[0]));
  for (uint64_t row = 0; row < n; ++row)
    for (uint64_t column = 0; column < m; ++column) {
      float sum = 0;
      int32_t integerSum = 0;
      for (uint64_t i = 0; i < k; ++i)
        if (half)
          sum +=
              odyssey::halfToFloat(element<uint16_t>(a, *aLayout, i, row)) *
              odyssey::halfToFloat(element<uint16_t>(b, *bLayout, i, column));
        else
          integerSum += element<int8_t>(a, *aLayout, i, row) *
                        element<int8_t>(b, *bLayout, i, column);
      uint64_t index =
          column * static_cast<uint64_t>(dLayout->leadingDimension) + row;
      if (half)
        static_cast<uint16_t *>(d)[index] = odyssey::floatToHalf(sum);
      else
        static_cast<int32_t *>(d)[index] = integerSum;
    }
  return state.matmulStatus;
}

} // extern "C"

//===- CublasLt.cpp - The vendor's products as baselines ------------------===//

#include "CublasLt.h"

#include "odyssey/runtime/Cuda.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::bench::cublaslt;
using namespace odyssey::runtime;
namespace fs = std::filesystem;

namespace {

/// What the documentation recommends for Hopper; less elsewhere.
constexpr size_t kWorkspaceBytes = size_t(32) << 20;
constexpr int kMaxAlgorithms = 16;

/// The names of the library, newest first.
constexpr const char *kNames[] = {"libcublasLt.so.13", "libcublasLt.so.12",
                                  "libcublasLt.so.11"};

} // namespace

//===----------------------------------------------------------------------===//
// Finding the library
//===----------------------------------------------------------------------===//

/// The entries of a folder, sorted; none where it cannot be read.
static std::vector<fs::path> entries(const fs::path &folder) {
  std::vector<fs::path> result;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end;
       at.increment(error))
    result.push_back(at->path());
  std::sort(result.begin(), result.end());
  return result;
}

/// Folders into which `pip install nvidia-cublas` or PyTorch put libraries.
static std::vector<fs::path> pythonFolders() {
  std::vector<fs::path> prefixes;
  for (const char *variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char *value = std::getenv(variable))
      prefixes.push_back(fs::path(value) / "lib");
  if (const char *home = std::getenv("HOME"))
    prefixes.push_back(fs::path(home) / ".local/lib");
  for (const char *prefix : {"/usr/local/lib", "/usr/lib", "/opt/conda/lib"})
    prefixes.push_back(prefix);
  std::vector<fs::path> result;
  for (const fs::path &prefix : prefixes)
    for (const fs::path &python : entries(prefix)) {
      if (python.filename().string().rfind("python3", 0) != 0)
        continue;
      for (const char *packages : {"site-packages", "dist-packages"})
        for (const fs::path &part : entries(python / packages / "nvidia"))
          result.push_back(part / "lib");
    }
  return result;
}

/// What dlopen shall try, in this order.
static std::vector<std::string> candidates(const std::string &path) {
  std::vector<std::string> result;
  auto addFolder = [&](const fs::path &folder) {
    for (const char *name : kNames)
      if (std::error_code error; fs::exists(folder / name, error))
        result.push_back((folder / name).string());
  };
  std::error_code error;
  if (!path.empty()) {
    if (fs::is_directory(path, error))
      addFolder(path);
    else
      result.push_back(path);
    return result;
  }
  for (const char *name : kNames)
    result.push_back(name);
  addFolder("/usr/local/cuda/lib64");
  for (const fs::path &folder : pythonFolders())
    addFolder(folder);
  return result;
}

Result<std::unique_ptr<CublasLt>> CublasLt::load(const std::string &path,
                                                 Device &device) {
  if (!cudaStream(device))
    return failedPrecondition("cuBLASLt needs a GPU, '" +
                              device.properties().kind + "' is none");
  void *library = nullptr;
  std::string file;
  for (const std::string &candidate : candidates(path)) {
    // Never closed: it registers handlers that run at exit.
    library = dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library) {
      file = candidate;
      break;
    }
  }
  if (!library)
    return notFound(
        "no cuBLASLt (" +
        (path.empty() ? std::string(kNames[0]) + " or older" : path) +
        ") on this machine");

  std::unique_ptr<CublasLt> result(new CublasLt(device));
  result->file = file;
  Functions &functions = result->functions;
#define ODYSSEY_CUBLASLT_LOAD(member, symbol, type, parameters)                \
  functions.member =                                                           \
      reinterpret_cast<decltype(functions.member)>(dlsym(library, symbol));    \
  if (!functions.member)                                                       \
    return failedPrecondition("'" + file +                                     \
                              "' has no function " symbol                      \
                              "; cuBLASLt 11 or later is needed");
  ODYSSEY_CUBLASLT_SYMBOLS(ODYSSEY_CUBLASLT_LOAD)
#undef ODYSSEY_CUBLASLT_LOAD

  ODYSSEY_ASSIGN_OR_RETURN(
      result->workspace,
      device.allocate(kWorkspaceBytes, "workspace of cuBLASLt"));
  if (int status = functions.create(&result->handle); status != kSuccess)
    return failedPrecondition("'" + file + "' cannot be used: status " +
                              std::to_string(status));
  return result;
}

CublasLt::~CublasLt() {
  if (handle)
    functions.destroy(handle);
  if (workspace)
    (void)device.free(workspace);
}

std::string CublasLt::name() const {
  size_t version = functions.getVersion();
  // 10000 * major since version 12, 1000 * major before that (cublas_api.h).
  size_t unit = version >= 100000 ? 10000 : 1000;
  return "cuBLASLt " + std::to_string(version / unit) + "." +
         std::to_string(version % unit / 100) + "." +
         std::to_string(version % 100) + " (" +
         fs::path(file).filename().string() + ")";
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

Result<std::unique_ptr<CublasLtProduct>>
CublasLt::prepare(BaselineKind kind, int64_t m, int64_t n, int64_t k) const {
  bool half = kind == BaselineKind::Half;
  const std::string what = std::string("cuBLASLt ") + (half ? "fp16" : "int8") +
                           " product of " + std::to_string(m) + " x " +
                           std::to_string(n) + " x " + std::to_string(k);
  auto check = [&](int status, const char *function) {
    return status == kSuccess
               ? Status::success()
               : internalError(what + ": " + function + " returns status " +
                               std::to_string(status));
  };
  std::unique_ptr<CublasLtProduct> product(new CublasLtProduct);
  product->library = this;
  product->kind = kind;
  product->tokens = m;
  ODYSSEY_RETURN_IF_ERROR(
      check(functions.descCreate(&product->description,
                                 half ? kCompute32F : kCompute32I,
                                 half ? kFloat32 : kInt32),
            "cublasLtMatmulDescCreate"));
  // The library's matrices are column-major: y^T [n x m] = w [n x k] x^T, where
  // the rows of w, which lie together, are the columns of A.
  int32_t transpose = kTranspose;
  ODYSSEY_RETURN_IF_ERROR(
      check(functions.descSetAttribute(product->description, kDescTransA,
                                       &transpose, sizeof(transpose)),
            "cublasLtMatmulDescSetAttribute"));
  int type = half ? kFloat16 : kInt8;
  auto layout = [&](MatrixLayout &result, int elementType, int64_t rows,
                    int64_t columns) {
    return check(functions.layoutCreate(&result, elementType,
                                        static_cast<uint64_t>(rows),
                                        static_cast<uint64_t>(columns), rows),
                 "cublasLtMatrixLayoutCreate");
  };
  ODYSSEY_RETURN_IF_ERROR(layout(product->weightsLayout, type, k, n));
  ODYSSEY_RETURN_IF_ERROR(layout(product->xLayout, type, k, m));
  ODYSSEY_RETURN_IF_ERROR(
      layout(product->yLayout, half ? kFloat16 : kInt32, n, m));

  Preference preference = nullptr;
  ODYSSEY_RETURN_IF_ERROR(check(functions.preferenceCreate(&preference),
                                "cublasLtMatmulPreferenceCreate"));
  size_t workspaceBytes = kWorkspaceBytes;
  Status limited = check(
      functions.preferenceSetAttribute(preference, kPreferenceMaxWorkspaceBytes,
                                       &workspaceBytes, sizeof(workspaceBytes)),
      "cublasLtMatmulPreferenceSetAttribute");
  product->heuristics.resize(kMaxAlgorithms);
  int found = 0;
  // An error here means that there is no algorithm.
  if (functions.getHeuristic(
          handle, product->description, product->weightsLayout,
          product->xLayout, product->yLayout, product->yLayout, preference,
          kMaxAlgorithms, product->heuristics.data(), &found) != kSuccess)
    found = 0;
  functions.preferenceDestroy(preference);
  ODYSSEY_RETURN_IF_ERROR(limited);
  product->heuristics.resize(static_cast<size_t>(std::max(found, 0)));
  std::erase_if(product->heuristics, [](const Heuristic &heuristic) {
    return heuristic.state != kSuccess ||
           heuristic.workspaceBytes > kWorkspaceBytes;
  });
  if (product->heuristics.empty())
    return unsupported(what + ": the library has no algorithm for it");
  return product;
}

CublasLtProduct::~CublasLtProduct() {
  const Functions &functions = library->functions;
  for (MatrixLayout layout : {weightsLayout, xLayout, yLayout})
    if (layout)
      functions.layoutDestroy(layout);
  if (description)
    functions.descDestroy(description);
}

Status CublasLtProduct::launch(size_t algorithm, DeviceAddress x,
                               DeviceAddress weights, DeviceAddress y) const {
  // Numbers of the scale type, in host memory, read during the call.
  static const float oneHalf = 1, zeroHalf = 0;
  static const int32_t oneInt = 1, zeroInt = 0;
  bool half = kind == BaselineKind::Half;
  const void *alpha = half ? static_cast<const void *>(&oneHalf) : &oneInt;
  const void *beta = half ? static_cast<const void *>(&zeroHalf) : &zeroInt;
  auto pointer = [](DeviceAddress address) {
    return reinterpret_cast<void *>(address);
  };
  const Heuristic &heuristic = heuristics[algorithm];
  int status = library->functions.matmul(
      library->handle, description, alpha, pointer(weights), weightsLayout,
      pointer(x), xLayout, beta, pointer(y), yLayout, pointer(y), yLayout,
      &heuristic.algorithm, pointer(library->workspace), kWorkspaceBytes,
      static_cast<Stream>(cudaStream(library->device)));
  if (status != kSuccess)
    return internalError("cublasLtMatmul returns status " +
                         std::to_string(status));
  return Status::success();
}

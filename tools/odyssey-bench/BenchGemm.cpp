//===- BenchGemm.cpp - Products of bundles, beside the vendor's -----------===//

#include "Bench.h"
#include "CublasLt.h"
#include "GemmReport.h"
#include "Output.h"
#include "Plots.h"
#include "Products.h"
#include "SampleCheck.h"
#include "TokenQuantization.h"

#include "odyssey/Layout/SwizzledActivations.h"
#include "odyssey/runtime/DeviceRegistry.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <tuple>
#include <unistd.h>

using namespace odyssey;
using namespace odyssey::bench;
using namespace odyssey::runtime;

namespace {

/// Length of the random block that fills an arena; with the 4098 no multiple of
/// 256, so that the copies of a matrix differ.
constexpr size_t kPatternBytes = (size_t(16) << 20) + 4098;
/// What a token count is rounded up to where the library wants it.
constexpr int64_t kPaddings[] = {1, 4, 8, 16, 32};
constexpr int64_t kMaxPadding = 32;
/// The choice among a library's algorithms takes this share of a measurement.
constexpr double kTuningShare = 0.1;

/// Operands for products of one N and K, and up to a number of tokens.
class ProductOperands {
public:
  explicit ProductOperands(Device &device)
      : x(device), xPadded(device), xHalf(device), xScales(device),
        weightScales(device), bias(device), residual(device),
        multipliers(device), norm(device), result(device), maxima(device),
        xNorm(device), xStatistics(device) {}

  Status prepare(const ProductPlan &product, int64_t maxTokens);

  /// Those of a kernel that reads its activations as `swizzledTokens` says.
  OperandAddresses addresses(int64_t swizzledTokens,
                             DeviceAddress weights) const {
    DeviceAddress rows = xPadded.address() ? xPadded.address() : x.address();
    return {swizzledTokens ? xSwizzled.at(swizzledTokens).address() : rows,
            xScales.address(),
            weights,
            weightScales.address(),
            bias.address(),
            residual.address(),
            multipliers.address(),
            norm.address(),
            result.address(),
            maxima.address(),
            xHalf.address(),
            xNorm.address(),
            xStatistics.address()};
  }
  HostOperands host(int64_t m, const PatternBuffer &weights, size_t offset,
                    bool withExtras) const {
    return {m,
            product.n,
            product.k,
            withExtras && product.prologue ? &token.values : &xBytes,
            &halfBytes,
            withExtras && product.prologue ? &tokenScale : &xScaleValues,
            &weightScaleValues,
            withExtras && has("bias") ? &biasBytes : nullptr,
            withExtras && has("residual") ? &residualBytes : nullptr,
            withExtras && has("multipliers") ? &multiplierBytes : nullptr,
            &weights,
            offset};
  }
  /// Makes the activations in tiles of `tokens` tokens, if `tokens` is not 0.
  Status swizzle(int64_t tokens);
  DeviceAddress denseX() const { return x.address(); }
  DeviceAddress halfX() const { return xHalf.address(); }
  DeviceAddress output() const { return result.address(); }

private:
  bool has(const char *operand) const {
    return std::find(product.operands.begin(), product.operands.end(),
                     operand) != product.operands.end();
  }

  ProductPlan product;
  std::vector<uint8_t> xBytes, halfBytes, biasBytes, residualBytes,
      multiplierBytes;
  std::vector<float> xScaleValues, weightScaleValues;
  PatternBuffer x, xPadded, xHalf, xScales, weightScales, bias, residual,
      multipliers, norm, result, maxima, xNorm, xStatistics;
  /// What a product that quantizes its token must make of it.
  QuantizedToken token;
  std::vector<float> tokenScale;
  /// By the tokens of a tile.
  std::map<int64_t, PatternBuffer> xSwizzled;
};

std::vector<uint8_t> bytesOf(const std::vector<float> &values) {
  const auto *data = reinterpret_cast<const uint8_t *>(values.data());
  return {data, data + values.size() * sizeof(float)};
}

Status ProductOperands::prepare(const ProductPlan &plan, int64_t maxTokens) {
  product = plan;
  // Baselines may compute some tokens more.
  size_t rows = static_cast<size_t>(maxTokens + kMaxPadding);
  size_t n = static_cast<size_t>(plan.n), k = static_cast<size_t>(plan.k),
         stride = static_cast<size_t>(plan.rowBytes);
  xBytes = randomBytes(rows * k, /*seed=*/1);
  halfBytes = randomHalves(rows * k, /*seed=*/2);
  xScaleValues = randomFloats(rows, 0.001f, 0.01f, /*seed=*/3);
  weightScaleValues = randomFloats(n, 0.001f, 0.01f, /*seed=*/4);
  biasBytes = randomHalves(n, /*seed=*/5);
  ODYSSEY_RETURN_IF_ERROR(x.reserve(xBytes.size(), xBytes, "activations"));
  if (stride != k) {
    std::vector<uint8_t> padded(rows * stride, 0);
    for (size_t row = 0; row < rows; ++row)
      std::copy_n(xBytes.begin() + static_cast<ptrdiff_t>(row * k), k,
                  padded.begin() + static_cast<ptrdiff_t>(row * stride));
    ODYSSEY_RETURN_IF_ERROR(
        xPadded.reserve(padded.size(), padded, "padded activations"));
  }
  ODYSSEY_RETURN_IF_ERROR(
      xHalf.reserve(halfBytes.size(), halfBytes, "fp16 activations"));
  ODYSSEY_RETURN_IF_ERROR(xScales.reserve(
      rows * sizeof(float), bytesOf(xScaleValues), "scales of activations"));
  ODYSSEY_RETURN_IF_ERROR(weightScales.reserve(
      n * sizeof(float), bytesOf(weightScaleValues), "scales of weights"));
  ODYSSEY_RETURN_IF_ERROR(bias.reserve(biasBytes.size(), biasBytes, "bias"));
  if (has("residual")) {
    residualBytes = randomHalves(rows * n, /*seed=*/8);
    ODYSSEY_RETURN_IF_ERROR(
        residual.reserve(residualBytes.size(), residualBytes, "residual"));
  }
  if (has("multipliers")) {
    multiplierBytes = randomBytes(
        static_cast<size_t>(packedMultipliers(plan).bytes()), /*seed=*/9);
    ODYSSEY_RETURN_IF_ERROR(multipliers.reserve(
        multiplierBytes.size(), multiplierBytes, "group multipliers"));
  }
  if (has("norm"))
    ODYSSEY_RETURN_IF_ERROR(
        norm.reserve(2 * n, randomHalves(n, /*seed=*/10), "weights of a norm"));
  if (has("maxima"))
    ODYSSEY_RETURN_IF_ERROR(
        maxima.reserve(rows * static_cast<size_t>(plan.maxima) * sizeof(float),
                       std::vector<uint8_t>(size_t(1) << 10), "maxima"));
  if (plan.prologue) {
    std::vector<uint8_t> weights = randomHalves(k, /*seed=*/11);
    token = quantizeToken(halfBytes, weights, plan.k, *plan.prologue);
    tokenScale = {token.scale};
    ODYSSEY_RETURN_IF_ERROR(
        xNorm.reserve(weights.size(), weights, "weights of the norm in front"));
    std::vector<uint8_t> statistics = bytesOf(token.statistics);
    if (!statistics.empty())
      ODYSSEY_RETURN_IF_ERROR(xStatistics.reserve(statistics.size(), statistics,
                                                  "statistics of the token"));
  }
  // int32 for the int8 baseline.
  return result.reserve(rows * n * sizeof(int32_t),
                        std::vector<uint8_t>(size_t(1) << 20, 0xff), "result");
}

Status ProductOperands::swizzle(int64_t tokens) {
  if (tokens == 0 || xSwizzled.contains(tokens))
    return Status::success();
  layout::SwizzledActivations layout{product.k, tokens};
  int64_t rows = static_cast<int64_t>(xBytes.size()) / product.k;
  std::vector<uint8_t> tiles(static_cast<size_t>(layout.bytes(rows)), 0);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t k = 0; k < product.k; ++k)
      tiles[static_cast<size_t>(layout.position(row, k))] =
          xBytes[static_cast<size_t>(row * product.k + k)];
  return xSwizzled.try_emplace(tokens, x.owner())
      .first->second.reserve(tiles.size(), tiles, "swizzled activations");
}

class GemmBenchmark {
public:
  GemmBenchmark(const GemmOptions &options, Device &device)
      : options(options), device(device), bytes(device), halves(device) {
    report.device = device.properties();
    report.peaks = peaksOf(report.device);
  }

  /// Fills `report`; an error also stands there.
  Status run();
  GemmReport report;

private:
  using ShapeKey = std::tuple<int64_t, int64_t, int64_t>;

  void loadBaselines();
  std::vector<int64_t> tokensOf(const LoadedBundle &bundle,
                                const ProductSite &site) const;
  Status runSite(LoadedBundle &bundle, const ProductSite &site);
  Status runProduct(LoadedBundle &bundle, const ProductSite &site,
                    ProductOperands &operands, int64_t tokens);
  Status measureKernel(LoadedBundle &bundle, const ProductSite &site,
                       const ProductLaunch &launch, ProductOperands &operands,
                       GemmResult &result);
  Result<const std::vector<BaselineResult> *>
  baselines(const ProductOperands &operands, int64_t m, int64_t n, int64_t k);
  Result<BaselineResult> measureBaseline(BaselineKind kind,
                                         const ProductOperands &operands,
                                         int64_t m, int64_t n, int64_t k);
  Status measureAlgorithms(const CublasLtProduct &product, BaselineKind kind,
                           const ProductOperands &operands, int64_t m,
                           int64_t n, int64_t k, BaselineResult &result);
  MeasureOptions measureOptions(int rotation, double share) const;

  const GemmOptions &options;
  Device &device;
  std::unique_ptr<CublasLt> cublas;
  /// The arenas of weights.
  PatternBuffer bytes, halves;
  std::map<ShapeKey, std::vector<BaselineResult>> baselineResults;
};

void GemmBenchmark::loadBaselines() {
  if (!options.baselines || options.checkOnly) {
    report.baselineLibrary = "none (not asked for)";
    return;
  }
  auto loaded = CublasLt::load(options.cublas, device);
  if (loaded.ok())
    cublas = std::move(loaded).value();
  report.baselineLibrary =
      cublas ? cublas->name() : "none: " + loaded.status().message();
}

MeasureOptions GemmBenchmark::measureOptions(int rotation, double share) const {
  MeasureOptions result;
  result.rotation = rotation;
  result.seconds = options.seconds * share;
  // A rough choice needs fewer samples than a result.
  result.minReplays = share < 1 ? 2 : options.minReplays;
  return result;
}

/// Bytes from one copy of a matrix of `matrixBytes` to the next.
size_t copyStride(size_t matrixBytes) {
  return (matrixBytes + kBufferAlignment - 1) / kBufferAlignment *
         kBufferAlignment;
}

Status GemmBenchmark::measureKernel(LoadedBundle &bundle,
                                    const ProductSite &site,
                                    const ProductLaunch &launch,
                                    ProductOperands &operands,
                                    GemmResult &result) {
  const ProductPlan &product = site.product;
  size_t stride = copyStride(packedBytes(product));
  int copies = options.checkOnly
                   ? 2
                   : rotatingCopies(stride, device.properties().cacheBytes);
  ODYSSEY_RETURN_IF_ERROR(bytes.reserve(static_cast<size_t>(copies) * stride,
                                        randomBytes(kPatternBytes, /*seed=*/6),
                                        "weights"));
  int64_t swizzled =
      bundle.plan().kernels[launch.step->kernel].product->swizzledTokens;
  if (!product.prologue)
    ODYSSEY_RETURN_IF_ERROR(operands.swizzle(swizzled));
  auto enqueue = [&](int i) {
    size_t offset = static_cast<size_t>(i % copies) * stride;
    return bundle.launch(launch, result.m,
                         operands.addresses(product.prologue ? 0 : swizzled,
                                            bytes.address() + offset));
  };
  // Runs the product of one copy, or takes what is there, and compares.
  auto check = [&](int copy, bool run) -> Status {
    if (run) {
      size_t resultBytes = static_cast<size_t>(result.m * result.n) * 2;
      // NaN, which no right result is.
      ODYSSEY_RETURN_IF_ERROR(
          device.fill(operands.output(), 0xff, resultBytes));
      ODYSSEY_RETURN_IF_ERROR(enqueue(copy));
    }
    HostOperands host =
        operands.host(result.m, bytes, static_cast<size_t>(copy) * stride,
                      /*withExtras=*/true);
    ODYSSEY_ASSIGN_OR_RETURN(
        int64_t compared,
        checkProduct(device, host, product, operands.output()));
    result.samples += compared;
    return Status::success();
  };
  ODYSSEY_RETURN_IF_ERROR(check(0, /*run=*/true));
  if (options.checkOnly)
    return check(copies - 1, /*run=*/true);
  ODYSSEY_ASSIGN_OR_RETURN(Timing timing,
                           measure(device, enqueue, measureOptions(copies, 1)));
  // The last launch of a graph was on the last copy.
  ODYSSEY_RETURN_IF_ERROR(check(copies - 1, /*run=*/false));
  result.timing = timing;
  return Status::success();
}

Status GemmBenchmark::measureAlgorithms(const CublasLtProduct &product,
                                        BaselineKind kind,
                                        const ProductOperands &operands,
                                        int64_t m, int64_t n, int64_t k,
                                        BaselineResult &result) {
  bool half = kind == BaselineKind::Half;
  PatternBuffer &arena = half ? halves : bytes;
  size_t stride = copyStride(static_cast<size_t>(n * k) * (half ? 2 : 1));
  int copies = rotatingCopies(stride, device.properties().cacheBytes);
  auto pattern = half ? randomHalves(kPatternBytes / 2, /*seed=*/7)
                      : randomBytes(kPatternBytes, /*seed=*/6);
  ODYSSEY_RETURN_IF_ERROR(arena.reserve(static_cast<size_t>(copies) * stride,
                                        pattern, "weights of a baseline"));
  auto time = [&](size_t algorithm, double share) {
    auto enqueue = [&](int i) {
      return product.launch(
          algorithm, half ? operands.halfX() : operands.denseX(),
          arena.address() + static_cast<size_t>(i % copies) * stride,
          operands.output());
    };
    return measure(device, enqueue, measureOptions(copies, share));
  };
  std::optional<size_t> best;
  double bestSeconds = 0;
  Status failure;
  for (size_t i = 0; i < product.algorithms(); ++i) {
    auto timing = time(i, kTuningShare);
    if (timing.status().code() == StatusCode::DeviceFault)
      return timing.status();
    if (!timing.ok())
      failure = timing.status();
    else if (!best || timing->median < bestSeconds) {
      best = i;
      bestSeconds = timing->median;
    }
  }
  if (!best)
    return failure;
  ODYSSEY_ASSIGN_OR_RETURN(Timing timing, time(*best, 1));
  HostOperands host = operands.host(
      m, arena, static_cast<size_t>(copies - 1) * stride, /*withExtras=*/false);
  ODYSSEY_RETURN_IF_ERROR((half ? checkHalf(device, host, operands.output())
                                : checkInt8(device, host, operands.output()))
                              .status());
  result.timing = timing;
  result.tokens = product.m();
  result.algorithms = static_cast<int64_t>(product.algorithms());
  return Status::success();
}

Result<BaselineResult>
GemmBenchmark::measureBaseline(BaselineKind kind,
                               const ProductOperands &operands, int64_t m,
                               int64_t n, int64_t k) {
  BaselineResult result;
  result.name = kind == BaselineKind::Half ? "cublas_fp16" : "cublas_int8";
  std::unique_ptr<CublasLtProduct> product;
  for (int64_t padding : kPaddings) {
    auto prepared =
        cublas->prepare(kind, (m + padding - 1) / padding * padding, n, k);
    if (prepared.ok()) {
      product = std::move(prepared).value();
      break;
    }
    result.note = prepared.status().message();
  }
  if (!product)
    return result;
  Status status = measureAlgorithms(*product, kind, operands, m, n, k, result);
  if (status.code() == StatusCode::DeviceFault)
    return status.withContext(result.name);
  result.note = status.message();
  return result;
}

/// Measured once for each shape, however many kernels there are for it.
Result<const std::vector<BaselineResult> *>
GemmBenchmark::baselines(const ProductOperands &operands, int64_t m, int64_t n,
                         int64_t k) {
  auto [at, isNew] = baselineResults.try_emplace({m, n, k});
  if (isNew && cublas)
    for (BaselineKind kind : {BaselineKind::Half, BaselineKind::Int8}) {
      ODYSSEY_ASSIGN_OR_RETURN(BaselineResult result,
                               measureBaseline(kind, operands, m, n, k));
      at->second.push_back(std::move(result));
    }
  return &at->second;
}

Status GemmBenchmark::runProduct(LoadedBundle &bundle, const ProductSite &site,
                                 ProductOperands &operands, int64_t tokens) {
  ProductLaunch launch = findLaunch(bundle.plan(), site, tokens);
  if (!launch.step)
    return Status::success();
  GemmResult result;
  result.bundle =
      std::filesystem::path(bundle.bundle().path()).filename().string();
  result.function = bundle.plan().functions[site.function].name;
  result.kernel = bundle.plan().kernels[launch.step->kernel].name;
  result.m = tokens;
  result.n = site.product.n;
  result.k = site.product.k;
  result.weightBits = site.product.weightBits;
  if (site.product.prologue)
    result.prologue = site.product.prologue->norm ? "rms_norm" : "quantize";
  result.work = productWork(site.product, tokens);
  result.floorSeconds = floorSeconds(result.work, report.peaks);
  Status status = measureKernel(bundle, site, launch, operands, result);
  if (!status.ok())
    result.error = status.message();
  bool lost = status.code() == StatusCode::DeviceFault;
  if (!lost) {
    auto measured = baselines(operands, tokens, result.n, result.k);
    if (measured.ok())
      result.baselines = **measured;
    else
      status = measured.status();
    lost = !measured.ok();
  }
  report.results.push_back(std::move(result));
  // What has been measured is on disk, whatever comes next.
  ODYSSEY_RETURN_IF_ERROR(
      writeJson(toJson(report), /*print=*/false, options.output));
  return lost ? status : Status::success();
}

/// Kernels of a pack are made for one number of tokens each; else what the user
/// wants.
std::vector<int64_t> GemmBenchmark::tokensOf(const LoadedBundle &bundle,
                                             const ProductSite &site) const {
  if (!bundle.bundle().section("pack.json"))
    return options.tokens;
  return {bundle.plan().functions[site.function].maxTokens()};
}

Status GemmBenchmark::runSite(LoadedBundle &bundle, const ProductSite &site) {
  if (options.n.value_or(site.product.n) != site.product.n ||
      options.k.value_or(site.product.k) != site.product.k)
    return Status::success();
  std::vector<int64_t> counts = tokensOf(bundle, site);
  ProductOperands operands(device);
  ODYSSEY_RETURN_IF_ERROR(operands.prepare(
      site.product, *std::max_element(counts.begin(), counts.end())));
  for (int64_t tokens : counts) {
    if (!options.json && isatty(STDERR_FILENO))
      std::fprintf(stderr, "odyssey-bench: %lld x %lld x %lld\r",
                   static_cast<long long>(tokens),
                   static_cast<long long>(site.product.n),
                   static_cast<long long>(site.product.k));
    ODYSSEY_RETURN_IF_ERROR(runProduct(bundle, site, operands, tokens));
  }
  return Status::success();
}

Status GemmBenchmark::run() {
  loadBaselines();
  for (const std::string &path : options.bundles) {
    ODYSSEY_ASSIGN_OR_RETURN(auto bundle, LoadedBundle::open(path, device));
    std::vector<ProductSite> sites = findProducts(bundle->plan());
    if (sites.empty())
      return failedPrecondition("'" + path + "' has no products");
    for (const ProductSite &site : sites)
      ODYSSEY_RETURN_IF_ERROR(runSite(*bundle, site));
  }
  return Status::success();
}

} // namespace

Status bench::benchGemm(const GemmOptions &options) {
  ODYSSEY_ASSIGN_OR_RETURN(auto device, openDevice(options.device));
  GemmBenchmark benchmark(options, *device);
  Status status = benchmark.run();
  GemmReport &report = benchmark.report;
  report.error = status.message();
  if (!options.json)
    printTable(report);
  ODYSSEY_RETURN_IF_ERROR(
      writeJson(toJson(report), options.json, options.output));
  if (!options.plot.empty())
    ODYSSEY_RETURN_IF_ERROR(plotDocument(toJson(report), options.plot));
  ODYSSEY_RETURN_IF_ERROR(status);
  for (const GemmResult &result : report.results)
    if (!result.error.empty())
      return dataLoss("kernel '" + result.kernel + "' for " +
                      std::to_string(result.m) + " tokens: " + result.error);
  return Status::success();
}

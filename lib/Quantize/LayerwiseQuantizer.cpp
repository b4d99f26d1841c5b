//===- LayerwiseQuantizer.cpp - Linears under their real inputs -----------===//

#include "odyssey/Quantize/LayerwiseQuantizer.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Quantize/RoundToNearest.h"
#include "odyssey/Reference/LayerSteps.h"
#include "odyssey/Reference/ParallelFor.h"
#include "odyssey/Reference/Products.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>
#include <thread>

using namespace odyssey;
using llvm::createStringError;
using llvm::Error;
using llvm::Expected;
using llvm::StringRef;
using reference::Matrix;

namespace {

/// Values that are fp16 anyway, in half the room.
struct HalfMatrix {
  int64_t rows = 0, columns = 0;
  std::vector<uint16_t> values;

  HalfMatrix() = default;
  explicit HalfMatrix(const Matrix &matrix)
      : rows(matrix.rows), columns(matrix.columns),
        values(matrix.values.size()) {
    std::ranges::transform(matrix.values, values.begin(), floatToHalf);
  }

  Matrix toFloat() const {
    Matrix matrix(rows, columns);
    std::ranges::transform(values, matrix.values.begin(), halfToFloat);
    return matrix;
  }
};

/// One of the calibration sequences where the walk stands.
struct Sample {
  const std::vector<int32_t> &tokens;
  /// The residual stream.
  HalfMatrix x;
  /// The attention's result, from its products to the output projection.
  HalfMatrix context;
};

/// A quantized linear layer that keeps its weights.
struct Linear {
  int64_t n = 0, k = 0;
  QuantizedWeights weights;

  Matrix operator()(const Matrix &x) const {
    return multiplyW4A8(x, {n, k, weights.integers, weights.scales},
                        /*threads=*/1);
  }
};

/// Walks the samples up through the model, quantizing what lies ahead.
class Walk {
public:
  using Emit =
      llvm::function_ref<Error(const LinearReport &, const QuantizedWeights &)>;

  Walk(const Checkpoint &checkpoint, const CalibrationSamples &sequences,
       const LayerwiseOptions &options, Emit emit);

  Error run();

private:
  /// A linear of the layer at work, under its name within the layer.
  struct Member {
    const char *name;
    Linear &linear;
  };

  Error embed();
  Error quantizeLayer(int64_t index);

  /// Sees the inputs that `computeInput` gives for the samples, and then
  /// quantizes the linears `members`, which all have this input of width k.
  Error quantizeTogether(const std::string &prefix, int64_t k,
                         llvm::ArrayRef<Member> members, double workPerToken,
                         llvm::function_ref<Matrix(Sample &)> computeInput);
  Error quantizeOne(const std::string &name, Linear &linear,
                    const InputStatistics &statistics,
                    const GptqSolver *solver);

  /// Computes `body` of every sample, one per thread at a time, and hands the
  /// results to `use` in the order of the samples.
  Error forEachSample(const std::string &name, double workPerToken,
                      llvm::function_ref<Matrix(Sample &)> body,
                      llvm::function_ref<void(Matrix)> use);

  /// Adds to the work done, in multiplications or so, and asks whether to go
  /// on.
  Error report(StringRef name, double work);

  /// The work of a step of a layer besides that of a token's linears.
  double statisticsWork(int64_t k) const { return 0.5 * k * k; }
  double solvingWork(int64_t n, int64_t k) const { return 8.0 * n * k * k; }

  const Checkpoint &checkpoint;
  const ModelConfig &config;
  const LayerwiseOptions &options;
  Emit emit;
  reference::LayerSteps steps;
  unsigned threads;
  std::vector<Sample> samples;
  double workDone = 0, workOfAll = 0;
};

} // namespace

/// How the inputs look to the products: quantized per token.
static Matrix asQuantized(const Matrix &x) {
  Matrix result(x.rows, x.columns);
  std::vector<int8_t> quantized(x.columns);
  for (int64_t token = 0; token < x.rows; ++token) {
    float scale = reference::quantizeToken(x.row(token), quantized);
    std::span<float> row = result.row(token);
    for (int64_t i = 0; i < x.columns; ++i)
      row[i] = scale * static_cast<float>(quantized[i]);
  }
  return result;
}

Walk::Walk(const Checkpoint &checkpoint, const CalibrationSamples &sequences,
           const LayerwiseOptions &options, Emit emit)
    : checkpoint(checkpoint), config(checkpoint.config()), options(options),
      emit(emit), steps(config, reference::Arithmetic::W4A8),
      threads(options.threads
                  ? options.threads
                  : std::max(1u, std::thread::hardware_concurrency())) {
  int64_t longest = 0;
  for (const std::vector<int32_t> &sequence : sequences) {
    samples.push_back({sequence, {}, {}});
    longest = std::max(longest, static_cast<int64_t>(sequence.size()));
  }
  steps.reserve(longest);
}

Error Walk::report(StringRef name, double work) {
  workDone += work;
  if (options.progress && !options.progress(name, workDone / workOfAll))
    return createStringError("interrupted");
  return Error::success();
}

Error Walk::embed() {
  const CheckpointTensor &table = *checkpoint.find("model.embed_tokens.weight");
  for (Sample &sample : samples) {
    Matrix x(static_cast<int64_t>(sample.tokens.size()), config.hiddenSize);
    for (int64_t i = 0; i < x.rows; ++i)
      if (Error error = checkpoint.readRows(table, sample.tokens[i], 1,
                                            {x.row(i).data(), x.row(i).size()}))
        return error;
    sample.x = HalfMatrix(x);
  }
  return Error::success();
}

Error Walk::forEachSample(const std::string &name, double workPerToken,
                          llvm::function_ref<Matrix(Sample &)> body,
                          llvm::function_ref<void(Matrix)> use) {
  for (size_t first = 0; first < samples.size(); first += threads) {
    std::span group = std::span(samples).subspan(
        first, std::min<size_t>(threads, samples.size() - first));
    std::vector<Matrix> results(group.size());
    reference::parallelFor(static_cast<int64_t>(group.size()),
                           std::numeric_limits<int64_t>::max(), threads,
                           [&](int64_t begin, int64_t end) {
                             for (int64_t i = begin; i < end; ++i)
                               results[i] = body(group[i]);
                           });
    double work = 0;
    for (size_t i = 0; i < group.size(); ++i) {
      work += workPerToken * static_cast<double>(group[i].tokens.size());
      use(std::move(results[i]));
    }
    if (Error error = report(name, work))
      return error;
  }
  return Error::success();
}

Error Walk::quantizeTogether(
    const std::string &prefix, int64_t k, llvm::ArrayRef<Member> members,
    double workPerToken, llvm::function_ref<Matrix(Sample &)> computeInput) {
  InputStatistics statistics(k);
  if (Error error = forEachSample(
          prefix + members[0].name, workPerToken + statisticsWork(k),
          [&](Sample &sample) {
            Matrix in = computeInput(sample);
            Matrix r = getenv("FPX") ? in : asQuantized(in);
            static int weigh = atoi(getenv("WEIGH") ? getenv("WEIGH") : "0");
            StringRef n = members[0].name;
            if (weigh && (n.ends_with("o_proj") || n.ends_with("down_proj"))) {
              Matrix x = sample.x.toFloat();
              for (int64_t t = 0; t < x.rows; ++t) {
                double s = 0;
                for (float v : x.row(t))
                  s += v * v;
                float f = 1 / std::sqrt(s / x.columns + 1e-6);
                for (float &v : r.row(t))
                  v *= f;
              }
            }
            if (weigh > 1) {
              for (int64_t t = 0; t < r.rows; ++t)
                if (t < weigh)
                  for (float &v : r.row(t))
                    v = 0;
            }
            return r;
          },
          [&](Matrix x) { statistics.add(x, threads); }))
    return error;
  std::optional<GptqSolver> solver;
  if (options.compensate) {
    Expected<GptqSolver> created =
        GptqSolver::create(statistics, options.gptq, threads);
    if (!created)
      return llvm::createStringError(
          "inputs of '" + prefix + members[0].name +
          "': " + llvm::toString(created.takeError()));
    solver = std::move(*created);
  }
  for (const Member &member : members)
    if (Error error = quantizeOne(prefix + member.name, member.linear,
                                  statistics, solver ? &*solver : nullptr))
      return error;
  return Error::success();
}

Error Walk::quantizeOne(const std::string &name, Linear &linear,
                        const InputStatistics &statistics,
                        const GptqSolver *solver) {
  const CheckpointTensor &tensor = *checkpoint.find(name + ".weight");
  linear.n = tensor.rows();
  linear.k = tensor.columns();
  Expected<std::vector<float>> weight = checkpoint.readF32(tensor.name);
  if (!weight)
    return weight.takeError();

  ClippingOptions clipping = options.clipping;
  if (!options.clip) {
    clipping.smallestFactor = 1;
    clipping.descentSteps = 0;
  }
  Clipping clipped =
      learnClipping(*weight, linear.n, statistics, threads, clipping);
  linear.weights.scales = clipped.scale;
  auto total = [](const std::vector<double> &values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
  };
  double whole = total(clipped.lossOfZeros);
  auto share = [&](double loss) { return whole > 0 ? loss / whole : 0; };
  LinearReport report;
  report.name = name;
  report.n = linear.n;
  report.k = linear.k;
  report.errorOfRounding = share(total(clipped.lossAtStart));
  report.errorOfClipping = report.error = share(total(clipped.loss));
  report.clippingFactors = std::move(clipped.factor);
  report.inputMaxima.assign(statistics.maxima().begin(),
                            statistics.maxima().end());
  if (const char *types = getenv("TYPES");
      types && !strstr(types, name.substr(name.rfind('.') + 1).c_str()))
    solver = nullptr;
  if (solver) {
    linear.weights.integers =
        solver->quantize(*weight, linear.weights.scales, threads);
    if (getenv("GREF")) {
      auto base = linear.weights.scales;
      auto best = outputErrors(*weight, linear.weights.integers, base,
                               statistics, threads);
      auto bestInt = linear.weights.integers;
      auto bestScale = base;
      static double gs[7] = {};
      static long gn = 0;
      for (float f :
           {0.8f, 0.86f, 0.92f, 0.96f, 1.04f, 1.08f, 1.16f, 1.25f, 1.35f}) {
        auto sc = base;
        for (float &v : sc)
          v *= f;
        auto in = solver->quantize(*weight, sc, threads);
        auto er = outputErrors(*weight, in, sc, statistics, threads);
        for (int64_t c = 0; c < linear.n; ++c)
          if (er[c] < best[c]) {
            best[c] = er[c];
            bestScale[c] = sc[c];
            std::copy_n(in.begin() + c * linear.k, linear.k,
                        bestInt.begin() + c * linear.k);
          }
      }
      for (int64_t c = 0; c < linear.n; ++c)
        if (base[c] > 0) {
          gs[0] += bestScale[c] / base[c];
          gn++;
        }
      if (name.find("layers.29.mlp.down") != std::string::npos)
        printf("mean refine factor %.4f\n", gs[0] / gn);
      linear.weights.integers = bestInt;
      linear.weights.scales = bestScale;
    }
    report.error =
        share(total(outputErrors(*weight, linear.weights.integers,
                                 linear.weights.scales, statistics, threads)));
    report.damping = solver->damping();
  } else {
    linear.weights.integers.resize(weight->size());
    for (int64_t i = 0; i < linear.n; ++i)
      quantizeChannel(
          std::span(*weight).subspan(i * linear.k, linear.k),
          linear.weights.scales[i],
          std::span(linear.weights.integers).subspan(i * linear.k, linear.k));
  }
  if (Error error = emit(report, linear.weights))
    return error;
  return this->report(name, solvingWork(linear.n, linear.k));
}

Error Walk::quantizeLayer(int64_t index) {
  std::string prefix = "model.layers." + std::to_string(index) + ".";
  Expected<std::vector<float>> inputNorm =
      checkpoint.readF32(prefix + "input_layernorm.weight");
  if (!inputNorm)
    return inputNorm.takeError();
  Expected<std::vector<float>> postAttentionNorm =
      checkpoint.readF32(prefix + "post_attention_layernorm.weight");
  if (!postAttentionNorm)
    return postAttentionNorm.takeError();
  for (std::vector<float> *norm : {&*inputNorm, &*postAttentionNorm})
    std::ranges::transform(*norm, norm->begin(), roundToHalf);

  double hidden = config.hiddenSize, ffn = config.ffnSize;
  double queries = config.queryWidth(), keys = config.keyValueWidth();
  Linear q, k, v, o, gate, up, down;

  auto attentionInput = [&](Sample &sample) {
    return steps.normalize(sample.x.toFloat(), *inputNorm);
  };
  auto fq = checkpoint.readF32(prefix + "self_attn.q_proj.weight");
  auto fk = checkpoint.readF32(prefix + "self_attn.k_proj.weight");
  auto weighted = [&](const char *env) {
    return [&, env](Sample &sample) {
      Matrix h = attentionInput(sample);
      if (!getenv(env))
        return h;
      Matrix query = reference::multiply(h, *fq, config.queryWidth(), 1),
             key = reference::multiply(h, *fk, config.keyValueWidth(), 1);
      steps.rotate(query, 0);
      steps.rotate(key, 0);
      std::vector<float> received(h.rows);
      steps.attend(query, {key.values, std::move(key.values)}, 0, 1, received);
      double p = atof(getenv(env));
      for (int64_t t = 0; t < h.rows; ++t)
        for (float &v : h.row(t))
          v *= std::pow(received[t] / config.numHeads, p / 2);
      return h;
    };
  };
  if (Error error =
          quantizeTogether(prefix, config.hiddenSize, {{"self_attn.q_proj", q}},
                           0, attentionInput))
    return error;
  if (Error error =
          quantizeTogether(prefix, config.hiddenSize, {{"self_attn.k_proj", k}},
                           0, weighted("KW")))
    return error;
  if (Error error =
          quantizeTogether(prefix, config.hiddenSize, {{"self_attn.v_proj", v}},
                           0, weighted("VW")))
    return error;

  auto attend = [&](Sample &sample) {
    Matrix h = attentionInput(sample);
    Matrix query = q(h), key = k(h), value = v(h);
    steps.rotate(query, 0);
    steps.rotate(key, 0);
    Matrix context = steps.attend(
        query, {std::move(key.values), std::move(value.values)}, 0, 1);
    sample.context = HalfMatrix(context);
    return context;
  };
  if (Error error = quantizeTogether(prefix, config.queryWidth(),
                                     {{"self_attn.o_proj", o}},
                                     hidden * (queries + 2 * keys), attend))
    return error;

  auto mlpInput = [&](Sample &sample) {
    return steps.normalize(sample.x.toFloat(), *postAttentionNorm);
  };
  auto leaveAttention = [&](Sample &sample) {
    Matrix x = sample.x.toFloat();
    steps.addResidual(x, o(sample.context.toFloat()));
    sample.context = {};
    sample.x = HalfMatrix(x);
    return mlpInput(sample);
  };
  if (Error error =
          quantizeTogether(prefix, config.hiddenSize,
                           {{"mlp.gate_proj", gate}, {"mlp.up_proj", up}},
                           hidden * queries, leaveAttention))
    return error;

  // Computed twice, which takes time, rather than kept, which takes memory:
  // this is the widest value of a layer.
  auto activate = [&](Sample &sample) {
    Matrix h = mlpInput(sample);
    return steps.activate(gate(h), up(h));
  };
  if (Error error =
          quantizeTogether(prefix, config.ffnSize, {{"mlp.down_proj", down}},
                           2 * hidden * ffn, activate))
    return error;
  auto leaveMlp = [&](Sample &sample) {
    Matrix x = sample.x.toFloat();
    steps.addResidual(x, down(activate(sample)));
    sample.x = HalfMatrix(x);
    return Matrix();
  };
  return forEachSample(prefix + "output", 3 * hidden * ffn, leaveMlp,
                       [](Matrix) {});
}

Error Walk::run() {
  if (Error error = embed())
    return error;
  for (int64_t index = 0; index < config.numLayers; ++index)
    if (Error error = quantizeLayer(index))
      return error;
  return Error::success();
}

Error odyssey::quantizeLayerwise(
    const Checkpoint &checkpoint, const CalibrationSamples &samples,
    const LayerwiseOptions &options,
    llvm::function_ref<Error(const LinearReport &, const QuantizedWeights &)>
        emit) {
  return Walk(checkpoint, samples, options, emit).run();
}

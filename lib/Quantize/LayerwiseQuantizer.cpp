//===- LayerwiseQuantizer.cpp - Linears under their real inputs -----------===//

#include "odyssey/Quantize/LayerwiseQuantizer.h"

#include "odyssey/Frontend/Checkpoint/Half.h"
#include "odyssey/Frontend/Checkpoint/ModelTensors.h"
#include "odyssey/Quantize/GroupRounding.h"
#include "odyssey/Quantize/RoundToNearest.h"
#include "odyssey/Reference/LayerSteps.h"
#include "odyssey/Reference/ParallelFor.h"
#include "odyssey/Reference/Products.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
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
using reference::NormalizedRows;

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

/// What linears see of one sample.
struct Observation {
  /// Before they are quantized per token.
  Matrix inputs;
  /// What their rows are still to be multiplied by, or none (N18).
  std::vector<float> factors;
  /// Of every token.
  std::vector<float> importance;
};

/// A quantized linear layer that keeps its weights.
struct Linear {
  int64_t n = 0, k = 0;
  /// 0 without groups.
  int64_t groupSize = 0;
  QuantizedWeights weights;
  /// fp16 values; empty where the model has none.
  std::vector<float> bias;

  Matrix operator()(const NormalizedRows &x) const {
    return (*this)(x.products, x.factors);
  }
  Matrix operator()(const Matrix &x,
                    std::span<const float> factors = {}) const {
    return multiplyW4A8(x,
                        {n,
                         k,
                         weights.integers,
                         weights.scales,
                         bias,
                         {.groupSize = groupSize},
                         weights.multipliers},
                        /*threads=*/1, factors);
  }
};

/// The layer that the walk has reached.
struct Layer {
  std::string prefix;
  std::vector<float> inputNorm, postAttentionNorm;
  /// Of the heads of Q and K; empty where the model has none.
  std::vector<float> qNorm, kNorm;
  Linear q, k, v, o, gate, up, down;
};

/// Multiplications, or what takes as long: of the steps for a token of a
/// sample, and of the rest for a layer.
struct LayerWork {
  explicit LayerWork(const ModelConfig &config);

  double attentionInput, attention, mlpInput, activation, output;

  /// Clipping and compensation of a linear.
  static double solving(double n, double k) { return 8 * n * k * k; }
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
  Error quantizeLayer(Layer &layer);
  Error quantizeAttentionInputs(Layer &layer);
  Error quantizeAttentionOutput(Layer &layer);
  Error quantizeMlpInputs(Layer &layer);
  Error quantizeMlpOutput(Layer &layer);

  /// Reads what of the layer is not quantized.
  Error readHalves(Layer &layer);

  NormalizedRows attentionInput(const Layer &layer, const Sample &sample) const;
  /// Norms, where the model has them, and RoPE.
  void prepareHeads(const Layer &layer, Matrix &queries, Matrix &keys) const;
  NormalizedRows mlpInput(const Layer &layer, const Sample &sample) const;
  Matrix activation(const Layer &layer, const Sample &sample) const;

  /// Computes `observe` of every sample, one per thread at a time, and hands
  /// the results to `use` in the order of the samples, with inputs as the
  /// products see them. `name` stands for the step in progress and errors.
  Error forEachSample(const std::string &name, double workPerToken,
                      llvm::function_ref<Observation(Sample &)> observe,
                      llvm::function_ref<void(const Observation &)> use);

  /// Quantizes linears that all have the inputs that `statistics` are of.
  Error quantize(const Layer &layer, llvm::ArrayRef<Member> members,
                 const InputStatistics &statistics);
  Error quantizeOne(const std::string &name, Linear &linear,
                    const InputStatistics &statistics,
                    const GptqSolver *solver);

  /// Adds to the work done and asks whether to go on.
  Error report(StringRef name, double work);

  const Checkpoint &checkpoint;
  const ModelConfig &config;
  const LayerwiseOptions &options;
  Emit emit;
  reference::LayerSteps steps;
  unsigned threads;
  std::vector<Sample> samples;
  LayerWork work;
  double workDone = 0, workOfAll = 0;
};

} // namespace

LayerWork::LayerWork(const ModelConfig &config) {
  auto hidden = static_cast<double>(config.hiddenSize);
  auto ffn = static_cast<double>(config.ffnSize);
  auto queries = static_cast<double>(config.queryWidth());
  auto keys = static_cast<double>(config.keyValueWidth());
  // A linear takes a product of each weight, the statistics half of k^2.
  attentionInput = hidden * (queries + keys) + hidden * hidden;
  attention = hidden * (queries + 2 * keys) + queries * queries / 2;
  mlpInput = hidden * queries + hidden * hidden / 2;
  activation = 2 * hidden * ffn + ffn * ffn / 2;
  output = 3 * hidden * ffn;
}

/// Makes of inputs what the products see of them.
static void quantizeTokens(Matrix &x, std::span<const float> factors) {
  std::vector<int8_t> quantized(x.columns);
  for (int64_t token = 0; token < x.rows; ++token) {
    std::span<float> row = x.row(token);
    float scale = reference::quantizeToken(row, quantized);
    if (!factors.empty())
      scale *= factors[token];
    for (int64_t i = 0; i < x.columns; ++i)
      row[i] = scale * static_cast<float>(quantized[i]);
  }
}

/// 1 / mean(x^2) of every token: what is added to a small x changes it most.
static std::vector<float> importanceBySize(const Matrix &x) {
  // Of the order of fp16's smallest numbers squared.
  constexpr double tiny = 1e-12;
  std::vector<float> importance;
  for (int64_t token = 0; token < x.rows; ++token) {
    double squares = 0;
    for (float value : x.row(token))
      squares += static_cast<double>(value) * static_cast<double>(value);
    double mean = squares / static_cast<double>(x.columns);
    importance.push_back(static_cast<float>(1 / (mean + tiny)));
  }
  return importance;
}

Walk::Walk(const Checkpoint &checkpoint, const CalibrationSamples &sequences,
           const LayerwiseOptions &options, Emit emit)
    : checkpoint(checkpoint), config(checkpoint.config()), options(options),
      emit(emit), steps(config, reference::Arithmetic::W4A8),
      threads(options.threads
                  ? options.threads
                  : std::max(1u, std::thread::hardware_concurrency())),
      work(config) {
  int64_t longest = 0, tokens = 0;
  for (const std::vector<int32_t> &sequence : sequences) {
    samples.push_back({sequence, {}, {}});
    auto length = static_cast<int64_t>(sequence.size());
    longest = std::max(longest, length);
    tokens += length;
  }
  steps.reserve(longest);

  double perToken = work.attentionInput + work.attention + work.mlpInput +
                    work.activation + work.output;
  workOfAll = perToken * static_cast<double>(config.numLayers * tokens);
  llvm::cantFail(forEachModelTensor(config, [&](const ModelTensor &tensor) {
    if (tensor.kind == ModelTensor::Kind::Linear)
      workOfAll += LayerWork::solving(tensor.shape[0], tensor.shape[1]);
    return Error::success();
  }));
}

Error Walk::report(StringRef name, double work) {
  workDone += work;
  if (options.progress &&
      !options.progress(name, std::min(workDone / workOfAll, 1.0)))
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
                          llvm::function_ref<Observation(Sample &)> observe,
                          llvm::function_ref<void(const Observation &)> use) {
  for (size_t first = 0; first < samples.size(); first += threads) {
    std::span group = std::span(samples).subspan(
        first, std::min<size_t>(threads, samples.size() - first));
    std::vector<Observation> observations(group.size());
    std::atomic<bool> finite = true;
    auto observeOne = [&](int64_t i) {
      Observation &observation = observations[i];
      observation = observe(group[i]);
      if (std::ranges::all_of(observation.inputs.values,
                              [](float value) { return std::isfinite(value); }))
        quantizeTokens(observation.inputs, observation.factors);
      else
        finite = false;
    };
    reference::parallelFor(static_cast<int64_t>(group.size()),
                           std::numeric_limits<int64_t>::max(), threads,
                           [&](int64_t begin, int64_t end) {
                             for (int64_t i = begin; i < end; ++i)
                               observeOne(i);
                           });
    if (!finite)
      return createStringError("inputs of '" + name +
                               "': not finite; some value of the model is too "
                               "large for fp16");
    double work = 0;
    for (size_t i = 0; i < group.size(); ++i) {
      use(observations[i]);
      work += workPerToken * static_cast<double>(group[i].tokens.size());
    }
    if (Error error = report(name, work))
      return error;
  }
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Quantizing linears
//===----------------------------------------------------------------------===//

Error Walk::quantize(const Layer &layer, llvm::ArrayRef<Member> members,
                     const InputStatistics &statistics) {
  std::optional<GptqSolver> solver;
  if (options.compensate) {
    Expected<GptqSolver> created =
        GptqSolver::create(statistics, options.gptq, threads);
    if (!created)
      return createStringError("inputs of '" + layer.prefix + members[0].name +
                               "': " + llvm::toString(created.takeError()));
    solver = std::move(*created);
  }
  for (const Member &member : members)
    if (Error error = quantizeOne(layer.prefix + member.name, member.linear,
                                  statistics, solver ? &*solver : nullptr))
      return error;
  return Error::success();
}

/// Clipping is learned for rounding to nearest. Under compensation the best
/// scale of a channel is another, though on the average the same: these are
/// tried. The first is the learned one.
static constexpr float candidatesAround[] = {1.0f,  0.97f, 1.03f, 0.94f, 1.06f,
                                             0.91f, 1.1f,  0.87f, 1.15f, 0.83f,
                                             1.2f,  0.78f, 1.28f};

/// The integers of weights whose scales are known.
static void roundToNearest(Linear &linear, std::span<const float> weight) {
  QuantizedWeights &result = linear.weights;
  int64_t groups = static_cast<int64_t>(result.multipliers.size()) / linear.n;
  result.integers.resize(weight.size());
  for (int64_t i = 0; i < linear.n; ++i) {
    std::span channel = weight.subspan(i * linear.k, linear.k);
    std::span integers =
        std::span(result.integers).subspan(i * linear.k, linear.k);
    if (linear.groupSize == 0)
      quantizeChannel(channel, result.scales[i], integers);
    else
      quantizeGroups(channel, result.scales[i],
                     std::span(result.multipliers).subspan(i * groups, groups),
                     linear.groupSize, integers);
  }
}

Error Walk::quantizeOne(const std::string &name, Linear &linear,
                        const InputStatistics &statistics,
                        const GptqSolver *solver) {
  const CheckpointTensor &tensor = *checkpoint.find(name + ".weight");
  linear.n = tensor.rows();
  linear.k = tensor.columns();
  linear.groupSize = options.clipping.groupSize;
  Expected<std::vector<float>> weight = checkpoint.readF32(tensor.name);
  if (!weight)
    return weight.takeError();

  ClippingOptions clipping = options.clipping;
  if (!options.clip) {
    clipping.smallestFactor = 1;
    clipping.descentSteps = 0;
    clipping.groupRounds = 0;
  }
  Clipping clipped =
      learnClipping(*weight, linear.n, statistics, threads, clipping);
  linear.weights.scales = clipped.scale;
  linear.weights.multipliers = clipped.multiplier;
  auto total = [](const std::vector<double> &values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
  };
  double whole = total(clipped.lossOfZeros);
  auto share = [&](const std::vector<double> &losses) {
    return whole > 0 ? total(losses) / whole : 0;
  };
  LinearReport report;
  report.name = name;
  report.n = linear.n;
  report.k = linear.k;
  report.errorOfRounding = share(clipped.lossAtStart);
  report.errorOfClipping = report.error = share(clipped.loss);
  report.clippingFactors = std::move(clipped.factor);
  report.inputMaxima.assign(statistics.maxima().begin(),
                            statistics.maxima().end());
  if (solver) {
    std::span<const float> candidates = candidatesAround;
    if (!options.clip)
      candidates = candidates.first(1);
    CompensatedWeights compensated =
        solver->quantize(*weight, linear.weights.scales, candidates, threads,
                         linear.weights.multipliers, linear.groupSize);
    for (int64_t i = 0; i < linear.n; ++i)
      if (clipped.scale[i] != 0)
        report.clippingFactors[i] *= compensated.scales[i] / clipped.scale[i];
    report.error = share(compensated.losses);
    report.damping = solver->damping();
    linear.weights = std::move(compensated);
  } else {
    roundToNearest(linear, *weight);
  }
  if (Error error = emit(report, linear.weights))
    return error;
  return this->report(name, LayerWork::solving(linear.n, linear.k));
}

//===----------------------------------------------------------------------===//
// The walk through a layer
//===----------------------------------------------------------------------===//

NormalizedRows Walk::attentionInput(const Layer &layer,
                                    const Sample &sample) const {
  return steps.normalizeToQuantize(sample.x.toFloat(), layer.inputNorm);
}

void Walk::prepareHeads(const Layer &layer, Matrix &queries,
                        Matrix &keys) const {
  if (config.hasHeadNorms()) {
    steps.normalizeHeads(queries, layer.qNorm);
    steps.normalizeHeads(keys, layer.kNorm);
  }
  steps.rotate(queries, 0);
  steps.rotate(keys, 0);
}

/// Adds `bias`, if there is one, to every token.
static void addBias(Matrix &x, std::span<const float> bias) {
  if (!bias.empty())
    for (int64_t token = 0; token < x.rows; ++token)
      std::ranges::transform(x.row(token), bias, x.row(token).begin(),
                             std::plus<>());
}

NormalizedRows Walk::mlpInput(const Layer &layer, const Sample &sample) const {
  return steps.normalizeToQuantize(sample.x.toFloat(), layer.postAttentionNorm);
}

/// Computed twice, which takes time, rather than kept, which takes memory:
/// this is the widest value of a layer.
Matrix Walk::activation(const Layer &layer, const Sample &sample) const {
  NormalizedRows h = mlpInput(layer, sample);
  return steps.activate(layer.gate(h), layer.up(h));
}

Error Walk::quantizeAttentionInputs(Layer &layer) {
  Expected<std::vector<float>> q =
      checkpoint.readF32(layer.prefix + "self_attn.q_proj.weight");
  if (!q)
    return q.takeError();
  Expected<std::vector<float>> k =
      checkpoint.readF32(layer.prefix + "self_attn.k_proj.weight");
  if (!k)
    return k.takeError();

  // A query serves its own token; a key and a value serve all that look at
  // them, which for a few tokens are nearly all.
  auto observe = [&](Sample &sample) {
    NormalizedRows h = attentionInput(layer, sample);
    Matrix input = h.values();
    Matrix queries = reference::multiply(input, *q, config.queryWidth(), 1);
    Matrix keys = reference::multiply(input, *k, config.keyValueWidth(), 1);
    addBias(queries, layer.q.bias);
    addBias(keys, layer.k.bias);
    prepareHeads(layer, queries, keys);
    return Observation{std::move(h.products), std::move(h.factors),
                       steps.attentionReceived(queries, keys)};
  };
  InputStatistics ofQueries(config.hiddenSize), ofValues(config.hiddenSize);
  if (Error error = forEachSample(
          layer.prefix + "self_attn.q_proj", work.attentionInput, observe,
          [&](const Observation &observation) {
            ofQueries.add(observation.inputs, {}, threads);
            ofValues.add(observation.inputs, observation.importance, threads);
          }))
    return error;
  if (Error error = quantize(layer, {{"self_attn.q_proj", layer.q}}, ofQueries))
    return error;
  return quantize(
      layer, {{"self_attn.k_proj", layer.k}, {"self_attn.v_proj", layer.v}},
      ofValues);
}

Error Walk::quantizeAttentionOutput(Layer &layer) {
  auto observe = [&](Sample &sample) {
    NormalizedRows h = attentionInput(layer, sample);
    Matrix queries = layer.q(h), keys = layer.k(h), values = layer.v(h);
    prepareHeads(layer, queries, keys);
    reference::KeyValueCache cache;
    steps.append(cache, keys, values);
    Matrix context = steps.attend(queries, cache, 0, 1);
    sample.context = HalfMatrix(context);
    return Observation{
        std::move(context), {}, importanceBySize(sample.x.toFloat())};
  };
  InputStatistics statistics(config.queryWidth());
  if (Error error = forEachSample(
          layer.prefix + "self_attn.o_proj", work.attention, observe,
          [&](const Observation &observation) {
            statistics.add(observation.inputs, observation.importance, threads);
          }))
    return error;
  return quantize(layer, {{"self_attn.o_proj", layer.o}}, statistics);
}

Error Walk::quantizeMlpInputs(Layer &layer) {
  auto observe = [&](Sample &sample) {
    Matrix x = sample.x.toFloat();
    steps.addResidual(x, layer.o(sample.context.toFloat()));
    sample.context = {};
    sample.x = HalfMatrix(x);
    NormalizedRows h = mlpInput(layer, sample);
    return Observation{std::move(h.products), std::move(h.factors), {}};
  };
  InputStatistics statistics(config.hiddenSize);
  if (Error error = forEachSample(layer.prefix + "mlp.gate_proj", work.mlpInput,
                                  observe, [&](const Observation &observation) {
                                    statistics.add(observation.inputs, {},
                                                   threads);
                                  }))
    return error;
  return quantize(layer,
                  {{"mlp.gate_proj", layer.gate}, {"mlp.up_proj", layer.up}},
                  statistics);
}

Error Walk::quantizeMlpOutput(Layer &layer) {
  auto observe = [&](Sample &sample) {
    return Observation{
        activation(layer, sample), {}, importanceBySize(sample.x.toFloat())};
  };
  InputStatistics statistics(config.ffnSize);
  if (Error error = forEachSample(
          layer.prefix + "mlp.down_proj", work.activation, observe,
          [&](const Observation &observation) {
            statistics.add(observation.inputs, observation.importance, threads);
          }))
    return error;
  return quantize(layer, {{"mlp.down_proj", layer.down}}, statistics);
}

Error Walk::readHalves(Layer &layer) {
  const std::pair<std::vector<float> *, const char *> tensors[] = {
      {&layer.inputNorm, "input_layernorm.weight"},
      {&layer.postAttentionNorm, "post_attention_layernorm.weight"},
      {&layer.qNorm, "self_attn.q_norm.weight"},
      {&layer.kNorm, "self_attn.k_norm.weight"},
      {&layer.q.bias, "self_attn.q_proj.bias"},
      {&layer.k.bias, "self_attn.k_proj.bias"},
      {&layer.v.bias, "self_attn.v_proj.bias"},
  };
  for (auto [target, name] : tensors) {
    if (!checkpoint.find(layer.prefix + name))
      continue;
    Expected<std::vector<float>> values =
        checkpoint.readF32(layer.prefix + name);
    if (!values)
      return values.takeError();
    std::ranges::transform(*values, std::back_inserter(*target), roundToHalf);
  }
  return Error::success();
}

Error Walk::quantizeLayer(Layer &layer) {
  if (Error error = readHalves(layer))
    return error;
  if (Error error = quantizeAttentionInputs(layer))
    return error;
  if (Error error = quantizeAttentionOutput(layer))
    return error;
  if (Error error = quantizeMlpInputs(layer))
    return error;
  if (Error error = quantizeMlpOutput(layer))
    return error;
  auto leave = [&](Sample &sample) {
    Matrix x = sample.x.toFloat();
    steps.addResidual(x, layer.down(activation(layer, sample)));
    sample.x = HalfMatrix(x);
    return Observation();
  };
  return forEachSample(layer.prefix + "output", work.output, leave,
                       [](const Observation &) {});
}

Error Walk::run() {
  if (Error error = embed())
    return error;
  for (int64_t index = 0; index < config.numLayers; ++index) {
    Layer layer;
    layer.prefix = "model.layers." + std::to_string(index) + ".";
    if (Error error = quantizeLayer(layer))
      return error;
    checkpoint.releasePages();
  }
  return Error::success();
}

Error odyssey::quantizeLayerwise(
    const Checkpoint &checkpoint, const CalibrationSamples &samples,
    const LayerwiseOptions &options,
    llvm::function_ref<Error(const LinearReport &, const QuantizedWeights &)>
        emit) {
  return Walk(checkpoint, samples, options, emit).run();
}

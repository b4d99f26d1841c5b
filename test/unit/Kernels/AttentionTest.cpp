//===- AttentionTest.cpp - Rotary embedding, KV cache and attention -------===//
//
// rope_append and attention together, as a model uses them, bit for bit against
// the reference, and against a computation in double precision; several
// sequences of different lengths in one step; and the same bits however tokens
// share steps, which is also whether one CTA walks the whole KV length (steps
// of more than 64 tokens) or many share it (fewer, where the context is longer
// than a chunk of 256 positions); and on the tensor cores of every target.
//
//===----------------------------------------------------------------------===//

#include "CompiledModule.h"

#include "odyssey/Reference/LayerSteps.h"

#include "gtest/gtest.h"

#include <cmath>
#include <iomanip>
#include <map>
#include <sstream>

using namespace odyssey::testing;
using odyssey::runtime::ElementType;
using odyssey::runtime::HostTensor;

namespace {

struct Shape {
  int64_t heads, kvHeads, d, context;
  /// Queries and keys are normalized head by head.
  bool norms = false;
  /// Keys and values as 8-bit integers with a scale per token and head.
  bool int8 = false;
};

std::string str(int64_t value) { return std::to_string(value); }

std::string nameOf(const ::testing::TestParamInfo<Shape> &info) {
  const Shape &shape = info.param;
  return "h" + str(shape.heads) + "kv" + str(shape.kvHeads) + "d" +
         str(shape.d) + (shape.norms ? "norms" : "") +
         (shape.int8 ? "int8" : "");
}

constexpr int64_t kSequences = 3, kLayers = 2;

class Attention : public ::testing::TestWithParam<Shape> {
protected:
  void SetUp() override {
    shape = GetParam();
    pages = (shape.context + 63) / 64;
    width = (shape.heads + 2 * shape.kvHeads) * shape.d;
    std::string X = "tensor<?x" + str(width) + "xf16>",
                Y = "tensor<?x" + str(shape.heads * shape.d) + "xf16>",
                P = "tensor<" + str(kSequences) + "x" + str(pages) + "xi32>",
                T = "tensor<" + str(shape.context) + "x" + str(shape.d) +
                    "xf32>",
                C = "memref<" + str(kLayers) + "x" + str(kSequences * pages) +
                    "x2x" + str(shape.kvHeads) + "x64x" +
                    (shape.int8 ? str(shape.d + 4) + "xi8>"
                                : str(shape.d + 2) + "xf16>");
    std::string W = "tensor<" + str(shape.d) + "xf16>";
    std::mt19937 random(static_cast<unsigned>(shape.d * 31 + shape.heads));
    for (auto &sequence : inputs)
      sequence = randomHalves(random, shape.context * width);
    weights.clear();
    if (shape.norms)
      for (auto [name, norm] :
           {std::pair("qw", &queryNorm), std::pair("kw", &keyNorm)}) {
        *norm = randomHalves(random, shape.d);
        weights.push_back({name, tensor(ElementType::F16, {shape.d}, *norm)});
      }
    std::ostringstream scale;
    scale << std::scientific << std::setprecision(9)
          << 1.0f / std::sqrt(static_cast<float>(shape.d));
    ir = "func.func @main(%x: " + X +
         ", %p: tensor<?xi32>, %s: tensor<?xi32>, %t: " + P + ", %kv: " + C +
         " {odyssey.name = \"kv\"}) -> " + Y +
         " {\n%layer = arith.constant 1 : i32\n" +
         (shape.norms ? "%qw = odyssey.weight \"qw\" : " + W +
                            "\n%kw = odyssey.weight \"kw\" : " + W + "\n"
                      : "") +
         "%table = odyssey.rope_table theta = 1.0e4 : " + T +
         "\n%q = odyssey.rope_append %x table %table at %p, %s, %t cache "
         "%kv "
         "layer %layer heads " +
         str(shape.heads) +
         (shape.norms ? " norm %qw, %kw epsilon = 1.0e-2" : "") + " : (" + X +
         "), " + T + ", tensor<?xi32>, tensor<?xi32>, " + P + ", " + C +
         (shape.norms ? ", " + W + ", " + W : "") + " -> " + Y +
         "\n%y = odyssey.attention %q at %p, %s, %t cache %kv layer %layer "
         "heads " +
         str(shape.heads) + " scale = " + scale.str() + " : " + Y +
         ", tensor<?xi32>, tensor<?xi32>, " + P + ", " + C + " -> " + Y +
         "\nreturn %y : " + Y + "\n}\n";
    compileFor("sm_80");
    for (int32_t i = 0; i < kSequences * pages; ++i)
      table.push_back(static_cast<int32_t>(kSequences * pages) - 1 - i);
  }

  void compileFor(const std::string &target) {
    module = std::make_unique<CompiledModule>(ir, weights, target);
  }

  struct Token {
    int32_t sequence, position;
  };

  /// One step over `tokens`; the outputs' bits, token by token.
  std::vector<std::vector<uint16_t>> step(const std::vector<Token> &tokens) {
    int64_t m = static_cast<int64_t>(tokens.size());
    std::vector<uint16_t> x;
    std::vector<int32_t> positions, sequences;
    for (Token token : tokens) {
      auto row = inputs[token.sequence].begin() + token.position * width;
      x.insert(x.end(), row, row + width);
      positions.push_back(token.position);
      sequences.push_back(token.sequence);
    }
    auto result = module->run(
        "main", {tensor(ElementType::F16, {m, width}, x),
                 tensor(ElementType::I32, {m}, positions),
                 tensor(ElementType::I32, {m}, sequences),
                 tensor(ElementType::I32, {kSequences, pages}, table)});
    std::vector<std::vector<uint16_t>> rows;
    if (result.size() != 1)
      return rows;
    std::vector<uint16_t> all = elements<uint16_t>(result[0]);
    int64_t columns = shape.heads * shape.d;
    for (int64_t row = 0; row < m; ++row)
      rows.emplace_back(all.begin() + row * columns,
                        all.begin() + (row + 1) * columns);
    return rows;
  }

  std::vector<Token> run(int32_t sequence, int64_t from, int64_t to) {
    std::vector<Token> tokens;
    for (int64_t p = from; p < to; ++p)
      tokens.push_back({sequence, static_cast<int32_t>(p)});
    return tokens;
  }

  /// Query, key or value of a head at a position. The first two are
  /// normalized, if the model does so, and rotated, and rounded to fp16 after
  /// both.
  std::vector<double> vector(int32_t sequence, int64_t position, int64_t start,
                             bool rotate) {
    const uint16_t *row = inputs[sequence].data() + position * width + start;
    std::vector<double> v(shape.d);
    for (int64_t i = 0; i < shape.d; ++i)
      v[i] = fromHalf(row[i]);
    if (!rotate)
      return v;
    if (shape.norms) {
      const std::vector<uint16_t> &weight =
          start < shape.heads * shape.d ? queryNorm : keyNorm;
      double squares = 0;
      for (double x : v)
        squares += x * x;
      double r = 1 / std::sqrt(squares / shape.d + 1e-2);
      for (int64_t i = 0; i < shape.d; ++i)
        v[i] = fromHalf(
            toHalf(static_cast<float>(v[i] * r * fromHalf(weight[i]))));
    }
    int64_t half = shape.d / 2;
    for (int64_t i = 0; i < half; ++i) {
      double angle = position * std::pow(1e4, -2.0 * i / shape.d);
      auto c = static_cast<float>(std::cos(angle)),
           s = static_cast<float>(std::sin(angle));
      auto low = static_cast<float>(v[i]),
           high = static_cast<float>(v[i + half]);
      v[i] = fromHalf(toHalf(low * c - high * s));
      v[i + half] = fromHalf(toHalf(high * c + low * s));
    }
    return v;
  }

  static double lengthOf(const std::vector<double> &v) {
    double squares = 0;
    for (double x : v)
      squares += x * x;
    return std::sqrt(squares);
  }

  /// Query of a head at a position, rounded to its unit (N21).
  std::vector<double> query(Token token, int64_t head) {
    std::vector<double> v =
        vector(token.sequence, token.position, head * shape.d, true);
    double unit = std::exp2(std::ceil(std::log2(lengthOf(v) / 4064)));
    for (double &x : v)
      x = fromHalf(toHalf(static_cast<float>(std::nearbyint(x / unit) * unit)));
    return v;
  }

  /// Key or value of a head at a position: the integers of the cache times
  /// their scale.
  std::vector<double> cached(int32_t sequence, int64_t position, int64_t start,
                             bool isKey) {
    std::vector<double> v = vector(sequence, position, start, isKey);
    double largest = 0;
    for (double x : v)
      largest = std::max(largest, std::fabs(x));
    float range = shape.int8 ? 127 : isKey ? 4064 : 1016;
    auto size =
        static_cast<float>(!shape.int8 && isKey ? lengthOf(v) : largest);
    float factor = size == 0 ? 0 : range / size, scale = size / range;
    for (double &x : v)
      x = double(scale) *
          fromHalf(toHalf(std::nearbyint(static_cast<float>(x) * factor)));
    return v;
  }

  std::vector<double> expected(Token token) {
    std::vector<double> result;
    int64_t group = shape.heads / shape.kvHeads, d = shape.d;
    for (int64_t head = 0; head < shape.heads; ++head) {
      int64_t kv = head / group;
      std::vector<double> q = query(token, head);
      std::vector<double> scores;
      double greatest = -1e300;
      for (int64_t p = 0; p <= token.position; ++p) {
        std::vector<double> key =
            cached(token.sequence, p, (shape.heads + kv) * d, true);
        double dot = 0;
        for (int64_t i = 0; i < d; ++i)
          dot += q[i] * key[i];
        scores.push_back(dot / std::sqrt(static_cast<double>(d)));
        greatest = std::max(greatest, scores.back());
      }
      std::vector<double> sum(d, 0.0);
      double total = 0;
      for (int64_t p = 0; p <= token.position; ++p) {
        double weight = std::exp(scores[p] - greatest);
        total += weight;
        std::vector<double> value = cached(
            token.sequence, p, (shape.heads + shape.kvHeads + kv) * d, false);
        for (int64_t i = 0; i < d; ++i)
          sum[i] += weight * value[i];
      }
      for (int64_t i = 0; i < d; ++i)
        result.push_back(sum[i] / total);
    }
    return result;
  }

  /// The reference's output for a token.
  std::vector<uint16_t> exact(Token token) {
    Known &known = references[token.sequence];
    if (known.input != inputs[token.sequence])
      known = {inputs[token.sequence], referenceOf(inputs[token.sequence])};
    std::vector<uint16_t> bits;
    for (float value : known.output.row(token.position))
      bits.push_back(toHalf(value));
    return bits;
  }

  odyssey::reference::Matrix
  referenceOf(const std::vector<uint16_t> &input) const {
    using namespace odyssey::reference;
    odyssey::ModelConfig config;
    config.numHeads = shape.heads, config.numKvHeads = shape.kvHeads;
    config.headDim = shape.d, config.rmsNormEps = 1e-2f;
    LayerSteps steps(config, Arithmetic::W4A8);
    steps.reserve(shape.context);
    auto columns = [&](int64_t first, int64_t count) {
      Matrix part(shape.context, count);
      for (int64_t row = 0; row < part.rows; ++row)
        for (int64_t i = 0; i < count; ++i)
          part.row(row)[i] = fromHalf(input[row * width + first + i]);
      return part;
    };
    int64_t queryWidth = config.queryWidth(), keyWidth = config.keyValueWidth();
    Matrix q = columns(0, queryWidth), k = columns(queryWidth, keyWidth),
           v = columns(queryWidth + keyWidth, keyWidth);
    if (shape.norms)
      for (auto [heads, norm] :
           {std::pair(&q, &queryNorm), std::pair(&k, &keyNorm)}) {
        std::vector<float> weight;
        for (uint16_t element : *norm)
          weight.push_back(fromHalf(element));
        steps.normalizeHeads(*heads, weight);
      }
    steps.rotate(q, 0);
    steps.rotate(k, 0);
    KeyValueCache cache;
    steps.append(cache, k, v, shape.int8);
    return steps.attend(q, cache, 0, /*threads=*/1);
  }

  /// Weights rounded to integers of which a page has 8,192 at least: some
  /// 2^-12 of the values, which are up to 8 and more here; and the fp16 result.
  void expectRight(const std::vector<uint16_t> &actual, Token token) {
    EXPECT_EQ(actual, exact(token))
        << "sequence " << token.sequence << ", position " << token.position;
    std::vector<double> reference = expected(token);
    ASSERT_EQ(actual.size(), reference.size());
    for (size_t i = 0; i < actual.size(); ++i)
      ASSERT_NEAR(fromHalf(actual[i]), reference[i],
                  6e-3 + 2e-3 * std::fabs(reference[i]))
          << "sequence " << token.sequence << ", position " << token.position
          << ", element " << i;
  }

  Shape shape;
  int64_t pages, width;
  std::array<std::vector<uint16_t>, kSequences> inputs;
  std::vector<uint16_t> queryNorm, keyNorm;
  std::vector<int32_t> table;
  std::string ir;
  std::vector<WeightTensor> weights;
  std::unique_ptr<CompiledModule> module;
  /// By sequence, of the input that it has.
  struct Known {
    std::vector<uint16_t> input;
    odyssey::reference::Matrix output;
  };
  std::map<int32_t, Known> references;
};

TEST_P(Attention, AgreesWithDoublePrecision) {
  int64_t length = std::min<int64_t>(shape.context, 90);
  std::vector<Token> tokens = run(0, 0, length);
  auto rows = step(tokens);
  ASSERT_EQ(rows.size(), tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i)
    expectRight(rows[i], tokens[i]);
}

TEST_P(Attention, SequencesShareAStep) {
  std::vector<Token> tokens = run(2, 0, 20);
  for (Token token : run(0, 0, 33))
    tokens.push_back(token);
  tokens.push_back({1, 0});
  auto rows = step(tokens);
  ASSERT_EQ(rows.size(), tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i)
    expectRight(rows[i], tokens[i]);
  // And go on, each from where it is.
  std::vector<Token> next = {{0, 33}, {1, 1}, {2, 20}};
  auto more = step(next);
  ASSERT_EQ(more.size(), next.size());
  for (size_t i = 0; i < next.size(); ++i)
    expectRight(more[i], next[i]);
}

TEST_P(Attention, BitsDoNotDependOnTheStep) {
  int64_t length = std::min<int64_t>(shape.context, 100);
  auto whole = step(run(0, 0, length));
  ASSERT_EQ(whole.size(), static_cast<size_t>(length));
  // The same input as another sequence, cut into pieces of all buckets.
  inputs[1] = inputs[0];
  int64_t at = 0;
  for (int64_t piece : {3, 1, 20, 8, 1, 1000}) {
    int64_t end = std::min(length, at + piece);
    std::vector<Token> tokens = run(1, at, end);
    // In company of an unrelated token.
    tokens.push_back({2, static_cast<int32_t>(0)});
    auto rows = step(tokens);
    ASSERT_EQ(rows.size(), tokens.size());
    for (int64_t i = at; i < end; ++i)
      EXPECT_EQ(rows[i - at], whole[i]) << "position " << i;
    at = end;
    if (at == length)
      break;
  }
}

TEST_P(Attention, RowsWithoutATokenAreZerosAndAppendNothing) {
  auto first = step(run(0, 0, 5));
  // Next to a token, behind one, and in a step of a larger bucket.
  auto expectZeros = [&](const std::vector<uint16_t> &row) {
    EXPECT_EQ(row, std::vector<uint16_t>(row.size(), 0));
  };
  for (size_t rows : {3u, 70u}) {
    std::vector<Token> tokens(rows, Token{0, -1});
    tokens[1] = {0, 5};
    auto result = step(tokens);
    ASSERT_EQ(result.size(), rows);
    for (size_t i = 0; i < rows; ++i)
      if (i != 1)
        expectZeros(result[i]);
    expectRight(result[1], {0, 5});
  }
  // Position 0, which they would overwrite, is as it was.
  inputs[1] = inputs[0];
  step(run(1, 0, 5));
  EXPECT_EQ(step(run(0, 5, 6)), step(run(1, 5, 6)));
}

class TensorCores : public Attention {};

/// Also of queries that are parallel to keys, as vectors of equal elements and
/// of a single one, and of values that are all the greatest: there, sums come
/// near 2^24.
TEST_P(TensorCores, GiveTheSameBits) {
  std::vector<std::vector<uint16_t>> kinds = {inputs[0]};
  for (int64_t stride : {int64_t(1), shape.d}) {
    std::vector<uint16_t> &equal = kinds.emplace_back(inputs[0].size());
    for (size_t i = 0; i < equal.size(); i += stride)
      equal[i] = toHalf(3.0f);
  }
  for (const char *target : {"sm_80", "sm_90a"}) {
    compileFor(target);
    for (size_t kind = 0; kind < kinds.size(); ++kind) {
      SCOPED_TRACE(std::string(target) + ", input " + std::to_string(kind));
      inputs[0] = kinds[kind];
      // Prefill, and a step of one token.
      auto rows = step(run(0, 0, 20));
      auto next = step({{0, 20}});
      ASSERT_EQ(rows.size(), 20u);
      ASSERT_EQ(next.size(), 1u);
      rows.push_back(next[0]);
      for (int32_t position = 0; position <= 20; ++position) {
        EXPECT_EQ(rows[position], exact({0, position})) << position;
        // The mean of equal values is that value, but for units.
        if (kind > 0)
          EXPECT_NEAR(fromHalf(rows[position][0]), 3.0f, 0.03f) << position;
      }
    }
  }
}

TEST_P(Attention, StepsOfOneTokenGiveTheSameBits) {
  // Over the border of a page; rotation, append and attention are one kernel.
  auto whole = step(run(0, 0, 70));
  ASSERT_EQ(whole.size(), 70u);
  inputs[1] = inputs[0];
  step(run(1, 0, 62));
  for (int32_t position = 62; position < 66; ++position)
    EXPECT_EQ(step({{1, position}}), decltype(whole){whole[position]});
  // A step without a token gives zeros and appends nothing.
  auto nothing = step({{1, -1}});
  ASSERT_EQ(nothing.size(), 1u);
  EXPECT_EQ(nothing[0], std::vector<uint16_t>(whole[0].size(), 0));
  EXPECT_EQ(step({{1, 66}}), decltype(whole){whole[66]});
  // What they appended serves steps of many.
  auto rest = step(run(1, 67, 70));
  ASSERT_EQ(rest.size(), 3u);
  EXPECT_EQ(rest[2], whole[69]);
}

class LongAttention : public Attention {};

TEST_P(LongAttention, AllWaysToSplitTheKvLengthGiveTheSameBits) {
  // Two steps too large for splitting.
  int64_t length = shape.context;
  auto whole = step(run(0, 0, length - 80));
  for (auto &row : step(run(0, length - 80, length)))
    whole.push_back(row);
  ASSERT_EQ(whole.size(), static_cast<size_t>(length));
  for (int64_t position : {int64_t(255), int64_t(256), length - 1})
    expectRight(whole[position], {0, static_cast<int32_t>(position)});
  // Up to the first chunk's end in one piece; then in the smaller buckets.
  inputs[1] = inputs[0];
  int64_t at = 0;
  for (int64_t piece : {253, 1, 1, 1, 1, 7, 36, 64, 64, 64, 64, 64}) {
    int64_t end = std::min(length, at + piece);
    auto rows = step(run(1, at, end));
    ASSERT_EQ(rows.size(), static_cast<size_t>(end - at));
    for (int64_t i = at; i < end; ++i)
      EXPECT_EQ(rows[i - at], whole[i]) << "position " << i;
    at = end;
    if (at == length)
      break;
  }
  ASSERT_EQ(at, length);
  // Decode of sequences of different lengths, with a row that has no token.
  auto mixed = step(
      {{0, static_cast<int32_t>(length - 1)}, {1, 255}, {0, -1}, {1, 256}});
  ASSERT_EQ(mixed.size(), 4u);
  EXPECT_EQ(mixed[0], whole[length - 1]);
  EXPECT_EQ(mixed[1], whole[255]);
  EXPECT_EQ(mixed[3], whole[256]);
}

// Heads that fill no tile, one tile and more than one; the smallest row, rows
// of odd pieces, and more pieces than warps.
INSTANTIATE_TEST_SUITE_P(Shapes, LongAttention,
                         ::testing::Values(Shape{6, 3, 64, 560},
                                           Shape{20, 1, 8, 300},
                                           Shape{8, 1, 24, 300},
                                           Shape{2, 1, 128, 530},
                                           Shape{20, 1, 8, 300, false, true},
                                           Shape{2, 1, 64, 300, false, true}),
                         nameOf);

INSTANTIATE_TEST_SUITE_P(Shapes, TensorCores,
                         ::testing::Values(Shape{4, 4, 8, 64},
                                           Shape{2, 1, 128, 64, true},
                                           Shape{2, 1, 128, 64, false, true}),
                         nameOf);

INSTANTIATE_TEST_SUITE_P(
    Shapes, Attention,
    ::testing::Values(Shape{8, 4, 8, 128}, Shape{4, 4, 16, 128},
                      Shape{9, 3, 64, 256}, Shape{8, 1, 24, 192},
                      Shape{4, 2, 128, 128}, Shape{4, 2, 16, 128, true},
                      Shape{9, 3, 88, 128, true}, Shape{4, 1, 128, 128, true},
                      Shape{8, 4, 8, 128, false, true},
                      Shape{4, 2, 24, 128, false, true},
                      Shape{4, 2, 128, 128, false, true}),
    nameOf);

} // namespace

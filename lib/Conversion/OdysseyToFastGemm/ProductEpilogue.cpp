//===- ProductEpilogue.cpp - From int32 sums to stored outputs ------------===//

#include "ProductEpilogue.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

ProductEpilogue::ProductEpilogue(KernelBuilder &k, graph::MatmulOp op)
    : k(k), n(op.getN()), isGated(op.getSiluMul()),
      factor(op.getWeightFormat().factor()),
      tokenScales(k.operand(op.getXScalesMutable())),
      weightScales(k.operand(op.getWeightScalesMutable())) {
  if (op.getBias())
    biases = k.operand(op.getBiasMutable()[0]);
  if (op.getResidual())
    residuals = k.operand(op.getResidualMutable()[0]);
  if (op.getNorm())
    norms = k.operand(op.getNormMutable()[0]);
}

Val ProductEpilogue::tokenScale(Val token) {
  if (onlyScale.value)
    return onlyScale;
  return k.load(k.f32(), k.offset(tokenScales, token << 2));
}

ProductEpilogue::Inputs ProductEpilogue::loadInputs(Val token, Val channel,
                                                    int64_t count) {
  auto load = [&](Type element, Val row) {
    int64_t width = element.getIntOrFloatBitWidth() / 8;
    return k.load(count == 1 ? element : Type(k.vec(count, element)),
                  k.offset(row, channel * width));
  };
  Inputs inputs;
  inputs.scale = load(k.f32(), weightScales);
  if (biases.value)
    inputs.bias = load(k.f16(), biases);
  if (residuals.value)
    inputs.residual = load(k.f16(), k.row(residuals, token, n * 2));
  if (norms.value)
    inputs.norm = load(k.f16(), norms);
  return inputs;
}

Val ProductEpilogue::finish(Val sum, Val tokenScale, const Inputs &inputs) {
  // Dividing by a power of two is exact.
  Val scale =
      factor == 1
          ? inputs.scale
          : inputs.scale * k.constantF32(1.0f / static_cast<float>(factor));
  Val scaled = k.intToF32(sum) * scale * tokenScale;
  if (inputs.bias.value)
    scaled = scaled + k.toF32(inputs.bias);
  Val product = k.toF16(scaled);
  if (!inputs.residual.value)
    return product;
  return k.toF16(k.toF32(product) + k.toF32(inputs.residual));
}

Val ProductEpilogue::finishAll(ArrayRef<Val> sums, Val tokenScale,
                               const Inputs &inputs) {
  assert(sums.size() == kChannels && "one thread's adjacent channels");
  SmallVector<Val> halves;
  for (auto [i, sum] : llvm::enumerate(sums)) {
    auto part = [&, i = i](Val vector) {
      return vector.value ? k.extract(vector, i) : Val();
    };
    halves.push_back(finish(
        sum, tokenScale,
        {part(inputs.scale), part(inputs.bias), part(inputs.residual), Val()}));
  }
  return isGated ? activate(halves) : k.vectorOf(halves);
}

Val ProductEpilogue::activate(ArrayRef<Val> halves) {
  SmallVector<Val> results;
  for (int64_t i = 0; i < kChannels / 2; ++i) {
    Val gate = k.toF32(halves[i]), up = k.toF32(halves[i + kChannels / 2]);
    Val denominator = k.constantF32(1.0f) + k.exp(k.constantF32(0.0f) - gate);
    results.push_back(k.toF16(gate / denominator * up));
  }
  return k.vectorOf(results);
}

void ProductEpilogue::store(Val token, Val channel, ArrayRef<Val> sums) {
  Val ofToken = tokenScale(token);
  Val row = k.row(k.result(0), token, rowBytes());
  if (n % kChannels == 0) {
    Inputs inputs = loadInputs(token, channel, kChannels);
    k.store(finishAll(sums, ofToken, inputs), k.offset(row, inRow(channel)));
    return;
  }
  for (auto [i, sum] : llvm::enumerate(sums)) {
    Val at = channel + i;
    k.ifThen(at < n, [&, sum = sum] {
      k.store(finish(sum, ofToken, loadInputs(token, at, 1)),
              k.offset(row, at << 1));
    });
  }
}

void ProductEpilogue::storeAll(ArrayRef<Val> tokens, Val channel,
                               ArrayRef<SmallVector<Val>> sums) {
  if (n % kChannels != 0) {
    for (auto [token, quad] : llvm::zip_equal(tokens, sums))
      k.ifThen(
          k.land(channel < n, token < k.tokens()),
          [&, token = token, &quad = quad] { store(token, channel, quad); });
    return;
  }
  auto storeThem = [&](SmallVectorImpl<Val> &statistics) {
    // As many at a time as registers are free at the end of a product.
    constexpr size_t together = 16;
    Inputs ofChannels;
    for (size_t first = 0; first < tokens.size(); first += together) {
      size_t count = std::min(together, tokens.size() - first);
      storeBatch(tokens.slice(first, count), channel, sums.slice(first, count),
                 ofChannels, statistics);
    }
  };
  if (!maximaColumn.value) {
    k.ifThen(channel < n, [&] {
      SmallVector<Val> none;
      storeThem(none);
    });
    return;
  }
  // Lanes behind the last channel have none.
  auto count = static_cast<int64_t>(tokens.size() * statisticsOfToken());
  Val ofLane = k.ifElse(
      channel < n,
      [&] {
        SmallVector<Val> statistics;
        storeThem(statistics);
        return k.vectorOf(statistics);
      },
      [&] { return k.zeros(k.vec(count, k.f32())); });
  SmallVector<Val> statistics;
  for (int64_t i = 0; i < count; ++i)
    statistics.push_back(k.extract(ofLane, i));
  storeMaxima(tokens, statistics);
}

void ProductEpilogue::addStatistics(Val halves, Val norm,
                                    SmallVectorImpl<Val> &statistics) {
  Val largest = k.constantF32(0.0f);
  SmallVector<Val> squares;
  int64_t count = cast<VectorType>(halves.type()).getNumElements();
  for (int64_t element = 0; element < count; ++element) {
    Val output = k.toF32(k.extract(halves, element));
    squares.push_back(output * output);
    if (norm.value)
      output = output * k.toF32(k.extract(norm, element));
    largest = k.maxF(largest, k.absF(output));
  }
  statistics.push_back(largest);
  // The lower two levels of the tree of N15.
  if (norm.value)
    statistics.push_back((squares[0] + squares[1]) + (squares[2] + squares[3]));
}

void ProductEpilogue::storeMaxima(ArrayRef<Val> tokens,
                                  ArrayRef<Val> statistics) {
  Val lane = k.threadIndex() & 31;
  size_t each = statisticsOfToken();
  auto bytes = static_cast<int64_t>(4 * each);
  for (auto [i, token] : llvm::enumerate(tokens)) {
    Val largest = statistics[i * each];
    Val squares = norms.value ? statistics[i * each + 1] : Val();
    // Over the lanes of this token, which are four apart: 32 adjacent channels.
    for (int64_t mask : {4, 8, 16}) {
      largest = k.maxF(largest, k.shuffleXor(largest, mask));
      if (norms.value)
        squares = squares + k.shuffleXor(squares, mask);
    }
    k.ifThen(k.land(lane < 4, token < k.tokens()), [&, token = token] {
      k.store(norms.value ? k.vectorOf({largest, squares}) : largest,
              k.offset(k.row(k.result(1), token, maximaColumns * bytes),
                       maximaColumn * bytes));
    });
  }
}

void ProductEpilogue::storeBatch(ArrayRef<Val> tokens, Val channel,
                                 ArrayRef<SmallVector<Val>> sums,
                                 Inputs &ofChannels,
                                 SmallVectorImpl<Val> &statistics) {
  Val lastToken = k.tokens() - 1;
  SmallVector<Val> scales;
  SmallVector<Inputs> inputs;
  for (Val token : tokens) {
    Val inside = k.min(token, lastToken);
    scales.push_back(tokenScale(inside));
    Inputs own = ofChannels;
    if (!ofChannels.scale.value || residuals.value)
      own = loadInputs(inside, channel, kChannels);
    if (!ofChannels.scale.value)
      ofChannels = own;
    own.scale = ofChannels.scale, own.bias = ofChannels.bias;
    inputs.push_back(own);
  }
  for (auto [i, token] : llvm::enumerate(tokens)) {
    Val halves = finishAll(sums[i], scales[i], inputs[i]);
    if (maximaColumn.value)
      addStatistics(halves, ofChannels.norm, statistics);
    k.ifThen(token < k.tokens(), [&, token = token] {
      Val row = k.row(k.result(0), token, rowBytes());
      k.store(halves, k.offset(row, inRow(channel)));
    });
  }
}

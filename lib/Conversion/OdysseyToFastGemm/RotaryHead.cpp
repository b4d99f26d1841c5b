//===- RotaryHead.cpp - Rotary embedding of one head ----------------------===//

#include "RotaryHead.h"

using namespace mlir;
using namespace odyssey;
using namespace odyssey::conversion;

/// What queries' and keys' vectors of integers are as long as (2-norm), and the
/// greatest of a value's (N21).
static constexpr float kVectorNorm = 4064.0f, kLargestValue = 1016.0f;

/// The pair `index`, rotated and in fp16.
static Pair rotated(KernelBuilder &k, Pair pair, Val index, Val angles,
                    int64_t half) {
  Val angle = k.offset(angles, index << 2);
  Val cosine = k.load(k.f32(), angle);
  Val sine = k.load(k.f32(), k.offset(angle, half * 4));
  return {k.toF16(pair.low * cosine - pair.high * sine),
          k.toF16(pair.high * cosine + pair.low * sine)};
}

/// Stores a pair of fp16 to the head at `to`.
static void storePair(KernelBuilder &k, Pair pair, Val index, Val to,
                      int64_t half) {
  Val target = k.offset(to, index << 1);
  k.store(pair.low, target);
  k.store(pair.high, k.offset(target, half * 2));
}

void WarpHead::forEach(llvm::function_ref<void(Pair &, Val)> body) {
  for (auto [round, pair] : llvm::enumerate(pairs)) {
    Val index = lane + round * 32;
    if ((static_cast<int64_t>(round) + 1) * 32 <= half)
      body(pair, index);
    else
      k.ifThen(index < half, [&, &pair = pair] { body(pair, index); });
  }
}

void WarpHead::map(llvm::function_ref<Pair(Pair, Val)> body) {
  for (auto [round, pair] : llvm::enumerate(pairs)) {
    Val index = lane + round * 32;
    Pair old = pair;
    pair.low = inHead(index, round, [&] { return body(old, index).low; });
    pair.high = inHead(index, round, [&] { return body(old, index).high; });
  }
}

void WarpHead::load(Val from) {
  pairs.clear();
  for (int64_t round = 0; round * 32 < half; ++round) {
    Val index = lane + round * 32;
    auto element = [&](int64_t offset) {
      return inHead(index, round, [&] {
        return k.toF32(k.load(k.f16(), k.offset(from, (index << 1) + offset)));
      });
    };
    pairs.push_back({element(0), element(half * 2)});
  }
}

Val WarpHead::sumOfSquares() {
  Val sum = k.constantF32(0.0f);
  for (Pair &pair : pairs) {
    sum = sum + pair.low * pair.low;
    sum = sum + pair.high * pair.high;
  }
  return k.warpReduce(sum, Reduction::Sum);
}

Val WarpHead::largest() {
  Val largest = k.constantF32(0.0f);
  for (Pair &pair : pairs)
    largest = k.maxF(largest, k.maxF(k.absF(pair.low), k.absF(pair.high)));
  return k.warpReduce(largest, Reduction::Max);
}

void WarpHead::normalize(Val weight, float epsilon) {
  Val mean = sumOfSquares() / k.constantF32(static_cast<float>(2 * half));
  Val r = k.constantF32(1.0f) / k.sqrt(mean + k.constantF32(epsilon));
  map([&](Pair pair, Val index) {
    auto normalized = [&](Val x, int64_t offset) {
      Val w = k.toF32(k.load(k.f16(), k.offset(weight, (index << 1) + offset)));
      // As if it had been stored in between.
      return k.toF32(k.toF16(x * r * w));
    };
    return Pair{normalized(pair.low, 0), normalized(pair.high, half * 2)};
  });
}

void WarpHead::rotate(Val angles) {
  map([&](Pair pair, Val index) {
    Pair result = rotated(k, pair, index, angles, half);
    return Pair{k.toF32(result.low), k.toF32(result.high)};
  });
}

void WarpHead::roundQuery() {
  // The unit: the least power of two that is no less. Its inverse is one too.
  constexpr int64_t mantissa = 0x7FFFFF, exponent = 0x7F800000;
  constexpr int64_t ofSquare = int64_t(254) << 23;
  Val length = k.sqrt(sumOfSquares()) / k.constantF32(kVectorNorm);
  Val bits = k.bitcast(k.maxF(length, k.constantF32(0x1p-100f)), k.i32());
  bits = (bits + mantissa) & exponent;
  Val unit = k.bitcast(bits, k.f32());
  Val inverse = k.bitcast(k.constant(ofSquare) - bits, k.f32());
  auto rounded = [&](Val x) {
    return k.toF32(k.toF16(k.roundEven(x * inverse) * unit));
  };
  map([&](Pair pair, Val) {
    return Pair{rounded(pair.low), rounded(pair.high)};
  });
}

/// a / b, or 0 where b is.
static Val quotient(KernelBuilder &k, Val a, Val b) {
  Val zero = k.constantF32(0.0f);
  return k.select(b == zero, zero, a / b);
}

void WarpHead::storeF16(Val to) {
  forEach([&](Pair &pair, Val index) {
    storePair(k, {k.toF16(pair.low), k.toF16(pair.high)}, index, to, half);
  });
}

void WarpHead::storeHalfIntegers(Val to, Val factor) {
  auto integer = [&](Val x) { return k.toF16(k.roundEven(x * factor)); };
  forEach([&](Pair &pair, Val index) {
    storePair(k, {integer(pair.low), integer(pair.high)}, index, to, half);
  });
}

void WarpHead::storeKey(Val to, Val scale) {
  Val length = k.sqrt(sumOfSquares()), norm = k.constantF32(kVectorNorm);
  storeHalfIntegers(to, quotient(k, norm, length));
  k.ifThen(lane == 0, [&] { k.store(length / norm, scale); });
}

void WarpHead::storeValue(Val to, Val scale) {
  Val greatest = largest(), range = k.constantF32(kLargestValue);
  storeHalfIntegers(to, quotient(k, range, greatest));
  k.ifThen(lane == 0, [&] { k.store(greatest / range, scale); });
}

void WarpHead::storeInt8(Val to, Val scale) {
  Val greatest = largest(), range = k.constantF32(127.0f);
  Val factor = quotient(k, range, greatest);
  forEach([&](Pair &pair, Val index) {
    auto store = [&](Val x, int64_t offset) {
      Val q = k.roundToI8(x * factor);
      k.store(k.val(k.create<arith::TruncIOp>(k.i8(), q.value)),
              k.offset(to, index + offset));
    };
    store(pair.low, 0);
    store(pair.high, half);
  });
  k.ifThen(lane == 0, [&] { k.store(greatest / range, scale); });
}

void CacheRow::store(KernelBuilder &k, WarpHead &head, Val kvHead,
                     bool isValue) const {
  Val rows = k.offset(page, kvHead * cache.headBytes() +
                                (isValue ? cache.valueOffset() : 0));
  Val to = k.offset(rows, row * cache.rowBytes());
  Val scale = k.offset(rows, (row << 2) + cache.scaleOffset());
  if (cache.isInt8)
    head.storeInt8(to, scale);
  else if (isValue)
    head.storeValue(to, scale);
  else
    head.storeKey(to, scale);
}

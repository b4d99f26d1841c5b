//===- FloatTest.cpp - Floating-point arithmetic and conversions ----------===//

#include "PtxTest.h"

#include <cfenv>
#include <cmath>

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

constexpr uint32_t kNan = 0x7FFFFFFF;

uint32_t bits(float value) {
  return std::isnan(value) ? kNan : bitCast<uint32_t>(value);
}

std::vector<float> floats() {
  std::vector<float> values;
  for (uint32_t pattern :
       {0x00000000u, 0x80000000u, 0x3F800000u, 0xBF800000u, 0x00000001u,
        0x80000001u, 0x007FFFFFu, 0x00800000u, 0x7F7FFFFFu, 0xFF7FFFFFu,
        0x7F800000u, 0xFF800000u, 0x7FC00000u, 0xFFC00001u, 0x7F800001u,
        0x3F800001u, 0x3F7FFFFFu, 0x40490FDBu, 0x4B800000u, 0xCB000001u,
        0x3EFFFFFFu, 0x3F000000u, 0x3FC00000u, 0x40200000u, 0xC0200000u})
    values.push_back(bitCast<float>(pattern));
  std::mt19937 random(1);
  for (int i = 0; i < 40; ++i)
    values.push_back(bitCast<float>(static_cast<uint32_t>(random())));
  return values;
}

float flush(float v) {
  return std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.0f, v) : v;
}

/// Checks `opcode D, A, B` bit for bit; NaNs must be the canonical one.
template <typename F> void checkBinary(const std::string &opcode, F expected) {
  auto [a, b] = pairs(floats(), floats());
  auto d = evaluate<float>(opcode + " {D}, {A}, {B};", a, b);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(bitCast<uint32_t>(d[i]), bits(expected(a[i], b[i])))
        << opcode << " " << a[i] << " " << b[i];
}

TEST(Float, Arithmetic) {
  checkBinary("add.rn.f32", [](float a, float b) { return a + b; });
  checkBinary("sub.rn.f32", [](float a, float b) { return a - b; });
  checkBinary("mul.rn.f32", [](float a, float b) { return a * b; });
  checkBinary("div.rn.f32", [](float a, float b) { return a / b; });
  checkBinary("add.rn.ftz.f32",
              [](float a, float b) { return flush(flush(a) + flush(b)); });
  checkBinary("mul.rn.ftz.f32",
              [](float a, float b) { return flush(flush(a) * flush(b)); });
  checkBinary("add.rn.sat.f32", [](float a, float b) {
    float sum = a + b;
    return std::isnan(sum) || sum <= 0 ? 0.0f : std::min(sum, 1.0f);
  });
}

TEST(Float, DirectedRounding) {
  struct Mode {
    const char *name;
    int mode;
  };
  for (Mode mode : {Mode{"rz", FE_TOWARDZERO}, Mode{"rm", FE_DOWNWARD},
                    Mode{"rp", FE_UPWARD}}) {
    auto rounded = [&](auto compute) {
      return [&mode, compute](float a, float b) {
        volatile float x = a, y = b;
        std::fesetround(mode.mode);
        volatile float result = compute(x, y);
        std::fesetround(FE_TONEAREST);
        return float(result);
      };
    };
    std::string name = mode.name;
    checkBinary("add." + name + ".f32",
                rounded([](float a, float b) { return a + b; }));
    checkBinary("mul." + name + ".f32",
                rounded([](float a, float b) { return a * b; }));
    checkBinary("div." + name + ".f32",
                rounded([](float a, float b) { return a / b; }));
  }
}

TEST(Float, FusedMultiplyAdd) {
  auto [a, b] = pairs(floats(), floats());
  std::vector<float> c(a.rbegin(), a.rend());
  auto d = evaluate<float>("fma.rn.f32 {D}, {A}, {B}, {C};", a, b, c);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(bitCast<uint32_t>(d[i]), bits(std::fma(a[i], b[i], c[i])));
}

TEST(Float, MinimumAndMaximum) {
  auto reference = [](float a, float b, bool isMin, bool nan) {
    if (std::isnan(a) || std::isnan(b)) {
      if (nan || (std::isnan(a) && std::isnan(b)))
        return std::numeric_limits<float>::quiet_NaN();
      return std::isnan(a) ? b : a;
    }
    if (a == 0 && b == 0) // -0 is less than +0
      return std::signbit(a) == isMin ? a : b;
    return isMin ? std::min(a, b) : std::max(a, b);
  };
  for (bool isMin : {true, false})
    for (bool nan : {true, false})
      checkBinary(
          std::string(isMin ? "min" : "max") + (nan ? ".NaN" : "") + ".f32",
          [&](float a, float b) { return reference(a, b, isMin, nan); });
}

TEST(Float, SignsAndRoots) {
  auto a = floats();
  auto negated = evaluate<uint32_t>("neg.f32 {D}, {A};", a);
  auto absolute = evaluate<uint32_t>("abs.f32 {D}, {A};", a);
  auto copied = evaluate<uint32_t>("copysign.f32 {D}, {A}, {B};", a,
                                   std::vector<float>(a.rbegin(), a.rend()));
  auto root = evaluate<uint32_t>("sqrt.rn.f32 {D}, {A};", a);
  auto reciprocal = evaluate<uint32_t>("rcp.rn.f32 {D}, {A};", a);
  for (size_t i = 0; i < a.size(); ++i) {
    uint32_t pattern = bitCast<uint32_t>(a[i]);
    uint32_t other = bitCast<uint32_t>(a[a.size() - 1 - i]);
    EXPECT_EQ(negated[i], pattern ^ 0x80000000u);
    EXPECT_EQ(absolute[i], pattern & 0x7FFFFFFFu);
    EXPECT_EQ(copied[i], (pattern & 0x80000000u) | (other & 0x7FFFFFFFu));
    EXPECT_EQ(root[i], bits(std::sqrt(a[i])));
    EXPECT_EQ(reciprocal[i], bits(1 / a[i]));
  }
}

/// In long double, so that the second rounding (to f32) decides.
void checkApproximation(const std::string &opcode,
                        long double (*exact)(long double), float low,
                        float high, double ulps, bool perturb) {
  std::vector<float> a;
  std::mt19937 random(2);
  std::uniform_real_distribution<float> inside(low, high);
  for (int i = 0; i < 4000; ++i)
    a.push_back(inside(random));
  EmulatorOptions options;
  options.perturbApproximations = perturb;
  auto d = evaluate<float>(opcode + " {D}, {A};", a, {}, {}, options);
  size_t different = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    long double value = exact(a[i]);
    auto nearest = static_cast<float>(value);
    different += d[i] != nearest;
    if (!perturb) {
      EXPECT_EQ(d[i], nearest) << opcode << " " << a[i];
      continue;
    }
    long double ulp = std::ldexp(1.0L, std::ilogb(nearest) - 23);
    EXPECT_LE(std::fabs(double((d[i] - value) / ulp)), ulps)
        << opcode << " " << a[i];
  }
  if (perturb) {
    EXPECT_GT(different, a.size() / 8) << opcode;
  }
}

TEST(Float, ApproximationsAreCorrectlyRoundedOrPerturbed) {
  auto exp2 = [](long double x) { return std::exp2(x); };
  auto rsqrt = [](long double x) { return 1 / std::sqrt(x); };
  auto log2 = [](long double x) { return std::log2(x); };
  auto sine = [](long double x) { return std::sin(x); };
  auto tanh = [](long double x) { return std::tanh(x); };
  auto inverse = [](long double x) { return 1 / x; };
  for (bool perturb : {false, true}) {
    checkApproximation("ex2.approx.f32", exp2, -30, 30, 2, perturb);
    checkApproximation("ex2.approx.ftz.f32", exp2, -1, 1, 2, perturb);
    checkApproximation("rsqrt.approx.f32", rsqrt, 1e-3f, 1e6f, 2.2, perturb);
    checkApproximation("rcp.approx.ftz.f32", inverse, 1e-3f, 1e6f, 1, perturb);
    checkApproximation("lg2.approx.f32", log2, 2.1f, 1e6f, 4, perturb);
    checkApproximation("tanh.approx.f32", tanh, 0.01f, 4, 8192, perturb);
    checkApproximation("sin.approx.f32", sine, 0.8f, 2.3f, 16, perturb);
  }
}

TEST(Float, ApproximationsAtTheEdges) {
  std::vector<float> a = {0.0f, -0.0f, INFINITY, -INFINITY, NAN,
                          200,  -200,  -149,     1e-40f};
  auto exp = evaluate<uint32_t>("ex2.approx.f32 {D}, {A};", a);
  const float expected[] = {1,        1, INFINITY,           0, NAN,
                            INFINITY, 0, bitCast<float>(1u), 1};
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_EQ(exp[i], bits(expected[i])) << a[i];
  EXPECT_EQ(evaluate<uint32_t>("ex2.approx.ftz.f32 {D}, {A};", a)[7], 0u);
  auto root = evaluate<uint32_t>("rsqrt.approx.f32 {D}, {A};", a);
  EXPECT_EQ(root[0], bits(INFINITY));
  EXPECT_EQ(root[1], bits(-INFINITY));
  EXPECT_EQ(root[2], 0u);
  EXPECT_EQ(root[3], kNan);
  EXPECT_EQ(evaluate<uint32_t>("rsqrt.approx.ftz.f32 {D}, {A};", a)[8],
            bits(INFINITY));
}

// 16-bit formats, computed exactly in double or __float128-free integers.

double half(uint16_t h) {
  int e = h >> 10 & 31, m = h & 1023;
  double v = e == 31  ? (m ? NAN : INFINITY)
             : e == 0 ? std::ldexp(m, -24)
                      : std::ldexp(1024 + m, e - 25);
  return h & 0x8000 ? -v : v;
}

double bfloat(uint16_t h) { return bitCast<float>(uint32_t(h) << 16); }

/// Nearest 16-bit float with `mantissa` bits to the sum of two exact doubles,
/// by search: no rounding in between.
uint16_t roundPair(double high, double low, bool bf) {
  double value = low == 0 ? high : high + low; // keeps the sign of -0
  if (std::isnan(value))
    return 0x7FFF;
  auto decode = [&](uint32_t h) { return bf ? bfloat(h) : half(h); };
  uint32_t infinity = bf ? 0x7F80 : 0x7C00;
  bool negative = value < 0 || (value == 0 && std::signbit(value));
  if (negative)
    high = -high, low = -low;
  // The largest pattern that is not above the value.
  auto above = [&](double x) { return (x - high) > low; };
  uint32_t below = 0, end = infinity;
  while (below + 1 < end) {
    uint32_t middle = (below + end) / 2;
    (above(decode(middle)) ? end : below) = middle;
  }
  double limit = bf ? 0x1p128 : 65536.0;
  if (std::isinf(value))
    return uint16_t(infinity | (negative ? 0x8000 : 0));
  double next = below + 1 == infinity ? limit : decode(below + 1);
  double center = (decode(below) + next) / 2;
  bool up = (high - center) > -low || ((high - center) == -low && (below & 1));
  return uint16_t((below + up) | (negative ? 0x8000 : 0));
}

std::vector<uint16_t> halves(bool bf) {
  std::vector<uint16_t> values = {0,      0x8000, 1,      0x8001,
                                  0x3C00, 0x3E00, 0x0400, 0x03FF};
  uint16_t infinity = bf ? 0x7F80 : 0x7C00;
  for (uint16_t special :
       {infinity, uint16_t(infinity | 0x8000), uint16_t(infinity + 1),
        uint16_t(infinity - 1), uint16_t(0x7E00)})
    values.push_back(special);
  std::mt19937 random(21);
  for (int i = 0; i < 24; ++i)
    values.push_back(uint16_t(random()));
  // Around 1, where sums and products round in many ways.
  for (int i = 0; i < 24; ++i)
    values.push_back(uint16_t((bf ? 0x3F80 : 0x3C00) + random() % 0x300 +
                              (random() % 2 ? 0x8000 : 0)));
  return values;
}

/// fma with the operands' sum taken apart into two exact doubles.
uint16_t fmaReference(uint16_t a, uint16_t b, uint16_t c, bool bf) {
  double x = bf ? bfloat(a) : half(a), y = bf ? bfloat(b) : half(b);
  double z = bf ? bfloat(c) : half(c);
  double product = x * y; // exact: at most 22 significant bits
  double sum = product + z;
  if (!std::isfinite(sum))
    return roundPair(sum, 0, bf);
  double part = sum - product;
  double error = (product - (sum - part)) + (z - part);
  return roundPair(sum, error, bf);
}

bool sameHalf(uint16_t got, uint16_t expected, bool bf) {
  uint16_t infinity = bf ? 0x7F80 : 0x7C00;
  if ((expected & 0x7FFF) > infinity)
    return got == 0x7FFF;
  return got == expected;
}

void checkHalfFma(bool bf) {
  auto [a, b] = pairs(halves(bf), halves(bf));
  std::vector<uint16_t> c;
  std::mt19937 random(4);
  std::vector<uint16_t> choices = halves(bf);
  for (size_t i = 0; i < a.size(); ++i)
    c.push_back(choices[random() % choices.size()]);
  std::string type = bf ? "bf16" : "f16";
  auto d =
      evaluate<uint16_t>("fma.rn." + type + " {D}, {A}, {B}, {C};", a, b, c);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_TRUE(sameHalf(d[i], fmaReference(a[i], b[i], c[i], bf), bf))
        << std::hex << a[i] << " " << b[i] << " " << c[i] << " got " << d[i]
        << " expected " << fmaReference(a[i], b[i], c[i], bf);
  // The packed form has the same value in both halves, swapped.
  std::vector<uint32_t> pa, pb, pc;
  for (size_t i = 0; i < a.size(); ++i) {
    size_t j = a.size() - 1 - i;
    pa.push_back(a[i] | uint32_t(a[j]) << 16);
    pb.push_back(b[i] | uint32_t(b[j]) << 16);
    pc.push_back(c[i] | uint32_t(c[j]) << 16);
  }
  auto pd = evaluate<uint32_t>("fma.rn." + type + "x2 {D}, {A}, {B}, {C};", pa,
                               pb, pc);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(pd[i], d[i] | uint32_t(d[a.size() - 1 - i]) << 16);
}

TEST(Half, FmaRoundsOnce) {
  checkHalfFma(false);
  checkHalfFma(true);
  // 1.5 * 1.333984375 + 2^-24 lies just above the middle of two numbers.
  auto d = evaluate<uint16_t>(
      "fma.rn.f16 {D}, {A}, {B}, {C};", std::vector<uint16_t>{0x3E00},
      std::vector<uint16_t>{0x3D56}, std::vector<uint16_t>{0x0001});
  EXPECT_EQ(half(d[0]), 2.001953125);
}

TEST(Half, Arithmetic) {
  auto [a, b] = pairs(halves(false), halves(false));
  auto sum = evaluate<uint16_t>("add.rn.f16 {D}, {A}, {B};", a, b);
  auto difference = evaluate<uint16_t>("sub.rn.f16 {D}, {A}, {B};", a, b);
  auto product = evaluate<uint16_t>("mul.rn.f16 {D}, {A}, {B};", a, b);
  auto least = evaluate<uint16_t>("min.f16 {D}, {A}, {B};", a, b);
  for (size_t i = 0; i < a.size(); ++i) {
    double x = half(a[i]), y = half(b[i]);
    ASSERT_TRUE(sameHalf(sum[i], roundPair(x + y, 0, false), false));
    ASSERT_TRUE(sameHalf(difference[i], roundPair(x - y, 0, false), false));
    ASSERT_TRUE(sameHalf(product[i], roundPair(x * y, 0, false), false));
    if (!std::isnan(x) && !std::isnan(y) && x != y) {
      ASSERT_EQ(least[i], x < y ? a[i] : b[i]);
    }
  }
}

TEST(Convert, AllHalvesToFloatAndBack) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i)
    all[i] = uint16_t(i);
  auto wide = evaluate<float>("cvt.f32.f16 {D}, {A};", all);
  auto wideBf = evaluate<float>("cvt.f32.bf16 {D}, {A};", all);
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(bitCast<uint32_t>(wide[i]),
              bits(static_cast<float>(half(all[i]))));
    ASSERT_EQ(bitCast<uint32_t>(wideBf[i]),
              bits(static_cast<float>(bfloat(all[i]))));
  }
  auto back = evaluate<uint16_t>("cvt.rn.f16.f32 {D}, {A};", wide);
  for (size_t i = 0; i < all.size(); ++i)
    ASSERT_TRUE(sameHalf(back[i], all[i], false)) << i;
}

TEST(Convert, FloatToHalf) {
  std::vector<float> a = floats();
  std::mt19937 random(8);
  for (int i = 0; i < 3000; ++i) {
    // Middles of two halves, and their neighbours in f32.
    float middle = static_cast<float>((half(uint16_t(random() % 0x7BFF)) +
                                       half(uint16_t(random() % 0x7BFF))) /
                                      2);
    a.push_back(middle);
    a.push_back(std::nextafter(middle, 0.0f));
    a.push_back(-std::nextafter(middle, INFINITY));
    uint16_t h = uint16_t(random() % 0x7BFF);
    a.push_back(static_cast<float>((half(h) + half(h + 1)) / 2));
  }
  auto nearest = evaluate<uint16_t>("cvt.rn.f16.f32 {D}, {A};", a);
  auto truncated = evaluate<uint16_t>("cvt.rz.f16.f32 {D}, {A};", a);
  auto bf = evaluate<uint16_t>("cvt.rn.bf16.f32 {D}, {A};", a);
  auto pair = evaluate<uint32_t>("cvt.rn.f16x2.f32 {D}, {A}, {B};", a,
                                 std::vector<float>(a.rbegin(), a.rend()));
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_TRUE(sameHalf(nearest[i], roundPair(a[i], 0, false), false)) << a[i];
    ASSERT_TRUE(sameHalf(bf[i], roundPair(a[i], 0, true), true)) << a[i];
    if (std::isfinite(a[i])) {
      double got = half(truncated[i]);
      ASSERT_LE(std::fabs(got), std::fabs(a[i]));
      if (std::fabs(a[i]) < 65504) {
        ASSERT_GT(std::fabs(half(truncated[i] + 1)), std::fabs(a[i]));
      }
    }
    ASSERT_EQ(pair[i], uint32_t(nearest[i]) << 16 | nearest[a.size() - 1 - i]);
  }
}

/// Float to integer: rounded, then clamped; NaN is 0, or the least value (and
/// 2^(n-1)) where 64 bits are involved.
template <typename D, typename S>
void checkToInteger(const std::string &types, std::vector<S> a) {
  struct Mode {
    const char *name;
    S (*round)(S);
  };
  const Mode modes[] = {{"rni", [](S v) { return std::nearbyint(v); }},
                        {"rzi", [](S v) { return std::trunc(v); }},
                        {"rmi", [](S v) { return std::floor(v); }},
                        {"rpi", [](S v) { return std::ceil(v); }}};
  for (const Mode &mode : modes) {
    auto d = evaluate<D>(
        std::string("cvt.") + mode.name + "." + types + " {D}, {A};", a);
    for (size_t i = 0; i < a.size(); ++i) {
      long double value = mode.round(a[i]);
      long double least =
          static_cast<long double>(std::numeric_limits<D>::min());
      long double most =
          static_cast<long double>(std::numeric_limits<D>::max());
      D expected = std::isnan(a[i]) ? (sizeof(D) == 8 || sizeof(S) == 8
                                           ? D(D(1) << (sizeof(D) * 8 - 1))
                                           : D(0))
                   : value <= least ? std::numeric_limits<D>::min()
                   : value >= most  ? std::numeric_limits<D>::max()
                                    : static_cast<D>(value);
      ASSERT_EQ(d[i], expected) << types << " " << mode.name << " " << a[i];
    }
  }
}

TEST(Convert, FloatToInteger) {
  std::vector<float> a = floats();
  for (float v : {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 32767.5f, 65535.4f, -32768.6f,
                  2147483520.0f, 2147483648.0f, -2147483648.0f, 4294967040.0f,
                  9.2e18f, 1.8e19f, 127.5f, -128.5f})
    a.push_back(v);
  checkToInteger<int32_t>("s32.f32", a);
  checkToInteger<uint32_t>("u32.f32", a);
  checkToInteger<int16_t>("s16.f32", a);
  checkToInteger<uint16_t>("u16.f32", a);
  checkToInteger<int64_t>("s64.f32", a);
  checkToInteger<uint64_t>("u64.f32", a);
  std::vector<double> wide(a.begin(), a.end());
  checkToInteger<int32_t>("s32.f64", wide);
  checkToInteger<int64_t>("s64.f64", wide);
}

template <typename D, typename S>
void checkFromInteger(const std::string &types) {
  auto a = interesting<S>(300);
  auto d = evaluate<D>("cvt.rn." + types + " {D}, {A};", a);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(d[i], static_cast<D>(a[i])) << types << " " << a[i];
}

TEST(Convert, IntegerToFloat) {
  checkFromInteger<float, int32_t>("f32.s32");
  checkFromInteger<float, uint32_t>("f32.u32");
  checkFromInteger<float, int64_t>("f32.s64");
  checkFromInteger<float, uint64_t>("f32.u64");
  checkFromInteger<float, int16_t>("f32.s16");
  checkFromInteger<double, int32_t>("f64.s32");
  checkFromInteger<double, uint64_t>("f64.u64");
  auto a = interesting<int32_t>(300);
  auto d = evaluate<uint16_t>("cvt.rn.f16.s32 {D}, {A};", a);
  for (size_t i = 0; i < a.size(); ++i)
    ASSERT_EQ(d[i], roundPair(a[i], 0, false)) << a[i];
}

TEST(Convert, BetweenIntegers) {
  auto a = interesting<int64_t>(200);
  auto low = evaluate<int32_t>("cvt.s32.s64 {D}, {A};", a);
  auto byte = evaluate<int32_t>("cvt.s32.s8 {D}, {A};", a);
  auto saturated = evaluate<int32_t>("cvt.sat.s32.s64 {D}, {A};", a);
  auto unsignedSaturated = evaluate<uint16_t>("cvt.sat.u8.s64 {D}, {A};", a);
  auto extended = evaluate<uint64_t>("cvt.u64.u16 {D}, {A};", a);
  auto narrow = evaluate<int32_t>("cvt.s8.s64 {D}, {A};", a);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(low[i], static_cast<int32_t>(a[i]));
    EXPECT_EQ(byte[i], static_cast<int8_t>(a[i]));
    EXPECT_EQ(saturated[i],
              std::min<int64_t>(std::max<int64_t>(a[i], INT32_MIN), INT32_MAX));
    EXPECT_EQ(unsignedSaturated[i],
              std::min<int64_t>(std::max<int64_t>(a[i], 0), 255));
    EXPECT_EQ(extended[i], static_cast<uint16_t>(a[i]));
    EXPECT_EQ(narrow[i], static_cast<int8_t>(a[i]));
  }
}

TEST(Compare, SetPredicate) {
  struct Kind {
    const char *name;
    bool (*ordered)(float, float);
    bool whenNan;
  };
  const Kind kinds[] = {{"eq", [](float a, float b) { return a == b; }, false},
                        {"ne", [](float a, float b) { return a != b; }, false},
                        {"lt", [](float a, float b) { return a < b; }, false},
                        {"ge", [](float a, float b) { return a >= b; }, false},
                        {"equ", [](float a, float b) { return a == b; }, true},
                        {"neu", [](float a, float b) { return a != b; }, true},
                        {"ltu", [](float a, float b) { return a < b; }, true},
                        {"leu", [](float a, float b) { return a <= b; }, true},
                        {"gtu", [](float a, float b) { return a > b; }, true},
                        {"geu", [](float a, float b) { return a >= b; }, true},
                        {"num", [](float, float) { return true; }, false},
                        {"nan", [](float, float) { return false; }, true}};
  auto [a, b] = pairs(floats(), floats());
  for (const Kind &kind : kinds) {
    // Both destinations, and a third predicate that is true for a > 0.
    auto d = evaluate<uint32_t>(
        std::string("setp.gt.f32 %p2, {A}, 0f00000000;\nsetp.") + kind.name +
            ".f32 %p3|%p4, {A}, {B};\nsetp." + kind.name +
            ".and.f32 %p5|%p6, {A}, {B}, !%p2;\n"
            "selp.b32 %r60, 1, 0, %p3;\nselp.b32 %r61, 2, 0, %p4;\n"
            "selp.b32 %r62, 4, 0, %p5;\nselp.b32 %r63, 8, 0, %p6;\n"
            "or.b32 %r60, %r60, %r61;\nor.b32 %r62, %r62, %r63;\n"
            "or.b32 {D}, %r60, %r62;",
        a, b);
    for (size_t i = 0; i < a.size(); ++i) {
      bool nan = std::isnan(a[i]) || std::isnan(b[i]);
      bool yes = nan ? kind.whenNan : kind.ordered(a[i], b[i]);
      bool third = !(a[i] > 0);
      uint32_t expected = (yes ? 1 : 2) + (third ? (yes ? 4 : 8) : 0);
      ASSERT_EQ(d[i], expected) << kind.name << " " << a[i] << " " << b[i];
    }
  }
}

TEST(Compare, Integers) {
  auto [a, b] = pairs(interesting<int32_t>(), interesting<int32_t>());
  auto d = evaluate<uint32_t>(
      "setp.lt.s32 %p1, {A}, {B};\nsetp.lt.u32 %p2, {A}, {B};\n"
      "setp.hs.u32 %p3, {A}, {B};\nset.ge.u32.s32 %r60, {A}, {B};\n"
      "slct.s32.s32 %r61, 16, 0, {A};\nand.b32 %r60, %r60, 8;\n"
      "selp.b32 %r62, 1, 0, %p1;\nselp.b32 %r63, 2, 0, %p2;\n"
      "selp.b32 %r64, 4, 0, %p3;\nor.b32 %r62, %r62, %r63;\n"
      "or.b32 %r62, %r62, %r64;\nor.b32 %r62, %r62, %r60;\n"
      "or.b32 {D}, %r62, %r61;",
      a, b);
  for (size_t i = 0; i < a.size(); ++i) {
    auto x = static_cast<uint32_t>(a[i]), y = static_cast<uint32_t>(b[i]);
    EXPECT_EQ(d[i], uint32_t(a[i] < b[i]) | uint32_t(x < y) << 1 |
                        uint32_t(x >= y) << 2 | uint32_t(a[i] >= b[i]) << 3 |
                        uint32_t(a[i] >= 0) << 4);
  }
}

} // namespace

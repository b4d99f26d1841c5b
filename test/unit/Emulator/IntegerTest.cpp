//===- IntegerTest.cpp - Integer arithmetic and logic ---------------------===//

#include "PtxTest.h"

#include <type_traits>

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

/// Every integer type that the arithmetic instructions take.
template <typename T> struct TypeName;
template <> struct TypeName<uint16_t> {
  static constexpr auto name = "u16";
};
template <> struct TypeName<int16_t> {
  static constexpr auto name = "s16";
};
template <> struct TypeName<uint32_t> {
  static constexpr auto name = "u32";
};
template <> struct TypeName<int32_t> {
  static constexpr auto name = "s32";
};
template <> struct TypeName<uint64_t> {
  static constexpr auto name = "u64";
};
template <> struct TypeName<int64_t> {
  static constexpr auto name = "s64";
};

__extension__ typedef __int128 Wide;

template <typename T> class IntegerTest : public testing::Test {
protected:
  using U = std::make_unsigned_t<T>;
  static constexpr unsigned kBits = sizeof(T) * 8;

  /// Checks `opcode.type D, A, B` against `expected` on all pairs.
  template <typename F>
  void binary(const std::string &opcode, F expected,
              const std::string &type = TypeName<T>::name) {
    auto [a, b] = pairs(interesting<T>(), interesting<T>());
    auto d = evaluate<T>(opcode + "." + type + " {D}, {A}, {B};", a, b);
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_EQ(d[i], expected(a[i], b[i]))
          << opcode << " " << a[i] << ", " << b[i];
  }

  template <typename F>
  void unary(const std::string &opcode, F expected,
             const std::string &type = TypeName<T>::name) {
    auto a = interesting<T>(200);
    auto d = evaluate<T>(opcode + "." + type + " {D}, {A};", a);
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_EQ(d[i], expected(a[i])) << opcode << " " << a[i];
  }

  static std::string untyped() { return "b" + std::to_string(kBits); }
};

using IntegerTypes =
    testing::Types<uint16_t, int16_t, uint32_t, int32_t, uint64_t, int64_t>;
TYPED_TEST_SUITE(IntegerTest, IntegerTypes);

TYPED_TEST(IntegerTest, Arithmetic) {
  using T = TypeParam;
  using U = std::make_unsigned_t<T>;
  this->binary("add", [](T a, T b) { return T(Wide(a) + Wide(b)); });
  this->binary("sub", [](T a, T b) { return T(Wide(a) - Wide(b)); });
  this->binary("mul.lo", [](T a, T b) { return T(U(Wide(a) * Wide(b))); });
  // The product of 64-bit numbers needs more than Wide where both are large
  // and unsigned, so the high half is put together from 32-bit parts.
  this->binary("mul.hi", [](T a, T b) {
    if (sizeof(T) < 8)
      return T((Wide(a) * Wide(b)) >> (sizeof(T) * 8));
    uint64_t x = uint64_t(a), y = uint64_t(b);
    uint64_t low = (x & 0xFFFFFFFF) * (y & 0xFFFFFFFF);
    uint64_t middle = (x >> 32) * (y & 0xFFFFFFFF) + (low >> 32);
    uint64_t other = (x & 0xFFFFFFFF) * (y >> 32) + (middle & 0xFFFFFFFF);
    uint64_t high = (x >> 32) * (y >> 32) + (middle >> 32) + (other >> 32);
    if (std::is_signed_v<T>)
      high -= (a < 0 ? y : 0) + (b < 0 ? x : 0);
    return T(high);
  });
  this->binary("min", [](T a, T b) { return a < b ? a : b; });
  this->binary("max", [](T a, T b) { return a > b ? a : b; });
}

TYPED_TEST(IntegerTest, Division) {
  using T = TypeParam;
  auto [a, b] = pairs(interesting<T>(), interesting<T>());
  std::string type = TypeName<T>::name;
  auto quotient = evaluate<T>("div." + type + " {D}, {A}, {B};", a, b);
  auto rest = evaluate<T>("rem." + type + " {D}, {A}, {B};", a, b);
  for (size_t i = 0; i < a.size(); ++i) {
    if (b[i] == 0)
      continue; // left open
    ASSERT_EQ(quotient[i], T(Wide(a[i]) / Wide(b[i]))) << a[i] << "/" << b[i];
    ASSERT_EQ(rest[i], T(Wide(a[i]) % Wide(b[i]))) << a[i] << "%" << b[i];
  }
}

TYPED_TEST(IntegerTest, Logic) {
  using T = TypeParam;
  std::string type = this->untyped();
  this->binary("and", [](T a, T b) { return T(a & b); }, type);
  this->binary("or", [](T a, T b) { return T(a | b); }, type);
  this->binary("xor", [](T a, T b) { return T(a ^ b); }, type);
  this->unary("not", [](T a) { return T(~a); }, type);
  this->unary("cnot", [](T a) { return T(a == 0); }, type);
}

TYPED_TEST(IntegerTest, ShiftsClamp) {
  using T = TypeParam;
  constexpr int kBits = sizeof(T) * 8;
  auto [a, b] = pairs(interesting<T>(),
                      std::vector<uint32_t>{0, 1, 5, 15, 16, 31, 32, 33, 63, 64,
                                            65, 255, 256, 0x80000000u, ~0u});
  auto left = evaluate<T>("shl." + this->untyped() + " {D}, {A}, {B};", a, b);
  auto right = evaluate<T>(
      std::string("shr.") + TypeName<T>::name + " {D}, {A}, {B};", a, b);
  for (size_t i = 0; i < a.size(); ++i) {
    // Multiplication and division by powers of two, rounding down.
    Wide scale = Wide(1) << std::min<uint32_t>(b[i], 100);
    Wide x = a[i];
    Wide down = x >= 0 ? x / scale : -((-x + scale - 1) / scale);
    ASSERT_EQ(left[i], b[i] >= kBits ? T(0) : T(x * scale)) << b[i];
    ASSERT_EQ(right[i], T(down)) << a[i] << " >> " << b[i];
  }
}

template <typename T> class SignedTest : public IntegerTest<T> {};
using SignedTypes = testing::Types<int16_t, int32_t, int64_t>;
TYPED_TEST_SUITE(SignedTest, SignedTypes);

TYPED_TEST(SignedTest, Signs) {
  using T = TypeParam;
  this->unary("abs", [](T a) { return T(a < 0 ? -Wide(a) : Wide(a)); });
  this->unary("neg", [](T a) { return T(-Wide(a)); });
}

template <typename T, typename W> void checkWide() {
  std::string type = TypeName<T>::name;
  auto [a, b] = pairs(interesting<T>(), interesting<T>());
  auto product = evaluate<W>("mul.wide." + type + " {D}, {A}, {B};", a, b);
  std::vector<W> c(a.size());
  std::mt19937_64 random(5);
  for (W &value : c)
    value = static_cast<W>(random());
  auto sum = evaluate<W>("mad.wide." + type + " {D}, {A}, {B}, {C};", a, b, c);
  auto low = evaluate<T>("mad.lo." + type + " {D}, {A}, {B}, {A};", a, b);
  auto high = evaluate<T>("mad.hi." + type + " {D}, {A}, {B}, {A};", a, b);
  for (size_t i = 0; i < a.size(); ++i) {
    Wide exact = Wide(a[i]) * Wide(b[i]);
    ASSERT_EQ(product[i], W(exact));
    ASSERT_EQ(sum[i], W(exact + Wide(c[i])));
    ASSERT_EQ(low[i], T(exact + a[i]));
    ASSERT_EQ(high[i], T((exact >> (sizeof(T) * 8)) + a[i]));
  }
}

TEST(Integer, WideProducts) {
  checkWide<uint16_t, uint32_t>();
  checkWide<int16_t, int32_t>();
  checkWide<uint32_t, uint64_t>();
  checkWide<int32_t, int64_t>();
}

TEST(Integer, SaturatingAddition) {
  auto [a, b] = pairs(interesting<int32_t>(), interesting<int32_t>());
  auto sum = evaluate<int32_t>("add.sat.s32 {D}, {A}, {B};", a, b);
  auto difference = evaluate<int32_t>("sub.sat.s32 {D}, {A}, {B};", a, b);
  auto clamp = [](int64_t v) {
    return static_cast<int32_t>(
        std::min<int64_t>(std::max<int64_t>(v, INT32_MIN), INT32_MAX));
  };
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(sum[i], clamp(int64_t(a[i]) + b[i]));
    EXPECT_EQ(difference[i], clamp(int64_t(a[i]) - b[i]));
  }
}

/// The bits of a field, one at a time, as the PTX ISA's pseudo code does it.
template <typename T> T extractField(T a, uint32_t b, uint32_t c) {
  int msb = sizeof(T) * 8 - 1;
  int position = b & 0xFF, length = c & 0xFF;
  auto bit = [&](int i) { return uint64_t(a) >> i & 1; };
  uint64_t sign = 0;
  if (std::is_signed_v<T> && length != 0)
    sign = bit(std::min(position + length - 1, msb));
  uint64_t d = 0;
  for (int i = 0; i <= msb; ++i)
    d |= (i < length && position + i <= msb ? bit(position + i) : sign) << i;
  return T(d);
}

template <typename T> void checkExtract() {
  auto [a, b] = pairs(interesting<T>(8),
                      std::vector<uint32_t>{0, 1, 4, 31, 32, 40, 63, 64, 255});
  std::vector<uint32_t> c(a.size());
  for (uint32_t length : {0u, 1u, 4u, 8u, 31u, 32u, 63u, 64u, 255u, 257u}) {
    std::fill(c.begin(), c.end(), length);
    auto d = evaluate<T>(std::string("bfe.") + TypeName<T>::name +
                             " {D}, {A}, {B}, {C};",
                         a, b, c);
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_EQ(d[i], extractField(a[i], b[i], length))
          << a[i] << " " << b[i] << " " << length;
  }
}

TEST(Integer, BitFieldExtract) {
  checkExtract<uint32_t>();
  checkExtract<int32_t>();
  checkExtract<uint64_t>();
  checkExtract<int64_t>();
}

template <typename T> void checkInsert(const char *type) {
  auto [a, b] = pairs(interesting<T>(6), interesting<T>(6));
  for (uint32_t position : {0u, 3u, 16u, 31u, 32u, 50u, 70u})
    for (uint32_t length : {0u, 1u, 7u, 32u, 64u, 300u}) {
      auto d = evaluate<T>(std::string("bfi.") + type + " {D}, {A}, {B}, " +
                               std::to_string(position) + ", " +
                               std::to_string(length) + ";",
                           a, b);
      for (size_t i = 0; i < a.size(); ++i) {
        T expected = b[i];
        for (uint32_t k = 0; k < (length & 0xFF); ++k)
          if (position + k < sizeof(T) * 8) {
            T mask = T(T(1) << (position + k));
            expected = T(a[i] >> k & 1 ? expected | mask : expected & ~mask);
          }
        ASSERT_EQ(d[i], expected) << position << " " << length;
      }
    }
}

TEST(Integer, BitFieldInsert) {
  checkInsert<uint32_t>("b32");
  checkInsert<uint64_t>("b64");
}

template <typename T> void checkCounts() {
  auto a = interesting<T>(100);
  std::string bits = "b" + std::to_string(sizeof(T) * 8);
  std::string type = TypeName<T>::name;
  auto ones = evaluate<uint32_t>("popc." + bits + " {D}, {A};", a);
  auto zeros = evaluate<uint32_t>("clz." + bits + " {D}, {A};", a);
  auto found = evaluate<uint32_t>("bfind." + type + " {D}, {A};", a);
  auto shift = evaluate<uint32_t>("bfind.shiftamt." + type + " {D}, {A};", a);
  auto reversed = evaluate<T>("brev." + bits + " {D}, {A};", a);
  for (size_t i = 0; i < a.size(); ++i) {
    uint32_t count = 0, top = ~0u, topOther = ~0u;
    T mirror = 0;
    bool negative = std::is_signed_v<T> && a[i] < 0;
    for (uint32_t k = 0; k < sizeof(T) * 8; ++k) {
      bool bit = uint64_t(a[i]) >> k & 1;
      count += bit;
      if (bit)
        top = k;
      if (bit != negative)
        topOther = k;
      if (bit)
        mirror |= T(T(1) << (sizeof(T) * 8 - 1 - k));
    }
    uint32_t width = sizeof(T) * 8;
    EXPECT_EQ(ones[i], count);
    EXPECT_EQ(zeros[i], top == ~0u ? width : width - 1 - top);
    EXPECT_EQ(found[i], topOther);
    EXPECT_EQ(shift[i], topOther == ~0u ? ~0u : width - 1 - topOther);
    EXPECT_EQ(reversed[i], mirror);
  }
}

TEST(Integer, CountsAndReversal) {
  checkCounts<uint32_t>();
  checkCounts<int32_t>();
  checkCounts<uint64_t>();
  checkCounts<int64_t>();
}

TEST(Integer, PermuteBytes) {
  auto [a, c] = pairs(interesting<uint32_t>(6), interesting<uint32_t>(40));
  std::vector<uint32_t> b(a.rbegin(), a.rend());
  auto d = evaluate<uint32_t>("prmt.b32 {D}, {A}, {B}, {C};", a, b, c);
  for (size_t i = 0; i < a.size(); ++i) {
    uint8_t bytes[8];
    std::memcpy(bytes, &a[i], 4);
    std::memcpy(bytes + 4, &b[i], 4);
    uint32_t expected = 0;
    for (unsigned k = 0; k < 4; ++k) {
      uint32_t selector = c[i] >> 4 * k & 15;
      uint8_t byte = bytes[selector & 7];
      if (selector & 8)
        byte = byte >= 128 ? 255 : 0;
      expected |= uint32_t(byte) << 8 * k;
    }
    EXPECT_EQ(d[i], expected);
  }
}

/// The table of the PTX ISA, for each value of c's low bits.
TEST(Integer, PermuteModes) {
  struct Mode {
    const char *name;
    int bytes[4][4]; // [c][byte 3 .. byte 0]
  };
  const Mode modes[] = {
      {"f4e", {{3, 2, 1, 0}, {4, 3, 2, 1}, {5, 4, 3, 2}, {6, 5, 4, 3}}},
      {"b4e", {{5, 6, 7, 0}, {6, 7, 0, 1}, {7, 0, 1, 2}, {0, 1, 2, 3}}},
      {"rc8", {{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}}},
      {"ecl", {{3, 2, 1, 0}, {3, 2, 1, 1}, {3, 2, 2, 2}, {3, 3, 3, 3}}},
      {"ecr", {{0, 0, 0, 0}, {1, 1, 1, 0}, {2, 2, 1, 0}, {3, 2, 1, 0}}},
      {"rc16", {{1, 0, 1, 0}, {3, 2, 3, 2}, {1, 0, 1, 0}, {3, 2, 3, 2}}},
  };
  for (const Mode &mode : modes) {
    std::vector<uint32_t> a(4, 0x33221100), b(4, 0x77665544), c = {0, 1, 2, 3};
    auto d = evaluate<uint32_t>(
        std::string("prmt.b32.") + mode.name + " {D}, {A}, {B}, {C};", a, b, c);
    for (unsigned n = 0; n < 4; ++n) {
      uint32_t expected = 0;
      for (unsigned k = 0; k < 4; ++k)
        expected = expected << 8 | uint32_t(mode.bytes[n][k] * 0x11);
      EXPECT_EQ(d[n], expected) << mode.name << " " << n;
    }
  }
}

TEST(Integer, ThreeInputLogic) {
  auto [a, b] = pairs(interesting<uint32_t>(4), interesting<uint32_t>(4));
  std::vector<uint32_t> c(a.size());
  std::mt19937 random(3);
  for (uint32_t &value : c)
    value = random();
  for (unsigned table :
       {0x00u, 0x01u, 0x80u, 0xE8u, 0x96u, 0xCAu, 0xEAu, 0x3Cu, 0xFFu, 0x12u}) {
    auto d = evaluate<uint32_t>(
        "lop3.b32 {D}, {A}, {B}, {C}, " + std::to_string(table) + ";", a, b, c);
    for (size_t i = 0; i < a.size(); ++i) {
      uint32_t expected = 0;
      for (unsigned k = 0; k < 32; ++k) {
        unsigned index =
            (a[i] >> k & 1) * 4 + (b[i] >> k & 1) * 2 + (c[i] >> k & 1);
        expected |= (table >> index & 1) << k;
      }
      ASSERT_EQ(d[i], expected) << table;
    }
  }
}

TEST(Integer, FunnelShift) {
  auto [a, c] = pairs(interesting<uint32_t>(8),
                      std::vector<uint32_t>{0, 1, 15, 31, 32, 33, 63, 64, ~0u});
  std::vector<uint32_t> b(a.rbegin(), a.rend());
  for (bool left : {true, false})
    for (bool wrap : {true, false}) {
      auto d = evaluate<uint32_t>(std::string("shf.") + (left ? "l" : "r") +
                                      (wrap ? ".wrap" : ".clamp") +
                                      ".b32 {D}, {A}, {B}, {C};",
                                  a, b, c);
      for (size_t i = 0; i < a.size(); ++i) {
        // Bit by bit: the pair {b, a} moves by n places.
        uint32_t n = wrap ? c[i] % 32 : std::min(c[i], 32u), expected = 0;
        for (unsigned k = 0; k < 32; ++k) {
          unsigned from = left ? 32 + k - n : k + n;
          uint32_t bit = from < 32 ? a[i] >> from & 1 : b[i] >> (from - 32) & 1;
          expected |= bit << k;
        }
        ASSERT_EQ(d[i], expected) << left << wrap << " " << c[i];
      }
    }
}

template <typename A, typename B> int64_t dot4(uint32_t a, uint32_t b) {
  int64_t sum = 0;
  for (unsigned i = 0; i < 4; ++i)
    sum += int64_t(A(a >> 8 * i)) * B(b >> 8 * i);
  return sum;
}

TEST(Integer, DotProducts) {
  auto [a, b] = pairs(interesting<uint32_t>(20), interesting<uint32_t>(20));
  std::vector<uint32_t> c(a.rbegin(), a.rend());
  auto ss = evaluate<uint32_t>("dp4a.s32.s32 {D}, {A}, {B}, {C};", a, b, c);
  auto su = evaluate<uint32_t>("dp4a.s32.u32 {D}, {A}, {B}, {C};", a, b, c);
  auto us = evaluate<uint32_t>("dp4a.u32.s32 {D}, {A}, {B}, {C};", a, b, c);
  auto uu = evaluate<uint32_t>("dp4a.u32.u32 {D}, {A}, {B}, {C};", a, b, c);
  auto low = evaluate<uint32_t>("dp2a.lo.s32.u32 {D}, {A}, {B}, {C};", a, b, c);
  auto high =
      evaluate<uint32_t>("dp2a.hi.u32.s32 {D}, {A}, {B}, {C};", a, b, c);
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(ss[i], uint32_t(c[i] + dot4<int8_t, int8_t>(a[i], b[i])));
    EXPECT_EQ(su[i], uint32_t(c[i] + dot4<int8_t, uint8_t>(a[i], b[i])));
    EXPECT_EQ(us[i], uint32_t(c[i] + dot4<uint8_t, int8_t>(a[i], b[i])));
    EXPECT_EQ(uu[i], uint32_t(c[i] + dot4<uint8_t, uint8_t>(a[i], b[i])));
    EXPECT_EQ(low[i],
              uint32_t(c[i] + int64_t(int16_t(a[i])) * uint8_t(b[i]) +
                       int64_t(int16_t(a[i] >> 16)) * uint8_t(b[i] >> 8)));
    EXPECT_EQ(high[i],
              uint32_t(c[i] + int64_t(uint16_t(a[i])) * int8_t(b[i] >> 16) +
                       int64_t(uint16_t(a[i] >> 16)) * int8_t(b[i] >> 24)));
  }
}

TEST(Integer, SumOfAbsoluteDifferences) {
  auto [a, b] = pairs(interesting<int32_t>(), interesting<int32_t>());
  std::vector<int32_t> c(a.rbegin(), a.rend());
  auto d = evaluate<int32_t>("sad.s32 {D}, {A}, {B}, {C};", a, b, c);
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_EQ(d[i], int32_t(c[i] + std::llabs(int64_t(a[i]) - b[i])));
}

TEST(Integer, PackAndUnpack) {
  std::vector<uint64_t> a = interesting<uint64_t>(100);
  auto d = evaluate<uint64_t>(R"(
    mov.b64 {%r60, %r61}, {A};
    mov.b32 {%rs60, %rs61}, %r60;
    mov.b32 {%rs62, _}, %r61;
    mov.b64 {D}, {%rs61, %rs60, %rs62, %rs61};
  )",
                              a);
  for (size_t i = 0; i < a.size(); ++i) {
    uint64_t h0 = a[i] & 0xFFFF, h1 = a[i] >> 16 & 0xFFFF,
             h2 = a[i] >> 32 & 0xFFFF;
    EXPECT_EQ(d[i], h1 | h0 << 16 | h2 << 32 | h1 << 48);
  }
}

} // namespace

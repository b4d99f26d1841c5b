//===- MatrixTest.cpp - mma.sync, ldmatrix, stmatrix ----------------------===//
//
// Fragment layouts are spelled out here, element by element, from the figures
// of the PTX ISA ("Matrix Fragments for mma.m16n8k32", ...), not from the
// emulator's way to read them.
//
//===----------------------------------------------------------------------===//

#include "PtxTest.h"

#include <cmath>
#include <functional>
#include <limits>

using namespace odyssey::runtime;
using namespace odyssey::runtime::test;

namespace {

/// Registers of a warp as they lie in memory for `fragmentKernel`: register r
/// of lane l at [l * count + r].
using Registers = std::vector<uint32_t>;

/// Loads A, B and C of each lane, runs `instruction` and stores D.
std::string fragmentKernel(const std::string &instruction, unsigned a,
                           unsigned b, unsigned c, int architecture = 80) {
  std::string body;
  auto address = [&](unsigned buffer, unsigned count) {
    body += "mul.wide.u32 %rd10, %r0, " + std::to_string(count * 4) +
            ";\nadd.s64 %rd11, %rd" + std::to_string(buffer) + ", %rd10;\n";
  };
  auto list = [&](unsigned first, unsigned count) {
    std::string text = "{";
    for (unsigned i = 0; i < count; ++i)
      text += (i ? ", %r" : "%r") + std::to_string(first + i);
    return text + "}";
  };
  unsigned counts[] = {a, b, c};
  for (unsigned buffer = 0; buffer < 3; ++buffer) {
    address(buffer, counts[buffer]);
    for (unsigned i = 0; i < counts[buffer]; ++i)
      body += "ld.global.b32 %r" + std::to_string(10 + buffer * 10 + i) +
              ", [%rd11+" + std::to_string(4 * i) + "];\n";
  }
  body += instruction + " " + list(40, c) + ", " + list(10, a) + ", " +
          list(20, b) + ", " + list(30, c) + ";\n";
  address(3, c);
  for (unsigned i = 0; i < c; ++i)
    body += "st.global.b32 [%rd11+" + std::to_string(4 * i) + "], %r" +
            std::to_string(40 + i) + ";\n";
  return kernel(body, 4, architecture);
}

/// Where an element of a fragment is: lane, register, position in it.
struct Place {
  unsigned lane, reg, part;
};

/// A of m16n8kK with `parts` elements in a register (4: 8 bits, 2: 16 bits).
Place placeOfA(unsigned row, unsigned k, unsigned parts) {
  unsigned perHalf = 4 * parts; // k values of one register over the quad
  return {(row % 8) * 4 + (k % perHalf) / parts, row / 8 + 2 * (k / perHalf),
          k % parts};
}
Place placeOfB(unsigned k, unsigned column, unsigned parts) {
  unsigned perHalf = 4 * parts;
  return {column * 4 + (k % perHalf) / parts, k / perHalf, k % parts};
}
/// 32-bit accumulators; f16 ones put part = reg % 2 into register reg / 2.
Place placeOfC(unsigned row, unsigned column) {
  return {(row % 8) * 4 + column / 2, (row / 8) * 2 + column % 2, 0};
}

struct IntegerCase {
  unsigned k;
  bool aSigned, bSigned, saturate;
};

class IntegerMma : public testing::TestWithParam<IntegerCase> {};

TEST_P(IntegerMma, MatchesTheProduct) {
  const IntegerCase &p = GetParam();
  std::mt19937 random(7);
  unsigned aCount = p.k / 8, bCount = p.k / 16;
  std::vector<int> a(16 * p.k), b(p.k * 8);
  std::vector<int32_t> c(16 * 8);
  Registers aRegs(32 * aCount), bRegs(32 * bCount), cRegs(32 * 4);
  auto draw = [&](bool isSigned) {
    int byte = static_cast<int>(random() & 0xFF);
    return isSigned ? int(int8_t(byte)) : byte;
  };
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned k = 0; k < p.k; ++k) {
      a[row * p.k + k] = draw(p.aSigned);
      Place at = placeOfA(row, k, 4);
      aRegs[at.lane * aCount + at.reg] |= uint32_t(a[row * p.k + k] & 0xFF)
                                          << 8 * at.part;
    }
  for (unsigned k = 0; k < p.k; ++k)
    for (unsigned column = 0; column < 8; ++column) {
      b[k * 8 + column] = draw(p.bSigned);
      Place at = placeOfB(k, column, 4);
      bRegs[at.lane * bCount + at.reg] |= uint32_t(b[k * 8 + column] & 0xFF)
                                          << 8 * at.part;
    }
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned column = 0; column < 8; ++column) {
      // Near both ends, so that sums wrap or saturate.
      int32_t value = static_cast<int32_t>(random() % 400000) - 200000;
      if (row % 3 == 1)
        value = INT32_MAX - static_cast<int32_t>(random() % 1000);
      if (row % 3 == 2)
        value = INT32_MIN + static_cast<int32_t>(random() % 1000);
      c[row * 8 + column] = value;
      Place at = placeOfC(row, column);
      cRegs[at.lane * 4 + at.reg] = static_cast<uint32_t>(value);
    }
  Machine machine;
  DeviceAddress out = machine.buffer(Registers(32 * 4));
  std::string instruction = "mma.sync.aligned.m16n8k" + std::to_string(p.k) +
                            ".row.col" + (p.saturate ? ".satfinite" : "") +
                            ".s32." + (p.aSigned ? "s8" : "u8") + "." +
                            (p.bSigned ? "s8" : "u8") + ".s32";
  runWarp(machine, fragmentKernel(instruction, aCount, bCount, 4),
          {machine.buffer(aRegs), machine.buffer(bRegs), machine.buffer(cRegs),
           out});
  Registers d = machine.read<uint32_t>(out, 32 * 4);
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned column = 0; column < 8; ++column) {
      int64_t sum = c[row * 8 + column];
      for (unsigned k = 0; k < p.k; ++k)
        sum += int64_t(a[row * p.k + k]) * b[k * 8 + column];
      if (p.saturate)
        sum = std::min<int64_t>(std::max<int64_t>(sum, INT32_MIN), INT32_MAX);
      Place at = placeOfC(row, column);
      EXPECT_EQ(d[at.lane * 4 + at.reg], static_cast<uint32_t>(sum))
          << row << " " << column;
    }
}

INSTANTIATE_TEST_SUITE_P(Forms, IntegerMma,
                         testing::Values(IntegerCase{32, true, true, false},
                                         IntegerCase{32, true, true, true},
                                         IntegerCase{32, false, true, false},
                                         IntegerCase{32, true, false, false},
                                         IntegerCase{32, false, false, true},
                                         IntegerCase{16, true, true, false},
                                         IntegerCase{16, true, false, true}));

// Floating point. The reference computes with significands in [1, 2) as
// doubles, the way the publication writes the algorithm down.

double valueOf(uint16_t bits, bool bfloat) {
  if (bfloat)
    return bitCast<float>(uint32_t(bits) << 16);
  int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  double magnitude =
      exponent == 31  ? (mantissa ? std::numeric_limits<double>::quiet_NaN()
                                  : std::numeric_limits<double>::infinity())
      : exponent == 0 ? std::ldexp(mantissa, -24)
                      : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

void split(double value, int least, double &significand, int &exponent) {
  exponent = value == 0 ? -1000 : std::max(std::ilogb(value), least);
  significand = value == 0 ? 0 : std::ldexp(value, -exponent);
}

struct FloatCase {
  unsigned k;
  bool bfloat, halfAccumulator;
  int architecture;
};

double roundResult(double value, const FloatCase &p) {
  // Units of the last place: f16 to nearest even, f32 toward zero.
  if (value == 0 || !std::isfinite(value))
    return value;
  int least = p.halfAccumulator ? -14 : -126;
  int digits = p.halfAccumulator ? 10 : 23;
  int unit = std::max(std::ilogb(value), least) - digits;
  double scaled = std::ldexp(value, -unit);
  scaled = p.halfAccumulator ? std::nearbyint(scaled) : std::trunc(scaled);
  double result = std::ldexp(scaled, unit);
  double limit = p.halfAccumulator ? 65536.0 : 0x1p128;
  return std::fabs(result) >= limit
             ? std::copysign(std::numeric_limits<double>::infinity(), result)
             : result;
}

double fusedDot(const double *a, const double *b, unsigned count, double c,
                const FloatCase &p) {
  int fraction = p.architecture >= 90 ? 25 : 24;
  double plain = c;
  for (unsigned i = 0; i < count; ++i)
    plain += a[i] * b[i];
  if (!std::isfinite(plain))
    return plain;
  int least = p.bfloat ? -126 : -14, greatest = -126;
  std::vector<double> terms;
  std::vector<int> exponents;
  double significand;
  int exponent;
  split(c, p.halfAccumulator ? -14 : -126, significand, exponent);
  terms.push_back(significand);
  exponents.push_back(exponent);
  for (unsigned i = 0; i < count; ++i) {
    double sa, sb;
    int ea, eb;
    split(a[i], least, sa, ea);
    split(b[i], least, sb, eb);
    terms.push_back(sa * sb);
    exponents.push_back(ea + eb);
  }
  for (size_t i = 0; i < terms.size(); ++i)
    if (terms[i] != 0)
      greatest = std::max(greatest, exponents[i]);
  double sum = 0;
  for (size_t i = 0; i < terms.size(); ++i)
    if (terms[i] != 0)
      sum +=
          std::trunc(std::ldexp(terms[i], exponents[i] - greatest + fraction));
  return roundResult(std::ldexp(sum, greatest - fraction), p);
}

uint16_t halfBits(double value) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits)
    if (valueOf(uint16_t(bits), false) == value &&
        std::signbit(valueOf(uint16_t(bits), false)) == std::signbit(value))
      return uint16_t(bits);
  return 0x7FFF;
}

class FloatMma : public testing::TestWithParam<FloatCase> {};

/// `pick` draws the bits of an element of A (0), B (1) or C (2).
void checkFloatMma(
    const FloatCase &p,
    const std::function<uint32_t(int, unsigned, unsigned)> &pick) {
  unsigned aCount = p.k / 4, bCount = p.k / 8,
           cCount = p.halfAccumulator ? 2 : 4;
  std::vector<double> a(16 * p.k), b(8 * p.k), c(16 * 8);
  Registers aRegs(32 * aCount), bRegs(32 * bCount), cRegs(32 * cCount);
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned k = 0; k < p.k; ++k) {
      auto bits = uint16_t(pick(0, row, k));
      a[row * p.k + k] = valueOf(bits, p.bfloat);
      Place at = placeOfA(row, k, 2);
      aRegs[at.lane * aCount + at.reg] |= uint32_t(bits) << 16 * at.part;
    }
  for (unsigned column = 0; column < 8; ++column)
    for (unsigned k = 0; k < p.k; ++k) {
      auto bits = uint16_t(pick(1, k, column));
      b[column * p.k + k] = valueOf(bits, p.bfloat);
      Place at = placeOfB(k, column, 2);
      bRegs[at.lane * bCount + at.reg] |= uint32_t(bits) << 16 * at.part;
    }
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned column = 0; column < 8; ++column) {
      uint32_t bits = pick(2, row, column);
      Place at = placeOfC(row, column);
      if (p.halfAccumulator) {
        c[row * 8 + column] = valueOf(uint16_t(bits), false);
        cRegs[at.lane * 2 + at.reg / 2] |= (bits & 0xFFFF) << 16 * (at.reg % 2);
      } else {
        c[row * 8 + column] = bitCast<float>(bits);
        cRegs[at.lane * 4 + at.reg] = bits;
      }
    }
  Machine machine;
  DeviceAddress out = machine.buffer(Registers(32 * cCount));
  std::string accumulator = p.halfAccumulator ? "f16" : "f32";
  std::string type = p.bfloat ? "bf16" : "f16";
  runWarp(machine,
          fragmentKernel("mma.sync.aligned.m16n8k" + std::to_string(p.k) +
                             ".row.col." + accumulator + "." + type + "." +
                             type + "." + accumulator,
                         aCount, bCount, cCount, p.architecture),
          {machine.buffer(aRegs), machine.buffer(bRegs), machine.buffer(cRegs),
           out});
  Registers d = machine.read<uint32_t>(out, 32 * cCount);
  unsigned chunk = p.architecture >= 90 ? 16 : 8;
  for (unsigned row = 0; row < 16; ++row)
    for (unsigned column = 0; column < 8; ++column) {
      double sum = c[row * 8 + column];
      for (unsigned k = 0; k < p.k; k += chunk)
        sum = fusedDot(&a[row * p.k + k], &b[column * p.k + k],
                       std::min(chunk, p.k - k), sum, p);
      Place at = placeOfC(row, column);
      uint32_t got =
          p.halfAccumulator
              ? d[at.lane * 2 + at.reg / 2] >> 16 * (at.reg % 2) & 0xFFFF
              : d[at.lane * 4 + at.reg];
      uint32_t expected = p.halfAccumulator ? halfBits(sum)
                          : std::isnan(sum)
                              ? 0x7FFFFFFFu
                              : bitCast<uint32_t>(static_cast<float>(sum));
      ASSERT_EQ(got, expected) << row << " " << column;
    }
}

TEST_P(FloatMma, MatchesTheFusedDotProduct) {
  const FloatCase &p = GetParam();
  std::mt19937 random(11);
  auto normal = [&](int spread, bool bfloat) -> uint32_t {
    // Random sign and mantissa, exponents within `spread` of 1.
    uint32_t exponent = random() % (2 * spread + 1);
    uint32_t sign = random() & 1;
    if (bfloat)
      return sign << 15 | (127 + exponent - spread) << 7 | (random() & 0x7F);
    return sign << 15 | (15 + exponent - spread) << 10 | (random() & 0x3FF);
  };
  for (int spread : {0, 2, 8, 14})
    checkFloatMma(p, [&](int which, unsigned row, unsigned column) -> uint32_t {
      // Column 3 of B is zero, and so are elements here and there.
      if (which == 1 && column == 3)
        return row % 2 ? 0x8000 : 0;
      if (which != 2)
        return random() % 7 == 0 ? 0 : normal(spread, p.bfloat);
      if (p.halfAccumulator)
        return random() % 9 == 0 ? 0x8000 : normal(spread, false);
      float value = std::ldexp(static_cast<float>(random()) - 2147483648.0f,
                               -31 + static_cast<int>(random() % 20) - 10);
      return random() % 9 == 0 ? 0x80000000u : bitCast<uint32_t>(value);
    });
}

TEST_P(FloatMma, SubnormalAndExtremeOperands) {
  const FloatCase &p = GetParam();
  std::mt19937 random(13);
  checkFloatMma(p, [&](int which, unsigned, unsigned) -> uint32_t {
    if (which == 2 && !p.halfAccumulator)
      return random() & 0x83FFFFFF; // tiny, down to subnormal
    uint32_t mantissaMask = p.bfloat && which != 2 ? 0x7F : 0x3FF;
    switch (random() % 3) {
    case 0: // subnormal
      return (random() & 1) << 15 | (random() & mantissaMask);
    case 1: // smallest exponents
      return (random() & 1) << 15 | (mantissaMask + 1) * (1 + random() % 2) |
             (random() & mantissaMask);
    default: // about 1
      return (random() & 1) << 15 | (p.bfloat && which != 2 ? 0x3F80 : 0x3C00) |
             (random() & mantissaMask);
    }
  });
}

TEST_P(FloatMma, InfinitiesAndNans) {
  const FloatCase &p = GetParam();
  std::mt19937 random(17);
  uint32_t infinity = p.bfloat ? 0x7F80 : 0x7C00;
  uint32_t one = p.bfloat ? 0x3F80 : 0x3C00;
  checkFloatMma(p, [&](int which, unsigned row, unsigned column) -> uint32_t {
    if (which == 0 && row == 2 && column == 1)
      return infinity;
    if (which == 0 && row == 5 && column == 3)
      return infinity | 1;
    if (which == 1 && column == 6)
      return 0; // infinity times zero
    if (which == 2)
      return row == 2 && column == 0
                 ? (p.halfAccumulator ? 0xFC00u : 0xFF800000u)
                 : 0;
    return one | (random() & 0x1F);
  });
}

INSTANTIATE_TEST_SUITE_P(Forms, FloatMma,
                         testing::Values(FloatCase{16, false, false, 80},
                                         FloatCase{16, false, false, 90},
                                         FloatCase{16, false, true, 80},
                                         FloatCase{16, false, true, 90},
                                         FloatCase{16, true, false, 80},
                                         FloatCase{16, true, false, 90},
                                         FloatCase{8, false, false, 80},
                                         FloatCase{8, false, true, 80},
                                         FloatCase{8, false, false, 90}));

/// The publication's example of truncation: 2^24 and many small terms, which
/// are cut off one by one, where a rounded sum would keep them.
TEST(FloatMmaExample, SmallTermsAreCutOff) {
  FloatCase p{16, false, false, 80};
  checkFloatMma(p, [&](int which, unsigned, unsigned column) -> uint32_t {
    if (which == 2)
      return bitCast<uint32_t>(33554432.0f); // 2^25
    return which == 0 && column < 4 ? 0x3C00 : 0x3E00;
  });
}

/// Rows of shared memory with 16 distinct bytes each, at odd places.
std::string matrixKernel(const std::string &move, bool loads) {
  std::string body = R"(
    mov.b64 %rd20, tile;
    shl.b32 %r10, %r0, 4;
    mul.wide.u32 %rd10, %r0, 16;
    add.s64 %rd11, %rd0, %rd10;
    xor.b32 %r11, %r10, 48;
    cvt.u64.u32 %rd12, %r11;
    add.s64 %rd13, %rd20, %rd12;
    add.s64 %rd16, %rd1, %rd10;
)";
  if (loads)
    body += R"(
    ld.global.v4.b32 {%r20, %r21, %r22, %r23}, [%rd11];
    st.shared.v4.b32 [%rd13], {%r20, %r21, %r22, %r23};
    bar.sync 0;
    )" + move +
            R"( {%r30, %r31, %r32, %r33}, [%rd13];
    st.global.v4.b32 [%rd16], {%r30, %r31, %r32, %r33};
)";
  else
    body += R"(
    ld.global.v4.b32 {%r20, %r21, %r22, %r23}, [%rd11];
    )" + move +
            R"( [%rd13], {%r20, %r21, %r22, %r23};
    bar.sync 0;
    ld.shared.v4.b32 {%r30, %r31, %r32, %r33}, [%rd13];
    st.global.v4.b32 [%rd16], {%r30, %r31, %r32, %r33};
)";
  return kernel(".shared .align 16 .b8 tile[512];\n" + body, 2, 90);
}

std::vector<uint16_t> distinctHalves() {
  std::vector<uint16_t> values(32 * 8);
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<uint16_t>(i * 7919 + 13);
  return values;
}

class MatrixMove : public testing::TestWithParam<bool> {};

TEST_P(MatrixMove, LoadMatrix) {
  bool transposed = GetParam();
  Machine machine;
  std::vector<uint16_t> in = distinctHalves();
  DeviceAddress out = machine.buffer(std::vector<uint16_t>(32 * 8));
  runWarp(machine,
          matrixKernel(std::string("ldmatrix.sync.aligned.m8n8.x4") +
                           (transposed ? ".trans" : "") + ".shared.b16",
                       true),
          {machine.buffer(in), out});
  std::vector<uint16_t> result = machine.read<uint16_t>(out, 32 * 8);
  // Lane l's row was loaded through its own address: matrix l / 8, row l % 8.
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned j = 0; j < 4; ++j)
      for (unsigned part = 0; part < 2; ++part) {
        unsigned row = lane / 4, column = lane % 4 * 2 + part;
        if (transposed)
          std::swap(row, column);
        EXPECT_EQ(result[lane * 8 + j * 2 + part],
                  in[(j * 8 + row) * 8 + column])
            << lane << " " << j;
      }
}

TEST_P(MatrixMove, StoreMatrix) {
  bool transposed = GetParam();
  Machine machine;
  std::vector<uint16_t> in = distinctHalves();
  DeviceAddress out = machine.buffer(std::vector<uint16_t>(32 * 8));
  runWarp(machine,
          matrixKernel(std::string("stmatrix.sync.aligned.m8n8.x4") +
                           (transposed ? ".trans" : "") + ".shared.b16",
                       false),
          {machine.buffer(in), out});
  std::vector<uint16_t> result = machine.read<uint16_t>(out, 32 * 8);
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned j = 0; j < 4; ++j)
      for (unsigned part = 0; part < 2; ++part) {
        unsigned row = lane / 4, column = lane % 4 * 2 + part;
        if (transposed)
          std::swap(row, column);
        EXPECT_EQ(result[(j * 8 + row) * 8 + column],
                  in[lane * 8 + j * 2 + part])
            << lane << " " << j;
      }
}

INSTANTIATE_TEST_SUITE_P(Forms, MatrixMove, testing::Bool());

} // namespace

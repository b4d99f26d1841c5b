//===- PtxTest.h - Running pieces of PTX in tests ---------------*- C++ -*-===//

#ifndef ODYSSEY_TEST_UNIT_EMULATOR_PTXTEST_H
#define ODYSSEY_TEST_UNIT_EMULATOR_PTXTEST_H

#include "odyssey/runtime/Emulator.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <cstring>
#include <limits>
#include <random>

namespace odyssey::runtime::test {

/// The text in front of every module.
inline std::string header(int architecture = 80) {
  return ".version 8.0\n.target sm_" + std::to_string(architecture) +
         (architecture >= 90 ? "a" : "") + "\n.address_size 64\n";
}

/// A kernel `k` with `parameters` 64-bit pointer parameters p0, p1, ..., loaded
/// into %rd0, %rd1, ...; %r0 is %tid.x. `body` may use %r, %rd, %rs, %p and %f
/// registers with numbers from 10 to 99.
inline std::string kernel(const std::string &body, unsigned parameters,
                          int architecture = 80,
                          const std::string &before = "") {
  std::string text = header(architecture) + before + ".visible .entry k(";
  for (unsigned i = 0; i < parameters; ++i)
    text += std::string(i ? ", " : "") + ".param .u64 p" + std::to_string(i);
  text += ")\n{\n.reg .pred %p<100>;\n.reg .b16 %rs<100>;\n.reg .b32 "
          "%r<100>;\n.reg .b64 %rd<100>;\n";
  for (unsigned i = 0; i < parameters; ++i)
    text += "ld.param.b64 %rd" + std::to_string(i) + ", [p" +
            std::to_string(i) + "];\n";
  text += "mov.u32 %r0, %tid.x;\n" + body + "\nret;\n}\n";
  return text;
}

/// A device with one module, and buffers that are named by their number.
class Machine {
public:
  explicit Machine(const EmulatorOptions &options = {}) {
    auto created = createEmulator(options);
    EXPECT_TRUE(created.ok());
    device = std::move(created).value();
  }

  Status load(const std::string &ptx) {
    auto loaded = device->loadModule({"test", ptx, {}, 0});
    if (!loaded.ok())
      return loaded.status();
    module = *loaded;
    return Status::success();
  }

  template <typename T> DeviceAddress buffer(const std::vector<T> &values) {
    auto address = device->allocate(values.size() * sizeof(T),
                                    "buffer" + std::to_string(++buffers));
    EXPECT_TRUE(address.ok());
    EXPECT_TRUE(
        device->copyToDevice(*address, values.data(), values.size() * sizeof(T))
            .ok());
    return *address;
  }

  template <typename T>
  std::vector<T> read(DeviceAddress address, size_t count) {
    std::vector<T> values(count);
    Status status =
        device->copyToHost(values.data(), address, count * sizeof(T));
    EXPECT_TRUE(status.ok()) << status.message();
    return values;
  }

  Status launch(const std::vector<DeviceAddress> &addresses, Dim3 grid,
                Dim3 block, uint32_t sharedBytes = 0, Dim3 cluster = {}) {
    auto found = device->getKernel(module, "k");
    if (!found.ok())
      return found.status();
    std::vector<KernelArgument> arguments;
    for (DeviceAddress address : addresses)
      arguments.push_back(KernelArgument::address(address));
    LaunchRequest request;
    request.kernel = *found;
    request.grid = grid;
    request.block = block;
    request.cluster = cluster;
    request.sharedBytes = sharedBytes;
    request.arguments = arguments;
    return device->launch(request);
  }

  std::unique_ptr<Device> device;
  ModuleHandle module = ModuleHandle(0);
  unsigned buffers = 0;
};

/// Loads `ptx` and runs its kernel for one warp; fails the test on an error.
inline void runWarp(Machine &machine, const std::string &ptx,
                    const std::vector<DeviceAddress> &addresses,
                    unsigned threads = 32) {
  Status loaded = machine.load(ptx);
  ASSERT_TRUE(loaded.ok()) << loaded.message() << "\n" << ptx;
  Status status = machine.launch(addresses, {1, 1, 1}, {threads, 1, 1});
  ASSERT_TRUE(status.ok()) << status.message();
}

template <typename To, typename From> To bitCast(From value) {
  static_assert(sizeof(To) == sizeof(From));
  To result;
  std::memcpy(&result, &value, sizeof(To));
  return result;
}

inline std::string number(unsigned value) { return std::to_string(value); }

/// Waits for the phase with `parity` of the mbarrier at [address + offset], in
/// one line.
inline std::string waitFor(const std::string &address, unsigned offset,
                           unsigned parity, const std::string &order = "") {
  static unsigned labels = 0;
  std::string label = "L_wait" + number(++labels);
  return label + ": mbarrier.try_wait.parity" + order +
         ".shared::cta.b64 %p9, [" + address + "+" + number(offset) + "], " +
         number(parity) + "; @!%p9 bra " + label + ";\n";
}

/// The register class of values of `bytes` bytes.
inline const char *registerPrefix(size_t bytes) {
  return bytes == 2 ? "%rs" : bytes == 4 ? "%r" : "%rd";
}

/// Runs `instruction` once for each index, a thread each, and returns what it
/// leaves in {D}; {A}, {B}, {C} are the inputs at that index. Sizes of the
/// element types choose the registers (2, 4 or 8 bytes).
template <typename D, typename A, typename B = A, typename C = A>
std::vector<D> evaluate(const std::string &instruction, std::vector<A> a,
                        std::vector<B> b = {}, std::vector<C> c = {},
                        const EmulatorOptions &options = {}) {
  size_t count = a.size();
  b.resize(count);
  c.resize(count);
  std::string d = registerPrefix(sizeof(D)) + std::string("50");
  std::string operands[] = {registerPrefix(sizeof(A)) + std::string("51"),
                            registerPrefix(sizeof(B)) + std::string("52"),
                            registerPrefix(sizeof(C)) + std::string("53")};
  size_t sizes[] = {sizeof(A), sizeof(B), sizeof(C)};
  std::string body = R"(
    mov.u32 %r10, %ctaid.x;
    mov.u32 %r11, %ntid.x;
    mad.lo.s32 %r12, %r10, %r11, %r0;
    setp.ge.u32 %p1, %r12, )" +
                     std::to_string(count) + R"(;
    @%p1 exit;
)";
  for (unsigned i = 0; i < 3; ++i)
    body += "mul.wide.u32 %rd10, %r12, " + std::to_string(sizes[i]) +
            ";\nadd.s64 %rd11, %rd" + std::to_string(i + 1) +
            ", %rd10;\nld.global.b" + std::to_string(sizes[i] * 8) + " " +
            operands[i] + ", [%rd11];\n";
  std::string text = instruction;
  auto replace = [&](const std::string &from, const std::string &to) {
    for (size_t at; (at = text.find(from)) != std::string::npos;)
      text.replace(at, from.size(), to);
  };
  replace("{D}", d);
  replace("{A}", operands[0]);
  replace("{B}", operands[1]);
  replace("{C}", operands[2]);
  body += text + "\nmul.wide.u32 %rd10, %r12, " + std::to_string(sizeof(D)) +
          ";\nadd.s64 %rd11, %rd0, %rd10;\nst.global.b" +
          std::to_string(sizeof(D) * 8) + " [%rd11], " + d + ";\n";
  Machine machine(options);
  Status loaded = machine.load(kernel(body, 4));
  EXPECT_TRUE(loaded.ok()) << loaded.message();
  if (!loaded.ok())
    return std::vector<D>(count);
  DeviceAddress out = machine.buffer(std::vector<D>(count));
  Status status = machine.launch(
      {out, machine.buffer(a), machine.buffer(b), machine.buffer(c)},
      {static_cast<uint32_t>((count + 127) / 128), 1, 1}, {128, 1, 1});
  EXPECT_TRUE(status.ok()) << status.message();
  return machine.read<D>(out, count);
}

/// All pairs of two lists.
template <typename A, typename B>
std::pair<std::vector<A>, std::vector<B>> pairs(const std::vector<A> &a,
                                                const std::vector<B> &b) {
  std::pair<std::vector<A>, std::vector<B>> result;
  for (A x : a)
    for (B y : b) {
      result.first.push_back(x);
      result.second.push_back(y);
    }
  return result;
}

/// Values at the edges of an integer type, and random ones.
template <typename T> std::vector<T> interesting(unsigned randoms = 24) {
  std::vector<T> values = {T(0),
                           T(1),
                           T(2),
                           T(3),
                           T(7),
                           T(31),
                           T(32),
                           T(33),
                           T(63),
                           T(64),
                           T(100),
                           T(-1),
                           T(-2),
                           T(-7),
                           std::numeric_limits<T>::min(),
                           std::numeric_limits<T>::max(),
                           T(std::numeric_limits<T>::max() - 1)};
  std::mt19937_64 random(99);
  for (unsigned i = 0; i < randoms; ++i)
    values.push_back(static_cast<T>(random() >> (random() % 60)));
  return values;
}

} // namespace odyssey::runtime::test

#endif // ODYSSEY_TEST_UNIT_EMULATOR_PTXTEST_H

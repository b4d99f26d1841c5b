//===- Benchmark.cpp - How fast the emulator is ---------------------------===//

#include "Benchmark.h"

#include <thread>

namespace odyssey::runtime {

namespace {

/// Repetitions of the measured instructions in one pass of the loop.
constexpr unsigned kUnroll = 16;
constexpr unsigned kIterations = 2000;
constexpr unsigned kWarps = 4;
constexpr unsigned kLanes = 32;

std::string repeat(const std::string &text) {
  std::string result;
  for (unsigned i = 0; i < kUnroll; ++i)
    result += text;
  return result;
}

/// A kernel that runs `body` kIterations times. The parameter is a buffer that
/// receives a value, so that nothing measured is without use.
std::string kernelText(const std::string &body) {
  return R"(.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out)
{
  .reg .pred %p<4>;
  .reg .b32 %r<64>;
  .reg .b64 %rd<16>;
  .shared .align 16 .b8 tile[16384];
  ld.param.u64 %rd0, [out];
  mov.u32 %r0, %tid.x;
  mov.b64 %rd1, tile;
  mul.wide.u32 %rd2, %r0, 16;
  add.s64 %rd3, %rd1, %rd2;
  add.s64 %rd4, %rd0, %rd2;
  mov.b32 %r1, 3;
  mov.b32 %r2, 5;
  mov.b32 %r3, 7;
  mov.b32 %r4, 9;
  mov.b32 %r5, 0f3F800001;
  mov.b32 %r6, 0f3F7FFFFE;
  mov.b32 %r20, 0x3C003C01;
  mov.b32 %r21, 0x3C023C03;
  mov.b32 %r22, 0x3C043C05;
  mov.b32 %r23, 0x3C063C07;
  mov.b32 %r24, 0x3C013C01;
  mov.b32 %r25, 0x3C013C01;
  mov.b32 %r30, 0;
  mov.b32 %r31, 0;
  mov.b32 %r32, 0;
  mov.b32 %r33, 0;
  st.shared.v4.b32 [%rd3], {%r1, %r2, %r3, %r4};
  mov.b32 %r9, )" +
         std::to_string(kIterations) + R"(;
loop:
)" + repeat(body) +
         R"(
  add.s32 %r9, %r9, -1;
  setp.ne.s32 %p1, %r9, 0;
  @%p1 bra loop;
  add.s32 %r1, %r1, %r5;
  add.s32 %r1, %r1, %r30;
  st.global.b32 [%rd4], %r1;
  ret;
}
)";
}

class Bench {
public:
  Bench(Device &device, double seconds, unsigned ctas)
      : device(device), seconds(seconds), ctas(ctas) {}

  /// Times `body` ran by one warp, per second.
  Result<double> rate(const std::string &body) {
    std::string text = kernelText(body);
    ODYSSEY_ASSIGN_OR_RETURN(
        ModuleHandle module,
        device.loadModule({"emulator benchmark", text, {}, 0}));
    ODYSSEY_ASSIGN_OR_RETURN(KernelHandle kernel,
                             device.getKernel(module, "k"));
    ODYSSEY_ASSIGN_OR_RETURN(
        DeviceAddress out,
        device.allocate(kWarps * kLanes * 16, "benchmark output"));
    ODYSSEY_RETURN_IF_ERROR(device.fill(out, 0, kWarps * kLanes * 16));
    KernelArgument argument = KernelArgument::address(out);
    LaunchRequest request;
    request.kernel = kernel;
    request.grid = {ctas, 1, 1};
    request.block = {kWarps * kLanes, 1, 1};
    request.arguments = {&argument, 1};
    ODYSSEY_ASSIGN_OR_RETURN(double begin, device.timestamp());
    double end = begin;
    uint64_t launches = 0;
    while (end - begin < seconds) {
      ODYSSEY_RETURN_IF_ERROR(device.launch(request));
      ++launches;
      ODYSSEY_ASSIGN_OR_RETURN(end, device.timestamp());
    }
    ODYSSEY_RETURN_IF_ERROR(device.free(out));
    ODYSSEY_RETURN_IF_ERROR(device.unloadModule(module));
    return static_cast<double>(launches) * ctas * kWarps * kIterations *
           kUnroll / (end - begin);
  }

private:
  Device &device;
  double seconds;
  unsigned ctas;
};

} // namespace

Result<EmulatorBenchmark> runEmulatorBenchmark(double seconds,
                                               const EmulatorOptions &options) {
  EmulatorBenchmark result;
  result.threads = options.threads
                       ? options.threads
                       : std::max(1u, std::thread::hardware_concurrency());
  ODYSSEY_ASSIGN_OR_RETURN(std::unique_ptr<Device> device,
                           createEmulator(options));
  Bench bench(*device, seconds, result.threads * 2);

  ODYSSEY_ASSIGN_OR_RETURN(result.integerInstructions, bench.rate(R"(
  add.s32 %r1, %r1, %r2;
  xor.b32 %r2, %r2, %r3;
  mad.lo.s32 %r3, %r1, %r4, %r2;
  shl.b32 %r4, %r3, 3;
)"));
  result.integerInstructions *= 4;
  ODYSSEY_ASSIGN_OR_RETURN(result.floatInstructions, bench.rate(R"(
  fma.rn.f32 %r5, %r5, %r6, %r6;
  mul.rn.f32 %r6, %r6, %r6;
)"));
  result.floatInstructions *= 2;
  ODYSSEY_ASSIGN_OR_RETURN(result.sharedBytes, bench.rate(R"(
  ld.shared.v4.b32 {%r1, %r2, %r3, %r4}, [%rd3];
  st.shared.v4.b32 [%rd3], {%r2, %r3, %r4, %r1};
)"));
  result.sharedBytes *= 2 * kLanes * 16;
  ODYSSEY_ASSIGN_OR_RETURN(result.asyncCopyBytes, bench.rate(R"(
  cp.async.cg.shared.global [%rd3], [%rd4], 16;
  cp.async.commit_group;
  cp.async.wait_group 0;
)"));
  result.asyncCopyBytes *= kLanes * 16;
  ODYSSEY_ASSIGN_OR_RETURN(result.int8MultiplyAdds, bench.rate(R"(
  mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%r30, %r31, %r32, %r33},
      {%r20, %r21, %r22, %r23}, {%r24, %r25}, {%r30, %r31, %r32, %r33};
)"));
  result.int8MultiplyAdds *= 16 * 8 * 32;
  ODYSSEY_ASSIGN_OR_RETURN(result.halfMultiplyAdds, bench.rate(R"(
  mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r30, %r31, %r32, %r33},
      {%r20, %r21, %r22, %r23}, {%r24, %r25}, {%r30, %r31, %r32, %r33};
)"));
  result.halfMultiplyAdds *= 16 * 8 * 16;
  return result;
}

} // namespace odyssey::runtime

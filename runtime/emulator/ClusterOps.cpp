//===- ClusterOps.cpp - Clusters, proxies, dependent launches -------------===//

#include "Decoder.h"
#include "Hazards.h"

namespace odyssey::runtime::emulator {

namespace {

const Op *nothing(Warp &, const Op *op, LaneMask) { return op + 1; }

void emitPlain(InstructionDecoder &in, Handler handler) {
  in.expectOperands(0);
  Op op;
  op.run = handler;
  in.emit(op);
}

const Op *clusterArrive(Warp &warp, const Op *op, LaneMask mask) {
  if (op->flags && !warp.allMeet(op, mask))
    return nullptr;
  warp.group().pc = op + 1;
  warp.cta->cluster.arrive(warp, mask);
  return op + 1;
}

const Op *clusterWait(Warp &warp, const Op *op, LaneMask mask) {
  if (op->flags && !warp.allMeet(op, mask))
    return nullptr;
  for (LaneMask left = mask; left; left &= left - 1)
    if (warp.cta->cluster.barrierPhase() ==
        warp.clusterPhase[__builtin_ctz(left)])
      return warp.block(op, LaneGroup::State::ClusterBarrier);
  warp.cta->cluster.passed(warp);
  return op + 1;
}

/// mapa: the same place in the shared memory of CTA b. Op::imm is the base of
/// the window that the addresses are in.
template <typename T>
const Op *mapAddress(Warp &warp, const Op *op, LaneMask mask) {
  const T *a = warp.row<T>(op->a);
  const uint32_t *rank = warp.row<uint32_t>(op->b);
  T *d = warp.row<T>(op->d);
  uint64_t base = static_cast<uint64_t>(op->imm);
  for (LaneMask left = mask; left; left &= left - 1) {
    int lane = __builtin_ctz(left);
    if (rank[lane] >= warp.cta->cluster.ctas.size())
      return warp.fault(op, lane,
                        "the cluster has no CTA " + std::to_string(rank[lane]));
    uint64_t offset = (uint64_t(a[lane]) - base) % kClusterStride;
    d[lane] = static_cast<T>(base + offset + (rank[lane] + 1) * kClusterStride);
  }
  return op + 1;
}

void decodeMapAddress(InstructionDecoder &in) {
  bool shared = in.take("shared::cluster");
  PtxType type = in.takeType();
  in.expectOperands(3);
  if (type != PtxType::U64 && (type != PtxType::U32 || !shared))
    in.fail("unsupported type of mapa");
  Op op;
  op.run = type == PtxType::U32 ? mapAddress<uint32_t> : mapAddress<uint64_t>;
  op.imm = shared ? 0 : static_cast<int64_t>(kSharedWindow);
  op.d = in.def(0, type);
  op.a = in.use(1, type);
  op.b = in.use(2, PtxType::U32);
  in.emit(op);
}

const Op *proxyFence(Warp &warp, const Op *op, LaneMask) {
  if (warp.cta->hazards)
    warp.cta->hazards->proxyFence(warp);
  return op + 1;
}

/// Launches run one after another here, so a dependent launch never starts
/// before the one that it depends on has ended.
void decodeGridDependency(InstructionDecoder &in) {
  if (!in.take("wait") && !in.take("launch_dependents"))
    return in.unsupportedForm();
  emitPlain(in, nothing);
}

/// A budget of registers has no counterpart here; its rules are ptxas's.
void decodeSetMaxRegisters(InstructionDecoder &in) {
  if ((!in.take("inc") && !in.take("dec")) || !in.take("sync") ||
      !in.take("aligned") || !in.take("u32"))
    return in.unsupportedForm();
  in.expectOperands(1);
  if (in.failed())
    return;
  int64_t count = in.integer(in.operand(0));
  if (count < 24 || count > 256 || count % 8)
    return in.fail("setmaxnreg takes 24 to 256 in steps of 8");
  Op op;
  op.run = nothing;
  in.emit(op);
}

} // namespace

/// barrier.cluster.{arrive,wait}{.sem}{.aligned}
void decodeClusterBarrier(InstructionDecoder &in) {
  in.take("cluster");
  bool arrive = in.take("arrive");
  if (!arrive && !in.take("wait"))
    return in.unsupportedForm();
  if (arrive)
    in.take("release") || in.take("relaxed");
  else
    in.take("acquire");
  bool aligned = in.take("aligned");
  in.expectOperands(0);
  Op op;
  op.run = arrive ? clusterArrive : clusterWait;
  op.flags = aligned;
  in.emit(op);
}

/// fence.proxy.async{.space} and fence.mbarrier_init.release.cluster
void decodeProxyFence(InstructionDecoder &in) {
  if (in.take("mbarrier_init")) {
    if (!in.take("release") || !in.take("cluster"))
      return in.unsupportedForm();
    return emitPlain(in, nothing);
  }
  in.take("proxy");
  if (!in.take("async"))
    return in.unsupportedForm();
  in.take("global") || in.take("shared::cta") || in.take("shared::cluster");
  emitPlain(in, proxyFence);
}

void addCluster(DecodeTable &table) {
  table["mapa"] = decodeMapAddress;
  table["griddepcontrol"] = decodeGridDependency;
  table["setmaxnreg"] = decodeSetMaxRegisters;
}

} // namespace odyssey::runtime::emulator

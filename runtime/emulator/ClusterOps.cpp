//===- ClusterOps.cpp - Clusters and proxies ------------------------------===//

#include "Decoder.h"

namespace odyssey::runtime::emulator {

void decodeClusterBarrier(InstructionDecoder &in) { in.unsupportedForm(); }
void decodeProxyFence(InstructionDecoder &in) { in.unsupportedForm(); }

} // namespace odyssey::runtime::emulator

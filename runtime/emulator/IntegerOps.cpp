//===- IntegerOps.cpp - Integer arithmetic and logic ----------------------===//

#include "IntegerOps.h"
#include "Machine.h"
#include "Targets.h"

namespace odyssey::runtime::emulator {

namespace portable {
#include "Lanes.inc"
// Behind Lanes.inc, which it uses.
#include "IntegerOps.inc"
} // namespace portable

#ifdef ODYSSEY_HAS_AVX2
ODYSSEY_BEGIN_AVX2
namespace avx2 {
#include "Lanes.inc"
// Behind Lanes.inc, which it uses.
#include "IntegerOps.inc"
} // namespace avx2
ODYSSEY_END_AVX2
#endif

#ifdef ODYSSEY_HAS_AVX512
ODYSSEY_BEGIN_AVX512
namespace avx512 {
#include "Lanes.inc"
// Behind Lanes.inc, which it uses.
#include "IntegerOps.inc"
} // namespace avx512
ODYSSEY_END_AVX512
#endif

Handler integerHandler(IntegerOp op, PtxType type) {
  return ODYSSEY_SELECT(select(op, type));
}

Handler permuteModeHandler() { return portable::permuteHandler; }

} // namespace odyssey::runtime::emulator

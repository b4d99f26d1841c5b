//===- IntegerOps.cpp - Integer arithmetic and logic ----------------------===//

#include "IntegerOps.h"
#include "Machine.h"
#include "Targets.h"

namespace odyssey::runtime::emulator {

#define ODYSSEY_HANDLERS "IntegerOps.inc"
#include "Targets.inc"

Handler integerHandler(IntegerOp op, PtxType type) {
  return ODYSSEY_SELECT(select(op, type));
}

Handler permuteModeHandler() { return portable::permuteHandler; }

} // namespace odyssey::runtime::emulator

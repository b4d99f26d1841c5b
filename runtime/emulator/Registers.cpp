//===- Registers.cpp - Places of rows in a warp's register file -----------===//

#include "Decoder.h"

namespace odyssey::runtime::emulator {

void assignRows(Program &program, std::vector<RowInfo> &rows,
                const std::vector<RowUse> &uses) {
  uint64_t end = 0;
  for (RowInfo &row : rows) {
    uint64_t bytes =
        row.bytes == 0 ? sizeof(LaneMask) : uint64_t(row.bytes) * kWarpLanes;
    uint64_t alignment = row.bytes == 0 ? sizeof(LaneMask) : 64;
    end = (end + alignment - 1) / alignment * alignment;
    row.offset = static_cast<uint32_t>(end);
    end += bytes;
    if (row.kind == RowInfo::Kind::Constant)
      program.constants.push_back({row.offset, row.bytes, row.bits});
    else if (row.kind == RowInfo::Kind::Special)
      program.specials.push_back({row.offset, row.special});
  }
  program.registerBytes = static_cast<uint32_t>(end);
  for (Op &op : program.ops)
    for (uint32_t *row : {&op.guard, &op.d, &op.a, &op.b, &op.c})
      *row = rows[*row].offset;
  for (uint32_t &row : program.rows)
    row = rows[row].offset;
  for (CallSite &call : program.calls)
    for (auto *copies : {&call.arguments, &call.results})
      for (ParamCopy &copy : *copies) {
        copy.from = rows[copy.from].offset;
        copy.to = rows[copy.to].offset;
      }
}

} // namespace odyssey::runtime::emulator
